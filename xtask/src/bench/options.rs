//! The command line of `cargo xtask bench`.

use std::{error::Error, path::PathBuf};

use super::{peers, plan};

pub(super) const USAGE: &str = "\
Usage: cargo xtask bench [OPTIONS]

  --peers A,B      only these event stores (all)
  --workloads A,B  only these loads (all)
  --runs N         rounds, of which the median is shown (5)
  --secs S         seconds of one run (2)
  --large N        events of the large store that is opened (10000000; 0 leaves it out)
  --nice N         priority of stores and loads, as nice has it: -10 on a machine that others use
  --quick          a round of short runs, to see that everything works; nothing is published
  --list           name the stores and the loads
  --page FILE      only make docs/performance.md anew, from a file of results
";

/// What to do.
pub(super) enum Task {
    Help,
    Page(PathBuf),
    Measure(Options),
}

/// How to measure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// Names of peers; empty for all.
    pub(super) peers: Vec<String>,
    /// Names of workloads; empty for all.
    pub(super) workloads: Vec<String>,
    pub(super) runs: u64,
    pub(super) secs: f64,
    /// Events in the store that is read whole and opened.
    pub(super) events: u64,
    /// Events in the large store that is opened.
    pub(super) large: u64,
    /// Priority, as `nice` has it; what is below 0 is for root.
    pub(super) nice: i32,
    pub(super) quick: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            workloads: Vec::new(),
            runs: 5,
            secs: 2.0,
            events: 1_000_000,
            large: 10_000_000,
            nice: 0,
            quick: false,
        }
    }
}

impl Options {
    /// One short round.
    fn quick(self) -> Self {
        Self { runs: 1, secs: 0.3, events: 20_000, large: 50_000, quick: true, ..self }
    }
}

/// Reads the arguments.
pub(super) fn parse(arguments: &[String]) -> Result<Task, Box<dyn Error>> {
    let mut options = Options::default();
    if arguments.iter().any(|argument| argument == "--quick") {
        options = options.quick();
    }
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--help" | "-h" => return Ok(Task::Help),
            "--list" => {
                list();
                return Ok(Task::Help);
            }
            "--quick" => continue,
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n\n{USAGE}"))?;
        match name.as_str() {
            "--peers" => options.peers = chosen(value, &peers::names())?,
            "--workloads" => options.workloads = chosen(value, &plan::names())?,
            "--runs" => options.runs = number(name, value)?,
            "--secs" => options.secs = number(name, value)?,
            "--nice" => options.nice = number(name, value)?,
            "--large" => options.large = number(name, value)?,
            "--page" => return Ok(Task::Page(PathBuf::from(value))),
            _ => return Err(format!("no such option: {name}\n\n{USAGE}").into()),
        }
    }
    if options.runs == 0 || options.secs <= 0.0 {
        return Err("--runs and --secs are more than nothing".into());
    }
    Ok(Task::Measure(options))
}

fn list() {
    println!("stores: {}", peers::names().join(", "));
    println!("loads:  {}\n", plan::names().join(", "));
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Box<dyn Error>> {
    value.parse().map_err(|_| format!("{name} is a number, not {value}").into())
}

/// Those of a list; the error names what there is.
fn chosen(list: &str, known: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let check = |name: &str| match known.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("there is no {name}; there are {}", known.join(", ")).into()),
    };
    list.split(',').map(check).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parse(&arguments) {
            Ok(Task::Measure(options)) => Ok(options),
            Ok(_) => Err("no measurement".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn options_are_read_in_any_order() {
        let read = options("--secs 1.5 --quick --peers umadb,redb").unwrap();
        assert_eq!((read.secs, read.runs, read.quick), (1.5, 1, true));
        assert_eq!(read.peers, ["umadb", "redb"]);
        assert_eq!(options("").unwrap(), Options::default());
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_there_is() {
        assert!(options("--peers mongo").unwrap_err().contains("umadb"));
        assert!(options("--workloads sing").unwrap_err().contains("subscribe"));
        assert!(options("--runs many").unwrap_err().contains("--runs is a number"));
        assert!(options("--runs 0").unwrap_err().contains("more than nothing"));
        assert!(options("--runs").unwrap_err().contains("needs a value"));
        assert!(options("--fast 1").unwrap_err().contains("no such option"));
    }
}
