//! What the screen shows: figures, their history, and what the keys have chosen. Pure.

use super::figures::{Figures, Follows};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::{cmp::Reverse, collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Looks that the history holds: more than the widest screen has columns.
const HISTORY_MAX: usize = 512;

/// What the server is to us.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Link {
    /// It was asked, and its first answer is a beginning.
    Waiting,
    /// It answered.
    Live,
    /// It does not answer, and is asked again at every look.
    Gone { why: String, began: Instant, lasted: Duration },
}

/// By what subscribers are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Lag,
    Rate,
    Since,
    From,
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Rate => "events/s",
            Self::Since => "since",
            Self::From => "from",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Lag => Self::Rate,
            Self::Rate => Self::Since,
            Self::Since => Self::From,
            Self::From => Self::Lag,
        }
    }
}

/// What a key asks of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    Nothing,
    Quit,
    /// Looking goes on, from a new beginning.
    Resume,
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct View {
    pub(super) url: String,
    pub(super) interval: Duration,
    pub(super) link: Link,
    pub(super) figures: Option<Figures>,
    pub(super) appends: VecDeque<u64>,
    pub(super) events_read: VecDeque<u64>,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Subscribers above the first that is shown.
    pub(super) scrolled: usize,
}

impl View {
    pub(super) fn new(url: &str, interval: Duration) -> Self {
        Self {
            url: crate::console::printable(url),
            interval,
            link: Link::Waiting,
            figures: None,
            appends: VecDeque::new(),
            events_read: VecDeque::new(),
            sort: Sort::Lag,
            is_paused: false,
            shows_help: false,
            scrolled: 0,
        }
    }

    /// Takes in what happened since the last look.
    pub(super) fn take(&mut self, mut figures: Figures) {
        remember(&mut self.appends, figures.appends_per_second);
        remember(&mut self.events_read, figures.events_read_per_second);
        self.sort_by(&mut figures.subscribers);
        self.scrolled = self.scrolled.min(figures.subscribers.len().saturating_sub(1));
        self.figures = Some(figures);
        self.link = Link::Live;
    }

    /// The server does not answer at this moment: what is shown is old.
    pub(super) fn lose(&mut self, why: &str, at: Instant) {
        let began = match self.link {
            Link::Gone { began, .. } => began,
            Link::Waiting | Link::Live => at,
        };
        let why = crate::console::printable(why);
        self.link = Link::Gone { why, began, lasted: at.duration_since(began) };
    }

    fn sort_by(&self, subscribers: &mut [Follows]) {
        let total = |number: Option<f64>| number.unwrap_or(0.0);
        match self.sort {
            Sort::Lag => subscribers.sort_by_key(|one| Reverse(one.lag_events)),
            Sort::Rate => subscribers.sort_by(|one, other| {
                total(other.events_per_second).total_cmp(&total(one.events_per_second))
            }),
            Sort::Since => {
                subscribers.sort_by(|one, other| other.since_seconds.total_cmp(&one.since_seconds))
            }
            Sort::From => subscribers.sort_by(|one, other| one.peer.cmp(&other.peer)),
        }
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: KeyEvent) -> Asked {
        if key.kind == KeyEventKind::Release {
            return Asked::Nothing;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Asked::Quit,
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Asked::Quit,
            KeyCode::Char('?' | 'h') => self.shows_help = !self.shows_help,
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                if !self.is_paused {
                    return Asked::Resume;
                }
            }
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                if let Some(mut figures) = self.figures.take() {
                    self.sort_by(&mut figures.subscribers);
                    self.figures = Some(figures);
                }
            }
            code => self.scroll(code),
        }
        Asked::Nothing
    }

    fn scroll(&mut self, code: KeyCode) {
        const PAGE: usize = 10;
        let count = self.figures.as_ref().map_or(0, |figures| figures.subscribers.len());
        let to = match code {
            KeyCode::Down | KeyCode::Char('j') => self.scrolled + 1,
            KeyCode::Up | KeyCode::Char('k') => self.scrolled.saturating_sub(1),
            KeyCode::PageDown => self.scrolled + PAGE,
            KeyCode::PageUp => self.scrolled.saturating_sub(PAGE),
            KeyCode::Home => 0,
            KeyCode::End => count,
            _ => return,
        };
        self.scrolled = to.min(count.saturating_sub(1));
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a height on the screen: it is not below zero, and a fraction is not seen"
)]
fn remember(history: &mut VecDeque<u64>, rate: Option<f64>) {
    if history.len() == HISTORY_MAX {
        history.pop_front();
    }
    history.push_back(rate.unwrap_or(0.0) as u64);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::top::figures::tests::look;

    pub(in crate::top) fn shown() -> View {
        let began = Instant::now();
        let mut view = View::new("factum://h:1", Duration::from_secs(1));
        view.take(Figures::between(&look(began, 0, 0), &look(began, 1, 10)));
        view
    }

    fn press(view: &mut View, char: char) -> Asked {
        view.key(KeyEvent::new(KeyCode::Char(char), KeyModifiers::NONE))
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut view = shown();
        assert_eq!((press(&mut view, 'p'), view.is_paused), (Asked::Nothing, true));
        assert_eq!((press(&mut view, 'p'), view.is_paused), (Asked::Resume, false));
        press(&mut view, '?');
        assert!(view.shows_help);
        assert_eq!(view.key(KeyEvent::from(KeyCode::Esc)), Asked::Nothing);
        assert!(!view.shows_help);
        let sorts = (0..4).map(|_| {
            press(&mut view, 's');
            view.sort
        });
        assert_eq!(sorts.collect::<Vec<_>>(), [Sort::Rate, Sort::Since, Sort::From, Sort::Lag]);
        assert_eq!(press(&mut view, 'q'), Asked::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.key(control_c), Asked::Quit);
    }

    #[test]
    fn who_is_furthest_behind_comes_first_and_scrolling_ends_at_the_last() {
        let mut view = shown();
        let mut figures = view.figures.take().unwrap();
        let one = figures.subscribers.first().unwrap().clone();
        figures.subscribers.push(Follows { lag_events: 9, peer: "b".into(), ..one });
        view.take(figures);
        assert_eq!(view.figures.as_ref().unwrap().subscribers.first().unwrap().lag_events, 9);
        for _ in 0..5 {
            view.key(KeyEvent::from(KeyCode::Down));
        }
        assert_eq!(view.scrolled, 1);
        view.key(KeyEvent::from(KeyCode::Home));
        assert_eq!(view.scrolled, 0);
    }

    #[test]
    fn a_lost_server_is_said_to_be_gone_for_as_long_as_it_is() {
        let mut view = shown();
        let began = Instant::now();
        for seconds in 0..3 {
            let lasted = Duration::from_secs(seconds);
            view.lose("refused\x1b", began + lasted);
            assert_eq!(view.link, Link::Gone { why: "refused\\u{1b}".into(), began, lasted });
        }
        view.take(Figures::default());
        assert_eq!(view.link, Link::Live);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut view = shown();
        for _ in 0..HISTORY_MAX + 5 {
            view.take(Figures::default());
        }
        assert_eq!(view.appends.len(), HISTORY_MAX);
    }
}
