//! Change data capture: changes of tables as the server's log has them, over logical replication
//! (`pgoutput`, a slot of one's own), with the feature `cdc`.
//!
//! | | |
//! |---|---|
//! | [`CdcRelay`] | the rows of an outbox to a broker, without asking the table for them |
//! | [`SlotLag`], [`OverLimit`] | how far behind a slot is, what it keeps, and what happens then |
//!
//! What must hold: nothing is confirmed to the server that is not done, so that whatever stops, it
//! comes again; and a slot whose tables are quiet keeps nothing of the log.
//!
//! Apart from the store: it needs none, and may run where none is.

mod error;
mod feed;
mod halt;
mod lag;
mod pgoutput;
mod relay;
mod setup;
mod table;

pub use error::CdcError;
pub use lag::{OverLimit, SlotLag};
pub use relay::{CdcRelay, CdcRelayHandle, CdcRelayOptions, CdcRelayStatus, CdcState};
pub use table::TableName;
