//! Event logs in XES (IEEE 1849): `log`, `trace`, `event`, and typed attributes.
//!
//! Attributes of an event are columns by their key, those of its trace by `case:` and their key, as
//! pm4py names them; both are in the event's data. Extensions, classifiers, globals and attributes
//! of the log say nothing about a single event and are left out. An element that XES does not know
//! ends the import: what it means cannot be guessed.

mod attribute;

use self::attribute::Attribute;
use super::{
    Fault, Fields, InputError, Place, Record, Records,
    file::{Bytes, Meter, Metered},
};
use crate::json;
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use std::collections::HashSet;

/// Where an event's time stands, unless another column is named.
pub(crate) const TIME: &str = "time:timestamp";

pub(super) fn records(bytes: Bytes) -> Records {
    let meter = Meter::default();
    let mut reader = Reader::from_reader(Metered::new(bytes, meter.clone()));
    // `<a/>` is read as `<a></a>`: one way to end an element.
    reader.config_mut().expand_empty_elements = true;
    let parser = Parser {
        reader,
        meter,
        inside: Inside::File,
        trace: Vec::new(),
        has_log: false,
        events: 0,
        in_trace: 0,
    };
    Records { header: None, each: Box::new(Until(Some(parser))) }
}

/// Ends after the first fault of the file.
struct Until(Option<Parser>);

impl Iterator for Until {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.as_mut()?.next_record();
        match &next {
            Ok(Some(_)) | Err(Fault::Record { .. }) => {}
            Ok(None) | Err(Fault::File(_)) => self.0 = None,
        }
        next.transpose()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Log,
    Trace,
}

struct Parser {
    reader: Reader<Metered>,
    meter: Meter,
    inside: Inside,
    /// Attributes of the current trace.
    trace: Vec<Attribute>,
    has_log: bool,
    events: u64,
    /// Events of the current trace so far.
    in_trace: u64,
}

impl Parser {
    fn next_record(&mut self) -> Result<Option<Record>, Fault> {
        loop {
            self.meter.begin_record();
            match self.token()? {
                Token::Start(element) => {
                    if let Some(record) = self.start(&element)? {
                        return Ok(Some(record));
                    }
                }
                Token::End => {
                    self.inside =
                        if self.inside == Inside::Trace { Inside::Log } else { Inside::File };
                    self.trace.clear();
                    self.in_trace = 0;
                }
                Token::Eof if self.inside == Inside::File && self.has_log => return Ok(None),
                Token::Eof => return Err(self.cut().into()),
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'static>) -> Result<Option<Record>, Fault> {
        let name = element.local_name();
        match (self.inside, name.as_ref()) {
            (Inside::File, "log") if !self.has_log => {
                self.has_log = true;
                self.inside = Inside::Log;
            }
            (Inside::File, _) => return Err(self.unknown(element).into()),
            (Inside::Log, "extension" | "classifier" | "global") => self.skip(element)?,
            (Inside::Log, "trace") => self.inside = Inside::Trace,
            (Inside::Log | Inside::Trace, "event") => return self.event().map(Some),
            (Inside::Log, kind) if attribute::is_kind(kind) => {
                self.attribute(element, 0)?;
            }
            (Inside::Trace, kind) if attribute::is_kind(kind) && self.in_trace == 0 => {
                let attribute = self.attribute(element, 0)?;
                self.trace.push(attribute);
            }
            (Inside::Trace, kind) if attribute::is_kind(kind) => {
                let why = "an attribute of a trace stands after an event: it must come before";
                return Err(self.malformed(why).into());
            }
            _ => return Err(self.unknown(element).into()),
        }
        Ok(None)
    }

    /// The event that has just begun, to its end.
    fn event(&mut self) -> Result<Record, Fault> {
        self.events += 1;
        self.in_trace += u64::from(self.inside == Inside::Trace);
        let line = Some(self.meter.lines() + 1);
        let place = Place { what: "event", number: self.events, line };
        let mut attributes = Vec::new();
        while let Token::Start(element) = self.token_inside()? {
            if !attribute::is_kind(element.local_name().as_ref()) {
                return Err(self.unknown(&element).into());
            }
            attributes.push(self.attribute(&element, 0)?);
        }
        record(place, &self.trace, &attributes).map_err(|why| Fault::record(place, why))
    }

    /// The attribute that has just begun, to its end, with those inside it.
    fn attribute(
        &mut self,
        element: &BytesStart<'static>,
        depth: usize,
    ) -> Result<Attribute, InputError> {
        if depth > DEPTH_MAX {
            return Err(self.malformed(&format!("attributes are nested deeper than {DEPTH_MAX}")));
        }
        let mut attribute = Attribute::begin(element).map_err(|why| self.malformed(&why))?;
        let mut in_values = false;
        loop {
            match self.token_inside()? {
                Token::Start(inner) if attribute::is_kind(inner.local_name().as_ref()) => {
                    let inner = self.attribute(&inner, depth + 1)?;
                    attribute.add(inner);
                }
                Token::Start(inner)
                    if !in_values && attribute.is_list() && is_named(&inner, "values") =>
                {
                    in_values = true;
                }
                Token::Start(inner) => return Err(self.unknown(&inner)),
                _ if in_values => in_values = false,
                _ => return Ok(attribute),
            }
        }
    }

    /// The next start or end, where the end of the file is none.
    fn token_inside(&mut self) -> Result<Token, InputError> {
        match self.token()? {
            Token::Eof => Err(self.cut()),
            token => Ok(token),
        }
    }

    fn token(&mut self) -> Result<Token, InputError> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let event =
                self.reader.read_event_into(&mut buffer).map_err(|error| self.broken(error))?;
            match event {
                Event::Start(element) => return Ok(Token::Start(element.into_owned())),
                Event::End(_) => return Ok(Token::End),
                Event::Eof => return Ok(Token::Eof),
                Event::Text(text) if !text.trim_ascii().is_empty() => {
                    let shown: String = text.trim().chars().take(40).collect();
                    return Err(self.malformed(&format!("text between elements: `{shown}`")));
                }
                _ => {}
            }
        }
    }

    fn skip(&mut self, element: &BytesStart<'static>) -> Result<(), InputError> {
        let skipped = self.reader.read_to_end_into(element.name(), &mut Vec::new());
        skipped.map(drop).map_err(|error| self.broken(error))
    }

    fn at(&self) -> String {
        format!("line {} (byte {})", self.meter.lines() + 1, self.reader.buffer_position())
    }

    fn malformed(&self, why: &str) -> InputError {
        InputError::Malformed { at: self.at(), why: why.to_owned() }
    }

    fn unknown(&self, element: &BytesStart<'_>) -> InputError {
        let name = element.name();
        let name = name.as_ref();
        let place = match self.inside {
            Inside::File => "outside <log>: an XES file is one <log>",
            Inside::Log | Inside::Trace => "which XES (IEEE 1849) does not have here",
        };
        self.malformed(&format!("unknown element <{name}>, {place}"))
    }

    fn cut(&self) -> InputError {
        self.malformed("the file ends before </log>: it is cut off, or no XES")
    }

    fn broken(&self, error: quick_xml::Error) -> InputError {
        match error {
            quick_xml::Error::Io(error) => {
                InputError::Read(std::io::Error::new(error.kind(), error.to_string()))
            }
            quick_xml::Error::Encoding(_) => {
                self.malformed("it is not UTF-8: convert the file to UTF-8")
            }
            other => self.malformed(&format!("it is not XML: {other}")),
        }
    }
}

/// How deep attributes may be nested.
const DEPTH_MAX: usize = 32;

enum Token {
    Start(BytesStart<'static>),
    End,
    Eof,
}

fn is_named(element: &BytesStart<'_>, name: &str) -> bool {
    element.local_name().as_ref() == name
}

fn record(place: Place, trace: &[Attribute], event: &[Attribute]) -> Result<Record, String> {
    let mut fields = Fields::default();
    let mut data = String::from("{");
    let mut keys = HashSet::new();
    let named = trace.iter().map(|attribute| (format!("case:{}", attribute.key()), attribute));
    let own = event.iter().map(|attribute| (attribute.key().to_owned(), attribute));
    for (key, attribute) in named.chain(own) {
        if !keys.insert(key.clone()) {
            return Err(format!("the attribute `{key}` occurs twice"));
        }
        if data.len() > 1 {
            data.push(',');
        }
        data.push_str(&json::string(&key));
        data.push(':');
        data.push_str(&attribute.to_json()?);
        if let Some(text) = attribute.text() {
            fields.push(key, text);
        }
    }
    data.push('}');
    Ok(Record::json(place, fields, data))
}

#[cfg(test)]
mod tests;
