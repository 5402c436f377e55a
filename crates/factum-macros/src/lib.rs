//! The attributes and derives of `factum-app`. They only write calls into it: what they write can
//! be written by hand.
//!
//! | macro | writes |
//! |---|---|
//! | `#[event("order.placed")]` | `Event`, and the derives that an event needs |
//! | `#[events]` | a set of events, and those of its events that are written in it |
//! | `#[command("order.place")]` | `Command`, the same for a command |
//! | `#[data]` | the derives of everything else that is stored |
//! | `#[projection("order-summary")]` | the same, and `Projection`: a state's fold kept as rows |
//! | `#[derive(EventSet)]` | `EventSet` for an enum with one event a variant |
//! | `#[derive(CommandSet)]` | `CommandSet` for an enum with one command a variant |

mod attribute;
mod command;
mod event;
mod events;
mod fields;
mod path;
mod personal;
mod projection;
mod set;

use proc_macro::TokenStream;

/// Makes a struct an event: `#[event("order.placed", version = 2)]`.
///
/// The name is pinned: `domain.entity.action`, in the past tense. The struct gets `Clone`, `Debug`,
/// `PartialEq`, serde's `Serialize` and `Deserialize`, schemars' `JsonSchema` and `Event`, unless
/// it derives them itself.
///
/// | setting | meaning |
/// |---|---|
/// | `version = 2` | of the struct's shape, 1 if absent; above 1 there is an `Upcast` |
/// | `since = 2` | no older fact was ever stored: the chain begins here |
/// | `stream = "buyer-{buyer}"` | its stream; absent: first segment of the name, first tag |
///
/// Without a `#[tag]`, the field that is named like the first segment of the name is tagged:
/// `order` of `order.placed`.
///
/// | on a field | meaning |
/// |---|---|
/// | `#[tag]` | indexed: `field:value`, by its `Display`; each of a `Vec`, none of a `None` |
/// | `#[tag("key")]` | the same with another key |
/// | `#[occurred_at]` | when it happened, in place of when it is stored |
/// | `#[personal]` | encrypted for whom the first tag names; `None` once that is erased |
/// | `#[personal(subject = field, erased = value)]` | for another; reads as that once erased |
#[proc_macro_attribute]
pub fn event(settings: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand("Event", settings.into(), item.into()).into()
}

/// A set of events: an enum with one event a variant. One that is written elsewhere is named; with
/// `#[event(…)]` above it a variant is made an event struct of its name, which it then holds.
///
/// ```text
/// #[events]
/// enum OrderEvent {
///     #[event("order.placed")]          // struct OrderPlaced { order: u32, total: u32 }
///     OrderPlaced { order: u32, total: u32 },
///     PaymentReceived,                  // a struct that is written elsewhere
/// }                                     // OrderEvent::OrderPlaced(OrderPlaced { … })
/// ```
#[proc_macro_attribute]
pub fn events(settings: TokenStream, item: TokenStream) -> TokenStream {
    if !settings.is_empty() {
        let wrong = "`#[events]` has no settings: they are those of each `#[event(…)]`";
        let error = syn::Error::new(proc_macro2::Span::call_site(), wrong);
        return error.into_compile_error().into();
    }
    done(events::expand(item.into()))
}

/// Makes a struct a command: `#[command("order.place")]`; or an enum several commands that are
/// decided together: of `#[command("order")]` the variant `MarkPaid` is `order.mark-paid`.
///
/// The name is pinned, as commands of processes are stored. The item gets the same derives as an
/// event. `#[tag]` marks the fields that say what it is about, or the field that is named like the
/// first segment of the name: they find the facts that its decision reads.
#[proc_macro_attribute]
pub fn command(settings: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand("Command", settings.into(), item.into()).into()
}

/// The derives of everything else that is stored: rows of views, states of processes and snapshots,
/// what is in the fields of events. `Clone`, `Debug`, `PartialEq`, `Default` (of an enum that says
/// which), serde's `Serialize` and `Deserialize` and schemars' `JsonSchema`, unless the item
/// derives them itself.
#[proc_macro_attribute]
pub fn data(settings: TokenStream, item: TokenStream) -> TokenStream {
    if !settings.is_empty() {
        let error = syn::Error::new(proc_macro2::Span::call_site(), "`#[data]` has no settings");
        return error.into_compile_error().into();
    }
    attribute::data(item.into()).into()
}

/// Makes a state the row of a projection: `#[projection("order-summary")]`, with the derives of
/// [`macro@data`]. Each row is the fold of its events by the state's own `evolve`.
///
/// The name of the view is pinned. `version = 2` beside it is that of the row and of `evolve`: a
/// new one is built from the first event on. Rows by another key than the event's stream, or that
/// are no fold, are an `impl Projection`.
#[proc_macro_attribute]
pub fn projection(settings: TokenStream, item: TokenStream) -> TokenStream {
    done(projection::expand(settings.into(), item.into()))
}

/// What `#[event(…)]` adds to the other derives.
#[proc_macro_derive(Event, attributes(factum, tag, occurred_at, personal))]
pub fn derive_event(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    let derived = event::derive(&item).or_else(|error| {
        // With parameters there are bounds to write, and a stub would only add errors.
        let stub = item.generics.params.is_empty().then(|| event::stub(&item));
        let error = error.into_compile_error();
        syn::Result::Ok(quote::quote!(#error #stub))
    });
    done(derived)
}

/// What `#[command(…)]` adds to the other derives.
#[proc_macro_derive(Command, attributes(factum, tag))]
pub fn derive_command(item: TokenStream) -> TokenStream {
    done(syn::parse(item).and_then(|item| command::derive(&item)))
}

/// `EventSet` for an enum whose variants hold one event, or one set of events, each.
///
/// `#[history(OldOne, OldTwo)]` above it: events that are read as others of the set, each by its
/// `ReadAs`. Several versions of one event may be variants side by side: each takes its own.
#[proc_macro_derive(EventSet, attributes(history))]
pub fn derive_event_set(item: TokenStream) -> TokenStream {
    done(syn::parse(item).and_then(|item| set::events(&item)))
}

/// `CommandSet` for an enum whose variants hold one command each.
#[proc_macro_derive(CommandSet)]
pub fn derive_command_set(item: TokenStream) -> TokenStream {
    done(syn::parse(item).and_then(|item| set::commands(&item)))
}

fn done(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
