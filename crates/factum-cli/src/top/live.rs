//! The loop on the terminal: keys, time and the server, each waited for, none holding up another.
//!
//! What must hold: the terminal is given back as it was, however the loop ends; a server that goes
//! away is said to be gone and asked again at every look.

use super::{
    draw::draw,
    figures::{Figures, Look},
    look,
    view::{Asked, View},
};
use crate::{
    command::Stop,
    failure::{Exit, Failure, Outcome},
};
use factum::{AnyStore, ReadError};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Keys that may wait; more are dropped by the terminal.
const KEYS_MAX: usize = 64;
/// How often the thread of the keys looks whether it is to end.
const KEY_PAUSE: Duration = Duration::from_millis(100);
/// How long a server may take to answer before it counts as gone.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// Watches until somebody has seen enough.
pub(super) async fn run(url: &str, store: AnyStore, every: Duration) -> Outcome {
    let mut terminal = ratatui::try_init().map_err(broken)?;
    let watched = watch(&mut terminal, View::new(url, every), store).await;
    let restored = ratatui::try_restore();
    watched.map_err(broken)?;
    restored.map_err(broken)
}

fn broken(error: io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("the terminal failed: {error}"))
        .help("`factum top --once` needs none")
}

async fn watch(terminal: &mut DefaultTerminal, mut view: View, store: AnyStore) -> io::Result<()> {
    let mut stop = Stop::listen();
    let mut keys = Keys::listen()?;
    let (answers, mut answered) = mpsc::channel(1);
    let mut ticks = interval(view.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut earlier: Option<Look> = None;
    let mut is_asking = false;
    loop {
        terminal.draw(|frame| draw(frame, &view))?;
        tokio::select! {
            () = stop.requested() => return Ok(()),
            event = keys.events.recv() => match event {
                None => return Ok(()),
                Some(Event::Key(key)) => match view.key(key) {
                    Asked::Quit => return Ok(()),
                    Asked::Resume => earlier = None,
                    Asked::Nothing => {}
                },
                // A new size, or something that is drawn over.
                Some(_) => {}
            },
            _ = ticks.tick() => if !is_asking && !view.is_paused {
                is_asking = true;
                let (store, answers) = (store.clone(), answers.clone());
                // The loop holds the other end: it takes the answer, or is over.
                tokio::spawn(async move { answers.send(ask(&store).await).await });
            },
            Some(answer) = answered.recv() => {
                is_asking = false;
                take(&mut view, &mut earlier, answer);
            }
        }
    }
}

async fn ask(store: &AnyStore) -> Result<Look, String> {
    match timeout(ANSWER_TIME_MAX, look(store)).await {
        Err(_) => Err(format!("nothing came within {} s", ANSWER_TIME_MAX.as_secs())),
        Ok(looked) => looked.map_err(|error| match error {
            ReadError::Unavailable { why } => why.to_string(),
            other => other.to_string(),
        }),
    }
}

fn take(view: &mut View, earlier: &mut Option<Look>, answer: Result<Look, String>) {
    match answer {
        // What comes back may be another: rates begin anew.
        Err(why) => {
            *earlier = None;
            view.lose(&why, Instant::now());
        }
        Ok(later) => {
            if !view.is_paused {
                // The first look has no rates, but all that is not a rate.
                let before = earlier.as_ref().unwrap_or(&later);
                view.take(Figures::between(before, &later));
            }
            *earlier = Some(later);
        }
    }
}

/// Keys and new sizes, from a thread of their own: the terminal can only be asked by waiting.
struct Keys {
    events: mpsc::Receiver<Event>,
    is_over: Arc<AtomicBool>,
}

impl Keys {
    fn listen() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(KEYS_MAX);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let listen = move || {
            while !over.load(Ordering::Relaxed) {
                match event::poll(KEY_PAUSE) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(_) => return,
                }
                let Ok(event) = event::read() else { return };
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("factum-keys".into()).spawn(listen)?;
        Ok(Self { events, is_over })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
