//! Samples of every locked version, read with the code of now: a chain of upcasts that compiles may
//! still fail, or panic, on what was written before.

use super::{Finding, Lock, Shape, schema::samples};
use crate::{
    consumer::said,
    event::{DecodePolicy, Raw},
    registry::EventSets,
};
use factum_core::{ContentType, Position, StreamName, Uuid};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many samples of one version are kept, at most, those of a shape that was widened included.
const SAMPLES_MAX: usize = 32;

/// Why a sample is not read.
enum Unread {
    /// It is refused.
    Refused(String),
    /// What takes it panicked.
    Panicked(String),
}

/// The samples in a file that the code does not read.
pub(super) fn unread<S: EventSets>(released: &Lock) -> Vec<Finding> {
    let all =
        released.events.iter().flat_map(|shape| shape.samples.iter().map(move |s| (shape, s)));
    all.filter_map(|(shape, sample)| {
        let what = match read::<S>(shape, sample).err()? {
            Unread::Refused(why) => format!("its sample {sample} is not read: {why}"),
            Unread::Panicked(why) => format!("its sample {sample} is not read, {why}"),
        };
        Some(finding(shape, what))
    })
    .collect()
}

/// The samples of the file go on, and what has none, or another shape, gets some of its own. Those
/// that are drawn and do not fit, as a text has rules that no schema tells, are left out; where
/// their upcast panics it is found here, before it is released.
pub(super) fn keep<S: EventSets>(released: &Lock, code: &mut Lock) -> Vec<Finding> {
    let mut found = Vec::new();
    for shape in &mut code.events {
        let before = released.shape(&shape.event_type, shape.version);
        shape.samples = before.map(|before| before.samples.clone()).unwrap_or_default();
        if before.is_some_and(|before| before.schema == shape.schema && !before.samples.is_empty())
        {
            continue;
        }
        for sample in samples(&shape.schema) {
            if shape.samples.len() >= SAMPLES_MAX || shape.samples.contains(&sample) {
                continue;
            }
            match read::<S>(shape, &sample) {
                Ok(()) => shape.samples.push(sample),
                Err(Unread::Refused(_)) => {}
                Err(Unread::Panicked(why)) => {
                    found.push(finding(shape, format!("{sample} would not be read, {why}")));
                }
            }
        }
    }
    found
}

fn read<S: EventSets>(shape: &Shape, sample: &Value) -> Result<(), Unread> {
    let data = sample.to_string();
    let stream = StreamName::new("sample-1").expect("it is a name");
    let raw = Raw {
        event_type: &shape.event_type,
        version: shape.version,
        content_type: ContentType::Json,
        data: data.as_bytes(),
        position: Position::START,
        stream: &stream,
        id: Uuid::nil(),
        keys: None,
        policy: DecodePolicy::default(),
        only: None,
    };
    match catch_unwind(AssertUnwindSafe(|| S::read(&raw))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Unread::Refused(error.why.to_string())),
        Err(panic) => Err(Unread::Panicked(said(&*panic))),
    }
}

fn finding(shape: &Shape, what: String) -> Finding {
    Finding {
        event_type: shape.event_type.clone(),
        version: shape.version,
        field: String::new(),
        what,
        safe:
            "an `Upcast` (or `ReadAs`) that takes every fact of this version; or take the sample \
               out, where it was written by hand and there never was such a fact"
                .to_owned(),
    }
}
