//! What the order service asks of the others when it orchestrates: facts of its own, that are told.

use factum::app::prelude::*;

#[events]
#[derive(Clone, Debug)]
pub(crate) enum AskEvent {
    #[event("ask.reserve", stream = "ask-{order}")]
    ReserveAsked {
        #[tag]
        order: String,
        customer: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    #[event("ask.release", stream = "ask-{order}")]
    ReleaseAsked {
        #[tag]
        order: String,
        stock: String,
    },
    #[event("ask.take", stream = "ask-{order}")]
    TakeAsked {
        #[tag]
        order: String,
        wallet: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    #[event("ask.refund", stream = "ask-{order}")]
    RefundAsked {
        #[tag]
        order: String,
        wallet: String,
    },
    #[event("ask.send", stream = "ask-{order}")]
    SendAsked {
        #[tag]
        order: String,
        wallet: String,
        stock: String,
        count: u32,
    },
}

/// Asking needs no state: the process asks once.
#[data]
pub(crate) struct Asked;

impl State for Asked {
    type Event = AskEvent;

    fn evolve(self, _: &AskEvent) -> Self {
        self
    }
}

#[command("ask")]
pub(crate) enum Ask {
    Reserve {
        #[tag]
        order: String,
        customer: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    Release {
        #[tag]
        order: String,
        stock: String,
    },
    Take {
        #[tag]
        order: String,
        wallet: String,
        stock: String,
        count: u32,
        cents: u64,
    },
    Refund {
        #[tag]
        order: String,
        wallet: String,
    },
    Send {
        #[tag]
        order: String,
        wallet: String,
        stock: String,
        count: u32,
    },
}

impl Decision for Ask {
    type State = Asked;
    type Refusal = std::convert::Infallible;

    fn decide(&self, _: &Asked, _: &Ctx) -> Outcome<Self> {
        match self.clone() {
            Self::Reserve { order, customer, stock, count, cents } => {
                emit(ReserveAsked { order, customer, stock, count, cents })
            }
            Self::Release { order, stock } => emit(ReleaseAsked { order, stock }),
            Self::Take { order, wallet, stock, count, cents } => {
                emit(TakeAsked { order, wallet, stock, count, cents })
            }
            Self::Refund { order, wallet } => emit(RefundAsked { order, wallet }),
            Self::Send { order, wallet, stock, count } => {
                emit(SendAsked { order, wallet, stock, count })
            }
        }
    }
}
