//! An optimistic screen: what is clicked is shown at once, as a guess; when the receipt is there
//! the screen is read anew with at least that in it, and a guess that was refused is taken back.
//!
//! `cargo run --example optimistic`; `FACTUM_URL` names another store than the one in memory.
#![allow(clippy::print_stdout, reason = "an example prints")]

use factum::app::{EventStore, ExecuteError, Position, prelude::*};
use std::{collections::BTreeMap, fmt};

#[event("seat.reserved", stream = "hall-{hall}")]
struct SeatReserved {
    #[tag]
    hall: String,
    seat: u32,
    by: String,
}

/// Who sits where: what is decided on, and what is shown.
#[data]
struct Hall {
    seats: BTreeMap<u32, String>,
}

impl State for Hall {
    type Event = SeatReserved;

    fn evolve(mut self, event: &SeatReserved) -> Self {
        self.seats.insert(event.seat, event.by.clone());
        self
    }
}

impl Projection for Hall {
    const NAME: &str = "halls";
    type Event = SeatReserved;

    fn apply(row: &mut Row<Self>, event: &Envelope<SeatReserved>) {
        row.evolve(event);
    }
}

#[command("seat.reserve")]
struct Reserve {
    #[tag]
    hall: String,
    seat: u32,
    by: String,
}

#[data]
struct Taken {
    by: String,
}

impl Decision for Reserve {
    type State = Hall;
    type Refusal = Taken;

    fn decide(&self, now: &Hall, _: &Ctx) -> Outcome<Self> {
        let Self { hall, seat, by } = self.clone();
        match now.seats.get(&seat) {
            Some(by) => refuse(Taken { by: by.clone() }),
            None => emit(SeatReserved { hall, seat, by }),
        }
    }
}

/// What somebody looks at: facts as of the last look, and guesses on top of them.
struct Screen<'a> {
    app: &'a App,
    hall: String,
    facts: Hall,
    guesses: BTreeMap<u32, String>,
}

impl<'a> Screen<'a> {
    fn new(app: &'a App, hall: &str) -> Self {
        let (facts, guesses) = (Hall::default(), BTreeMap::new());
        Self { app, hall: hall.to_owned(), facts, guesses }
    }

    /// Shows the guess, asks, and shows what came of it. Answers why not, if it was refused.
    async fn click(&mut self, seat: u32, by: &str) -> Result<Option<Taken>> {
        self.guesses.insert(seat, by.to_owned());
        println!("  {by} clicks on {seat}:  {self}");
        let reserve = Reserve { hall: self.hall.clone(), seat, by: by.to_owned() };
        let outcome = match self.app.execute(reserve).await {
            Ok(receipt) => {
                // With at least the receipt in it, the facts have what the guess had.
                self.look(receipt.position).await?;
                None
            }
            Err(ExecuteError::Refused(taken)) => {
                // It was refused because of a fact that the screen may not have yet.
                self.look(self.app.store().head().await?).await?;
                Some(taken)
            }
            // Nobody knows: the guess stays, and the same command may be sent again.
            Err(error) => return Err(error.into()),
        };
        self.guesses.remove(&seat);
        println!("  answered:        {self}");
        Ok(outcome)
    }

    /// Reads the facts anew, with everything in them up to a position.
    async fn look(&mut self, at_least: Position) -> Result {
        let view = self.app.view::<Hall>().at_least(at_least);
        self.facts = view.get(&self.hall).await?.unwrap_or_default();
        Ok(())
    }
}

impl fmt::Display for Screen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for seat in 1..=3 {
            match (self.guesses.get(&seat), self.facts.seats.get(&seat)) {
                (Some(guess), _) => write!(f, "[{seat} {guess}?] ")?,
                (None, Some(by)) => write!(f, "[{seat} {by}] ")?,
                (None, None) => write!(f, "[{seat}] ")?,
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result {
    let url = std::env::var("FACTUM_URL").unwrap_or_else(|_| "memory:".to_owned());
    let store = factum::open(&url).await?;
    let app = App::builder(store).projection::<Hall>(OnError::Stop).start().await?;
    // A hall of its own for each run, so that the example may be run twice over one store.
    let hall = format!("blue.{}", app.store().head().await?);
    println!("A hall with three seats, in {url}\n");
    let mut screen = Screen::new(&app, &hall);
    assert_eq!(screen.click(1, "ann").await?, None);

    // Bob is elsewhere: this screen does not know of it.
    app.execute(Reserve { hall: hall.clone(), seat: 2, by: "bob".to_owned() }).await?;
    println!("  bob, elsewhere:  {screen}");
    let refused = screen.click(2, "ann").await?;
    println!("\nAnn is told: {refused:?}");
    assert_eq!(refused, Some(Taken { by: "bob".to_owned() }));
    assert_eq!(screen.to_string(), "[1 ann] [2 bob] [3] ");
    Ok(())
}
