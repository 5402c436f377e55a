//! `derive(EventSet)` and `derive(CommandSet)`: enums with one member a variant.

use crate::path::framework;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Data, DeriveInput, Error, Fields, Ident, Result, Token, Type, punctuated::Punctuated,
    spanned::Spanned,
};

/// The implementation of `EventSet`, and a `From` for each member.
pub(crate) fn events(item: &DeriveInput) -> Result<TokenStream> {
    let app = framework();
    let set = &item.ident;
    let (names, types) = variants(item, "event")?;
    let history = history(item)?;
    let decode = decode(&app, &names, &types, &history);
    let conversions = conversions(set, &names, &types);
    Ok(quote! {
        impl #app::EventSet for #set {
            const MEMBERS: &'static #app::event::Members = &#app::event::Members::Sets(
                &[
                    #(<#types as #app::EventSet>::MEMBERS,)*
                    #(&#app::event::Members::History(<#history as #app::EventSet>::MEMBERS),)*
                ]);

            #decode

            fn info(&self) -> &'static #app::event::EventInfo {
                match self { #(Self::#names(one) => <#types as #app::EventSet>::info(one)),* }
            }

            fn stream(
                &self,
            ) -> ::std::result::Result<#app::StreamName, #app::InvalidName> {
                match self { #(Self::#names(one) => <#types as #app::EventSet>::stream(one)),* }
            }

            fn tags(
                &self,
            ) -> ::std::result::Result<::std::vec::Vec<#app::Tag>, #app::InvalidName> {
                match self { #(Self::#names(one) => <#types as #app::EventSet>::tags(one)),* }
            }

            fn tag_values(&self) -> ::std::vec::Vec<(&'static str, ::std::string::String)> {
                match self {
                    #(Self::#names(one) => <#types as #app::EventSet>::tag_values(one)),*
                }
            }

            fn occurred_at(&self) -> ::std::option::Option<#app::Timestamp> {
                match self {
                    #(Self::#names(one) => <#types as #app::EventSet>::occurred_at(one)),*
                }
            }

            fn encode(
                &self,
            ) -> ::std::result::Result<::std::vec::Vec<u8>, #app::serde_json::Error> {
                match self { #(Self::#names(one) => <#types as #app::EventSet>::encode(one)),* }
            }
        }

        const _: () = <#set as #app::EventSet>::MEMBERS.check();

        #conversions
    })
}

/// Which member a stored event is of: its history first, as a name may be in both.
fn decode(app: &TokenStream, names: &[&Ident], types: &[&Type], history: &[Type]) -> TokenStream {
    quote! {
        fn decode(
            raw: &#app::event::Raw<'_>,
        ) -> ::std::result::Result<#app::event::Decoded<Self>, #app::event::DecodeError> {
            let narrowed;
            let raw = if Self::SIDE_BY_SIDE {
                narrowed = raw.among(Self::MEMBERS);
                &narrowed
            } else {
                raw
            };
            #(
                let old = <#history as #app::EventSet>::decode(raw)?;
                if let #app::event::Decoded::One(old) = old {
                    let now = <#history as #app::ReadAs<Self>>::read_as(old);
                    return ::std::result::Result::Ok(#app::event::Decoded::Several(now));
                }
            )*
            #(
                let decoded = <#types as #app::EventSet>::decode(raw)?;
                if !::std::matches!(decoded, #app::event::Decoded::Skip) {
                    return ::std::result::Result::Ok(decoded.map(Self::#names));
                }
            )*
            ::std::result::Result::Ok(#app::event::Decoded::Skip)
        }
    }
}

/// The events of `#[history(A, B)]`.
fn history(item: &DeriveInput) -> Result<Vec<Type>> {
    let mut found = Vec::new();
    for attribute in item.attrs.iter().filter(|one| one.path().is_ident("history")) {
        let types = Punctuated::<Type, Token![,]>::parse_terminated;
        found.extend(attribute.parse_args_with(types)?);
    }
    Ok(found)
}

/// The implementation of `CommandSet`, and a `From` for each member.
pub(crate) fn commands(item: &DeriveInput) -> Result<TokenStream> {
    let app = framework();
    let set = &item.ident;
    let (names, types) = variants(item, "command")?;
    let conversions = conversions(set, &names, &types);
    Ok(quote! {
        impl #app::CommandSet for #set {
            fn names() -> ::std::vec::Vec<&'static str> {
                [#(<#types as #app::Command>::NAMES),*].concat()
            }

            fn name(&self) -> &'static str {
                match self { #(Self::#names(one) => <#types as #app::Command>::name(one)),* }
            }

            fn encode(
                &self,
            ) -> ::std::result::Result<#app::serde_json::Value, #app::serde_json::Error> {
                match self { #(Self::#names(one) => #app::serde_json::to_value(one)),* }
            }

            fn decode(
                name: &str,
                value: #app::serde_json::Value,
            ) -> ::std::option::Option<::std::result::Result<Self, #app::serde_json::Error>> {
                #(
                    if <#types as #app::Command>::NAMES.contains(&name) {
                        return ::std::option::Option::Some(
                            #app::serde_json::from_value(value).map(Self::#names));
                    }
                )*
                ::std::option::Option::None
            }

            async fn dispatch(
                self,
                app: &#app::App,
                call: #app::Call,
            ) -> ::std::result::Result<#app::Reply, #app::DispatchError> {
                match self {
                    #(Self::#names(one) => {
                        <#types as #app::Dispatch>::dispatch(one, app, call).await
                    }),*
                }
            }
        }

        #conversions
    })
}

/// `Set::Variant` from what the variant holds.
fn conversions(set: &Ident, names: &[&Ident], types: &[&Type]) -> TokenStream {
    quote! {
        #(
            impl ::std::convert::From<#types> for #set {
                fn from(one: #types) -> Self {
                    Self::#names(one)
                }
            }
        )*
    }
}

/// The variants and what each holds.
fn variants<'a>(item: &'a DeriveInput, what: &str) -> Result<(Vec<&'a Ident>, Vec<&'a Type>)> {
    if !item.generics.params.is_empty() {
        return Err(Error::new(item.generics.span(), "a set has no parameters"));
    }
    let Data::Enum(data) = &item.data else {
        let must = format!("a set is an enum with one {what} a variant: `Placed(OrderPlaced)`");
        return Err(Error::new(item.ident.span(), must));
    };
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        let mut held = match &variant.fields {
            Fields::Unnamed(fields) => fields.unnamed.iter(),
            _ => return Err(wrong(variant, what)),
        };
        let (Some(one), None) = (held.next(), held.next()) else {
            return Err(wrong(variant, what));
        };
        names.push(&variant.ident);
        types.push(&one.ty);
    }
    Ok((names, types))
}

fn wrong(variant: &syn::Variant, what: &str) -> Error {
    let must = format!("each variant holds one {what}: `{0}(Order{0})`", variant.ident);
    Error::new(variant.ident.span(), must)
}
