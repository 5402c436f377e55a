//! `#[projection("name")]`: a state whose fold is kept as the rows of a view.
//!
//! Apart from `attribute`, as it writes an implementation and keeps no settings for a derive.

use crate::{attribute, event::number, path::framework};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Ident, LitStr, Result, Token, parse::ParseStream};

/// What stands in `#[projection(…)]`.
struct Settings {
    name: LitStr,
    version: u32,
}

/// The item with the derives of what is stored, and the implementation of `Projection`.
pub(crate) fn expand(settings: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Settings { name, version } = syn::parse::Parser::parse2(parse, settings)?;
    let DeriveInput { ident, generics, .. } = syn::parse2(item.clone())?;
    if !generics.params.is_empty() {
        let must = "what is stored has one shape: this must have no parameters";
        return Err(Error::new_spanned(generics, must));
    }
    let (app, item) = (framework(), attribute::data(item));
    Ok(quote! {
        #item

        impl #app::Projection for #ident {
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            type Event = <Self as #app::State>::Event;

            fn apply(row: &mut #app::Row<Self>, event: &#app::Envelope<Self::Event>) {
                row.evolve(event);
            }
        }
    })
}

fn parse(input: ParseStream<'_>) -> Result<Settings> {
    let missing = "write `#[projection(\"order-summary\")]`: the name of a view is pinned";
    let name: LitStr = input.parse().map_err(|error| Error::new(error.span(), missing))?;
    let mut version = 1;
    while !input.is_empty() {
        input.parse::<Token![,]>()?;
        if input.is_empty() {
            break;
        }
        let key: Ident = input.parse()?;
        if key != "version" {
            let wrong = format!("`{key}` is no setting: there is version");
            return Err(Error::new(key.span(), wrong));
        }
        input.parse::<Token![=]>()?;
        version = number(input)?;
    }
    Ok(Settings { name, version })
}
