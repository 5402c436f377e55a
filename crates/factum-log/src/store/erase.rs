//! Erasing an event of a store that serves: on a thread of its own, as it waits for the writer and
//! rewrites a segment.

use super::{Inner, LogStore, closed};
use crate::{
    Job,
    error::Fault,
    rewrite::{EraseError, EraseRequest, Erased, Maintenance},
    write::Reply,
};
use factum_core::{AppendError, completion::completion};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

impl LogStore {
    /// Erases one event for good: its place says `$erased` from then on, with the reason; its
    /// id, stream, revision, position and recorded time stay, its data, metadata, tags and type's
    /// name go from the log. Who asked, and why, is appended to `$erasures` first.
    ///
    /// Takes as long as rewriting one segment does, on a thread of its own; appends and reads go
    /// on. Backups, and blocks that the file system has freed, may hold the bytes still.
    ///
    /// # Errors
    /// [`EraseError`] says what: asking again is always safe, and goes on where a crash left off.
    pub async fn erase(&self, request: EraseRequest) -> Result<Erased, EraseError> {
        let inner = self.inner.clone();
        let (filler, done) = completion();
        let work = move || {
            let maintenance = inner.reader.maintenance();
            let erased = erase(&inner, &maintenance, request);
            drop((maintenance, inner));
            filler.fill(erased);
        };
        let thread = thread::Builder::new().name("factum-erase".into()).spawn(work);
        let dir = &self.inner.reader.shared.dir;
        thread.map_err(Fault::io("start a thread for", dir))?;
        done.await.unwrap_or_else(|| Err(closed().into()))
    }
}

fn erase(
    inner: &Inner,
    maintenance: &Maintenance,
    request: EraseRequest,
) -> Result<Erased, EraseError> {
    let erasing = match maintenance.erase(request)? {
        Ok(erasing) => erasing,
        Err(already) => return Ok(already),
    };
    let audit = Job::append(erasing.audit(), &inner.capabilities.limits)?;
    submit(inner, audit)?;
    submit(inner, Job::seal(erasing.position()))?;
    erasing.finish()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Has the writer do a job, and waits for it.
fn submit(inner: &Inner, job: Job) -> Reply {
    let mut done = pin!(inner.queue.submit(job)?);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match done.as_mut().poll(&mut context) {
            Poll::Pending => thread::park(),
            Poll::Ready(Some(reply)) => return reply,
            Poll::Ready(None) => {
                let why = "the store was closed meanwhile".into();
                return Err(AppendError::Unknown { why });
            }
        }
    }
}
