//! Payments, out of wallets that somebody allows.

use factum::app::prelude::*;
use std::collections::BTreeSet;

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
    paid: BTreeSet<String>,
}

impl State for Wallet {
    type Event = PaymentEvent;

    fn evolve(mut self, event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::PaymentAllowed(allowed) => self.cents += allowed.cents,
            PaymentEvent::PaymentTaken(taken) => {
                self.cents = self.cents.saturating_sub(taken.cents);
                self.paid.insert(taken.order.clone());
            }
        }
        self
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
            Self::Take { order, .. } if now.paid.contains(&order) => nothing("it is paid"),
            Self::Take { wallet, order, cents } => {
                ensure(cents <= now.cents, Declined)?;
                emit(PaymentTaken { wallet, order, cents })
            }
        }
    }
}
