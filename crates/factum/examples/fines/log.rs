//! The log: rows of a CSV file, and the command that each stands for.

use crate::fine::FineCommand;
use factum::app::prelude::*;
use std::{fs, path::PathBuf};

/// A row as it is in the file; columns that are not used here are left alone.
#[derive(Deserialize)]
#[serde(crate = "factum::app::serde")]
struct Line {
    #[serde(rename = "case:concept:name")]
    fine: String,
    #[serde(rename = "concept:name")]
    what: String,
    #[serde(rename = "time:timestamp")]
    at: String,
    amount: Option<f64>,
    expense: Option<f64>,
    #[serde(rename = "paymentAmount")]
    paid: Option<f64>,
}

/// What happened, and when.
pub(crate) struct Entry {
    pub(crate) fine: String,
    pub(crate) what: String,
    pub(crate) on: Timestamp,
    /// What somebody would have asked for; none where nothing follows from it here.
    pub(crate) command: Option<FineCommand>,
}

/// The file that is named, or the real log where it lies beside the repository, or a small one of
/// the repository's own.
pub(crate) fn path() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let real = here.join("../../../shared/data/road-traffic-fines-100.csv");
    match std::env::var_os("FINES_CSV") {
        Some(path) => path.into(),
        None if real.is_file() => real,
        None => here.join("examples/fines/fines.csv"),
    }
}

/// All entries of a file, by time.
pub(crate) fn read(path: &PathBuf) -> Result<Vec<Entry>> {
    let text = fs::read_to_string(path)?;
    let lines = csv::Reader::from_reader(text.as_bytes()).into_deserialize::<Line>();
    let mut entries = lines.map(|line| entry(line?)).collect::<Result<Vec<Entry>>>()?;
    entries.sort_by_key(|entry| entry.on);
    Ok(entries)
}

fn entry(line: Line) -> Result<Entry> {
    let on: Timestamp = line.at.replacen(' ', "T", 1).parse()?;
    let cents = |euros: Option<f64>| (euros.unwrap_or_default() * 100.0).round() as i64;
    let fine = line.fine.clone();
    let command = match line.what.as_str() {
        "Create Fine" => Some(FineCommand::Create { fine, cents: cents(line.amount), on }),
        "Send Fine" => {
            let (what, cents) = ("postage".to_owned(), cents(line.expense));
            Some(FineCommand::Charge { fine, what, cents, on })
        }
        "Add penalty" => Some(FineCommand::Penalise { fine, cents: cents(line.amount), on }),
        "Payment" => Some(FineCommand::Pay { fine, cents: cents(line.paid), on }),
        "Insert Date Appeal to Prefecture" => Some(FineCommand::Appeal { fine, on }),
        _ => None,
    };
    Ok(Entry { fine: line.fine, what: line.what, on, command })
}
