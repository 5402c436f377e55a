//! What was measured, as a table, as JSON, and in plain words. Pure.

use super::{disk::Syncs, load::OfStore, measured::Measured};
use crate::top::{duration, whole};
use serde::Serialize;
use std::io::{self, Write};

/// A sync that takes less has most likely not reached a disk: flash takes longer than this.
const LIE_SECONDS: f64 = 20e-6;
/// From this on, a disk stalls now and then.
const STALL_RATIO: f64 = 20.0;
/// A sync that takes longer is one of a disk that spins, or is shared.
const SLOW_SECONDS: f64 = 4e-3;

/// All figures of one run. The names in JSON are a promise.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    measured: String,
    #[serde(flatten)]
    syncs: Option<Syncs>,
    appends: Vec<Appends>,
    stream_reads: Measured,
    reads_of_everything: Measured,
    verdict: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Appends {
    writers: usize,
    events_per_append: usize,
    #[serde(flatten)]
    measured: Measured,
}

impl Report {
    pub(super) fn of(what: &str, syncs: Option<Syncs>, of_store: OfStore) -> Self {
        let appends = of_store.appends.map(|(shape, measured)| Appends {
            writers: shape.writers,
            events_per_append: shape.events,
            measured,
        });
        Self {
            measured: what.to_owned(),
            verdict: verdict(syncs.as_ref(), &appends),
            syncs,
            appends: appends.to_vec(),
            stream_reads: of_store.pages,
            reads_of_everything: of_store.everything,
        }
    }

    /// The table, and what it means.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:34} {:>11} {:>11} {:>9} {:>9}", "", "a second", "events/s", "p50", "p99")?;
        if let Some(Syncs { zero_filled, growing }) = &self.syncs {
            line(out, "write and sync, over zeroes", zero_filled)?;
            line(out, "write and sync, file that grows", growing)?;
        }
        for one in &self.appends {
            let s = if one.writers == 1 { "" } else { "s" };
            let events = match one.events_per_append {
                1 => String::new(),
                events => format!(", {events} events each"),
            };
            line(out, &format!("appends, {} writer{s}{events}", one.writers), &one.measured)?;
        }
        line(out, "reads of a stream, 20 events", &self.stream_reads)?;
        let everything = &self.reads_of_everything;
        let events = whole(Some(everything.events_per_second));
        writeln!(out, "{:34} {:>11} {events:>11}", "reads of everything", "")?;
        writeln!(out)?;
        self.verdict.iter().try_for_each(|sentence| writeln!(out, "{sentence}"))
    }
}

fn line(out: &mut impl Write, what: &str, measured: &Measured) -> io::Result<()> {
    let events = match measured.events_per_second {
        events if events > 0.0 => whole(Some(events)),
        _ => String::new(),
    };
    let (p50, p99) = (duration(measured.p50_seconds), duration(measured.p99_seconds));
    writeln!(
        out,
        "{what:34} {:>11} {events:>11} {p50:>9} {p99:>9}",
        whole(Some(measured.per_second))
    )
}

fn verdict(syncs: Option<&Syncs>, appends: &[Appends]) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(syncs) = syncs {
        said.extend(of_disk(syncs));
    }
    let most = appends.iter().map(|one| one.measured.events_per_second).fold(0.0, f64::max);
    let one = appends.first().map_or(0.0, |one| one.measured.per_second);
    said.push(format!(
        "A store here takes {} appends a second from one client, and up to {} events a second.",
        whole(Some(one)),
        whole(Some(most))
    ));
    let shared =
        appends.iter().filter(|one| one.writers > 1).filter_map(|one| one.measured.per_sync);
    let shared = shared.fold(0.0, f64::max);
    if shared >= 2.0 {
        said.push(format!(
            "Many clients share syncs: up to {shared:.0} appends on one, so more clients cost \
             little."
        ));
    }
    said
}

fn of_disk(syncs: &Syncs) -> Vec<String> {
    let Measured { per_second, p50_seconds, p99_seconds, .. } = syncs.zero_filled;
    let mut said =
        vec![format!("This disk makes {} writes a second durable.", whole(Some(per_second)))];
    let took = duration(p50_seconds);
    if p50_seconds < LIE_SECONDS {
        said.push(format!(
            "WARNING: a sync that takes {took} has hardly reached a disk: it is memory (tmpfs), or \
             a cache that lies. What is acknowledged here may be gone after a power cut."
        ));
    } else if p50_seconds > SLOW_SECONDS {
        said.push(format!(
            "One takes {took}: a disk that spins, or one that is shared; flash of its own takes \
             0.1 to 2 ms."
        ));
    }
    if p99_seconds > p50_seconds * STALL_RATIO {
        said.push(format!(
            "It stalls: one write in a hundred takes {} or more.",
            duration(p99_seconds)
        ));
    }
    let gain = per_second / syncs.growing.per_second.max(1e-9);
    if gain >= 1.2 {
        said.push(format!(
            "Writing over zeroes, as the engine does, is {gain:.1} times as fast here as growing \
             a file."
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Shape;

    fn measured(per_second: f64, p50_seconds: f64, p99_seconds: f64) -> Measured {
        let (count, per_sync) = (1, None);
        Measured { per_second, events_per_second: 0.0, p50_seconds, p99_seconds, count, per_sync }
    }

    fn report(zero_filled: Measured, growing: Measured) -> Report {
        let appends = |writers, events, per_sync| {
            let events_per_second = 1_000.0 * events as f64;
            let of = Measured { events_per_second, per_sync, ..measured(1_000.0, 0.001, 0.002) };
            (Shape { writers, events }, of)
        };
        let appends = [
            appends(1, 1, Some(1.0)),
            appends(16, 1, Some(12.0)),
            appends(64, 1, Some(40.0)),
            appends(1, 100, None),
        ];
        let (pages, everything) = (measured(1.0, 0.1, 0.2), measured(1.0, 1.0, 1.0));
        let of_store = OfStore { appends, pages, everything };
        Report::of("/disk", Some(Syncs { zero_filled, growing }), of_store)
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_good_disk_is_told_in_figures_and_in_words() {
        let said =
            text(&report(measured(9_500.0, 0.000_1, 0.000_3), measured(3_000.0, 0.0003, 0.001)));
        for part in [
            "write and sync, over zeroes              9,500                100 µs    300 µs",
            "appends, 1 writer, 100 events each       1,000     100,000    1.0 ms    2.0 ms",
            "This disk makes 9,500 writes a second durable.",
            "is 3.2 times as fast here as growing a file",
            "takes 1,000 appends a second from one client, and up to 100,000 events a second",
            "up to 40 appends on one",
        ] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
        assert!(!said.contains("WARNING") && !said.contains("stalls"), "{said}");
    }

    #[test]
    fn a_cache_that_lies_a_slow_disk_and_one_that_stalls_are_named() {
        let lies = text(&report(measured(5e5, 0.000_002, 0.000_003), measured(5e5, 2e-6, 3e-6)));
        assert!(
            lies.contains("WARNING: a sync that takes 2 µs has hardly reached a disk"),
            "{lies}"
        );
        let slow = text(&report(measured(120.0, 0.008, 0.2), measured(120.0, 0.008, 0.01)));
        assert!(
            slow.contains("One takes 8.0 ms") && slow.contains("takes 200.0 ms or more"),
            "{slow}"
        );
    }

    #[test]
    fn json_has_the_names_that_are_documented() {
        let report = report(measured(9_500.0, 0.000_1, 0.000_3), measured(3_000.0, 0.0003, 0.001));
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["zeroFilled"]["perSecond"], 9_500.0);
        assert_eq!(json["appends"][1]["writers"], 16);
        assert_eq!(json["appends"][1]["perSync"], 12.0);
        assert_eq!(json["verdict"][0], "This disk makes 9,500 writes a second durable.");
    }
}
