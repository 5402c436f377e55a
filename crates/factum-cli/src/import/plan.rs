//! From records to events: streams, types, times, ids and order. Pure: nothing is written here.

use super::columns::{Columns, Time};
use crate::{
    args,
    failure::{Failure, Outcome},
    identity::{self, Occurrences},
    input::{Fault, Fields, InputError, Place, Record},
    template::{Columns as _, ExpandError, Template, lookup},
    time::{self, TimeReader},
};
use factum::{
    Append, EventData, EventType, Limits, StreamName, Tag, Timestamp, Uuid, judge::validate,
};
use std::{
    collections::{HashMap, hash_map::Entry},
    path::PathBuf,
    str::FromStr,
};

/// The most that is held of one file: data, metadata and names of all events, in bytes.
pub(super) const HELD_BYTES_MAX: usize = 4 << 30;

/// How many bad records are named one by one; the rest is counted.
const NAMED_MAX: u64 = 100;

/// The events of a file, in the order in which they are to be appended.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) events: Vec<(StreamName, EventData)>,
    /// Bad records that were left out.
    pub(super) skipped: u64,
    /// Events that stand in the file again, with the same id and the same content.
    pub(super) repeated: u64,
}

/// Plans the events of one file.
pub(super) struct Planner<'a> {
    file: PathBuf,
    stream: &'a Template,
    event_type: &'a Template,
    columns: &'a Columns,
    times: TimeReader,
    skip_bad: bool,
    limits: Limits,
    streams: Names<StreamName>,
    types: Names<EventType>,
}

/// An event, and what its order and its id depend on.
struct Draft {
    place: Place,
    stream: StreamName,
    event: EventData,
    /// The id that the record or the user gives it.
    id: Option<Uuid>,
    /// It comes from a store, whose order is the order.
    is_ordered: bool,
}

impl<'a> Planner<'a> {
    /// Checks what can be checked before the first record.
    pub(super) fn new(
        args: &args::Import,
        columns: &'a Columns,
        header: Option<Fields>,
    ) -> Outcome<Self> {
        let file = args.file.clone();
        let known = header.as_ref().map(|header| header.names().join("`, `"));
        let needed = |template: &'a Option<Template>, what: &str, example: &str| {
            template.as_ref().ok_or_else(|| {
                let columns = known.as_ref().map_or(String::new(), |known| {
                    format!("; the columns of this file are `{known}`")
                });
                Failure::usage(format!("--{what} is missing: it says what an event's {what} is"))
                    .help(format_args!(
                        "give it with columns in braces, such as {example}{columns}"
                    ))
            })
        };
        let stream = needed(&columns.stream, "stream", "--stream 'order-{order_id}'")?;
        let event_type = needed(&columns.event_type, "type", "--type 'order.{action}'")?;
        let zone = args.time_zone.as_deref().map(time::zone).transpose().map_err(Failure::usage)?;
        let planner = Self {
            file,
            stream,
            event_type,
            columns,
            times: TimeReader { format: args.time_format.clone(), zone },
            skip_bad: args.skip_bad,
            limits: Limits::default(),
            streams: Names::default(),
            types: Names::default(),
        };
        if let Some(header) = &header {
            planner.check(header, &args.text)?;
        }
        Ok(planner)
    }

    /// Whether every column that is named is there.
    fn check(&self, header: &Fields, text: &[String]) -> Outcome {
        let templates = [self.stream, self.event_type].into_iter();
        let templates = templates.chain(&self.columns.tags).chain(&self.columns.id);
        let mut checks = templates
            .map(|template| template.check(header))
            .chain(self.columns.time.iter().map(|time| lookup(&time.column, header).map(drop)));
        let stay_text = text.iter().filter(|column| *column != "*");
        let mut stay_text = stay_text.map(|column| lookup(column, header).map(drop));
        let checked = checks.by_ref().chain(stay_text.by_ref()).collect::<Result<(), _>>();
        checked.map_err(|error: ExpandError| {
            Failure::usage(format!("{}: {error}", self.file.display()))
                .help("name one of these, in braces where it is a template")
        })
    }

    /// Plans every record. `report` is told of each bad one that is left out.
    pub(super) fn plan(
        mut self,
        records: impl Iterator<Item = Result<Record, Fault>>,
        report: impl Fn(String),
    ) -> Outcome<Plan> {
        let mut bad = Bad { file: self.file.clone(), skip: self.skip_bad, skipped: 0, report };
        let mut drafts = Vec::new();
        let mut held = 0;
        for record in records {
            let draft = record.and_then(|record| self.draft(record));
            let Some(draft) = bad.pass(draft)? else {
                continue;
            };
            held += draft.event.weight();
            if held > HELD_BYTES_MAX {
                let cause = format!("the file holds more than {HELD_BYTES_MAX} bytes of events");
                return Err(
                    Failure::bad_input(cause).help("split it, and import the parts in order")
                );
            }
            drafts.push(draft);
        }
        let drafts = self.ordered(drafts, &mut bad)?;
        let mut plan = identified(drafts, &mut bad)?;
        plan.skipped = bad.skipped;
        Ok(plan)
    }

    fn draft(&mut self, record: Record) -> Result<Draft, Fault> {
        let place = record.place;
        self.fill(record).map_err(|why| Fault::record(place, why))
    }

    fn fill(&mut self, record: Record) -> Result<Draft, String> {
        let fields = &record.fields;
        let expand = |template: &Template| template.expand(fields).map_err(|e| e.to_string());
        let stream = self.streams.of(expand(self.stream)?)?;
        let event_type = self.types.of(expand(self.event_type)?)?;
        let mut tags = Vec::with_capacity(record.tags.len() + self.columns.tags.len());
        for tag in record.tags {
            tags.push(Tag::new(&tag).map_err(|error| error.to_string())?);
        }
        for template in &self.columns.tags {
            // An empty cell is no tag, as it is no member of the data.
            match template.expand(fields) {
                Err(ExpandError::Empty { .. }) => {}
                Err(error) => return Err(error.to_string()),
                Ok(tag) => tags.push(Tag::new(&tag).map_err(|error| error.to_string())?),
            }
        }
        let id = match &self.columns.id {
            Some(template) => Some(given_id(&expand(template)?)?),
            None => record.id,
        };
        // Any id that is not nil will do until the order is known.
        let mut event = EventData::new(Uuid::max(), event_type, record.data).with_tags(tags);
        event.content_type = record.content_type;
        event.metadata = record.metadata;
        event.occurred_at = self.time(fields)?;
        let (stream, event) = self.valid(stream, event)?;
        Ok(Draft { place: record.place, stream, event, id, is_ordered: record.is_ordered })
    }

    fn time(&self, fields: &Fields) -> Result<Option<Timestamp>, String> {
        let Some(Time { column, is_asked_for }) = &self.columns.time else {
            return Ok(None);
        };
        match fields.get(column) {
            None | Some("") if !is_asked_for => Ok(None),
            None => lookup(column, fields).map(|_| None).map_err(|error| error.to_string()),
            Some("") => Err(format!("column `{column}` is empty, and says when it happened")),
            Some(text) => self.times.read(text).map(Some).map_err(|error| error.to_string()),
        }
    }

    /// What a store would refuse is refused here, where the record is known.
    fn valid(
        &self,
        stream: StreamName,
        event: EventData,
    ) -> Result<(StreamName, EventData), String> {
        let mut append = Append::to(stream, [event]);
        validate(&append, &self.limits).map_err(|error| error.to_string())?;
        Ok(append.events.pop().expect("one event was put in"))
    }

    /// In order of time, ties in file order. What a store exported stays in its order.
    fn ordered<R: Fn(String)>(
        &self,
        mut drafts: Vec<Draft>,
        bad: &mut Bad<R>,
    ) -> Outcome<Vec<Draft>> {
        let has_time = |draft: &Draft| draft.event.occurred_at.is_some();
        if drafts.iter().all(|draft| draft.is_ordered) || !drafts.iter().any(has_time) {
            return Ok(drafts);
        }
        let column = self.columns.time.as_ref().map_or("", |time| &time.column);
        let mut timed = Vec::with_capacity(drafts.len());
        for draft in drafts.drain(..) {
            let is_timed = has_time(&draft);
            let why = || format!("it has no `{column}`, and other events of the file have");
            let draft = if is_timed { Ok(draft) } else { Err(Fault::record(draft.place, why())) };
            timed.extend(bad.pass(draft)?);
        }
        timed.sort_by_key(|draft| draft.event.occurred_at);
        Ok(timed)
    }
}

/// What is done about bad records.
struct Bad<R> {
    file: PathBuf,
    skip: bool,
    skipped: u64,
    report: R,
}

impl<R: Fn(String)> Bad<R> {
    /// A good one, or none where a bad one is left out; the failure where it is not.
    fn pass<T>(&mut self, result: Result<T, Fault>) -> Outcome<Option<T>> {
        let file = self.file.display();
        match result {
            Ok(good) => Ok(Some(good)),
            Err(fault @ Fault::Record { .. }) if self.skip => {
                self.skipped += 1;
                if self.skipped <= NAMED_MAX {
                    (self.report)(format!("left out: {file}: {fault}"));
                } else if self.skipped == NAMED_MAX + 1 {
                    (self.report)("more is left out; the end says how much".to_owned());
                }
                Ok(None)
            }
            Err(fault @ Fault::Record { .. }) => Err(Failure::bad_input(format!(
                "{file}: {fault}"
            ))
            .help("nothing was written: mend the file, or leave bad records out with --skip-bad")),
            Err(Fault::File(error @ InputError::Malformed { .. })) => {
                Err(Failure::bad_input(format!("{file}: {error}"))
                    .help("nothing was written: mend the file, or name another --format"))
            }
            Err(Fault::File(error)) => {
                Err(Failure::bad_input(format!("{file}: {error}")).help("nothing was written"))
            }
        }
    }
}

/// Gives every event its id, in the order in which the events will stand.
fn identified<R: Fn(String)>(drafts: Vec<Draft>, bad: &mut Bad<R>) -> Outcome<Plan> {
    let mut plan = Plan::default();
    let mut occurrences = Occurrences::default();
    let mut given: HashMap<(StreamName, Uuid), ([u8; 32], Place)> = HashMap::new();
    for Draft { place, stream, mut event, id, .. } in drafts {
        let Some(id) = id else {
            event.id = occurrences.id_of(&stream, &event);
            plan.events.push((stream, event));
            continue;
        };
        event.id = id;
        let content = identity::content(&stream, &event);
        match given.entry((stream.clone(), id)) {
            Entry::Vacant(entry) => {
                entry.insert((content, place));
                plan.events.push((stream, event));
            }
            Entry::Occupied(entry) if entry.get().0 == content => plan.repeated += 1,
            Entry::Occupied(entry) => {
                let other = entry.get().1;
                let why = format!("the id {id} is that of {other} too, which says something else");
                bad.pass::<()>(Err(Fault::record(place, why)))?;
            }
        }
    }
    Ok(plan)
}

/// An id that a template gives: a UUID as it is, any other text by its digest.
fn given_id(text: &str) -> Result<Uuid, String> {
    match Uuid::parse_str(text) {
        Ok(id) if id.is_nil() => Err("its id is the nil UUID: any other will do".to_owned()),
        Ok(id) => Ok(id),
        Err(_) => Ok(identity::of_parts(&["id", text])),
    }
}

/// Names that occur often, each allocated once.
struct Names<N>(HashMap<String, N>);

impl<N> Default for Names<N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<N: Clone + FromStr<Err: ToString>> Names<N> {
    fn of(&mut self, text: String) -> Result<N, String> {
        if let Some(name) = self.0.get(&text) {
            return Ok(name.clone());
        }
        let name = N::from_str(&text).map_err(|error| error.to_string())?;
        self.0.insert(text, name.clone());
        Ok(name)
    }
}
