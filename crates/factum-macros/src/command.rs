//! `derive(Command)`: one struct, or an enum of several commands that are decided together.

use crate::{
    event::{category, check_name},
    fields::{self, Tagged},
    path::framework,
};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, LitStr, Result};

/// The implementation of `Command`.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    let attribute = item.attrs.iter().find(|one| one.path().is_ident("factum"));
    let missing = "write `#[command(\"domain.action\")]`: the name is pinned";
    let attribute = attribute.ok_or_else(|| Error::new(item.ident.span(), missing))?;
    let name: LitStr = attribute.parse_args().map_err(|error| Error::new(error.span(), missing))?;
    check_name(&name)?;
    let body = match &item.data {
        Data::Enum(data) => several(&name.value(), data)?,
        _ => one(&name.value(), item)?,
    };
    let (app, ident) = (framework(), &item.ident);
    Ok(quote! {
        impl #app::Command for #ident {
            const NAME: &'static str = #name;
            #body
        }
    })
}

fn one(name: &str, item: &DeriveInput) -> Result<TokenStream> {
    let tagged = fields::tagged(&fields::of_struct(item)?, category(name))?;
    let (keys, values) = (fields::keys(&tagged), fields::values(&tagged, &quote!(&self.)));
    Ok(quote! {
        const TAGS: &'static [&'static str] = &[#(#keys),*];

        fn tag_values(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
            #values
        }
    })
}

/// Each variant is a command: `order` and `MarkPaid` are `order.mark-paid`.
fn several(prefix: &str, data: &DataEnum) -> Result<TokenStream> {
    let (mut names, mut keys) = (Vec::new(), Vec::new());
    let (mut name_arms, mut value_arms) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        let ident = &variant.ident;
        let fields = match &variant.fields {
            Fields::Named(fields) => fields.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => {
                let must = "a command has named fields; a set of commands that are decided apart \
                            is `#[derive(CommandSet)]`";
                return Err(Error::new(ident.span(), must));
            }
        };
        let name = format!("{prefix}.{}", kebab(ident));
        let tagged = fields::tagged(&fields, category(prefix))?;
        let bound: Vec<&Ident> = tagged.iter().map(|Tagged { field, .. }| field).collect();
        let values = fields::values(&tagged, &quote!());
        keys.extend(fields::keys(&tagged).into_iter().map(str::to_owned));
        name_arms.push(quote!(Self::#ident { .. } => #name));
        value_arms.push(quote!(Self::#ident { #(#bound,)* .. } => { #values }));
        names.push(name);
    }
    keys.sort();
    keys.dedup();
    Ok(quote! {
        const NAMES: &'static [&'static str] = &[#(#names),*];
        const TAGS: &'static [&'static str] = &[#(#keys),*];

        fn name(&self) -> &'static str {
            match self { #(#name_arms),* }
        }

        fn tag_values(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
            match self { #(#value_arms)* }
        }
    })
}

/// `MarkPaid` as `mark-paid`.
fn kebab(ident: &Ident) -> String {
    let mut words = String::new();
    for letter in ident.to_string().trim_start_matches("r#").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
