//! `derive(Event)`.

use crate::{
    fields::{self, Tagged},
    path::framework,
    personal,
};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, LitInt, LitStr, Result};

/// What `#[factum(…)]` says about an event.
struct Settings {
    name: LitStr,
    version: u32,
    since: u32,
    stream: Option<LitStr>,
}

/// The implementation of `Event`.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    let settings = settings(item)?;
    let app = framework();
    let of_struct = fields::of_struct(item)?;
    let tagged = fields::tagged(&of_struct, category(&settings.name.value()))?;
    let (name, version) = (&settings.name, settings.version);
    let (keys, values) = (fields::keys(&tagged), fields::values(&tagged, &quote!(&self.)));
    let rule = rule(&settings, &tagged)?;
    let occurred = fields::marked(&of_struct, "occurred_at")?.map(|field| {
        let field = &field.ident;
        quote! {
            fn occurred_at(&self) -> ::std::option::Option<#app::Timestamp> {
                ::std::option::Option::Some(::std::convert::Into::into(
                    ::std::clone::Clone::clone(&self.#field)))
            }
        }
    });
    let personal = personal::items(&personal::of(item, &of_struct)?, &tagged)?;
    let ident = &item.ident;
    let follows = settings.version > settings.since;
    let chain = quote!(#app::event::chain::<#ident>());
    let decode = if follows { quote!(#chain.decode(raw)) } else { quote!(#app::event::first(raw)) };
    let old = follows.then(|| {
        quote! {
            const OLD: ::std::option::Option<&'static #app::event::EventInfo> =
                ::std::option::Option::Some(#chain.old);
        }
    });
    let check = follows.then(|| quote!(const _: () = #chain.check();));
    Ok(quote! {
        impl #app::Event for #ident {
            const TYPE: &'static str = #name;
            const VERSION: u32 = #version;
            const TAGS: &'static [&'static str] = &[#(#keys),*];
            const STREAM: #app::event::StreamRule = #rule;
            #old

            fn tag_values(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
                #values
            }

            #occurred
            #personal

            fn decode(
                raw: &#app::event::Raw<'_>,
            ) -> ::std::result::Result<Self, #app::event::DecodeError> {
                #decode
            }
        }

        #check
    })
}

/// An event all the same, where the attribute is wrong: so that what is wrong is the only error.
pub(crate) fn stub(item: &DeriveInput) -> TokenStream {
    let app = framework();
    let ident = &item.ident;
    quote! {
        impl #app::Event for #ident {
            const TYPE: &'static str = "";
            const STREAM: #app::event::StreamRule =
                #app::event::StreamRule { category: "", tag: ::std::option::Option::None };

            fn decode(
                _: &#app::event::Raw<'_>,
            ) -> ::std::result::Result<Self, #app::event::DecodeError> {
                ::std::unreachable!()
            }
        }
    }
}

fn settings(item: &DeriveInput) -> Result<Settings> {
    let attribute = item.attrs.iter().find(|one| one.path().is_ident("factum"));
    let missing = "write `#[event(\"domain.entity.action\")]`: the name is pinned";
    let attribute = attribute.ok_or_else(|| Error::new(item.ident.span(), missing))?;
    let (mut version, mut since, mut stream) = (1, 1, None);
    let name = attribute.parse_args_with(|input: syn::parse::ParseStream<'_>| {
        let name: LitStr = input.parse().map_err(|error| Error::new(error.span(), missing))?;
        while !input.is_empty() {
            input.parse::<syn::Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: syn::Ident = input.parse()?;
            input.parse::<syn::Token![=]>()?;
            match key.to_string().as_str() {
                "version" => version = number(input)?,
                "since" => since = number(input)?,
                "stream" => stream = Some(input.parse()?),
                _ => {
                    let wrong = format!("`{key}` is no setting: there are version, since, stream");
                    return Err(Error::new(key.span(), wrong));
                }
            }
        }
        Ok(name)
    })?;
    check_name(&name)?;
    if since > version {
        return Err(Error::new(name.span(), "`since` is above `version`"));
    }
    Ok(Settings { name, version, since, stream })
}

pub(crate) fn number(input: syn::parse::ParseStream<'_>) -> Result<u32> {
    let literal: LitInt = input.parse()?;
    match literal.base10_parse()? {
        0 => Err(Error::new(literal.span(), "versions are counted from 1")),
        number => Ok(number),
    }
}

/// A name must not end like a version, as names that do are read as that version.
pub(crate) fn check_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let wrong = |what: &str| Err(Error::new(name.span(), what));
    if value.is_empty() || value.len() > 1024 || value.contains('\0') {
        return wrong("a name has 1 to 1,024 bytes, without NUL");
    }
    if value.starts_with('$') {
        return wrong("names that begin with `$` belong to the store");
    }
    let tail = value.rsplit_once(".v").map(|(_, tail)| tail);
    if tail.is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit())) {
        return wrong("the version is not part of the name: write `version = N` beside it");
    }
    Ok(())
}

/// The first segment of a name.
pub(crate) fn category(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Which stream the event goes to.
fn rule(settings: &Settings, tagged: &[Tagged]) -> Result<TokenStream> {
    let app = framework();
    let Some(stream) = &settings.stream else {
        let name = settings.name.value();
        let Some(first) = tagged.first() else {
            let must = format!(
                "which stream? tag a field with `#[tag]`, name one `{0}`, or write `stream = \
                 \"{0}\"`",
                category(&name)
            );
            return Err(Error::new(settings.name.span(), must));
        };
        return Ok(of(&app, category(&name), Some(&first.key)));
    };
    let text = stream.value();
    let Some((category, rest)) = text.split_once("-{") else {
        return Ok(of(&app, &text, None));
    };
    let key = rest.strip_suffix('}');
    let known = key.filter(|key| tagged.iter().any(|one| one.key == *key));
    match known {
        Some(key) if !category.contains('-') => Ok(of(&app, category, Some(key))),
        _ => Err(Error::new(
            stream.span(),
            "a stream is `category-{key}`, with the key of a `#[tag]` here, or one fixed name",
        )),
    }
}

fn of(app: &TokenStream, category: &str, tag: Option<&str>) -> TokenStream {
    let tag = match tag {
        Some(tag) => quote!(::std::option::Option::Some(#tag)),
        None => quote!(::std::option::Option::None),
    };
    quote!(#app::event::StreamRule { category: #category, tag: #tag })
}
