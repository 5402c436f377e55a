//! Takes messages from a broker: stores them, and acknowledges them then.

use super::{Inbox, draft::Draft};
use crate::{
    App, Metadata,
    consumer::{Either, Shared, Stop, race},
    message::{Delivered, Deliveries, next_batch},
    observe::span,
};
use factum_core::{Append, AppendError, Check, EventStore, Position, Query, Tag};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// How many messages are stored together, at most.
const BATCH_MAX: usize = 64;
/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;
/// The longest first pause where the broker or the store is away; each further one may be twice as
/// long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// One that takes messages from a broker until its app ends.
pub(super) struct Receiver {
    pub(super) app: App,
    pub(super) category: String,
    pub(super) inbox: Inbox,
    pub(super) stop: Stop,
    pub(super) shared: Arc<Shared>,
}

/// A message that waits to be stored.
struct Waiting {
    delivered: Delivered,
    draft: Draft,
}

impl Receiver {
    pub(super) async fn run(self) {
        let mut failures = 0;
        while !self.stop.is_asked() {
            let subscription = self.inbox.subscription.clone();
            let consuming = self.inbox.consumer.consume(subscription);
            match race(self.stop.asked(), consuming).await {
                Either::First(()) => return,
                Either::Second(Ok(deliveries)) => {
                    self.receive(deliveries, &mut failures).await;
                }
                Either::Second(Err(error)) => self.failed(&error.to_string()),
            }
            let pause = self.app.pause(failures, PAUSE_MIN, PAUSE_MAX);
            race(self.stop.asked(), pause).await;
            failures += 1;
        }
    }

    fn failed(&self, why: &str) {
        self.shared.progress.send_modify(|progress| {
            progress.errors += 1;
            progress.last_error = Some(format!("its broker: {why}").into());
        });
    }

    /// Until the app ends, or something fails: then what was not stored comes again.
    async fn receive(&self, mut deliveries: Box<dyn Deliveries>, failures: &mut u32) {
        let several = self.app.store().capabilities().multi_stream;
        let most = if several { BATCH_MAX } else { 1 };
        loop {
            let next = race(self.stop.asked(), next_batch(&mut *deliveries, most)).await;
            let stored = match next {
                Either::First(()) => break,
                Either::Second(Ok(batch)) => {
                    span::received(&self.category, batch.len(), self.store(batch)).await
                }
                Either::Second(Err(error)) => Err(error.to_string()),
            };
            if let Err(why) = stored {
                return self.failed(&why);
            }
            *failures = 0;
        }
        // What is not settled by then comes again.
        let _ = deliveries.close(self.inbox.close).await;
    }

    async fn store(&self, batch: Vec<Delivered>) -> Result<(), String> {
        let (mut waiting, mut twice, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for delivered in batch {
            match self.draft(&delivered) {
                Ok(draft) if known.insert(draft.identity.clone()) => {
                    waiting.push(Waiting { delivered, draft });
                }
                Ok(_) => twice.push(delivered),
                Err(why) => self.put_aside(delivered, &why).await,
            }
        }
        let stored = self.append(waiting).await?;
        for delivered in stored.into_iter().chain(twice) {
            // Where the broker does not know, it comes again, and is known here.
            let _ = delivered.ack().await;
        }
        Ok(())
    }

    fn draft(&self, delivered: &Delivered) -> Result<Draft, String> {
        let message = delivered.message.as_ref().map_err(|malformed| malformed.why.clone())?;
        let id = self.app.context(&Metadata::default()).id();
        Draft::of(&self.category, id, message).map_err(|error| error.to_string())
    }

    /// What cannot be stored is put aside at the broker; where that cannot be done, it comes again.
    async fn put_aside(&self, delivered: Delivered, why: &str) {
        self.failed(why);
        // Where the broker has no place for it, it comes again, and is seen in the errors.
        let _ = delivered.dead_letter(why).await;
    }

    /// Stores all that were not stored before. Answers what is stored now.
    async fn append(&self, mut waiting: Vec<Waiting>) -> Result<Vec<Delivered>, String> {
        let mut before = Vec::new();
        while !waiting.is_empty() {
            let events =
                waiting.iter().map(|one| (one.draft.stream.clone(), one.draft.event.clone()));
            let checks = waiting.iter().map(|one| is_new(&one.draft.identity));
            let append =
                Append { events: events.collect(), checks: checks.collect(), ..Append::default() };
            match self.app.send(append, SENDS_MAX).await {
                Ok(_) => break,
                Err(AppendError::Conflict { index, .. }) if index < waiting.len() => {
                    before.push(waiting.remove(index).delivered);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(waiting.into_iter().map(|one| one.delivered).chain(before).collect())
    }
}

/// That a message was not stored before.
fn is_new(identity: &Tag) -> Check {
    let query = Query::tag(identity.clone());
    Check::NoMatch { query, after: Position::START }
}
