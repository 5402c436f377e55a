//! The real event logs, and what is in them: counted by plain scans, not by our readers.

use super::support::{root, skipped};
use flate2::read::MultiGzDecoder;
use std::{collections::BTreeMap, fs::File, io::Read, path::PathBuf};

/// The files, or a line that says that they are not there.
pub(crate) struct Logs {
    pub(crate) fines: PathBuf,
    pub(crate) helpdesk: PathBuf,
}

pub(crate) const FINES: usize = 390;
pub(crate) const HELPDESK: usize = 21_348;

impl Logs {
    /// `None`, said aloud, where the repository stands alone.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let dir = root().join("../shared/data");
        let logs = Self {
            fines: dir.join("road-traffic-fines-100.csv"),
            helpdesk: dir.join("helpdesk.xes.gz"),
        };
        if logs.fines.is_file() && logs.helpdesk.is_file() {
            return Some(logs);
        }
        skipped(test, "../shared/data is not there");
        None
    }

    pub(crate) fn import_fines(&self) -> Vec<&str> {
        let stream = "fine-{case:concept:name}";
        let file = self.fines.to_str().unwrap();
        vec![
            "import",
            file,
            "--stream",
            stream,
            "--type",
            "{concept:name}",
            "--time",
            "time:timestamp",
        ]
    }

    pub(crate) fn import_helpdesk(&self) -> Vec<&str> {
        let stream = "ticket-{case:concept:name}";
        vec![
            "import",
            self.helpdesk.to_str().unwrap(),
            "--stream",
            stream,
            "--type",
            "{concept:name}",
        ]
    }

    /// Events of each type in the fines: the fourth cell of each line; no cell holds a comma.
    pub(crate) fn fine_types(&self) -> BTreeMap<String, usize> {
        let text = std::fs::read_to_string(&self.fines).unwrap();
        count(text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_owned()))
    }

    /// Events of each type in the help desk: the first name after each `<event>`.
    pub(crate) fn ticket_types(&self) -> BTreeMap<String, usize> {
        let mut text = String::new();
        let file = File::open(&self.helpdesk).unwrap();
        MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        count(text.split("<event>").skip(1).map(|event| {
            let name = event.split("key=\"concept:name\" value=\"").nth(1).unwrap();
            name.split('"').next().unwrap().to_owned()
        }))
    }
}

fn count(types: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    types.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}
