//! Commands as messages: who sends one waits for its answer, and whoever is asked does it once.
//!
//! On one side [`Requests`] sends a command and waits, within a limit, for what becomes of it;
//! from a process, [`Remote`] does. On the other,
//! [`AppBuilder::answer`](crate::AppBuilder::answer) takes commands from a broker, does each once,
//! answers, and acknowledges then.
//!
//! What must hold: a command that is sent again, by its sender or the broker, is answered as the
//! first time; an answer is durable before it is told, a refusal too, so that no answer is ever
//! contradicted by what happens later; what has expired is not begun; an answer that nobody waits
//! for any more harms nobody.
//!
//! ```
//! use factum_app::message::{MemoryBroker, Subscription, commands::{Answer, Answers, Requests}};
//! use factum_app::{App, Ctx, Decision, MemoryStore, Outcome, State, command, emit, ensure, event};
//! # use std::sync::Arc;
//!
//! #[event("payment.taken")]
//! struct Taken { #[tag] order: u32 }
//!
//! #[derive(Clone, Default)]
//! struct Payment { taken: bool }
//! impl State for Payment {
//!     type Event = Taken;
//!     fn evolve(self, _: &Taken) -> Self { Payment { taken: true } }
//! }
//!
//! #[command("payment.take")]
//! struct TakePayment { #[tag] order: u32, cents: u64 }
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! enum Declined { TooMuch { most: u64 } }
//!
//! impl Decision for TakePayment {
//!     type State = Payment;
//!     type Refusal = Declined;
//!     fn decide(&self, _: &Payment, _: &Ctx) -> Outcome<Self> {
//!         ensure(self.cents <= 1_000, Declined::TooMuch { most: 1_000 })?;
//!         emit(Taken { order: self.order })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = MemoryBroker::new();
//! // In the one service:
//! let asked = Subscription::shared("payments", ["payments.commands"]);
//! let answers = Answers::new(broker.clone(), asked, broker.clone()).decision::<TakePayment>();
//! let payments = App::builder(MemoryStore::new()).answer("payments", answers).start().await?;
//! # let world = payments.world().clone();
//! # let mut answering = payments.answering("payments").expect("it is there");
//! # let running = factum_app::message::ReceiverState::Running;
//! # answering.wait_for(|now| now.state == running).await?;
//!
//! // In the other:
//! let requests =
//!     Requests::new("/orders", "orders.answers").start(world, broker.clone(), broker).await?;
//! let answer = requests.ask("payments.commands", TakePayment { order: 7, cents: 5_000 }).await?;
//! let Answer::Refused(refused) = answer else { panic!("{answer:?}") };
//! assert_eq!(refused.data::<Declined>()?, Declined::TooMuch { most: 1_000 });
//! # payments.stop().await;
//! # Ok(()) }
//! ```

mod answer;
mod ask;
mod asked;
mod desk;
mod error;
mod feed;
mod remote;
mod requests;
mod serve;
mod table;

pub use answer::{Answer, Refused};
pub use ask::Ask;
pub use error::AskError;
pub use remote::Remote;
pub(crate) use remote::Ways;
pub use requests::{RequestSettings, Requests};
pub(crate) use serve::Answerer;
pub use serve::Answering;
pub use table::Answers;

/// The topic that an answer goes to; absent where nobody waits for one.
pub(crate) const REPLY_TO: &str = "replyto";
/// The id of the message that an answer is for.
pub(crate) const IN_REPLY_TO: &str = "inreplyto";
/// From when on the command is not to be begun (RFC 3339): the extension of CloudEvents.
pub(crate) const EXPIRES: &str = "expirytime";
/// Which command it is, however often and under whatever id it is sent.
pub(crate) const KEY: &str = "idempotencykey";
/// The type of an answer.
pub(crate) const ANSWERED: &str = "command.answered";
