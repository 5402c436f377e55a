//! The tagged fields of an event or a command.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Result, Type, spanned::Spanned};

/// A field with `#[tag]`.
pub(crate) struct Tagged {
    /// Its key: the field's name unless the attribute gives another.
    pub(crate) key: String,
    /// The field.
    pub(crate) field: Ident,
    ty: Type,
}

/// The fields of a struct, by name. It has no parameters: what is stored has one shape.
pub(crate) fn of_struct(item: &DeriveInput) -> Result<Vec<&Field>> {
    if !item.generics.params.is_empty() {
        let must = "what is stored has one shape: this must be a struct without parameters";
        return Err(Error::new(item.generics.span(), must));
    }
    let no_struct = || Error::new(item.ident.span(), "this must be a struct with named fields");
    match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(_) => Err(no_struct()),
        },
        _ => Err(no_struct()),
    }
}

/// The tagged ones among them; if none is, the one that is named like the category.
pub(crate) fn tagged(fields: &[&Field], category: &str) -> Result<Vec<Tagged>> {
    let mut found = Vec::new();
    for field in fields {
        let Some(attribute) = field.attrs.iter().find(|one| one.path().is_ident("tag")) else {
            continue;
        };
        let ident = field.ident.clone().expect("a named field has a name");
        let key = match &attribute.meta {
            syn::Meta::Path(_) => ident.to_string().trim_start_matches("r#").to_owned(),
            _ => attribute.parse_args::<LitStr>()?.value(),
        };
        if key.is_empty() || key.contains(':') {
            return Err(Error::new(
                attribute.span(),
                "the key of a tag is not empty and has no `:`",
            ));
        }
        found.push(Tagged { key, field: ident, ty: field.ty.clone() });
    }
    if found.is_empty() {
        found.extend(fields.iter().find_map(|field| {
            let ident = field.ident.clone().filter(|ident| ident == category)?;
            Some(Tagged { key: category.to_owned(), field: ident, ty: field.ty.clone() })
        }));
    }
    Ok(found)
}

/// The one field with an attribute, if there is one.
pub(crate) fn marked<'a>(fields: &[&'a Field], attribute: &str) -> Result<Option<&'a Field>> {
    let mut with = fields
        .iter()
        .copied()
        .filter(|field| field.attrs.iter().any(|one| one.path().is_ident(attribute)));
    let first = with.next();
    match with.next() {
        Some(second) => Err(Error::new(second.span(), format!("a second `#[{attribute}]`"))),
        None => Ok(first),
    }
}

/// The keys of the tags.
pub(crate) fn keys(tagged: &[Tagged]) -> Vec<&str> {
    tagged.iter().map(|one| one.key.as_str()).collect()
}

/// The body of `tag_values`, where `of` and the name is a reference to a field.
pub(crate) fn values(tagged: &[Tagged], of: &TokenStream) -> TokenStream {
    let pushes = tagged.iter().map(|Tagged { key, field, ty }| {
        if is_many(ty) {
            quote_spanned!(ty.span()=>
            for value in #of #field {
                values.push((#key, ::std::string::ToString::to_string(value)));
            })
        } else {
            quote_spanned!(ty.span()=>
                values.push((#key, ::std::string::ToString::to_string(#of #field)));)
        }
    });
    quote! {
        #[allow(unused_mut)]
        let mut values = ::std::vec::Vec::new();
        #(#pushes)*
        values
    }
}

/// Whether the field holds any number of values, as its type is spelt.
fn is_many(ty: &Type) -> bool {
    let Type::Path(path) = ty else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| ["Vec", "Option", "BTreeSet"].iter().any(|name| last.ident == name))
}
