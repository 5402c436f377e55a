//! A fine: what was asked for, what was paid, and what is owed.

use factum::app::prelude::*;

#[events]
pub(crate) enum FineEvent {
    /// `month` is that of the offence, and on every event that changes what is owed: who adds up by
    /// month needs nothing else.
    #[event("fine.created")]
    FineCreated {
        fine: String,
        month: String,
        cents: i64,
        #[occurred_at]
        on: Timestamp,
    },
    #[event("fine.charged")]
    FineCharged {
        fine: String,
        month: String,
        what: String,
        cents: i64,
        #[occurred_at]
        on: Timestamp,
    },
    #[event("fine.paid")]
    FinePaid {
        fine: String,
        month: String,
        cents: i64,
        #[occurred_at]
        on: Timestamp,
    },
    #[event("fine.penalised")]
    FinePenalised {
        fine: String,
        #[occurred_at]
        on: Timestamp,
    },
    #[event("fine.appealed")]
    FineAppealed {
        fine: String,
        #[occurred_at]
        on: Timestamp,
    },
    #[event("fine.collected")]
    FineCollected {
        fine: String,
        cents: i64,
        #[occurred_at]
        on: Timestamp,
    },
}

#[data]
pub(crate) struct Fine {
    pub(crate) month: Option<String>,
    asked: i64,
    charged: i64,
    paid: i64,
    pub(crate) collected: bool,
}

impl Fine {
    /// What is owed, in cents; below nothing where too much was paid.
    pub(crate) fn owed(&self) -> i64 {
        self.asked + self.charged - self.paid
    }
}

impl State for Fine {
    type Event = FineEvent;

    fn evolve(mut self, event: &FineEvent) -> Self {
        match event {
            FineEvent::FineCreated(one) => {
                self.month = Some(one.month.clone());
                self.asked = one.cents;
            }
            FineEvent::FineCharged(one) => self.charged += one.cents,
            FineEvent::FinePaid(one) => self.paid += one.cents,
            FineEvent::FineCollected(_) => self.collected = true,
            FineEvent::FinePenalised(_) | FineEvent::FineAppealed(_) => {}
        }
        self
    }
}

#[command("fine")]
pub(crate) enum FineCommand {
    Create {
        fine: String,
        cents: i64,
        on: Timestamp,
    },
    Charge {
        fine: String,
        what: String,
        cents: i64,
        on: Timestamp,
    },
    /// `cents` is what is asked for from now on, in place of the first amount.
    Penalise {
        fine: String,
        cents: i64,
        on: Timestamp,
    },
    Pay {
        fine: String,
        cents: i64,
        on: Timestamp,
    },
    Appeal {
        fine: String,
        on: Timestamp,
    },
    Collect {
        fine: String,
        on: Timestamp,
    },
}

#[data]
pub(crate) enum Refused {
    Exists,
    Unknown,
    Amount,
}

/// `2005-03`, in UTC.
fn month(on: Timestamp) -> String {
    on.to_string().chars().take(7).collect()
}

impl Decision for FineCommand {
    type State = Fine;
    type Refusal = Refused;

    fn decide(&self, now: &Fine, _: &Ctx) -> Outcome<Self> {
        let command = self.clone();
        if let Self::Create { fine, cents, on } = command {
            ensure(now.month.is_none(), Refused::Exists)?;
            ensure(cents > 0, Refused::Amount)?;
            return emit(FineCreated { fine, month: month(on), cents, on });
        }
        let Some(month) = now.month.clone() else {
            return refuse(Refused::Unknown);
        };
        match command {
            Self::Create { .. } => refuse(Refused::Exists),
            Self::Charge { fine, what, cents, on } => {
                emit(FineCharged { fine, month, what, cents, on })
            }
            Self::Penalise { fine, cents, on } => {
                let (what, more) = ("penalty".to_owned(), cents - now.asked);
                let charged = FineCharged { fine: fine.clone(), month, what, cents: more, on };
                Ok(emit(charged)?.and(FinePenalised { fine, on }))
            }
            Self::Pay { fine, cents, on } => {
                ensure(cents > 0, Refused::Amount)?;
                emit(FinePaid { fine, month, cents, on })
            }
            Self::Appeal { fine, on } => emit(FineAppealed { fine, on }),
            Self::Collect { fine, on } if now.owed() > 0 && !now.collected => {
                emit(FineCollected { fine, cents: now.owed(), on })
            }
            Self::Collect { .. } => nothing("nothing is owed"),
        }
    }
}
