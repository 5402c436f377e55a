//! Figures as words: the same for the screen and for scripts. Pure.

use super::figures::{Figures, Follows, Spread};
use std::io::{self, Write};

/// A name and what it is now.
pub(super) type Row = (&'static str, String);

/// Where a number is not told.
const NONE: &str = "–";

/// What is written, and what it costs.
pub(super) fn writes(figures: &Figures) -> Vec<Row> {
    vec![
        ("appends/s", rate(figures.appends_per_second)),
        ("events/s", rate(figures.events_per_second)),
        ("bytes/s", bytes(figures.log_bytes_per_second)),
        ("append", spread(figures.append_seconds)),
        ("sync", spread(figures.sync_seconds)),
        ("groups/s", rate(figures.groups_per_second)),
        ("appends/sync", rate(figures.appends_per_sync)),
        ("waiting", waiting(figures)),
        ("refused/s", rate(figures.refused_per_second)),
    ]
}

/// What is read, and by how many.
pub(super) fn reads(figures: &Figures) -> Vec<Row> {
    vec![
        ("reads/s", rate(figures.reads_per_second)),
        ("events read/s", rate(figures.events_read_per_second)),
        ("read", spread(figures.read_seconds)),
        ("waiting", whole(figures.queued_reads)),
        ("connections", whole(figures.connections)),
        ("calls", whole(figures.calls)),
        ("subscribers", figures.subscribers.len().to_string()),
        ("overloaded/s", rate(figures.overloaded_per_second)),
        ("over limits/s", rate(figures.server_refused_per_second)),
    ]
}

/// The log.
pub(super) fn log(figures: &Figures) -> Vec<Row> {
    vec![
        ("head", whole(figures.head_position)),
        ("segments", whole(figures.segments)),
        ("log", bytes(figures.segment_bytes)),
    ]
}

/// What is out of the ordinary about the server.
pub(super) fn state(figures: &Figures) -> Option<String> {
    let Some(positions) = figures.replica_lag_positions else {
        let says = "READ-ONLY: the server's output says why";
        return (figures.read_only == Some(true)).then(|| says.to_owned());
    };
    let seconds = figures.replica_lag_seconds.unwrap_or_default();
    let behind = if seconds > 0.0 { duration(seconds) } else { "level".to_owned() };
    let link = if figures.replica_connected == Some(false) { ", NOT CONNECTED" } else { "" };
    Some(format!("REPLICA: {} positions behind, {behind}{link}", whole(Some(positions))))
}

fn waiting(figures: &Figures) -> String {
    match figures.queued_bytes.filter(|bytes| *bytes > 0.0) {
        Some(waiting) => {
            format!("{} ({})", whole(figures.queued_appends), bytes(Some(waiting)))
        }
        None => whole(figures.queued_appends),
    }
}

/// The columns of a subscriber.
pub(super) const COLUMNS: [&str; 8] =
    ["LAG", "BEHIND", "EVENTS/S", "POSITION", "SINCE", "PROTOCOL", "FROM", "SELECTS"];

/// One subscriber, by column.
pub(super) fn follows(one: &Follows) -> [String; 8] {
    let behind = match one.lag_seconds {
        Some(0.0) => "live".to_owned(),
        Some(seconds) => duration(seconds),
        None => NONE.to_owned(),
    };
    #[allow(clippy::cast_precision_loss, reason = "shown in few digits")]
    [
        whole(Some(one.lag_events as f64)),
        behind,
        rate(one.events_per_second),
        whole(Some(one.position as f64)),
        duration(one.since_seconds),
        one.protocol.clone(),
        crate::console::printable(&one.peer),
        crate::console::printable(&one.selects).replace('\n', " "),
    ]
}

/// One look, for scripts and for who has no terminal.
pub(super) fn print(url: &str, figures: &Figures, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{url}, over {}", duration(figures.seconds))?;
    if let Some(state) = state(figures) {
        writeln!(out, "{state}")?;
    }
    for (name, value) in [log(figures), writes(figures), reads(figures)].into_iter().flatten() {
        writeln!(out, "{name:14} {value}")?;
    }
    if figures.subscribers.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = figures.subscribers.iter().map(follows).collect();
    let header = COLUMNS.map(str::to_owned);
    writeln!(out)?;
    for row in std::iter::once(&header).chain(&rows) {
        let [lag, behind, events, position, since, protocol, from, selects] = row;
        write!(out, "{lag:>10} {behind:>8} {events:>9} {position:>12} {since:>8} ")?;
        writeln!(out, "{protocol:9} {from:21} {selects}")?;
    }
    Ok(())
}

/// A whole number with its thousands apart.
pub(crate) fn whole(number: Option<f64>) -> String {
    let Some(number) = number else {
        return NONE.to_owned();
    };
    let digits = format!("{:.0}", number.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: with one decimal where it is small.
fn rate(number: Option<f64>) -> String {
    match number {
        Some(number) if number > 0.0 && number < 99.95 => format!("{number:.1}"),
        number => whole(number),
    }
}

fn bytes(number: Option<f64>) -> String {
    let Some(mut number) = number else {
        return NONE.to_owned();
    };
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, larger);
    }
    if unit == "B" { format!("{number:.0} B") } else { format!("{number:.1} {unit}") }
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || NONE.to_owned(),
        |Spread { p50, p99, .. }| format!("p50 {}  p99 {}", duration(p50), duration(p99)),
    )
}

/// How long, in the unit that fits.
pub(crate) fn duration(seconds: f64) -> String {
    let of = |unit: f64, larger: f64| ((seconds / larger).floor(), (seconds % larger) / unit);
    match seconds {
        _ if seconds < 999.5e-6 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.999_5 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 99.95 => format!("{seconds:.1} s"),
        _ if seconds < 5_999.5 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_800.0 => {
            let (hours, minutes) = of(60.0, 3_600.0);
            format!("{hours:.0}h{:02.0}m", minutes.floor())
        }
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[(String, &str)]) {
        for (actual, expected) in texts {
            assert_eq!(actual, expected);
        }
    }

    #[test]
    fn numbers_are_told_in_few_digits() {
        check(&[
            (whole(Some(0.0)), "0"),
            (whole(Some(1_234_567.0)), "1,234,567"),
            (whole(Some(999.6)), "1,000"),
            (whole(None), "–"),
            (rate(Some(0.5)), "0.5"),
            (rate(Some(99.94)), "99.9"),
            (rate(Some(99.96)), "100"),
            (rate(Some(0.0)), "0"),
            (bytes(Some(1023.0)), "1023 B"),
            (bytes(Some(1536.0)), "1.5 KiB"),
            (bytes(Some(5.0 * 1024.0_f64.powi(5))), "5120.0 TiB"),
        ]);
    }

    #[test]
    fn durations_are_told_in_the_unit_that_fits() {
        check(&[
            (duration(0.000_105), "105 µs"),
            (duration(0.001_6), "1.6 ms"),
            (duration(2.0), "2.0 s"),
            (duration(125.0), "2 min"),
            (duration(7_260.0), "2h01m"),
            (duration(864_000.0), "10 days"),
        ]);
    }
}
