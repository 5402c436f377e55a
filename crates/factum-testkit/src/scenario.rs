//! Given these facts, when this is asked, then that comes of it: one form for everything that an
//! application is made of. Synchronous, and no store is needed.
//!
//! What runs is the framework itself, over a store in memory and in a world of its own: facts are
//! encoded and decoded, boundaries read, conditions judged. So a scenario also finds the field that
//! does not survive serialising, and the event that a decision emits outside of what it reads.
//!
//! ```
//! # use factum_app::{Ctx, Decision, EventSet, Outcome, State, command, emit, ensure, event};
//! # #[event("seat.reserved")]
//! # struct SeatReserved { #[tag] seat: u32, by: String }
//! # #[derive(Clone, Default)]
//! # struct Seat { taken: bool }
//! # impl State for Seat {
//! #     type Event = SeatReserved;
//! #     fn evolve(self, _: &SeatReserved) -> Self { Seat { taken: true } }
//! # }
//! # #[command("seat.reserve")]
//! # struct Reserve { #[tag] seat: u32, by: String }
//! # #[derive(Debug, PartialEq)]
//! # struct Taken;
//! # impl Decision for Reserve {
//! #     type State = Seat;
//! #     type Refusal = Taken;
//! #     fn decide(&self, seat: &Seat, _: &Ctx) -> Outcome<Self> {
//! #         ensure(!seat.taken, Taken)?;
//! #         emit(SeatReserved { seat: self.seat, by: self.by.clone() })
//! #     }
//! # }
//! use factum_testkit::{given, given_nothing};
//!
//! let reserved = SeatReserved { seat: 7, by: "ann".into() };
//!
//! given_nothing()
//!     .when(Reserve { seat: 7, by: "ann".into() })
//!     .then_events([reserved.clone()]);
//!
//! given([reserved])
//!     .when(Reserve { seat: 7, by: "bob".into() })
//!     .then_refused(Taken);
//! ```
//!
//! The same for a projection, `given(facts).project::<Summary>().then_rows([(7, row)])`, and for a
//! process, `given(facts).later(hour).process::<Payment>().then_commands([…])`: see [`Rows`] and
//! [`Following`].

mod decision;
mod facts;
mod process;
mod projection;
mod show;

pub use decision::When;
pub use facts::{Given, given, given_nothing};
pub use process::Following;
pub use projection::Rows;
