//! Payments, out of wallets that somebody allows.

use factum::app::prelude::*;

#[events]
pub(crate) enum PaymentEvent {
    #[event("payment.allowed", stream = "wallet-{wallet}")]
    PaymentAllowed {
        #[tag]
        wallet: String,
        cents: u64,
    },
    #[event("payment.taken", stream = "wallet-{wallet}")]
    PaymentTaken {
        #[tag]
        wallet: String,
        order: String,
        cents: u64,
    },
}

#[data]
pub(crate) struct Wallet {
    cents: u64,
}

impl State for Wallet {
    type Event = PaymentEvent;

    fn evolve(self, event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::PaymentAllowed(allowed) => Self { cents: self.cents + allowed.cents },
            PaymentEvent::PaymentTaken(taken) => {
                Self { cents: self.cents.saturating_sub(taken.cents) }
            }
        }
    }
}

#[command("payment")]
pub(crate) enum PaymentCommand {
    Allow {
        #[tag]
        wallet: String,
        cents: u64,
    },
    Take {
        #[tag]
        wallet: String,
        order: String,
        cents: u64,
    },
}

#[data]
pub(crate) struct Declined;

impl Decision for PaymentCommand {
    type State = Wallet;
    type Refusal = Declined;

    fn decide(&self, now: &Wallet, _: &Ctx) -> Outcome<Self> {
        match self.clone() {
            Self::Allow { wallet, cents } => emit(PaymentAllowed { wallet, cents }),
            Self::Take { wallet, order, cents } => {
                ensure(cents <= now.cents, Declined)?;
                emit(PaymentTaken { wallet, order, cents })
            }
        }
    }
}
