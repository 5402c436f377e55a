//! `docs/performance.md`: made from the results, except for the notes, which are written by hand
//! between their marks and kept.

use std::{collections::BTreeMap, error::Error, fmt::Write, fs, path::Path};

use serde_json::Value;

use super::{
    peers::{self, PEERS},
    results::{Figure, Key, Results},
    table::{Column, GROUPS, Group},
};

/// Where the page is, below the root.
pub(super) const PATH: &str = "docs/performance.md";

const NOTE: &str = "<!-- note: ";
const NOTE_END: &str = "<!-- end of note -->";

/// What is said above the tables.
const INTRODUCTION: &str = "\
Made by `cargo xtask bench` from the lines in [`bench/results`](../bench/results); only the notes
are written by hand. [`bench/README.md`](../bench/README.md) says how each store is used, and where
they differ.

Every figure is the median of the rounds, with the least and the largest in brackets; store follows
store within a round. An event is 256 bytes of JSON; client and server share the machine; every
acknowledgement is durable, but for the bare echo. Machines differ, and the same one does from day
to day: only figures of one run compare.
";

/// Writes the page; the notes of the one that is there are kept.
pub(super) fn write(path: &Path, results: &Results) -> Result<(), Box<dyn Error>> {
    let notes = notes(&fs::read_to_string(path).unwrap_or_default());
    Ok(fs::write(path, page(results, &notes))?)
}

/// The notes of a page, by the name of their figure.
fn notes(page: &str) -> BTreeMap<String, String> {
    let parts = page.split(NOTE).skip(1);
    let note = |part: &str| {
        let (name, rest) = part.split_once(" -->")?;
        let (text, _) = rest.split_once(NOTE_END)?;
        Some((name.to_owned(), text.trim().to_owned()))
    };
    parts.filter_map(note).filter(|(_, text)| !text.is_empty()).collect()
}

fn page(results: &Results, notes: &BTreeMap<String, String>) -> String {
    let mut page = format!("# Performance\n\n{INTRODUCTION}\n{}\n", machine(results));
    page.push_str(&targets(results));
    for group in GROUPS {
        page.push_str(&figures(group, results));
    }
    page.push_str("## Notes\n");
    for column in GROUPS.iter().flat_map(|group| group.columns) {
        let text = notes.get(column.id).map(String::as_str).unwrap_or_default();
        let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
        page.push_str(&format!("\n{NOTE}{} -->\n{text}{NOTE_END}\n", column.id));
    }
    page
}

fn machine(results: &Results) -> String {
    let machine = |name: &str| plain(results.machine.get(name));
    let setting = |name: &str| plain(results.settings.get(name));
    let mut text = format!(
        "Measured {} at commit {}: {}, {} cores, {} GiB; {}, {} on {}; rounds: {}, {} s a run.\n",
        machine("date"),
        machine("commit"),
        machine("cpu"),
        machine("cores"),
        machine("memory_gib"),
        machine("kernel"),
        machine("file_system"),
        machine("disk"),
        setting("runs"),
        setting("secs"),
    );
    let load = Key { peer: "machine", workload: "load", params: "{}", field: "load" };
    if let Some(load) = results.figure(&load) {
        let load = cell(Some(load));
        let _ = writeln!(text, "Load average before the rounds, others included: {load}.");
    }
    for (peer, why) in &results.skipped {
        let _ = writeln!(text, "\nNot measured: {peer} ({}).", why.lines().next().unwrap_or(""));
    }
    for error in results.errors() {
        let _ = writeln!(text, "\nFailed: {}.", error.lines().next().unwrap_or(""));
    }
    text
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "?".to_owned(),
    }
}

/// The table of what was claimed, and what came of it.
fn targets(results: &Results) -> String {
    let mut text =
        "## Targets\n\n| load | | target | found | |\n|---|---|---|--:|---|\n".to_owned();
    for group in GROUPS {
        for column in group.columns {
            for claim in column.claims {
                let Some(verdict) = column.verdict(claim, results) else { continue };
                let outcome = match (verdict.hit, claim.stretch) {
                    (true, _) => "hit",
                    (false, true) => "not reached (a stretch)",
                    (false, false) => "**missed**",
                };
                let (title, ours) = (column.title, title(claim.ours));
                let found = number(verdict.found);
                let _ = writeln!(
                    text,
                    "| {}: {title} | {ours} | {} | {found} | {outcome} |",
                    group.title, verdict.target
                );
            }
        }
    }
    text.push('\n');
    text
}

fn title(peer: &str) -> &'static str {
    PEERS.iter().find(|one| one.name == peer).map_or("", |peer| peer.title)
}

/// A group's table: a line a peer that was measured, and one for the machine.
fn figures(group: &Group, results: &Results) -> String {
    let mut text = format!("## {}\n\n{}\n\n|", group.title, group.about);
    group.columns.iter().for_each(|column| _ = write!(text, " | {}", column.title));
    text.push_str(" |\n|---");
    group.columns.iter().for_each(|_| text.push_str("|--:"));
    text.push_str("|\n");
    let measured = |peer: &&&'static str| {
        group.columns.iter().any(|column| results.figure(&column.key(peer)).is_some())
    };
    for peer in group.peers.iter().filter(measured) {
        let cell = |column: &Column| cell(results.figure(&column.key(peer)));
        line(&mut text, peers::peer(peer).map_or("", |peer| peer.title), group, &cell);
    }
    if group.columns.iter().any(|column| column.limit.is_some()) {
        let cell = |column: &Column| {
            let Some((name, key)) = column.limit else { return String::new() };
            format!("{} {}", name, cell(results.figure(&key)))
        };
        line(&mut text, "*the machine*", group, &cell);
    }
    text.push('\n');
    text
}

fn line(text: &mut String, title: &str, group: &Group, cell: &dyn Fn(&Column) -> String) {
    let cells: Vec<String> = group.columns.iter().map(cell).collect();
    let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
}

fn cell(figure: Option<Figure>) -> String {
    let Some(Figure { min, median, max }) = figure else { return "–".to_owned() };
    if min == max {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(min), number(max))
}

/// Three digits that count, and commas between thousands.
fn number(value: f64) -> String {
    if value < 100.0 {
        let digits = if value < 1.0 { 3 } else { 2 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::results::results;
    use super::*;
    use serde_json::json;

    fn line(peer: &str, rate: u64) -> Value {
        json!({"peer": peer, "workload": "append", "params": {"clients": 16, "batch": 1},
               "events_per_s": rate})
    }

    #[test]
    fn a_page_shows_figures_and_what_was_missed() {
        let lines = [line("factum-v1-unary", 12_000), line("umadb", 10_000), line("umadb", 9_000)];
        let page = page(&results(&lines), &BTreeMap::new());
        let missed = "| Appends through a server: 16 clients | Factum (unary call) \
                      | ≥ 1.5 × UmaDB | 1.26 | **missed** |";
        assert!(page.contains(missed), "{page}");
        assert!(page.contains("| UmaDB | – | 9,500 (9,000–10,000) | – |"), "{page}");
        assert!(!page.contains("| Tephra | – "), "who was not measured has no line: {page}");
    }

    #[test]
    fn notes_are_kept_when_the_page_is_made_anew() {
        let first = page(&results(&[]), &BTreeMap::new());
        assert!(notes(&first).is_empty());
        let mark = format!("{NOTE}server-16 -->\n");
        let noted = first.replace(&mark, &format!("{mark}Time goes to the socket.\n\n- tried x\n"));
        assert_ne!(noted, first);
        let again = page(&results(&[line("umadb", 7)]), &notes(&noted));
        assert!(again.contains("Time goes to the socket.\n\n- tried x\n<!-- end"), "{again}");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        let cases = [
            (1_234_567.8, "1,234,568"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (12.345, "12.35"),
            (0.0152, "0.015"),
        ];
        for (value, expect) in cases {
            assert_eq!(number(value), expect);
        }
    }
}
