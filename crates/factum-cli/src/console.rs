//! The door to the terminal: standard output, standard error, progress bars.
//!
//! What must hold: colour, cut lines and progress bars only where a person looks on; in a pipe the
//! output is whole and plain. Every event is out before the command waits for the next.

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    time::Duration,
};

/// Standard output.
pub(crate) struct Out {
    to: BufWriter<Stdout>,
    pub(crate) look: Look,
}

/// How output is to look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    pub(crate) is_coloured: bool,
    /// How many characters a line has on the terminal; `None` in a pipe.
    pub(crate) width: Option<usize>,
}

impl Look {
    /// The style, if there is colour at all.
    pub(crate) fn style(self, style: Style) -> Style {
        if self.is_coloured { style } else { Style::new() }
    }
}

impl Out {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let is_coloured = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let size = stdout.is_terminal().then(terminal_size::terminal_size).flatten();
        let width = size.map(|(width, _)| usize::from(width.0));
        Self { to: BufWriter::new(stdout), look: Look { is_coloured, width } }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// Says why the command failed, and what helps.
pub(crate) fn error(cause: &str, cure: Option<&str>) {
    say(RED, "error", cause);
    if let Some(cure) = cure {
        say(CYAN, "help", cure);
    }
}

/// Says something that does not belong to the output.
pub(crate) fn note(text: impl fmt::Display) {
    say(CYAN, "note", &text.to_string());
}

/// Says something that somebody should look at.
pub(crate) fn warning(text: impl fmt::Display) {
    say(YELLOW, "warning", &text.to_string());
}

fn say(style: Style, what: &str, text: &str) {
    let mut stderr = anstream::stderr().lock();
    let text = printable(text);
    // Standard error is gone: there is nobody left to tell.
    let _ = writeln!(stderr, "{style}{what}:{style:#} {text}");
}

/// Text without characters that would steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let is_harmless = |char: char| !char.is_control() || char == '\n';
    if text.chars().all(is_harmless) {
        return text.to_owned();
    }
    let shown = |char: char| {
        if is_harmless(char) { char.to_string() } else { char.escape_default().to_string() }
    };
    text.chars().map(shown).collect()
}

/// A progress bar on standard error, if that is a terminal.
pub(crate) fn progress(what: &'static str, length: Option<u64>, is_bytes: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let count = if is_bytes { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
    let template = match length {
        Some(_) => format!("{{msg:>9}} [{{bar:30}}] {count}  {{eta}}"),
        None => "{msg:>9} {human_pos}  {elapsed}".to_owned(),
    };
    let style = ProgressStyle::with_template(&template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_the_terminal_is_shown_instead() {
        assert_eq!(printable("a\x1b[2Jb\r\u{9b}"), "a\\u{1b}[2Jb\\r\\u{9b}");
        assert_eq!(printable("ü\n"), "ü\n");
    }
}
