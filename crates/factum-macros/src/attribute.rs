//! The attributes: they add the derives that an event or a command needs, and keep the settings for
//! ours.

use crate::path::framework;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Data, DeriveInput, Expr, Field, LitStr, Token, parenthesized, parse_quote,
    token::Paren,
};

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
    if let Data::Struct(data) = &mut item.data {
        data.fields.iter_mut().for_each(tell_aliases);
    }
    item.into_token_stream()
}

/// A schema does not say by which other names serde reads a field; the lock file wants to know.
fn tell_aliases(field: &mut Field) {
    let mut aliases: Vec<LitStr> = Vec::new();
    for attribute in field.attrs.iter().filter(|one| one.path().is_ident("serde")) {
        // What does not parse is serde's to complain about.
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("alias") {
                aliases.push(meta.value()?.parse()?);
            } else if meta.input.peek(Token![=]) {
                meta.value()?.parse::<Expr>()?;
            } else if meta.input.peek(Paren) {
                let inner;
                parenthesized!(inner in meta.input);
                inner.parse::<TokenStream>()?;
            }
            Ok(())
        });
    }
    if !aliases.is_empty() {
        field.attrs.push(parse_quote!(#[schemars(extend("x-aliases" = [#(#aliases),*]))]));
    }
}

fn missing_in(own: &[String]) -> impl Fn(&&str) -> bool {
    move |name| !own.iter().any(|one| one == name)
}

/// The last segments of what an item derives already.
pub(crate) fn derived(attributes: &[Attribute]) -> Vec<String> {
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
