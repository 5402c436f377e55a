//! `derive(Command)`.

use crate::{event::check_name, fields, path::framework};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, LitStr, Result};

/// The implementation of `Command`.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    let app = framework();
    let attribute = item.attrs.iter().find(|one| one.path().is_ident("factum"));
    let missing = "write `#[command(\"domain.action\")]`: the name is pinned";
    let attribute = attribute.ok_or_else(|| Error::new(item.ident.span(), missing))?;
    let name: LitStr = attribute.parse_args().map_err(|error| Error::new(error.span(), missing))?;
    check_name(&name)?;
    let tagged = fields::tagged(&fields::of_struct(item)?)?;
    let (keys, values) = (fields::keys(&tagged), fields::values(&tagged));
    let ident = &item.ident;
    Ok(quote! {
        impl #app::Command for #ident {
            const NAME: &'static str = #name;
            const TAGS: &'static [&'static str] = &[#(#keys),*];

            fn tag_values(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
                #values
            }
        }
    })
}
