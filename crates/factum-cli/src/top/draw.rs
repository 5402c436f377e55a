//! The view on a screen of any size. Pure: from a view to cells.
//!
//! Made for 80 by 24; a larger screen shows more history and more subscribers, a smaller one leaves
//! out the panels on the right, then everything but a line.

use super::{
    figures::Figures,
    text::{self, Row},
    view::{Link, View},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Cell, Clear, Paragraph, Row as TableRow, Sparkline, Table},
};
use std::collections::VecDeque;

/// The panels' height: nine rows and a border above.
const PANEL_HEIGHT: u16 = 10;
/// The history's height, if there is room.
const HISTORY_HEIGHT: u16 = 4;
/// The smallest screen that shows more than one line.
const WIDTH_MIN: u16 = 38;
const HEIGHT_MIN: u16 = 13;
/// From this width on, two panels are side by side.
const WIDTH_OF_TWO: u16 = 76;
/// From this height on, there is room for the history.
const HEIGHT_OF_HISTORY: u16 = 28;

const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// A column of the subscribers.
struct Column {
    width: Constraint,
    is_number: bool,
    /// How wide the screen is that has room for it.
    from_width: u16,
}

impl Column {
    const fn new(width: Constraint, is_number: bool, from_width: u16) -> Self {
        Self { width, is_number, from_width }
    }
}

/// As [`text::COLUMNS`] has them.
const COLUMNS: [Column; 8] = [
    Column::new(Constraint::Length(10), true, 0),
    Column::new(Constraint::Length(8), true, 0),
    Column::new(Constraint::Length(8), true, 50),
    Column::new(Constraint::Length(12), true, 100),
    Column::new(Constraint::Length(7), true, 90),
    Column::new(Constraint::Length(9), false, 60),
    Column::new(Constraint::Length(21), false, 70),
    Column::new(Constraint::Fill(1), false, 0),
];

const HELP: &str = "\
q, Esc   quit                 p   pause, and go on
s        sort subscribers     ?   this help
↑ ↓      scroll subscribers   Home, End, PgUp, PgDn

append, read, sync   how long they took since the last look: half of them
                     at most p50, all but one in a hundred at most p99
appends/sync         appends that shared one sync of the disk
refused/s            appends whose expectation did not hold
overloaded/s         refused because too many waited
over limits/s        refused by a limit of the server
LAG                  events between a subscriber and the head
BEHIND               for how long the first of these has been stored
";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let asks = format!("{WIDTH_MIN}×{HEIGHT_MIN} at least, please; q quits");
        frame.render_widget(Paragraph::new(vec![header(view), Line::from(asks)]), area);
        return;
    }
    let history = if area.height >= HEIGHT_OF_HISTORY { HISTORY_HEIGHT } else { 0 };
    let rows = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(PANEL_HEIGHT),
        Constraint::Length(history),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [top, panels, chart, list, bottom] = rows.areas(area);
    let none = Figures::default();
    let figures = view.figures.as_ref().unwrap_or(&none);
    frame.render_widget(Paragraph::new(vec![header(view), summary(view, figures)]), top);
    let columns = if area.width < WIDTH_OF_TWO { 1 } else { 2 };
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(columns - 1)]);
    let halves = halves.spacing(columns - 1);
    let [left, right] = halves.areas(panels);
    panel(frame, left, (" writes ", text::writes(figures)));
    if columns == 2 {
        panel(frame, right, (" reads ", text::reads(figures)));
    }
    let [left, right] = halves.areas(chart);
    sparkline(frame, left, (" appends/s ", &view.appends));
    sparkline(frame, right, (" events read/s ", &view.events_read));
    subscribers(frame, list, (view, figures));
    frame.render_widget(footer(view), bottom);
    if view.shows_help {
        help(frame, area);
    }
}

fn header(view: &View) -> Line<'_> {
    let state = match (&view.link, view.is_paused) {
        // Who does not ask does not know.
        (_, true) => Span::from("paused").bold().yellow(),
        (Link::Gone { .. }, _) => Span::from("gone").bold().red(),
        (Link::Waiting, _) => Span::from("…").dim(),
        (Link::Live, _) => Span::from("live").bold().green(),
    };
    let every = format!("  every {}", text::duration(view.interval.as_secs_f64()));
    Line::from(vec![
        Span::from(" factum top  ").bold(),
        Span::from(view.url.as_str()).cyan(),
        Span::from("  "),
        state,
        Span::from(every).dim(),
    ])
}

fn summary<'a>(view: &'a View, figures: &Figures) -> Line<'a> {
    if let Link::Gone { why, lasted, .. } = &view.link {
        let lasted = text::duration(lasted.as_secs_f64());
        let text = format!(" no answer for {lasted}, asking again: {why}");
        return Line::from(Span::from(text).red());
    }
    let mut spans = vec![Span::from(" ")];
    for (name, value) in text::log(figures) {
        spans.extend([Span::styled(format!("{name} "), DIM), Span::from(format!("{value}   "))]);
    }
    if let Some(state) = text::state(figures) {
        let is_well = figures.replica_connected == Some(true);
        let state = Span::from(state).bold();
        spans.push(if is_well { state.cyan() } else { state.red() });
    }
    Line::from(spans)
}

/// Named values, one a line.
fn panel(frame: &mut Frame<'_>, area: Rect, (title, rows): (&str, Vec<Row>)) {
    let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): Row| {
        let is_alarm = name.starts_with("over") && value != "0" && value != "–";
        let value = Span::from(value).bold();
        let value = if is_alarm { value.red() } else { value };
        Line::from(vec![Span::styled(format!(" {name:names$}  "), DIM), value])
    };
    let lines: Vec<_> = rows.into_iter().map(line).collect();
    frame.render_widget(Paragraph::new(lines).block(titled(title)), area);
}

fn titled(title: &str) -> Block<'_> {
    Block::new()
        .borders(ratatui::widgets::Borders::TOP)
        .border_style(DIM)
        .title(Span::from(title).bold())
}

/// The newest looks, as many as there are columns.
fn sparkline(frame: &mut Frame<'_>, area: Rect, (title, history): (&str, &VecDeque<u64>)) {
    if area.is_empty() {
        return;
    }
    let shown = history.len().saturating_sub(usize::from(area.width));
    let data: Vec<u64> = history.iter().skip(shown).copied().collect();
    let most = data.iter().max().copied().unwrap_or(0);
    #[allow(clippy::cast_precision_loss, reason = "shown in few digits")]
    let title = format!("{title}(most {}) ", text::whole(Some(most as f64)));
    let style = Style::new().fg(Color::Cyan);
    frame.render_widget(Sparkline::default().data(data).style(style).block(titled(&title)), area);
}

fn subscribers(frame: &mut Frame<'_>, area: Rect, (view, figures): (&View, &Figures)) {
    let columns: Vec<_> =
        COLUMNS.iter().zip(0..).filter(|(column, _)| column.from_width <= area.width).collect();
    let row = |cells: &[String; 8]| {
        let cell = |(column, index): &(&Column, usize)| {
            let line = Line::from(cells.get(*index).cloned().unwrap_or_default());
            Cell::from(if column.is_number { line.right_aligned() } else { line })
        };
        TableRow::new(columns.iter().map(cell).collect::<Vec<_>>())
    };
    let all = &figures.subscribers;
    let rows = all.iter().skip(view.scrolled).take(usize::from(area.height)).map(|one| {
        let is_live = one.lag_seconds == Some(0.0);
        let style = if is_live { Style::new() } else { Style::new().fg(Color::Yellow) };
        row(&text::follows(one)).style(style)
    });
    let title = format!(" subscribers: {}, by {} ", all.len(), view.sort.name());
    let table = Table::new(rows, columns.iter().map(|(column, _)| column.width))
        .header(row(&text::COLUMNS.map(str::to_owned)).style(DIM))
        .block(titled(&title));
    frame.render_widget(table, area);
}

fn footer(view: &View) -> Line<'_> {
    let pause = if view.is_paused { "go on" } else { "pause" };
    let key = |key: &'static str| Span::from(key).bold();
    Line::from(vec![
        key(" q"),
        Span::from(" quit  "),
        key("p"),
        Span::from(format!(" {pause}  ")),
        key("s"),
        Span::from(" sort  "),
        key("↑↓"),
        Span::from(" scroll  "),
        key("?"),
        Span::from(" help"),
    ])
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let width = HELP.lines().map(|line| line.chars().count()).max().unwrap_or(0) + 4;
    let height = HELP.lines().count() + 2;
    let fits = |size: usize, most: u16| u16::try_from(size).unwrap_or(most).min(most);
    let window = area.centered(
        Constraint::Length(fits(width, area.width)),
        Constraint::Length(fits(height, area.height)),
    );
    frame.render_widget(Clear, window);
    let lines: Vec<_> = HELP.lines().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help ")), window);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::view::tests::shown;
    use ratatui::{Terminal, backend::TestBackend};

    fn screen(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    #[track_caller]
    fn shows(screen: &str, parts: &[&str]) {
        for part in parts {
            assert!(screen.contains(part), "{part:?} is not in\n{screen}");
        }
    }

    #[test]
    fn a_usual_screen_has_everything_in_its_place() {
        let screen = screen(&shown(), 80, 24);
        shows(
            &screen,
            &[
                "factum top  factum://h:1  live  every 1.0 s",
                "head 100",
                "appends/s     10.0",
                "append        p50 1.0 ms  p99 1.0 ms",
                "appends/sync  10.0",
                "events read/s",
                "subscribers: 1, by lag",
                "factum.v1 10.0.0.1:5",
                "everything",
                "q quit  p pause",
            ],
        );
    }

    #[test]
    fn a_tall_screen_has_the_history_and_a_narrow_one_the_writes() {
        let mut view = shown();
        shows(&screen(&view, 80, 40), &["appends/s (most 10)", "█"]);
        let narrow = screen(&view, 40, 20);
        shows(&narrow, &["appends/s", "subscribers"]);
        assert!(!narrow.contains("events read/s"), "{narrow}");
        shows(&screen(&view, 40, 8), &["live", "at least, please"]);
        view.figures = None;
        shows(&screen(&view, 80, 24), &["appends/s     –"]);
    }

    #[test]
    fn no_size_makes_it_fail() {
        let mut view = shown();
        view.shows_help = true;
        for (width, height) in [(1, 1), (38, 13), (37, 13), (300, 13), (76, 200), (75, 28)] {
            screen(&view, width, height);
        }
    }

    #[test]
    fn a_server_that_is_gone_is_told_with_the_reason() {
        let mut view = shown();
        view.lose("no server at h:1: refused", tokio::time::Instant::now());
        shows(
            &screen(&view, 80, 24),
            &["gone", "no answer for 0 µs, asking again: no server at h:1: refused"],
        );
    }

    #[test]
    fn help_and_pause_are_seen() {
        let mut view = shown();
        (view.shows_help, view.is_paused) = (true, true);
        shows(&screen(&view, 80, 24), &["paused", "p go on", "sort subscribers", "appends/sync"]);
    }
}
