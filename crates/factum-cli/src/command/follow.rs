//! `factum tail`: events as they come.

use super::{read::Filter, stream::state};
use crate::{
    args::{self, From},
    console::{self, Out},
    failure::{Exit, Failure, Outcome},
    print::Printer,
};
use factum::{AnyStore, EventStore, Position, Select, StreamState, Subscribe, next_batch};
use std::io::Write;

/// Follows until Ctrl-C, or until the limit.
pub(super) async fn tail(store: &AnyStore, args: &args::Tail, out: &mut Out) -> Outcome {
    let selected = args.selection.selected()?;
    let mut stop = Stop::listen();
    let after = after(store, &selected.select, args.from).await?;
    let subscribe = Subscribe { select: selected.select, after };
    let mut batches = store.subscribe(subscribe).await?;
    let left = args.limit.unwrap_or(u64::MAX);
    let mut filter = Filter { query: selected.filter, left, system: true };
    let mut printer = Printer::of(args.json);
    let mut through = Position::START;
    if out.look.width.is_some() {
        console::note("waiting for events; Ctrl-C ends");
    }
    while filter.left > 0 {
        let batch = tokio::select! {
            () = stop.requested() => return Ok(()),
            batch = next_batch(&mut batches) => batch,
        };
        let batch = batch
            .ok_or_else(|| Failure::new(Exit::Unreachable, "the store ended the subscription"))
            .and_then(|batch| Ok(batch?))
            .map_err(|failure| failure.help(resume(through)))?;
        through = batch.through;
        printer.print(&filter.pass(batch.events), out)?;
        // Whoever reads our output sees every event before we wait for the next.
        out.flush()?;
    }
    Ok(())
}

fn resume(through: Position) -> String {
    match through {
        Position::START => "start the same command again when the store is back".to_owned(),
        Position(through) => format!(
            "events up to position {through} were shown: without a stream, --from {} goes on there",
            through.saturating_add(1)
        ),
    }
}

/// The place before the first event to show.
async fn after(store: &AnyStore, select: &Select, from: From) -> Outcome<Option<u64>> {
    Ok(match (from, select) {
        (From::Start, _) => None,
        (From::At(at), _) => at.checked_sub(1),
        (From::End, Select::Query(_)) => Some(store.head().await?.0),
        (From::End, Select::Stream(stream)) => match state(store, stream).await? {
            StreamState::Live { last } | StreamState::Deleted { last } => Some(last.0),
            StreamState::Absent => None,
            StreamState::Tombstoned => {
                let cause = format!("stream {stream} is deleted for ever: nothing will come");
                return Err(Failure::new(Exit::NotFound, cause));
            }
        },
    })
}

/// Ctrl-C, or a polite kill: heard from the moment of [`Stop::listen`] on.
pub(crate) struct Stop {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 2]>,
}

impl Stop {
    #[cfg(unix)]
    pub(crate) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        let [Ok(interrupt), Ok(terminate)] = signals else {
            // Without a handler the system ends the process by itself.
            return Self { signals: None };
        };
        Self { signals: Some([interrupt, terminate]) }
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Self {
        Self {}
    }

    /// Waits until somebody wants the command to end. May be asked again.
    #[cfg(unix)]
    pub(crate) async fn requested(&mut self) {
        match &mut self.signals {
            None => std::future::pending().await,
            Some([interrupt, terminate]) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
        }
    }

    /// Waits until somebody wants the command to end. May be asked again.
    #[cfg(not(unix))]
    pub(crate) async fn requested(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
