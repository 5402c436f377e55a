//! `factum append`: one event, and its receipt.

use super::{
    Access, open,
    stream::{conflict, payload},
};
use crate::{
    args,
    console::Out,
    failure::{Failure, Outcome},
    json, print,
};
use factum::{
    Append, AppendError, Bytes, ContentType, EventData, EventStore, Found, Receipt, Uuid,
};
use std::io::Write;

/// Appends an event.
pub(super) async fn append(url: &str, args: args::Append, out: &mut Out) -> Outcome {
    let event = event(&args)?;
    let id = event.id;
    let mut append = Append::to(args.stream.clone(), [event]);
    if let Some(expected) = args.expect.expected() {
        append = append.expecting(args.stream.clone(), expected);
    }
    let store = open(url, Access::Creating).await?;
    let receipt = store.append(append).await.map_err(|error| failure(error, &args, id))?;
    Ok(report(&args, id, &receipt, out)?)
}

fn event(args: &args::Append) -> Outcome<EventData> {
    let data = match &args.data {
        None => Bytes::from_static(b"{}"),
        Some(data) => payload("data", data)?,
    };
    if !args.binary {
        is_json("data", &data)?;
    }
    let mut event =
        EventData::new(args.id.unwrap_or_else(Uuid::new_v4), args.event_type.clone(), data)
            .with_tags(args.tags.iter().cloned());
    if args.binary {
        event.content_type = ContentType::Binary;
    }
    if let Some(metadata) = &args.metadata {
        event.metadata = payload("metadata", metadata)?;
        is_json("metadata", &event.metadata)?;
    }
    event.occurred_at = args.occurred_at;
    Ok(event)
}

fn is_json(what: &str, bytes: &[u8]) -> Outcome {
    let Err(error) = json::check(bytes) else {
        return Ok(());
    };
    let failure = Failure::bad_input(format!("the {what} is not JSON: {error}"));
    Err(failure.help(match what {
        "data" => {
            "quote it for the shell, as in --data '{\"total\": 12}'; --binary stores any bytes"
        }
        _ => "quote it for the shell, as in --metadata '{\"by\": \"me\"}'",
    }))
}

fn failure(error: AppendError, args: &args::Append, id: Uuid) -> Failure {
    match error {
        AppendError::Conflict { found: Found::Stream(state), .. } => {
            conflict(&args.stream, args.expect, state)
        }
        AppendError::Unknown { .. } => Failure::from(error).help(format_args!(
            "it may have been appended: the same command with --id {id} does not append it twice"
        )),
        AppendError::IdReused { .. } => Failure::from(error)
            .help("leave out --id for a new event, or repeat the very same command for a retry"),
        other => other.into(),
    }
}

fn report(args: &args::Append, id: Uuid, receipt: &Receipt, out: &mut Out) -> std::io::Result<()> {
    let stream = args.stream.as_str();
    if args.json {
        return writeln!(out, "{}", print::receipt(stream, &[id], receipt));
    }
    let revision = receipt.streams.first().map_or(0, |written| written.last.0);
    let again = if receipt.replayed { " (it was there already: nothing was appended)" } else { "" };
    writeln!(out, "{stream}@{revision}  position {}  id {id}{again}", receipt.position)
}
