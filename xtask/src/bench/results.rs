//! The lines of a run, as they are kept, and the figures found in them.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use serde_json::{Map, Value, json};

/// Everything that a run of the benchmark measured.
pub(super) struct Results {
    pub(super) machine: Value,
    pub(super) settings: Value,
    /// Why a peer was not measured.
    pub(super) skipped: BTreeMap<String, String>,
    /// As `loadgen` printed them.
    lines: Vec<Value>,
}

/// Which figure: lines with this peer, workload and parameters, and their field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) peer: &'static str,
    pub(super) workload: &'static str,
    /// JSON. What a line has beyond it does not matter.
    pub(super) params: &'static str,
    pub(super) field: &'static str,
}

/// A figure of several runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Figure {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Results {
    pub(super) fn new(machine: Value, skipped: BTreeMap<&'static str, String>) -> Self {
        let skipped = skipped.into_iter().map(|(peer, why)| (peer.to_owned(), why)).collect();
        Self { machine, settings: Value::Null, skipped, lines: Vec::new() }
    }

    /// Adds what a load on a peer printed, or that it failed.
    pub(super) fn add(
        &mut self,
        lines: Result<Vec<Value>, Box<dyn Error>>,
        (load, peer): (&str, &str),
    ) {
        match lines {
            Ok(lines) => self.lines.extend(lines),
            Err(error) => {
                println!("failed: {load}: {peer}: {error}");
                let error = error.to_string();
                self.lines.push(json!({ "peer": peer, "workload": load, "error": error }));
            }
        }
    }

    /// What failed.
    pub(super) fn errors(&self) -> Vec<String> {
        let error = |line: &Value| {
            let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or("?");
            line.get("error")
                .map(|_| format!("{}: {}: {}", field("workload"), field("peer"), field("error")))
        };
        self.lines.iter().filter_map(error).collect()
    }

    /// The figure, where there are lines with it.
    pub(super) fn figure(&self, key: &Key) -> Option<Figure> {
        let params: Value = serde_json::from_str(key.params).ok()?;
        let params = params.as_object()?;
        let is_it = |line: &&Value| {
            line.get("peer").is_some_and(|peer| peer == key.peer)
                && line.get("workload").is_some_and(|workload| workload == key.workload)
                && line.get("params").and_then(Value::as_object).is_some_and(|has| all(params, has))
        };
        let values = self.lines.iter().filter(is_it).filter_map(|line| line.get(key.field));
        Figure::of(values.filter_map(Value::as_f64).collect())
    }

    /// `DATE-MACHINE.json`.
    pub(super) fn file_name(&self) -> String {
        let field = |name: &str| self.machine.get(name);
        let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or("unknown");
        let cores = field("cores").and_then(Value::as_u64).unwrap_or(0);
        let slug = |word: char| if word.is_ascii_alphanumeric() { word } else { '-' };
        let cpu = text("cpu").to_lowercase().chars().map(slug).collect::<String>();
        let cpu = cpu.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        format!("{}-{cpu}-{cores}-cores.json", text("date"))
    }

    /// A line a measured line, so that a change of one is a change of one.
    pub(super) fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let lines: Vec<String> = self.lines.iter().map(Value::to_string).collect();
        let (machine, settings, lines) = (&self.machine, &self.settings, lines.join(",\n"));
        let skipped = json!(self.skipped);
        let head = format!("\"machine\": {machine},\n\"settings\": {settings}");
        let text = format!("{{\n{head},\n\"skipped\": {skipped},\n\"lines\": [\n{lines}\n]\n}}\n");
        Ok(fs::write(path, text)?)
    }

    pub(super) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let mut value: Value = serde_json::from_str(&text?)?;
        let mut take = |name: &str| value.get_mut(name).map(Value::take).unwrap_or_default();
        let (machine, settings, skipped) = (take("machine"), take("settings"), take("skipped"));
        let lines = take("lines");
        let Value::Array(lines) = lines else {
            return Err(format!("{}: no lines", path.display()).into());
        };
        Ok(Self { machine, settings, skipped: serde_json::from_value(skipped)?, lines })
    }
}

fn all(params: &Map<String, Value>, has: &Map<String, Value>) -> bool {
    params.iter().all(|(name, value)| has.get(name) == Some(value))
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = if values.len().is_multiple_of(2) { *values.get(middle - 1)? } else { upper };
        let median = f64::midpoint(lower, upper);
        Some(Self { min: *values.first()?, median, max: *values.last()? })
    }
}

#[cfg(test)]
pub(super) fn results(lines: &[Value]) -> Results {
    let machine = json!({ "date": "2026-01-31", "cpu": "AMD EPYC (R) 9", "cores": 2 });
    Results { machine, settings: Value::Null, skipped: BTreeMap::new(), lines: lines.to_vec() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(peer: &str, rate: u64) -> Value {
        json!({"peer": peer, "workload": "append", "params": {"clients": 1, "batch": 1}, "r": rate})
    }

    const KEY: Key = Key { peer: "a", workload: "append", params: r#"{"clients":1}"#, field: "r" };

    #[test]
    fn a_figure_is_the_median_of_its_lines() {
        let all = results(&[line("a", 5), line("b", 900), line("a", 1), line("a", 3)]);
        let figure = all.figure(&KEY).unwrap();
        assert_eq!(figure, Figure { min: 1.0, median: 3.0, max: 5.0 });
        let two = results(&[line("a", 5), line("a", 2)]).figure(&KEY).unwrap();
        assert_eq!(two.median, 3.5);
        assert_eq!(all.figure(&Key { params: r#"{"clients":2}"#, ..KEY }), None);
        assert_eq!(all.figure(&Key { field: "none", ..KEY }), None);
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let mut all = results(&[line("a", 5)]);
        all.add(Err("no server".into()), ("append", "b"));
        all.skipped.insert("c".to_owned(), "not installed".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(all.file_name());
        all.write(&path).unwrap();
        assert!(path.ends_with("2026-01-31-amd-epyc-r-9-2-cores.json"));
        let read = Results::read(&path).unwrap();
        assert_eq!((&read.lines, &read.skipped), (&all.lines, &all.skipped));
        assert_eq!(read.errors(), ["append: b: no server"]);
    }
}
