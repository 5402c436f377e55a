//! Two looks at a server's statistics, and what happened between them. Pure.
//!
//! A number that a server does not tell is `None`, and so is a rate across a restart: nothing is
//! made up.

use crate::time::{now, rfc3339};
use factum::{Histogram, Statistics, Subscriber};
use serde::Serialize;
use tokio::time::Instant;

/// What a server told, and when it was asked.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) statistics: Statistics,
}

/// What happened between two looks. As JSON, for scripts: the names are a promise.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) seconds: f64,
    pub(super) head_position: Option<f64>,
    pub(super) segments: Option<f64>,
    pub(super) segment_bytes: Option<f64>,
    pub(super) read_only: Option<bool>,
    pub(super) replica_lag_positions: Option<f64>,
    pub(super) replica_lag_seconds: Option<f64>,
    pub(super) replica_connected: Option<bool>,
    pub(super) appends_per_second: Option<f64>,
    pub(super) events_per_second: Option<f64>,
    pub(super) log_bytes_per_second: Option<f64>,
    pub(super) groups_per_second: Option<f64>,
    pub(super) appends_per_sync: Option<f64>,
    pub(super) refused_per_second: Option<f64>,
    pub(super) overloaded_per_second: Option<f64>,
    pub(super) reads_per_second: Option<f64>,
    pub(super) events_read_per_second: Option<f64>,
    pub(super) append_seconds: Option<Spread>,
    pub(super) sync_seconds: Option<Spread>,
    pub(super) read_seconds: Option<Spread>,
    pub(super) queued_appends: Option<f64>,
    pub(super) queued_bytes: Option<f64>,
    pub(super) queued_reads: Option<f64>,
    pub(super) connections: Option<f64>,
    pub(super) calls: Option<f64>,
    pub(super) server_refused_per_second: Option<f64>,
    pub(super) subscribers: Vec<Follows>,
}

/// How values are spread.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// A subscriber, and how fast it is served.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Follows {
    pub(super) protocol: String,
    pub(super) peer: String,
    pub(super) selects: String,
    pub(super) since: String,
    pub(super) since_seconds: f64,
    pub(super) position: u64,
    pub(super) lag_events: u64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) events_per_second: Option<f64>,
}

/// Two looks side by side.
struct Pair<'a> {
    earlier: &'a Statistics,
    later: &'a Statistics,
    seconds: f64,
}

impl Pair<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        self.later.get(name)
    }

    /// How much a counter grew; `None` where it went back, as after a restart.
    fn growth(&self, name: &str) -> Option<f64> {
        let growth = self.later.get(name)? - self.earlier.get(name)?;
        (growth >= 0.0).then_some(growth)
    }

    fn rate(&self, name: &str) -> Option<f64> {
        self.growth(name).map(|growth| growth / self.seconds)
    }

    fn values(&self, name: &str) -> Option<Histogram> {
        let (earlier, later) = (self.earlier.histogram(name), self.later.histogram(name)?);
        Some(earlier.map_or_else(|| later.clone(), |earlier| later.since(earlier)))
    }

    fn spread(&self, name: &str) -> Option<Spread> {
        let values = self.values(name)?;
        Some(Spread {
            p50: values.quantile(0.5)?,
            p99: values.quantile(0.99)?,
            max: values.quantile(1.0)?,
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate past 2^53 may be rounded")]
    fn count_rate(&self, name: &str) -> Option<f64> {
        Some(self.values(name)?.count() as f64 / self.seconds)
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate past 2^53 may be rounded")]
    fn follows(&self, one: &Subscriber) -> Follows {
        let same = |other: &&Subscriber| {
            (&other.peer, other.since, &other.selects) == (&one.peer, one.since, &one.selects)
        };
        let before = self.earlier.subscribers.iter().find(same);
        let events = before.and_then(|before| one.events.checked_sub(before.events));
        Follows {
            protocol: one.protocol.clone(),
            peer: one.peer.clone(),
            selects: one.selects.clone(),
            since: rfc3339(one.since),
            since_seconds: now().0.saturating_sub(one.since.0).max(0) as f64 / 1e9,
            position: one.position.0,
            lag_events: one.lag_events,
            lag_seconds: one.lag_seconds,
            events_per_second: events.map(|events| events as f64 / self.seconds),
        }
    }
}

impl Figures {
    /// What happened between two looks.
    pub(super) fn between(earlier: &Look, later: &Look) -> Self {
        // Two looks at the same moment show no rate, rather than an endless one.
        let seconds = later.at.duration_since(earlier.at).as_secs_f64().max(1e-3);
        let (earlier, later) = (&earlier.statistics, &later.statistics);
        let of = Pair { earlier, later, seconds };
        let overloads =
            ["overloaded_appends_total", "overloaded_reads_total"].map(|name| of.rate(name));
        let groups = of.growth("groups_total").filter(|groups| *groups > 0.0);
        let per_sync = groups.and_then(|groups| Some(of.growth("appends_total")? / groups));
        Self {
            seconds,
            head_position: of.number("head_position"),
            segments: of.number("segments"),
            segment_bytes: of.number("segment_bytes"),
            read_only: of.number("read_only").map(|number| number > 0.0),
            replica_lag_positions: of.number("replica_lag_positions"),
            replica_lag_seconds: of.number("replica_lag_seconds"),
            replica_connected: of.number("replica_connected").map(|number| number > 0.0),
            appends_per_second: of.rate("appends_total"),
            events_per_second: of.rate("events_total"),
            log_bytes_per_second: of.rate("log_bytes_total"),
            groups_per_second: of.rate("groups_total"),
            appends_per_sync: per_sync,
            refused_per_second: of.rate("refused_total"),
            overloaded_per_second: overloads.into_iter().flatten().reduce(|one, more| one + more),
            reads_per_second: of.count_rate("read_seconds"),
            events_read_per_second: of.rate("events_read_total"),
            append_seconds: of.spread("append_seconds"),
            sync_seconds: of.spread("sync_seconds"),
            read_seconds: of.spread("read_seconds"),
            queued_appends: of.number("queued_appends"),
            queued_bytes: of.number("queued_bytes"),
            queued_reads: of.number("queued_reads"),
            connections: of.number("server_connections"),
            calls: of.number("server_calls_in_progress"),
            server_refused_per_second: of.rate("server_refused"),
            subscribers: later.subscribers.iter().map(|one| of.follows(one)).collect(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use factum::{Bucket, Position, Timestamp};
    use std::time::Duration;

    pub(in crate::top) fn subscriber(peer: &str, events: u64, lag: u64) -> Subscriber {
        Subscriber {
            protocol: "factum.v1".into(),
            peer: peer.into(),
            selects: "everything".into(),
            since: Timestamp(7),
            position: Position(100 - lag),
            events,
            lag_events: lag,
            lag_seconds: Some(0.0),
        }
    }

    /// A look after so many seconds, at so many appends, ten to a group.
    pub(in crate::top) fn look(began: Instant, seconds: u64, appends: u64) -> Look {
        let mut statistics = Statistics::default();
        statistics.counter("appends_total", appends, "");
        statistics.counter("groups_total", appends / 10, "");
        statistics.gauge("head_position", 100, "");
        let buckets = vec![Bucket { up_to: 0.001, count: appends }];
        let name = "append_seconds".into();
        statistics.histograms.push(Histogram { name, buckets, ..Histogram::default() });
        statistics.subscribers.push(subscriber("10.0.0.1:5", appends, 3));
        Look { at: began + Duration::from_secs(seconds), statistics }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let began = Instant::now();
        let figures = Figures::between(&look(began, 0, 100), &look(began, 2, 300));
        assert_eq!((figures.seconds, figures.appends_per_second), (2.0, Some(100.0)));
        assert_eq!((figures.appends_per_sync, figures.head_position), (Some(10.0), Some(100.0)));
        assert_eq!(figures.append_seconds.unwrap().p99, 0.001);
        let follows = figures.subscribers.first().unwrap();
        assert_eq!((follows.events_per_second, follows.lag_events), (Some(100.0), 3));
    }

    #[test]
    fn a_restart_makes_no_rate_and_what_is_not_told_is_not_made_up() {
        let began = Instant::now();
        let figures = Figures::between(&look(began, 0, 300), &look(began, 1, 10));
        assert_eq!((figures.appends_per_second, figures.appends_per_sync), (None, None));
        assert_eq!(figures.subscribers.first().unwrap().events_per_second, None);
        assert_eq!((figures.read_seconds, figures.reads_per_second), (None, None));
    }

    #[test]
    fn json_has_the_names_that_are_documented() {
        let began = Instant::now();
        let figures = Figures::between(&look(began, 0, 0), &look(began, 1, 10));
        let json = serde_json::to_value(figures).unwrap();
        assert_eq!(json["appendsPerSecond"], 10.0);
        assert_eq!(json["appendSeconds"]["p99"], 0.001);
        assert_eq!(json["subscribers"][0]["lagEvents"], 3);
    }
}
