//! A broker that outlives whoever publishes: a file, for tests in which processes are killed.

use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// The ids of messages, a line each, appended with one write. What is in the file was confirmed, or
/// its confirmation was lost.
#[derive(Debug)]
pub struct FileBroker(File);

impl FileBroker {
    /// The broker in a file, made where it is missing.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn open(file: &Path) -> io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(file).map(Self)
    }

    /// The numbers that came for each key, each when it came first, of ids `KEY-NUMBER`; and how
    /// many came again.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or another id is in it.
    pub fn came(file: &Path) -> io::Result<(BTreeMap<String, Vec<i64>>, usize)> {
        let (mut came, mut again) = (BTreeMap::<String, Vec<i64>>::new(), 0);
        for line in std::fs::read_to_string(file)?.lines() {
            let number = line.split_once('-').map(|(key, number)| (key, number.parse()));
            let Some((key, Ok(number))) = number else {
                return Err(io::Error::other(format!("`{line}` is no KEY-NUMBER")));
            };
            let numbers = came.entry(key.to_owned()).or_default();
            match numbers.contains(&number) {
                true => again += 1,
                false => numbers.push(number),
            }
        }
        Ok((came, again))
    }
}

impl Publisher for FileBroker {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let write = |one: &Outgoing| {
                let line = format!("{}\n", one.message.id);
                let written = (&self.0).write_all(line.as_bytes());
                written.map_err(|error| PublishError::Unknown { why: error.to_string() })
            };
            batch.iter().map(write).collect()
        })
    }
}
