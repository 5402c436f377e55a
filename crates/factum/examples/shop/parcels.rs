//! What is sent.

use factum::app::prelude::*;
use std::convert::Infallible;

#[event("parcel.sent")]
pub(crate) struct ParcelSent {
    pub(crate) parcel: String,
    pub(crate) article: String,
    pub(crate) count: u32,
}

/// Sending needs no state: whoever asks has paid.
#[data]
pub(crate) struct Parcel;

impl State for Parcel {
    type Event = ParcelSent;

    fn evolve(self, _: &ParcelSent) -> Self {
        self
    }
}

#[command("parcel.send")]
pub(crate) struct Send {
    pub(crate) parcel: String,
    pub(crate) article: String,
    pub(crate) count: u32,
}

impl Decision for Send {
    type State = Parcel;
    type Refusal = Infallible;

    fn decide(&self, _: &Parcel, _: &Ctx) -> Outcome<Self> {
        let Self { parcel, article, count } = self.clone();
        emit(ParcelSent { parcel, article, count })
    }
}
