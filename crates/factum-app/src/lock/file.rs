//! The lock file: what it holds, how it is read and written.

use super::{canonical::canonical, finding::Findings};
use crate::event::{EventInfo, Members};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{io, path::Path};

/// The form of the file that this release writes.
const FORMAT: u32 = 1;
const ABOUT: &str = "The shape of every event ever released. Checked in; written by \
                     `FACTUM_LOCK=update cargo test`; by hand only further samples.";

/// The shape of one version of an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Its name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its version.
    pub version: u32,
    /// Whether it is what is written today.
    pub current: bool,
    /// The keys of its tags.
    pub tags: Vec<String>,
    /// Which stream it goes to: `order-{order}`.
    pub stream: String,
    /// The JSON Schema of its payload, in canonical form.
    pub schema: Value,
    /// Payloads of it. They stay as they were when it was locked, and every later release reads
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Value>,
}

/// A lock file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    about: String,
    format: u32,
    /// Every version of every event, by name and version.
    pub events: Vec<Shape>,
}

/// Why a lock file does not say yes.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum LockError {
    /// There is none yet.
    #[error("{path} does not exist: `FACTUM_LOCK=update cargo test` writes it; then check it in")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// It could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is no lock file. Take the one of the last commit, and update it.
    #[error("{path} is damaged, {what}: {cure}")]
    Damaged {
        /// Which file.
        path: String,
        /// Where, and what is wrong.
        what: String,
        /// What to do.
        cure: &'static str,
    },
    /// It was written by a newer release of Factum. Update Factum here.
    #[error("{path} has format {found}, and this release knows {FORMAT}: update Factum")]
    Newer {
        /// Which file.
        path: String,
        /// Its format.
        found: u32,
    },
    /// A change would make old facts unreadable. Nothing was written.
    #[error(
        "facts that are in stores could not be read any more:{findings}\n  \
         Was a shape never released? Take its entry out of {path}, and update."
    )]
    Breaking {
        /// Which file.
        path: String,
        /// What is wrong, and what would be safe.
        findings: Findings,
    },
    /// The code has shapes that the file does not know, all of them safe.
    #[error(
        "{path} does not know {}: `FACTUM_LOCK=update cargo test` writes it; then check it in",
        .new.join(", ")
    )]
    Outdated {
        /// Which file.
        path: String,
        /// What is new.
        new: Vec<String>,
    },
}

impl Shape {
    fn of(info: &EventInfo, current: bool) -> Self {
        Self {
            event_type: info.event_type.to_owned(),
            version: info.version,
            current,
            tags: info.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            stream: info.stream.to_string(),
            schema: canonical((info.schema)().as_value()),
            samples: Vec::new(),
        }
    }

    /// `order.placed version 1`
    pub(super) fn name(&self) -> String {
        format!("{} version {}", self.event_type, self.version)
    }
}

impl Lock {
    /// The shapes that the code has today: every version of every member, its history too.
    #[must_use]
    pub fn of(sets: &[&'static Members]) -> Self {
        let mut events: Vec<Shape> = Vec::new();
        for set in sets {
            let current = set.current();
            for info in set.list() {
                let is_current = current
                    .iter()
                    .any(|one| (one.event_type, one.version) == (info.event_type, info.version));
                events.push(Shape::of(info, is_current));
                let mut old = info.old;
                while let Some(info) = old {
                    events.push(Shape::of(info, false));
                    old = info.old;
                }
            }
        }
        Self::with(events)
    }

    /// In order, each once; the newest that is written is the current one.
    pub(super) fn with(mut events: Vec<Shape>) -> Self {
        let key = |one: &Shape| (one.event_type.clone(), one.version, !one.current);
        events.sort_by_key(key);
        events.dedup_by_key(|one| (one.event_type.clone(), one.version));
        let newest: Vec<_> = events.iter().filter(|one| one.current).map(Shape::key).collect();
        for one in &mut events {
            let (name, version) = one.key();
            one.current &= !newest.iter().any(|(other, newer)| *other == name && *newer > version);
        }
        Self { about: ABOUT.to_owned(), format: FORMAT, events }
    }

    /// Its text.
    ///
    /// # Panics
    ///
    /// Never: names and numbers become JSON.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names and numbers become JSON");
        text.push('\n');
        text
    }

    /// From the text of a file; the path is for the errors.
    ///
    /// # Errors
    ///
    /// It is damaged, or of a newer release.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let path = path.display().to_string();
        let marks = ["<<<<<<<", ">>>>>>>", "======="];
        if let Some(at) = text.lines().position(|line| marks.iter().any(|m| line.starts_with(m))) {
            let what = format!("line {} is a mark of a merge", at + 1);
            let cure = "keep the entries of both sides, take the marks out, and update it";
            return Err(LockError::Damaged { path, what, cure });
        }
        let cure = "take it as it was last checked in, and update it with `FACTUM_LOCK=update`";
        let damaged = |what: String| LockError::Damaged { path: path.clone(), what, cure };
        let value: Value =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        match value.get("format").and_then(Value::as_u64) {
            Some(1) => {}
            Some(found) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(LockError::Newer { path, found });
            }
            None => return Err(damaged("it does not say its `format`".to_owned())),
        }
        let lock: Self =
            serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let twice = lock.events.windows(2).find(|pair| match pair {
            [one, next] => one.key() >= next.key(),
            _ => false,
        });
        if let Some([_, next]) = twice {
            return Err(damaged(format!("{} is there twice or out of order", next.name())));
        }
        Ok(lock)
    }

    /// From a file.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, it is damaged, or of a newer release.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            let path = path.display().to_string();
            match source.kind() {
                io::ErrorKind::NotFound => LockError::Missing { path },
                _ => LockError::Io { path, source },
            }
        })?;
        Self::parse(&text, path)
    }

    /// The shape of a version of an event.
    #[must_use]
    pub fn shape(&self, event_type: &str, version: u32) -> Option<&Shape> {
        self.events.iter().find(|one| one.event_type == event_type && one.version == version)
    }
}

impl Shape {
    fn key(&self) -> (String, u32) {
        (self.event_type.clone(), self.version)
    }
}
