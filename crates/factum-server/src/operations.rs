//! Maintenance of the store, started and watched over any protocol: one scavenge at a time, on a
//! thread of its own.
//!
//! What must hold: a server that stops ends what is going on, and waits for it, so that nothing
//! holds the store any more.

use crate::status;
use factum_log::{
    LogStore,
    rewrite::{
        EraseError, EraseRequest, Erased, MaintenanceError, ScavengeOptions, ScavengeReport, Stop,
    },
};
use std::{
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};
use tokio::sync::watch;
use tonic::{Code, Status};
use uuid::Uuid;

/// The maintenance of one server's store.
#[derive(Debug)]
pub(crate) struct Operations {
    engine: Option<LogStore>,
    last: Mutex<Option<Last>>,
}

/// The scavenge that is going on, or the last one.
#[derive(Debug)]
struct Last {
    stop: Stop,
    seen: watch::Receiver<Scavenge>,
}

/// How far a scavenge is.
#[derive(Clone, Debug)]
pub(crate) struct Scavenge {
    pub(crate) id: Uuid,
    pub(crate) phase: Phase,
    pub(crate) report: ScavengeReport,
}

/// Whether a scavenge goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Running,
    Done,
    Stopped,
    Failed(String),
}

/// What came of asking for a scavenge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) id: Uuid,
    /// One was going on: this is it.
    pub(crate) was_running: bool,
}

impl Operations {
    /// Of this engine, where the store is one.
    pub(crate) fn of(engine: Option<LogStore>) -> Self {
        Self { engine, last: Mutex::default() }
    }

    fn engine(&self) -> Result<&LogStore, Status> {
        self.engine.as_ref().ok_or_else(|| {
            Status::unimplemented("this store has no maintenance here: maintain what is below it")
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a scavenge, unless one is going on.
    pub(crate) fn start(&self, options: ScavengeOptions) -> Result<Asked, Status> {
        let engine = self.engine()?;
        if let Some(why) = engine.read_only() {
            let refused = MaintenanceError::ReadOnly { why };
            return Err(Status::failed_precondition(refused.to_string()));
        }
        let maintenance = engine.reader().maintenance();
        let mut last = self.last();
        if let Some(Scavenge { id, phase: Phase::Running, .. }) = last.as_ref().map(Last::now) {
            return Ok(Asked { id, was_running: true });
        }
        let id = Uuid::new_v4();
        let begun = Scavenge { id, phase: Phase::Running, report: ScavengeReport::default() };
        let (sender, seen) = watch::channel(begun);
        let stop = Stop::default();
        let of_thread = stop.clone();
        let run = move || {
            let mut watch = |report: &ScavengeReport| {
                sender.send_modify(|scavenge| scavenge.report = report.clone());
            };
            let ended = maintenance.scavenge(&options, &of_thread, &mut watch);
            // Before the last word, so that who has heard it can have the store.
            drop(maintenance);
            sender.send_modify(|scavenge| scavenge.end(ended));
        };
        let thread = thread::Builder::new().name("factum-scavenge".into()).spawn(run);
        thread.map_err(|error| Status::unavailable(format!("no thread for it: {error}")))?;
        *last = Some(Last { stop, seen });
        Ok(Asked { id, was_running: false })
    }

    /// Ends the scavenge of this id, or whichever is going on; `None` if there is none.
    pub(crate) fn stop(&self, id: Option<&str>) -> Result<Option<Uuid>, Status> {
        self.engine()?;
        let last = self.last();
        let Some(last) = last.as_ref() else { return Ok(None) };
        let now = last.now();
        let is_it = id.is_none_or(|id| Uuid::parse_str(id).is_ok_and(|id| id == now.id));
        if now.phase != Phase::Running || !is_it {
            return Ok(None);
        }
        last.stop.stop();
        Ok(Some(now.id))
    }

    /// How far the last scavenge is, and how it goes on.
    pub(crate) fn seen(&self) -> Result<Option<watch::Receiver<Scavenge>>, Status> {
        self.engine()?;
        Ok(self.last().as_ref().map(|last| last.seen.clone()))
    }

    /// Erases an event.
    pub(crate) async fn erase(&self, request: EraseRequest) -> Result<Erased, Status> {
        let now = self.last().as_ref().map(Last::now);
        // Its thread may not have the store yet: it was said to be going on.
        if now.is_some_and(|scavenge| scavenge.phase == Phase::Running) {
            return Err(erase_status(&EraseError::Maintenance(MaintenanceError::Busy)));
        }
        self.engine()?.erase(request).await.map_err(|error| erase_status(&error))
    }

    /// Ends what is going on, and waits for it.
    pub(crate) async fn end(&self) {
        let going_on = self.last().as_ref().map(|last| {
            last.stop.stop();
            last.seen.clone()
        });
        if let Some(mut seen) = going_on {
            // A sender that is gone has ended too.
            let _ = seen.wait_for(|scavenge| scavenge.phase != Phase::Running).await;
        }
    }
}

impl Last {
    fn now(&self) -> Scavenge {
        self.seen.borrow().clone()
    }
}

impl Scavenge {
    fn end(&mut self, ended: Result<ScavengeReport, MaintenanceError>) {
        match ended {
            Ok(report) => {
                self.phase = if report.stopped { Phase::Stopped } else { Phase::Done };
                self.report = report;
            }
            Err(error) => self.phase = Phase::Failed(cause_and_cure(&error)),
        }
    }
}

fn erase_status(error: &EraseError) -> Status {
    let code = match error {
        EraseError::NotFound { .. } => Code::NotFound,
        EraseError::OfTheStore { .. } => Code::FailedPrecondition,
        EraseError::Text { .. } => Code::InvalidArgument,
        EraseError::Audit(error) => status::append_row(error).grpc,
        EraseError::Read(error) => status::read_row(error).grpc,
        EraseError::Maintenance(MaintenanceError::Busy) => Code::Aborted,
        EraseError::Maintenance(MaintenanceError::ReadOnly { .. }) => Code::FailedPrecondition,
        _ => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}

/// What an operator is told.
fn cause_and_cure(error: &impl Display) -> String {
    format!("{error}. What is done is done: start it again when that is mended")
}
