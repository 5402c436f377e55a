//! The attributes: they add the derives that an event or a command needs, and keep the settings for
//! ours.

use crate::{path::framework, personal::skip_value};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, Data, DeriveInput, Field, LitStr, Variant, parse_quote};

/// The event or command with its derives, and the settings where ours finds them.
pub(crate) fn expand(ours: &str, settings: TokenStream, item: TokenStream) -> TokenStream {
    let mut item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let (app, ours) = (framework(), Ident::new(ours, Span::call_site()));
    equip(&mut item, quote!(#app::#ours));
    item.attrs.push(parse_quote!(#[factum(#settings)]));
    if let Data::Struct(data) = &mut item.data {
        data.fields.iter_mut().for_each(tell_lock);
    }
    item.into_token_stream()
}

/// Something else that is stored, with its derives.
pub(crate) fn data(item: TokenStream) -> TokenStream {
    let mut item: DeriveInput = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let says_which =
        |variant: &Variant| variant.attrs.iter().any(|one| one.path().is_ident("default"));
    let has_default = match &item.data {
        Data::Enum(data) => data.variants.iter().any(says_which),
        _ => true,
    };
    let wanted = has_default && !derived(&item.attrs).iter().any(|one| one == "Default");
    equip(&mut item, if wanted { quote!(Default) } else { TokenStream::new() });
    item.into_token_stream()
}

/// Adds the derives that what is stored needs, unless it has them, and one more.
fn equip(item: &mut DeriveInput, more: TokenStream) {
    let app = framework();
    let usual = [
        ("Clone", quote!(Clone)),
        ("Debug", quote!(Debug)),
        ("PartialEq", quote!(PartialEq)),
        ("Serialize", quote!(#app::serde::Serialize)),
        ("Deserialize", quote!(#app::serde::Deserialize)),
        ("JsonSchema", quote!(#app::schemars::JsonSchema)),
    ];
    let own = derived(&item.attrs);
    let missing = usual.into_iter().filter(|(name, _)| !own.iter().any(|one| one == name));
    let derives = missing.map(|(_, path)| path);
    let serde = format!("{app}::serde").replace(' ', "");
    let schemars = format!("{app}::schemars").replace(' ', "");
    item.attrs.insert(0, parse_quote!(#[derive(#(#derives,)* #more)]));
    item.attrs.push(parse_quote!(#[serde(crate = #serde)]));
    item.attrs.push(parse_quote!(#[schemars(crate = #schemars)]));
}

/// A schema does not say by which other names serde reads a field, nor that it is personal; the
/// lock file wants to know.
fn tell_lock(field: &mut Field) {
    let mut aliases: Vec<LitStr> = Vec::new();
    for attribute in field.attrs.iter().filter(|one| one.path().is_ident("serde")) {
        // What does not parse is serde's to complain about.
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("alias") {
                aliases.push(meta.value()?.parse()?);
                return Ok(());
            }
            skip_value(&meta)
        });
    }
    if field.attrs.iter().any(|one| one.path().is_ident("personal")) {
        field.attrs.push(parse_quote!(#[schemars(extend("x-personal" = true))]));
    }
    if !aliases.is_empty() {
        field.attrs.push(parse_quote!(#[schemars(extend("x-aliases" = [#(#aliases),*]))]));
    }
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
