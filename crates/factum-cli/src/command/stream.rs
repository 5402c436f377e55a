//! Commands about a stream or the store as a whole: `delete`, `meta`, `stats`; and what they share.

use crate::{
    args::{self, Expect, Payload},
    console::{DIM, Out},
    failure::{Exit, Failure, Outcome},
};
use factum::{
    AnyStore, AppendError, Bytes, Change, EventStore, Expected, Found, Limits, Read, Statistic,
    StreamMetadata, StreamName, StreamState,
};
use serde_json::{Map, Number, Value};
use std::io::{self, Read as _, Write};

/// Deletes a stream.
pub(super) async fn delete(store: &AnyStore, args: &args::Delete, out: &mut Out) -> Outcome {
    let stream = &args.stream;
    if args.expect == Expect::Of(Expected::NoStream) {
        return Err(Failure::usage("--expect none: there would be nothing to delete")
            .help("expect any, exists, or a revision"));
    }
    if state(store, stream).await? == StreamState::Absent {
        return Err(absent(stream));
    }
    let change = if args.tombstone { Change::Tombstone } else { Change::Delete };
    let changed = store.change(stream, change, args.expect.expected()).await;
    let receipt = changed.map_err(|error| match error {
        AppendError::Conflict { found: Found::Stream(state), .. } => {
            conflict(stream, args.expect, state)
        }
        other => other.into(),
    })?;
    let what = match (args.tombstone, receipt.replayed) {
        (true, _) => "is deleted for ever",
        (false, false) => "is deleted; the next append lets it go on",
        (false, true) => "was deleted already",
    };
    writeln!(out, "{stream} {what}")?;
    Ok(())
}

/// Shows a stream's metadata, or replaces it.
pub(super) async fn meta(store: &AnyStore, args: &args::Meta, out: &mut Out) -> Outcome {
    let stream = &args.stream;
    let Some(set) = &args.set else {
        writeln!(out, "{}", store.metadata(stream).await?.to_json())?;
        return Ok(());
    };
    let json = payload("metadata", set)?;
    let metadata = StreamMetadata::from_json(&json).map_err(|error| {
        Failure::bad_input(error)
            .help("it is an object such as '{\"$maxCount\": 100, \"owner\": \"billing\"}'")
    })?;
    store.change(stream, Change::SetMetadata(metadata.clone()), None).await?;
    writeln!(out, "{}", metadata.to_json())?;
    Ok(())
}

/// Shows numbers about the store.
pub(super) async fn stats(store: &AnyStore, args: &args::Stats, out: &mut Out) -> Outcome {
    let statistics = store.statistics().await?.numbers;
    if args.json {
        let members = statistics.iter().map(|one| (one.name.clone(), number(one.value)));
        writeln!(out, "{}", Value::Object(members.collect::<Map<_, _>>()))?;
        return Ok(());
    }
    let shown: Vec<String> = statistics.iter().map(|one| number(one.value).to_string()).collect();
    let name_width = statistics.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let width = shown.iter().map(String::len).max().unwrap_or(0);
    let dim = out.look.style(DIM);
    for (Statistic { name, help, .. }, value) in statistics.iter().zip(shown) {
        writeln!(out, "{name:name_width$}  {value:>width$}  {dim}{help}{dim:#}")?;
    }
    Ok(())
}

/// Whole numbers without decimals.
#[allow(clippy::cast_possible_truncation, reason = "only where nothing is cut off")]
fn number(value: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// What a stream is.
pub(super) async fn state(store: &AnyStore, stream: &StreamName) -> Outcome<StreamState> {
    let read = Read { limit: Some(0), ..Read::stream(stream.clone()) };
    Ok(store.read(read).await?.state.unwrap_or(StreamState::Absent))
}

/// There is no such stream.
pub(super) fn absent(stream: &StreamName) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no stream {stream}"))
        .help("check the name: `factum read --category NAME` shows the streams of a category")
}

/// An expectation that does not hold, for people.
pub(super) fn conflict(stream: &StreamName, expect: Expect, found: StreamState) -> Failure {
    let expected = match expect {
        Expect::Any => "something else was expected".to_owned(),
        Expect::Of(Expected::NoStream) => "none was expected".to_owned(),
        Expect::Of(Expected::Exists) => "it was expected to exist".to_owned(),
        Expect::Of(Expected::At(revision)) => format!("revision {revision} was expected"),
    };
    let found = match found {
        StreamState::Absent => format!("stream {stream} has no event"),
        StreamState::Live { last } => {
            format!("the last event of stream {stream} has revision {last}")
        }
        StreamState::Deleted { last } => {
            format!("stream {stream} is deleted, and its last event had revision {last}")
        }
        StreamState::Tombstoned => format!("stream {stream} is deleted for ever"),
    };
    Failure::new(Exit::Conflict, format!("{found}, and {expected}; nothing was written"))
        .help("read the stream again and decide anew")
}

/// The bytes of an argument: the text itself, a file's, or those of standard input.
#[allow(clippy::disallowed_methods, reason = "the door to the files that arguments name")]
pub(super) fn payload(what: &'static str, payload: &Payload) -> Outcome<Bytes> {
    let limit = Limits::default().event_bytes_max;
    let mut bytes = Vec::new();
    let (name, read) = match payload {
        Payload::Text(text) => return Ok(text.clone().into()),
        Payload::Stdin => ("standard input".to_owned(), read_some(io::stdin(), limit, &mut bytes)),
        Payload::File(path) => {
            let file = std::fs::File::open(path);
            (path.display().to_string(), file.and_then(|file| read_some(file, limit, &mut bytes)))
        }
    };
    read.map_err(|error| {
        Failure::bad_input(format!("cannot read the {what} from {name}: {error}"))
    })?;
    if bytes.len() > limit {
        let cause = format!("the {what} in {name} has more than {limit} bytes, the largest event");
        return Err(Failure::bad_input(cause));
    }
    Ok(bytes.into())
}

fn read_some(from: impl io::Read, limit: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    from.take(limit as u64 + 1).read_to_end(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_decimals() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(0.5).to_string(), "0.5");
        assert_eq!(number(f64::NAN), Value::Null);
    }

    #[test]
    fn a_payload_over_the_limit_is_refused() {
        let mut bytes = Vec::new();
        read_some(io::repeat(b'x'), 10, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 11);
    }
}
