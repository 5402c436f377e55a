//! Domain events without event sourcing: the state is an object of yours, saved as you save it, and
//! what happened to it is recorded for whoever wants to know.

use factum::AnyStore;
use factum::app::prelude::*;

#[event("ticket.closed")]
struct TicketClosed {
    ticket: String,
    minutes: u32,
}

/// An object as there are many. It knows what happened to it until that is recorded.
#[derive(Default)]
struct Ticket {
    open: bool,
    happened: Vec<TicketClosed>,
}

impl Ticket {
    fn close(&mut self, ticket: &str, minutes: u32) {
        if std::mem::take(&mut self.open) {
            self.happened.push(TicketClosed { ticket: ticket.to_owned(), minutes });
        }
    }
}

pub(crate) async fn run(store: &AnyStore, run: &str) -> Result {
    let app = App::new(store.clone());
    let name = format!("t1.{run}");
    let mut ticket = Ticket { open: true, ..Ticket::default() };
    ticket.close(&name, 35);
    ticket.close(&name, 36);
    let mut recorded = 0;
    for event in ticket.happened.drain(..) {
        // The key makes it one fact, also where saving and recording are done again.
        app.record(event).key(format!("{name}:closed")).await?;
        recorded += 1;
    }
    println!("Domain events alone: {recorded} recorded");
    assert_eq!(recorded, 1);
    Ok(())
}
