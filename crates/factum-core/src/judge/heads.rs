//! The streams that one append is about: each looked up once, then reached by its place in a list.
//!
//! An append of a thousand events mostly writes one stream, so whoever judges it asks by place, and
//! once a stream, not once an event.

use super::{Refusal, StreamHead, View};
use crate::{EventData, StreamName};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// So many streams are found by comparing names; more of them by hash.
const COMPARED_MAX: usize = 8;

/// Heads of streams, in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Heads {
    list: Vec<(StreamName, StreamHead)>,
    /// Places of all names, once there are more than a few.
    places: HashMap<StreamName, usize, RandomState>,
}

impl Heads {
    /// Looks up the streams of events; the place of each event's stream. Streams that are new here
    /// have places in the order of first mention.
    pub(super) fn of_events<V: View>(
        &mut self,
        view: &mut V,
        events: &[(StreamName, EventData)],
    ) -> Result<Vec<usize>, Refusal<V::Error>> {
        let mut places: Vec<usize> = Vec::with_capacity(events.len());
        let mut before: Option<(&StreamName, usize)> = None;
        for (stream, _) in events {
            let place = match before {
                Some((name, place)) if name.ptr_eq(stream) || name == stream => place,
                _ => self.place(view, stream)?,
            };
            before = Some((stream, place));
            places.push(place);
        }
        Ok(places)
    }

    /// The head of a stream.
    pub(super) fn get<V: View>(
        &mut self,
        view: &mut V,
        stream: &StreamName,
    ) -> Result<&mut StreamHead, Refusal<V::Error>> {
        let place = self.place(view, stream)?;
        Ok(self.at(place))
    }

    /// The place of a stream that was looked up.
    pub(super) fn find(&self, stream: &StreamName) -> Option<usize> {
        match self.list.len() <= COMPARED_MAX {
            true => self.list.iter().position(|(name, _)| name == stream),
            false => self.places.get(stream).copied(),
        }
    }

    /// The head at a place.
    pub(super) fn at(&mut self, place: usize) -> &mut StreamHead {
        &mut self.list.get_mut(place).expect("places are given out here only").1
    }

    /// The name at a place.
    pub(super) fn name(&self, place: usize) -> &StreamName {
        &self.list.get(place).expect("places are given out here only").0
    }

    /// How many streams were looked up: their places are below this.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    fn place<V: View>(
        &mut self,
        view: &mut V,
        stream: &StreamName,
    ) -> Result<usize, Refusal<V::Error>> {
        if let Some(place) = self.find(stream) {
            return Ok(place);
        }
        let head = view.stream(stream).map_err(Refusal::View)?;
        let place = self.list.len();
        self.list.push((stream.clone(), head));
        if self.list.len() > COMPARED_MAX {
            let from = if self.places.is_empty() { 0 } else { place };
            let new = self.list.iter().enumerate().skip(from);
            self.places.extend(new.map(|(place, (name, _))| (name.clone(), place)));
        }
        Ok(place)
    }
}
