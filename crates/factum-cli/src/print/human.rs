//! Events as lines for people: aligned, coloured and cut on a terminal, whole in a pipe.

use crate::{
    console::{CYAN, DIM, GREEN, Look, printable},
    time::readable,
};
use factum::{ContentType, RecordedEvent};
use std::io::{self, Write};

/// How wide the columns are. They only grow, so that later batches stand under earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    widths: [usize; 4],
    has_header: bool,
}

/// The widest that a column is made; longer names push their line to the right.
const COLUMN_MAX: usize = 44;

impl Columns {
    pub(super) fn print(
        &mut self,
        events: &[RecordedEvent],
        look: Look,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let rows: Vec<Row> = events.iter().map(Row::of).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.chars().count().min(COLUMN_MAX));
            }
        }
        if look.width.is_some() && !self.has_header && !rows.is_empty() {
            self.has_header = true;
            self.header(look, out)?;
        }
        rows.iter().try_for_each(|row| self.row(row, look, out))
    }

    /// Names the columns.
    fn header(&mut self, look: Look, out: &mut impl Write) -> io::Result<()> {
        let names = ["position", "occurred at", "stream@revision", "type"];
        for (width, name) in self.widths.iter_mut().zip(names) {
            *width = (*width).max(name.len());
        }
        let [position, time, stream, kind] = self.widths;
        let [a, b, c, d] = names;
        let dim = look.style(DIM);
        writeln!(out, "{dim}{a:>position$}  {b:time$}  {c:stream$}  {d:kind$}  data{dim:#}")
    }

    fn row(&self, row: &Row, look: Look, out: &mut impl Write) -> io::Result<()> {
        let [position, time, stream, kind] = self.widths;
        let [a, b, c, d] = &row.cells;
        let used = position.max(a.chars().count())
            + time.max(b.chars().count())
            + stream.max(c.chars().count())
            + kind.max(d.chars().count())
            + 8;
        let rest = cut(&row.rest, look.width.map(|width| width.saturating_sub(used)));
        let (dim, cyan, green) = (look.style(DIM), look.style(CYAN), look.style(GREEN));
        writeln!(
            out,
            "{a:>position$}  {dim}{b:time$}{dim:#}  {cyan}{c:stream$}{cyan:#}  \
             {green}{d:kind$}{green:#}  {rest}"
        )
    }
}

struct Row {
    cells: [String; 4],
    rest: String,
}

impl Row {
    fn of(event: &RecordedEvent) -> Self {
        let cells = [
            event.position().to_string(),
            readable(event.occurred_at()),
            printable(&format!("{}@{}", event.stream(), event.revision())),
            printable(event.event_type().as_str()),
        ];
        let tags: String = event.tags().iter().map(|tag| format!(" #{tag}")).collect();
        Self { cells, rest: printable(&(data(event) + &tags)) }
    }
}

fn data(event: &RecordedEvent) -> String {
    match super::json::json_data(event) {
        Some(json) => json.get().to_owned(),
        None if event.content_type() == ContentType::Json && event.data().is_empty() => {
            String::new()
        }
        None => format!("({} bytes)", event.data().len()),
    }
}

/// The text, with `…` in place of what does not fit.
fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.map(|width| width.max(10)) else {
        return text.to_owned();
    };
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::json::tests::{event, recorded},
        *,
    };
    use factum::{Tag, Timestamp};

    fn printed(look: Look) -> String {
        let event = event("{\"total\": 12, \"note\": \"\\u001b and more\"}")
            .with_tags([Tag::new("k:v").unwrap()])
            .with_occurred_at(Timestamp(0));
        let mut out = Vec::new();
        Columns::default().print(&[recorded(event)], look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn in_a_pipe_lines_are_whole_and_plain() {
        assert_eq!(
            printed(Look::default()),
            "1  1970-01-01 00:00:00Z  order-1@0  order.placed  \
             {\"total\":12,\"note\":\"\\u001b and more\"} #k:v\n"
        );
    }

    #[test]
    fn on_a_terminal_lines_fit_and_have_a_header() {
        let text = printed(Look { is_coloured: false, width: Some(80) });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("position  occurred at"), "{text}");
        assert!(lines[1].ends_with('…') && lines[1].chars().count() == 80, "{text}");
        assert!(printed(Look { is_coloured: true, width: Some(80) }).contains("\x1b["));
    }
}
