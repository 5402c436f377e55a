//! What is shown, and what is claimed: one list of figures, each with its targets.
//!
//! A target is a ratio of medians of the same run, or a bound; a missed one is shown as missed.

use super::results::{Figure, Key, Results};

/// A table of the page: figures side by side, a line a peer.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) peers: &'static [&'static str],
    pub(super) columns: &'static [Column],
}

/// A load, and what is measured under it.
pub(super) struct Column {
    /// Its name in the notes of the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) workload: &'static str,
    pub(super) params: &'static str,
    pub(super) field: &'static str,
    /// What the machine allows, and where that was measured.
    pub(super) limit: Option<(&'static str, Key)>,
    pub(super) claims: &'static [Claim],
}

/// What is claimed of one of our figures.
pub(super) struct Claim {
    pub(super) ours: &'static str,
    pub(super) needs: Needs,
    /// Reached for, and no promise.
    pub(super) stretch: bool,
}

pub(super) enum Needs {
    /// So many times the best of these peers under the same load.
    Times(f64, &'static [&'static str]),
    /// So many times the best of these peers under another load.
    TimesOther(f64, &'static [&'static str], (&'static str, &'static str)),
    /// So many times what the machine allows.
    TimesLimit(f64),
    AtMost(f64),
}

const fn times(ours: &'static str, ratio: f64, of: &'static [&'static str]) -> Claim {
    Claim { ours, needs: Needs::Times(ratio, of), stretch: false }
}
const fn at_most(ours: &'static str, bound: f64) -> Claim {
    Claim { ours, needs: Needs::AtMost(bound), stretch: false }
}
const fn of_limit(ours: &'static str, ratio: f64) -> Claim {
    Claim { ours, needs: Needs::TimesLimit(ratio), stretch: false }
}
const fn of_64_clients(ours: &'static str, ratio: f64) -> Claim {
    let load = ("append", r#"{"clients":64,"batch":1}"#);
    Claim { ours, needs: Needs::TimesOther(ratio, SERVERS, load), stretch: false }
}
const fn column(
    id: &'static str,
    title: &'static str,
    (workload, params, field): (&'static str, &'static str, &'static str),
    claims: &'static [Claim],
) -> Column {
    Column { id, title, workload, params, field, limit: None, claims }
}

const SERVERS: &[&str] = &["umadb", "tephra", "postgres", "nats", "redis"];
/// Those that have one order of all events.
const EVENT_STORES: &[&str] = &["umadb", "tephra", "postgres", "nats"];
const RATE: &str = "events_per_s";

const fn machine(workload: &'static str, params: &'static str) -> Key {
    Key { peer: "machine", workload, params, field: RATE }
}

/// Every table, in the order of the page.
pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "In process",
        about: "Events a second, each append durable when it returns.",
        peers: &["factum-embedded", "fjall", "redb", "tephra-embedded"],
        columns: &[
            Column {
                limit: Some(("sync loop", machine("sync", r#"{"batch":1}"#))),
                ..column(
                    "embedded-1",
                    "append, 1 thread",
                    ("append", r#"{"clients":1,"batch":1}"#, RATE),
                    &[of_limit("factum-embedded", 0.8)],
                )
            },
            Column {
                limit: Some(("bare group commit", machine("group", r#"{"threads":64}"#))),
                ..column(
                    "embedded-64",
                    "append, 64 threads",
                    ("append", r#"{"clients":64,"batch":1}"#, RATE),
                    &[times("factum-embedded", 5.0, &["fjall"])],
                )
            },
            Column {
                limit: Some(("sync loop", machine("sync", r#"{"batch":100}"#))),
                ..column(
                    "embedded-100",
                    "100 a commit",
                    ("append", r#"{"clients":1,"batch":100}"#, RATE),
                    &[times("factum-embedded", 2.0, &["fjall"])],
                )
            },
            Column {
                limit: Some(("sync loop", machine("sync", r#"{"batch":1000}"#))),
                ..column(
                    "embedded-1000",
                    "1,000 a commit",
                    ("append", r#"{"clients":1,"batch":1000}"#, RATE),
                    &[times("factum-embedded", 4.0, &["fjall"])],
                )
            },
            Column {
                limit: Some(("log scan", machine("scan", "{}"))),
                ..column(
                    "embedded-stream",
                    "read a stream of 1,000",
                    ("stream", r#"{"len":1000}"#, RATE),
                    &[times("factum-embedded", 1.0, &["redb"])],
                )
            },
            Column {
                limit: Some(("log scan", machine("scan", "{}"))),
                ..column(
                    "embedded-all",
                    "read everything",
                    ("all", "{}", RATE),
                    &[times("factum-embedded", 1.0, &["redb"])],
                )
            },
        ],
    },
    Group {
        title: "Appends through a server",
        about: "Events a second; each client has a connection, a stream and a condition of its \
                own.",
        peers: &[
            "factum-v1-unary",
            "factum-v1",
            "factum-kurrent",
            "factum-dcb",
            "umadb",
            "tephra",
            "postgres",
            "nats",
            "redis",
            "echo",
            "echo-log",
        ],
        columns: &[
            column(
                "server-1",
                "1 client",
                ("append", r#"{"clients":1,"batch":1}"#, RATE),
                &[
                    times("factum-v1-unary", 2.0, &["umadb"]),
                    Claim { stretch: true, ..times("factum-v1-unary", 0.9, &["postgres"]) },
                ],
            ),
            column(
                "server-16",
                "16 clients",
                ("append", r#"{"clients":16,"batch":1}"#, RATE),
                &[
                    times("factum-v1-unary", 1.5, &["umadb"]),
                    times("factum-v1-unary", 1.0, &["echo-log"]),
                ],
            ),
            column(
                "server-64",
                "64 clients",
                ("append", r#"{"clients":64,"batch":1}"#, RATE),
                &[
                    times("factum-v1-unary", 1.5, &["umadb"]),
                    times("factum-v1-unary", 1.0, &["echo-log"]),
                ],
            ),
            column(
                "pipeline-64",
                "one call, 64 in flight",
                ("pipeline", r#"{"window":64}"#, RATE),
                &[of_64_clients("factum-v1", 2.0), of_64_clients("factum-kurrent", 2.0)],
            ),
            column(
                "pipeline-256",
                "one call, 256 in flight",
                ("pipeline", r#"{"window":256}"#, RATE),
                &[of_64_clients("factum-v1", 2.0), of_64_clients("factum-kurrent", 2.0)],
            ),
            column(
                "batch-100",
                "100 a request",
                ("append", r#"{"clients":1,"batch":100}"#, RATE),
                &[times("factum-v1", 1.2, SERVERS)],
            ),
            column(
                "batch-1000",
                "1,000 a request",
                ("append", r#"{"clients":1,"batch":1000}"#, RATE),
                &[times("factum-v1", 1.2, SERVERS)],
            ),
        ],
    },
    Group {
        title: "Reads through a server",
        about: "Events a second of one client.",
        peers: READERS,
        columns: &[
            column(
                "stream-10",
                "a stream of 10",
                ("stream", r#"{"len":10}"#, RATE),
                &[times("factum-v1", 0.8, &["echo"])],
            ),
            column(
                "stream-1000",
                "of 1,000",
                ("stream", r#"{"len":1000}"#, RATE),
                &[times("factum-v1", 1.0, EVENT_STORES)],
            ),
            column(
                "stream-100000",
                "of 100,000",
                ("stream", r#"{"len":100000}"#, RATE),
                &[times("factum-v1", 1.0, EVENT_STORES)],
            ),
            column(
                "all",
                "everything",
                ("all", "{}", RATE),
                &[times("factum-v1", 1.2, EVENT_STORES)],
            ),
        ],
    },
    Group {
        title: "Decisions and subscribers",
        about: "Reading a stream of 20 and appending one to it, a second; milliseconds from an \
                acknowledgement until a live subscriber has the event.",
        peers: READERS,
        columns: &[
            column(
                "aggregate-1",
                "read 20, append 1: 1 client",
                ("aggregate", r#"{"clients":1}"#, "requests_per_s"),
                &[times("factum-v1", 1.2, EVENT_STORES)],
            ),
            column(
                "aggregate-16",
                "16 clients",
                ("aggregate", r#"{"clients":16}"#, "requests_per_s"),
                &[times("factum-v1", 1.2, EVENT_STORES)],
            ),
            column(
                "subscribe-p50",
                "to a subscriber, p50 ms",
                ("subscribe", "{}", "p50_ms"),
                &[at_most("factum-v1", 0.1)],
            ),
            column(
                "subscribe-p99",
                "p99 ms",
                ("subscribe", "{}", "p99_ms"),
                &[at_most("factum-v1", 0.3)],
            ),
        ],
    },
    Group {
        title: "Opening, memory, disk",
        about: "With a cold page cache, from the start of the server (or the opening in process) \
                until an event was read and another one is durable; anonymous memory then.",
        peers: &[
            "factum-v1",
            "factum-embedded",
            "umadb",
            "tephra",
            "postgres",
            "nats",
            "redis",
            "redb",
            "fjall",
            "tephra-embedded",
        ],
        columns: &[
            column(
                "open",
                "open 1 million, ms",
                ("open", r#"{"events":1000000}"#, "first_append_ms"),
                &[at_most("factum-v1", 200.0), at_most("factum-embedded", 200.0)],
            ),
            column(
                "open-memory",
                "MiB",
                ("open", r#"{"events":1000000}"#, "anonymous_mb"),
                &[at_most("factum-v1", 64.0)],
            ),
            column(
                "disk",
                "bytes an event",
                ("disk", r#"{"events":1000000}"#, "bytes_per_event"),
                &[at_most("factum-v1", 320.0)],
            ),
            column(
                "open-large",
                "open 10 million, ms",
                ("open", r#"{"events":10000000}"#, "first_append_ms"),
                &[at_most("factum-v1", 1000.0)],
            ),
            column(
                "open-large-memory",
                "MiB",
                ("open", r#"{"events":10000000}"#, "anonymous_mb"),
                &[at_most("factum-v1", 64.0)],
            ),
            column(
                "disk-large",
                "bytes an event",
                ("disk", r#"{"events":10000000}"#, "bytes_per_event"),
                &[at_most("factum-v1", 320.0)],
            ),
        ],
    },
];

const READERS: &[&str] = &[
    "factum-v1",
    "factum-kurrent",
    "factum-dcb",
    "umadb",
    "tephra",
    "postgres",
    "nats",
    "redis",
    "echo",
];

/// What came of a claim.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// What was claimed, in words: `≥ 2 × UmaDB`.
    pub(super) target: String,
    /// What was found: the ratio, or the figure itself.
    pub(super) found: f64,
    pub(super) hit: bool,
}

impl Column {
    pub(super) fn key(&self, peer: &'static str) -> Key {
        Key { peer, workload: self.workload, params: self.params, field: self.field }
    }

    /// What came of a claim; nothing where a figure for it is missing.
    pub(super) fn verdict(&self, claim: &Claim, results: &Results) -> Option<Verdict> {
        let ours = results.figure(&self.key(claim.ours))?.median;
        let (ratio, name, other) = match &claim.needs {
            Needs::AtMost(bound) => {
                let target = format!("≤ {bound}");
                return Some(Verdict { target, found: ours, hit: ours <= *bound });
            }
            Needs::TimesLimit(ratio) => {
                let (name, key) = self.limit?;
                (*ratio, name, results.figure(&key)?)
            }
            Needs::Times(ratio, peers) => {
                let (name, best) = best(peers, results, &|peer| self.key(peer))?;
                (*ratio, name, best)
            }
            Needs::TimesOther(ratio, peers, (workload, params)) => {
                let key = |peer| Key { peer, workload, params, field: self.field };
                let (name, best) = best(peers, results, &key)?;
                (*ratio, name, best)
            }
        };
        let found = ours / other.median;
        Some(Verdict { target: format!("≥ {ratio} × {name}"), found, hit: found >= ratio })
    }
}

/// The best of these peers, by name.
fn best(
    peers: &[&'static str],
    results: &Results,
    key: &dyn Fn(&'static str) -> Key,
) -> Option<(&'static str, Figure)> {
    let figures = peers.iter().filter_map(|peer| {
        let title = super::peers::peer(peer)?.title;
        Some((title, results.figure(&key(peer))?))
    });
    figures.max_by(|one, other| one.1.median.total_cmp(&other.1.median))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{peers::peer, plan::WORKLOADS, results::results};
    use super::*;
    use serde_json::{Value, json};

    fn line(peer: &str, workload: &str, rate: f64) -> Value {
        json!({ "peer": peer, "workload": workload, "params": {"clients": 1, "batch": 1},
                "events_per_s": rate })
    }

    fn column_of(id: &str) -> &'static Column {
        GROUPS.iter().flat_map(|group| group.columns).find(|column| column.id == id).unwrap()
    }

    #[test]
    fn a_ratio_is_taken_to_the_best_of_the_same_load() {
        let lines = [
            line("factum-v1", "append", 300.0),
            line("umadb", "append", 100.0),
            line("tephra", "append", 200.0),
            line("tephra", "other", 900.0),
        ];
        let (column, claim) = (column_of("server-1"), times("factum-v1", 1.6, SERVERS));
        let verdict = column.verdict(&claim, &results(&lines)).unwrap();
        assert_eq!(verdict.target, "≥ 1.6 × Tephra");
        assert!(!verdict.hit && verdict.found == 1.5);
        let claim = times("factum-v1", 1.5, SERVERS);
        assert!(column.verdict(&claim, &results(&lines)).unwrap().hit);
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        let (column, claim) = (column_of("server-1"), times("factum-v1", 1.0, &["umadb"]));
        assert_eq!(column.verdict(&claim, &results(&[line("umadb", "append", 1.0)])), None);
        assert_eq!(column.verdict(&claim, &results(&[line("factum-v1", "append", 1.0)])), None);
    }

    #[test]
    fn a_bound_and_the_machine_are_compared_with() {
        let line = json!({"peer": "factum-v1", "workload": "subscribe", "params": {},
                          "p50_ms": 0.2});
        let column = column_of("subscribe-p50");
        let verdict = column.verdict(&column.claims[0], &results(&[line])).unwrap();
        assert_eq!(verdict, Verdict { target: "≤ 0.1".to_owned(), found: 0.2, hit: false });
        let lines = [
            json!({"peer": "factum-embedded", "workload": "append",
                   "params": {"clients": 1, "batch": 1}, "events_per_s": 90}),
            json!({"peer": "machine", "workload": "sync", "params": {"batch": 1},
                   "events_per_s": 100}),
        ];
        let column = column_of("embedded-1");
        let verdict = column.verdict(&column.claims[0], &results(&lines)).unwrap();
        assert_eq!((verdict.found, verdict.hit), (0.9, true));
    }

    #[test]
    fn what_is_shown_is_measured() {
        for group in GROUPS {
            for column in group.columns {
                let claimed = column.claims.iter().map(|claim| claim.ours);
                for name in group.peers.iter().copied().chain(claimed) {
                    assert!(peer(name).is_some(), "{name}");
                }
                let measured = |load: &super::super::plan::Workload| {
                    load.command.first() == Some(&column.workload) || column.workload == "disk"
                };
                assert!(WORKLOADS.iter().any(measured), "{}", column.id);
            }
        }
        let mut ids: Vec<_> = GROUPS.iter().flat_map(|group| group.columns).map(|c| c.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
