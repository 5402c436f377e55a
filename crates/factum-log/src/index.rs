//! Which events: one inverted index of term → ordinals, for each segment.
//!
//! A term is a stream, a type, a category or a tag. An ordinal is an event's position less the
//! segment's base. In memory for the newest segment, one immutable file for each sealed one: both
//! answer the same questions, and both can be rebuilt from the segment alone.

mod build;
pub(crate) mod directory;
mod file;
mod ids;
mod list;
mod lost;
mod memory;
mod names;
mod paged;
mod pages;
pub(crate) mod select;
mod slots;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use build::build;
pub(crate) use file::{IndexFile, partition};
pub(crate) use lost::{AllLost, Lost};
pub(crate) use memory::{Indexed, MemoryIndex};
#[cfg(feature = "fuzzing")]
pub(crate) use paged::paginate;
pub(crate) use paged::{PAGE, is_whole};
pub use pages::PageCache;

use crate::error::Fault;
use directory::{Cover, Search};
use factum_core::{EventType, StreamName, Tag};
use std::sync::{Arc, PoisonError, RwLock};
use uuid::Uuid;

/// What a term is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum TermKind {
    Stream,
    Type,
    Tag,
    Category,
}

/// Where a frame of events lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameRef {
    /// Of its first event.
    pub(crate) ordinal: u32,
    /// In the segment.
    pub(crate) offset: u32,
    /// Its bytes, and perhaps some after it.
    pub(crate) bytes: u32,
}

/// What a segment knows of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamSpan {
    /// The revision of its first event here.
    pub(crate) first_revision: u64,
    /// How many events of it are here.
    pub(crate) count: u32,
    /// Its last event here.
    pub(crate) last: u32,
}

/// The index of one segment, wherever it is.
#[derive(Debug)]
pub(crate) struct Index {
    form: RwLock<Form>,
    /// The run of the directory that covers the segment.
    cover: RwLock<Option<Cover>>,
}

#[derive(Debug)]
enum Form {
    Memory(Box<MemoryIndex>),
    File(Arc<IndexFile>),
}

/// Runs one of two expressions, with `$index` bound to the form that there is. The lock is held
/// over the expression for memory only.
macro_rules! either {
    ($self:ident, $memory:ident => $of_memory:expr, $file:ident => $of_file:expr) => {{
        let form = $self.form.read().unwrap_or_else(PoisonError::into_inner);
        match &*form {
            Form::Memory($memory) => $of_memory,
            Form::File($file) => {
                let $file = $file.clone();
                drop(form);
                $of_file
            }
        }
    }};
}

impl Index {
    pub(crate) fn memory(index: MemoryIndex) -> Self {
        Self::new(Form::Memory(Box::new(index)))
    }

    pub(crate) fn file(index: IndexFile) -> Self {
        Self::new(Form::File(Arc::new(index)))
    }

    fn new(form: Form) -> Self {
        Self { form: RwLock::new(form), cover: RwLock::new(None) }
    }

    /// Looks at the run that covers the segment, if one does.
    pub(crate) fn with_cover<T>(&self, look: impl FnOnce(Option<&Cover>) -> T) -> T {
        look(self.cover.read().unwrap_or_else(PoisonError::into_inner).as_ref())
    }

    pub(crate) fn set_cover(&self, cover: Option<Cover>) {
        *self.cover.write().unwrap_or_else(PoisonError::into_inner) = cover;
    }

    /// Lets the writer change an index in memory.
    ///
    /// # Panics
    /// If it is a file.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut MemoryIndex) -> T) -> T {
        match &mut *self.form.write().unwrap_or_else(PoisonError::into_inner) {
            Form::Memory(memory) => change(memory),
            Form::File(_) => panic!("a sealed segment's index does not change"),
        }
    }

    /// Looks at an index in memory, if it is one.
    pub(crate) fn with_memory<T>(&self, look: impl FnOnce(&MemoryIndex) -> T) -> Option<T> {
        match &*self.form.read().unwrap_or_else(PoisonError::into_inner) {
            Form::Memory(memory) => Some(look(memory)),
            Form::File(_) => None,
        }
    }

    pub(crate) fn as_file(&self) -> Option<Arc<IndexFile>> {
        match &*self.form.read().unwrap_or_else(PoisonError::into_inner) {
            Form::Memory(_) => None,
            Form::File(file) => Some(file.clone()),
        }
    }

    /// Replaces an index in memory by the file made of it.
    pub(crate) fn swap(&self, file: IndexFile) {
        *self.form.write().unwrap_or_else(PoisonError::into_inner) = Form::File(Arc::new(file));
    }

    /// Some frames in a row, among them the one that holds an event.
    pub(crate) fn frames_near(&self, ordinal: u32) -> Result<Vec<FrameRef>, Fault> {
        either!(self, memory => Ok(memory.frames_near(ordinal)), file => file.frames_near(ordinal))
    }

    /// The stream, counting its events up to `until` only.
    pub(crate) fn span(
        &self,
        stream: &StreamName,
        until: u32,
    ) -> Result<Option<StreamSpan>, Fault> {
        either!(
            self,
            memory => Ok(memory.span(stream, until)),
            file => file.span(stream, until)
        )
    }

    /// At most `max` events of a stream, from the `skip`th on, forwards or backwards from it.
    pub(crate) fn of_stream(
        &self,
        stream: &StreamName,
        part: StreamPart,
    ) -> Result<Vec<u32>, Fault> {
        either!(
            self,
            memory => Ok(memory.of_stream(stream, part)),
            file => file.of_stream(stream, part)
        )
    }

    /// The ordinals in a window that may match a query.
    pub(crate) fn select(
        &self,
        query: &factum_core::Query,
        window: select::Window,
    ) -> Result<Vec<u32>, Fault> {
        either!(
            self,
            memory => Ok(memory.select(query, window)),
            file => Ok(file.lists(query)?.select(window))
        )
    }

    /// Whether an event of this type is in the segment. Its run knows mostly, without a page.
    pub(crate) fn has_type(&self, name: &str) -> Result<bool, Fault> {
        if !Search::type_of_events(name).may_be_in(self) {
            return Ok(false);
        }
        either!(self, memory => Ok(memory.has_type(name)), file => file.has_type(name))
    }

    /// Events that may have this id: the caller looks.
    pub(crate) fn with_id(&self, stream: &StreamName, id: Uuid) -> Result<Vec<u32>, Fault> {
        let key = id_key(stream.as_str(), id);
        either!(
            self,
            memory => Ok(memory.with_id(key)),
            // The stream was looked up a moment ago: its page is at hand, the id's is anywhere.
            file => if file.has_stream(stream)? { file.with_id(key) } else { Ok(Vec::new()) }
        )
    }

    pub(crate) fn stream_name(&self, number: u32) -> Result<Option<StreamName>, Fault> {
        either!(
            self,
            memory => Ok(memory.stream_name(number)),
            file => Ok(file.name(TermKind::Stream, number)?.map(StreamName::trusted))
        )
    }

    pub(crate) fn event_type(&self, number: u32) -> Result<Option<EventType>, Fault> {
        either!(
            self,
            memory => Ok(memory.event_type(number)),
            file => Ok(file.name(TermKind::Type, number)?.map(EventType::trusted))
        )
    }

    pub(crate) fn tag(&self, number: u32) -> Result<Option<Tag>, Fault> {
        either!(
            self,
            memory => Ok(memory.tag(number)),
            file => Ok(file.name(TermKind::Tag, number)?.map(Tag::trusted))
        )
    }

    /// The frame of this place in the order of frames; `None` past the last.
    pub(crate) fn nth_frame(&self, nth: u32) -> Result<Option<FrameRef>, Fault> {
        either!(self, memory => Ok(memory.nth_frame(nth)), file => file.nth_frame(nth))
    }

    /// The first frame whose events are all after this one.
    pub(crate) fn frame_after(&self, ordinal: u32) -> Result<Option<FrameRef>, Fault> {
        let nth = |nth: u64| self.nth_frame(u32::try_from(nth).expect("frames are counted by u32"));
        let is_before = |place| Ok(nth(place)?.is_some_and(|frame| frame.ordinal <= ordinal));
        nth(partition(self.frames().into(), is_before)?)
    }

    pub(crate) fn frames(&self) -> u32 {
        either!(self, memory => memory.frames(), file => file.frames())
    }

    /// What the segment says it has lost.
    pub(crate) fn lost(&self) -> Result<AllLost, Fault> {
        either!(self, memory => Ok(memory.lost().clone()), file => file.lost())
    }

    /// One past the last ordinal.
    pub(crate) fn next(&self) -> u32 {
        either!(self, memory => memory.next(), file => file.next())
    }

    /// How many names of a kind there are.
    pub(crate) fn names(&self, kind: TermKind) -> u32 {
        either!(self, memory => memory.names(kind), file => file.names_count(kind))
    }

    /// All that is said of the name with this number; `None` where the number has no name.
    pub(crate) fn term(&self, kind: TermKind, number: u32) -> Result<Option<WholeTerm>, Fault> {
        either!(
            self,
            memory => Ok(memory.term(kind, number)),
            file => file.whole_term(kind, number)
        )
    }

    /// The part of each event's identity that the index keeps, with its ordinal.
    pub(crate) fn id_pairs(&self) -> Result<Vec<(u32, u32)>, Fault> {
        either!(self, memory => Ok(memory.ids.iter().collect()), file => file.id_pairs().collect())
    }
}

/// A name, and every event that has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WholeTerm {
    pub(crate) name: Arc<str>,
    /// Of a stream: the revision of its first event here.
    pub(crate) first_revision: u64,
    pub(crate) ordinals: Vec<u32>,
}

/// Some of a stream's events in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPart {
    /// The place of the first one wanted, among the stream's events here.
    pub(crate) from: u32,
    pub(crate) backward: bool,
    pub(crate) max: usize,
}

impl StreamPart {
    /// Cuts the part out of a stream's ordinals.
    pub(crate) fn of(self, ordinals: &[u32]) -> Vec<u32> {
        let from = self.from as usize;
        if self.backward {
            let upto = ordinals.get(..=from.min(ordinals.len().saturating_sub(1)));
            upto.unwrap_or_default().iter().rev().take(self.max).copied().collect()
        } else {
            ordinals.iter().skip(from).take(self.max).copied().collect()
        }
    }
}

/// A hash that is the same on every machine and in every release: eight bytes at a time, each
/// multiplied to 128 bits whose halves are folded into one, so that all bits depend on all bytes.
/// Not keyed: who can choose names or ids can make them collide, which costs time and never an
/// answer, as every hit is compared in full.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = fold(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        state = fold(state ^ u64::from_le_bytes(word));
    }
    fold(state ^ 0xe703_7ed1_a0b4_28db)
}

fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0xa076_1d64_78bd_642f;
    let low = u64::try_from(product & u128::from(u64::MAX)).expect("64 bits");
    let high = u64::try_from(product >> 64).expect("64 bits");
    low ^ high
}

/// The upper half of a hash: where a name is among others of its kind.
pub(crate) fn hash32(bytes: &[u8]) -> u32 {
    u32::try_from(hash(bytes) >> 32).expect("half of 64 bits")
}

/// The key of (stream, id).
pub(crate) fn id_key(stream: &str, id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    let mut bytes = [0; 24];
    let (first, rest) = bytes.split_at_mut(8);
    first.copy_from_slice(&hash(stream.as_bytes()).to_le_bytes());
    let (second, third) = rest.split_at_mut(8);
    second.copy_from_slice(&high.to_le_bytes());
    third.copy_from_slice(&low.to_le_bytes());
    hash(&bytes)
}
