//! A client: it looks, decides by what it saw, and writes; sometimes it goes away before the answer
//! and comes back with the same append.

use super::{Answer, Ask, Book, wait};
use crate::{dice::Dice, model::Task};
use factum_core::{
    Append, AppendError, Check, EventData, EventStore, EventType, Expected, Position, Query, Read,
    ReadError, RecordedEvent, Revision, StreamName, Tag, Uuid,
};
use std::time::Duration;

/// After this an answer does not come any more.
const ANSWER_MAX: Duration = Duration::from_secs(20);
const STREAMS: [&str; 3] = ["a-1", "a-2", "b-1"];
const TAGS: [&str; 2] = ["k:1", "k:2"];

/// A client of a store.
#[derive(Debug)]
pub struct Client<'a, S> {
    /// Where it goes.
    pub store: &'a S,
    /// Where it writes down what it does.
    pub book: &'a Book,
    /// What it draws.
    pub dice: Dice,
    /// Its own, so that ids are.
    pub number: u64,
    /// One in so many replies is not waited for; 0: none.
    pub lost_one_in: u64,
    ids: u64,
    seen: Vec<(StreamName, Option<Revision>)>,
    head: Position,
    sent: Vec<Append>,
}

impl<'a, S: EventStore> Client<'a, S> {
    /// The client of this number.
    pub fn new(store: &'a S, book: &'a Book, dice: Dice, number: u64) -> Self {
        let (ids, seen, head, sent) = (0, Vec::new(), Position::START, Vec::new());
        Self { store, book, dice, number, lost_one_in: 0, ids, seen, head, sent }
    }

    /// Does so many operations, of every kind.
    pub fn work(&mut self, count: u64) -> Result<(), String> {
        for _ in 0..count {
            match self.dice.below(10) {
                0 | 1 => self.read()?,
                2 => self.look()?,
                3 => match self.retry() {
                    Some(append) => self.write(append)?,
                    None => self.read()?,
                },
                _ => {
                    let append = self.append();
                    self.write(append)?;
                }
            }
            if self.dice.one_in(4) {
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn stream(&mut self) -> StreamName {
        let name = *self.dice.pick(&STREAMS[..]);
        StreamName::new(name).unwrap()
    }

    fn tag(&mut self) -> Tag {
        let name = *self.dice.pick(&TAGS[..]);
        Tag::new(name).unwrap()
    }

    fn append(&mut self) -> Append {
        let stream = self.stream();
        let mut append = Append::default();
        for _ in 0..1 + self.dice.below(2) {
            self.ids += 1;
            let id = Uuid::from_u128(u128::from(self.number + 1) << 64 | u128::from(self.ids));
            let mut event = EventData::new(id, EventType::new("t").unwrap(), vec![b'x'; 40]);
            event.tags = vec![self.tag()];
            let stream = if self.dice.one_in(4) { self.stream() } else { stream.clone() };
            append.events.push((stream, event));
        }
        match self.dice.below(4) {
            0 => {}
            1 => {
                let query = Query::tag(self.tag());
                append.checks.push(Check::NoMatch { query, after: self.head });
            }
            _ => {
                let known = self.seen.iter().rev().find(|(seen, _)| *seen == stream);
                let expected = match known.map(|(_, last)| *last) {
                    Some(Some(last)) => Expected::At(last),
                    Some(None) | None => Expected::NoStream,
                };
                append = append.expecting(stream, expected);
            }
        }
        if self.dice.one_in(6) {
            append = append.tracking("source", 1 + self.dice.below(40));
        }
        append
    }

    fn retry(&mut self) -> Option<Append> {
        (!self.sent.is_empty()).then(|| self.dice.pick(&self.sent).clone())
    }

    fn write(&mut self, append: Append) -> Result<(), String> {
        let is_lost = self.lost_one_in > 0 && self.dice.one_in(self.lost_one_in);
        let from = self.book.now();
        let asked = self.store.append(append.clone());
        let answer = if is_lost && !append.events.is_empty() && append.tracking.is_none() {
            wait::once(asked).unwrap_or(Err(AppendError::Unknown { why: "not waited for".into() }))
        } else {
            let limit = format!("no answer in {ANSWER_MAX:?} to {append:?}");
            wait::within(ANSWER_MAX, asked).ok_or(limit)?
        };
        if let Ok(receipt) = &answer {
            let seen = receipt.streams.iter();
            self.seen.extend(seen.map(|one| (one.stream.clone(), Some(one.last))));
            self.head = self.head.max(receipt.position);
        }
        let answer = Answer::of(answer);
        self.book.write(from, Ask::Write(Task::Append(append.clone())), answer);
        self.sent.push(append);
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        let stream = self.stream();
        let from = self.book.now();
        let read = async {
            let reading = self.store.read(Read::stream(stream.clone())).await?;
            let head = reading.head;
            Ok::<_, ReadError>((head, reading.events().await?))
        };
        let limit = format!("no answer in {ANSWER_MAX:?} to a read of {stream}");
        match wait::within(ANSWER_MAX, read).ok_or(limit)? {
            Ok((head, events)) => {
                let last = events.last().map(RecordedEvent::revision);
                self.seen.push((stream.clone(), last));
                self.head = head;
                self.book.write(from, Ask::Read(stream), Answer::Read(head, events));
                Ok(())
            }
            Err(ReadError::Overloaded | ReadError::Unavailable { .. }) => Ok(()),
            Err(error) => Err(format!("reading {stream}: {error}")),
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let from = self.book.now();
        match wait::within(ANSWER_MAX, self.store.head()) {
            Some(Ok(head)) => {
                self.head = head;
                self.book.write(from, Ask::Head, Answer::Head(head));
                Ok(())
            }
            Some(Err(ReadError::Overloaded | ReadError::Unavailable { .. })) => Ok(()),
            Some(Err(error)) => Err(format!("the head: {error}")),
            None => Err(format!("no answer in {ANSWER_MAX:?} about the head")),
        }
    }
}
