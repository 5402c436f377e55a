//! What nearly every program that uses a store needs: `use factum::prelude::*;`.

pub use crate::open;
pub use factum_core::{
    AnyStore, Append, AppendError, Check, Direction, EventData, EventStore, EventType, Expected,
    Item, Position, Query, Read, ReadError, Receipt, RecordedEvent, Revision, StreamName, Tag,
    Timestamp, Uuid,
};
