//! The attributes: they add the derives that an event or a command needs, and keep the settings for
//! ours.

use crate::path::framework;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, DeriveInput, parse_quote};

/// The item with its derives.
pub(crate) fn expand(ours: &str, settings: TokenStream, item: TokenStream) -> TokenStream {
    let mut item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let app = framework();
    let own = derived(&item.attrs);
    let missing = |name: &&str| !own.iter().any(|one| one == name);
    let plain = ["Clone", "Debug", "PartialEq"].into_iter().filter(missing);
    let plain = plain.map(|name| Ident::new(name, Span::call_site()).into_token_stream());
    let mut derives: Vec<TokenStream> = plain.collect();
    if ["Serialize"].iter().any(missing_in(&own)) {
        derives.push(quote!(#app::serde::Serialize));
    }
    if ["Deserialize"].iter().any(missing_in(&own)) {
        derives.push(quote!(#app::serde::Deserialize));
    }
    if ["JsonSchema"].iter().any(missing_in(&own)) {
        derives.push(quote!(#app::schemars::JsonSchema));
    }
    let ours = Ident::new(ours, Span::call_site());
    derives.push(quote!(#app::#ours));
    let serde = format!("{app}::serde").replace(' ', "");
    let schemars = format!("{app}::schemars").replace(' ', "");
    item.attrs.insert(0, parse_quote!(#[derive(#(#derives),*)]));
    item.attrs.push(parse_quote!(#[serde(crate = #serde)]));
    item.attrs.push(parse_quote!(#[schemars(crate = #schemars)]));
    item.attrs.push(parse_quote!(#[factum(#settings)]));
    item.into_token_stream()
}

fn missing_in(own: &[String]) -> impl Fn(&&str) -> bool {
    move |name| !own.iter().any(|one| one == name)
}

/// The last segments of what an item derives already.
fn derived(attributes: &[Attribute]) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in attributes.iter().filter(|one| one.path().is_ident("derive")) {
        // What does not parse is the compiler's to complain about.
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|last| last.ident.to_string()));
            Ok(())
        });
    }
    names
}
