//! `#[events]`: a set of events, and those of its events that are written in it.

use crate::{attribute::derived, path::framework};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, Field, Fields, ItemEnum, Meta, Result, Variant, Visibility, parse_quote,
};

/// The enum with one event a variant, and a struct for each event that is written in it.
pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let mut item: ItemEnum = syn::parse2(item)?;
    let app = framework();
    let own = derived(&item.attrs);
    let plain = ["Clone", "Debug", "PartialEq"];
    let plain = plain.into_iter().filter(|name| !own.iter().any(|one| one == name));
    let plain = plain.map(|name| Ident::new(name, Span::call_site()));
    item.attrs.insert(0, parse_quote!(#[derive(#(#plain,)* #app::EventSet)]));
    // The names are those of the structs, which are seldom alone where they are used.
    item.attrs.push(parse_quote!(#[allow(clippy::enum_variant_names)]));
    let mut structs = Vec::new();
    for variant in &mut item.variants {
        structs.extend(lift(variant, &item.vis, &app)?);
    }
    Ok(quote!(#(#structs)* #item))
}

/// Makes a variant hold the event of its name; where it has `#[event(…)]`, that event is written
/// here.
fn lift(variant: &mut Variant, vis: &Visibility, app: &TokenStream) -> Result<Option<TokenStream>> {
    let event = variant.attrs.iter().position(|one| one.path().is_ident("event"));
    let name = &variant.ident;
    let Some(event) = event else {
        match &variant.fields {
            Fields::Unit => variant.fields = Fields::Unnamed(parse_quote!((#name))),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {}
            _ => {
                let must = format!("write `#[event(\"…\")]` above `{name}`: its name is pinned");
                return Err(Error::new(name.span(), must));
            }
        }
        return Ok(None);
    };
    let settings = settings(&variant.attrs.remove(event))?;
    let attributes = std::mem::take(&mut variant.attrs);
    let fields: Vec<Field> = match &variant.fields {
        Fields::Named(fields) => fields.named.iter().cloned().collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(_) => {
            let must = "an event that is written here has named fields; one that is written \
                        elsewhere has no `#[event(…)]` here";
            return Err(Error::new(name.span(), must));
        }
    };
    let fields = fields.into_iter().map(|field| Field { vis: vis.clone(), ..field });
    let lifted = quote! {
        #(#attributes)*
        #[#app::event(#settings)]
        #vis struct #name { #(#fields),* }
    };
    variant.fields = Fields::Unnamed(parse_quote!((#name)));
    Ok(Some(lifted))
}

/// What stands in `#[event(…)]`.
fn settings(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::List(list) => Ok(list.tokens.clone()),
        other => {
            let must = "write `#[event(\"domain.entity.action\")]`: the name is pinned";
            Err(Error::new_spanned(other.to_token_stream(), must))
        }
    }
}
