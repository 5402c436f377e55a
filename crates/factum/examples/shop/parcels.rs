//! What is sent.

use factum::app::prelude::*;
use std::convert::Infallible;

#[event("parcel.sent")]
pub(crate) struct ParcelSent {
    pub(crate) parcel: String,
    pub(crate) article: String,
    pub(crate) count: u32,
}

/// Whoever asks has paid.
#[data]
pub(crate) struct Parcel {
    sent: bool,
}

impl State for Parcel {
    type Event = ParcelSent;

    fn evolve(self, _: &ParcelSent) -> Self {
        Self { sent: true }
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

    fn decide(&self, now: &Parcel, _: &Ctx) -> Outcome<Self> {
        if now.sent {
            return nothing("it is sent");
        }
        let Self { parcel, article, count } = self.clone();
        emit(ParcelSent { parcel, article, count })
    }
}
