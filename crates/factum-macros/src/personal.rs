//! Fields with `#[personal]`.

use crate::{fields::Tagged, path::framework};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    DeriveInput, Error, Expr, Field, Ident, LitStr, Result, Token, Type, meta::ParseNestedMeta,
    parenthesized, spanned::Spanned, token::Paren,
};

/// A field with personal data.
pub(crate) struct Personal<'a> {
    field: &'a Field,
    /// The field that says whose it is; absent, the first tag does.
    subject: Option<Ident>,
    /// What is read once it is erased; absent, nothing.
    erased: Option<Expr>,
    /// Its name as it is stored.
    stored: String,
}

/// The personal fields among these.
pub(crate) fn of<'a>(item: &DeriveInput, fields: &[&'a Field]) -> Result<Vec<Personal<'a>>> {
    let personal = |field: &&&'a Field| has(field, "personal");
    let mut found = Vec::new();
    for field in fields.iter().filter(personal) {
        let one = one(item, field)?;
        let known = |name: &Ident| fields.iter().any(|other| other.ident.as_ref() == Some(name));
        if let Some(wrong) = one.subject.as_ref().filter(|name| !known(name)) {
            return Err(Error::new(wrong.span(), "no field of this name"));
        }
        found.push(one);
    }
    Ok(found)
}

fn has(field: &Field, attribute: &str) -> bool {
    field.attrs.iter().any(|one| one.path().is_ident(attribute))
}

fn one<'a>(item: &DeriveInput, field: &'a Field) -> Result<Personal<'a>> {
    let (mut subject, mut erased) = (None, None);
    for attribute in field.attrs.iter().filter(|one| one.path().is_ident("personal")) {
        if matches!(attribute.meta, syn::Meta::Path(_)) {
            continue;
        }
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("subject") {
                subject = Some(meta.value()?.parse::<Ident>()?);
            } else if meta.path.is_ident("erased") {
                erased = Some(meta.value()?.parse::<Expr>()?);
            } else {
                return Err(meta.error("known are: subject, erased"));
            }
            Ok(())
        })?;
    }
    if has(field, "tag") || has(field, "occurred_at") {
        let must = "tags and times are stored as they are: personal data cannot be one";
        return Err(Error::new(field.span(), must));
    }
    if erased.is_none() && !is_option(&field.ty) {
        let must = "say what is read once it is erased: `#[personal(erased = …)]`, or make it an \
                    `Option`";
        return Err(Error::new(field.span(), must));
    }
    Ok(Personal { field, subject, erased, stored: stored(item, field)? })
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Option"))
}

/// The name that serde gives a field.
fn stored(item: &DeriveInput, field: &Field) -> Result<String> {
    let mut renamed = None;
    each_setting(&field.attrs, &mut |meta| {
        let names_it = meta.path.is_ident("rename") && meta.input.peek(Token![=]);
        if names_it {
            renamed = Some(meta.value()?.parse::<LitStr>()?.value());
        }
        Ok(names_it)
    })?;
    if let Some(name) = renamed {
        return Ok(name);
    }
    let mut all = false;
    each_setting(&item.attrs, &mut |meta| {
        all |= meta.path.is_ident("rename_all");
        Ok(false)
    })?;
    if all {
        let must = "beside `rename_all`, a personal field says its stored name itself: \
                    `#[serde(rename = \"…\")]`";
        return Err(Error::new(field.span(), must));
    }
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(name.trim_start_matches("r#").to_owned())
}

/// Goes through the settings of serde; `see` answers whether it took the value.
fn each_setting(
    attributes: &[syn::Attribute],
    see: &mut dyn FnMut(&ParseNestedMeta<'_>) -> Result<bool>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|one| one.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| if see(&meta)? { Ok(()) } else { skip_value(&meta) })?;
    }
    Ok(())
}

/// Goes over the value of a setting that is not asked for.
pub(crate) fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(Paren) {
        let inner;
        parenthesized!(inner in meta.input);
        inner.parse::<TokenStream>()?;
    }
    Ok(())
}

/// What `Event` says of them.
pub(crate) fn items(personal: &[Personal<'_>], tagged: &[Tagged]) -> Result<TokenStream> {
    if personal.is_empty() {
        return Ok(TokenStream::new());
    }
    let app = framework();
    let (mut consts, mut subjects) = (Vec::new(), Vec::new());
    for one in personal {
        let (stored, ty) = (&one.stored, &one.field.ty);
        let erased = match &one.erased {
            Some(erased) => {
                quote!({ let erased: #ty = #erased; #app::serde_json::to_value(erased) })
            }
            None => quote!(::std::result::Result::Ok(#app::serde_json::Value::Null)),
        };
        consts.push(quote!(#app::personal::PersonalField { name: #stored, erased: || #erased }));
        subjects.push(subject(one, tagged)?);
    }
    Ok(quote! {
        const PERSONAL: &'static [#app::personal::PersonalField] = &[#(#consts),*];

        fn subjects(&self) -> ::std::vec::Vec<::std::string::String> {
            ::std::vec![#(#subjects),*]
        }
    })
}

fn subject(one: &Personal<'_>, tagged: &[Tagged]) -> Result<TokenStream> {
    let (key, field) = match (&one.subject, tagged.first()) {
        (Some(field), _) => {
            let tag = tagged.iter().find(|tag| tag.field == *field);
            let own = field.to_string().trim_start_matches("r#").to_owned();
            (tag.map_or(own, |tag| tag.key.clone()), field)
        }
        (None, Some(tag)) => (tag.key.clone(), &tag.field),
        (None, None) => {
            let must = "say whose it is: `#[personal(subject = FIELD)]`, or tag a field";
            return Err(Error::new(one.field.span(), must));
        }
    };
    Ok(quote!(::std::format!("{}:{}", #key, self.#field)))
}
