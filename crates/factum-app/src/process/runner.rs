//! The shell around [`super::instance`]: takes inputs, appends the steps, sends the commands off.
//!
//! What must hold: a command goes only after the step that sends it is durable; a step is appended
//! only where nobody else has taken one since; a checkpoint never says less than is outstanding.
//! After anything unclear the runner forgets what it knows and reads the store again.

use super::{
    Process,
    desk::{Alarm, Desk, Key, Tries},
    instance::{self, Arrived, Given, StepError},
    journal::{Held, Journal, JournalError},
    mailbox::{Landed, Mailbox},
    pending::{Pending, Taken},
    record::{Parked, Place, Sent, Status},
};
use crate::{
    App, Call, Envelope,
    bus::Letters,
    consumer::{Commit, EventError, Failure, Handler, caught},
    decision::{CommandSet, DispatchError, Reply},
    event::{Decoder, EventSet, Raw},
    observe::span,
    personal::Keys,
    planted::{Bug, is_on},
};
use factum_core::{Check, Position, RecordedEvent, Timestamp, Uuid};
use std::{sync::Arc, time::Duration};
use tracing::Instrument;

/// How often a command is tried before it is parked.
pub(crate) const ATTEMPTS_MAX: u32 = 10;
/// The first pause before a command is tried again; each further one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How many commands may wait to be sent before no more events are taken.
const WAITING_MAX: usize = 10_000;

/// A running process.
pub(crate) struct Runner<P: Process> {
    app: App,
    mailbox: Arc<Mailbox>,
    desk: Desk,
    pending: Pending,
    letters: Letters,
    /// Whether all events were taken that there are, so that no timer overtakes one.
    live: bool,
    /// When the last event that was taken was recorded.
    reached: Timestamp,
    marker: std::marker::PhantomData<fn() -> P>,
}

impl<P: Process> Runner<P> {
    pub(crate) fn new(app: App, journal: Journal, letters: Letters, mailbox: Arc<Mailbox>) -> Self {
        Self {
            pending: Pending::new(app.clone(), journal),
            app,
            mailbox,
            desk: Desk::default(),
            letters,
            live: false,
            reached: Timestamp(i64::MIN),
            marker: std::marker::PhantomData,
        }
    }

    /// Gives an input to an instance. What comes of it waits for [`Self::flush`].
    async fn take(
        &mut self,
        key: &Key,
        given: Given<P::Event>,
        now: Timestamp,
    ) -> Result<bool, Trouble> {
        let Held { expected, record } = self.pending.held(key).await?;
        let ctx = self.app.context(&given.metadata(record.as_ref())).at(now);
        let span = span::step(P::NAME, key, &given, &ctx);
        let ctx = self.app.traced(&span, ctx);
        let advanced = span.in_scope(|| instance::advance::<P>(key, record, given, &ctx));
        let Some((id, step)) = advanced.inspect_err(|why| span::failed(&span, "failed", why))?
        else {
            span::end(&span, "ignored");
            return Ok(false);
        };
        span::end(&span, step.instance.status.name());
        self.pending.push(key, Taken { id, step, expected, metadata: ctx.metadata() })?;
        if self.pending.is_full() {
            self.flush(None).await?;
        }
        Ok(true)
    }

    /// An event, after the timers of its instance that were due before it was recorded: what was
    /// away for a while comes to the same as what was not.
    async fn take_event(
        &mut self,
        part: usize,
        envelope: &Envelope<P::Event>,
        late: bool,
    ) -> Result<(), Failure> {
        let event = envelope.recorded();
        let Some((how, key)) = P::route(&envelope.event).into_parts() else {
            return Ok(());
        };
        if !late && self.letters.hold(event, &key)? {
            return Ok(());
        }
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        let (at, place) = (event.recorded_at(), Place::new(event.position(), part));
        let blame = |trouble: Trouble| trouble.into_failure(event, &key);
        let key = &Key::from(key.as_str());
        let held = self.pending.held(key).await.map_err(|error| blame(error.into()))?;
        for timer in held.record.iter().flat_map(|record| record.due_before(place, at)) {
            let due = timer.due();
            let given = Given::TimedOut { name: timer.name, due };
            self.take(key, given, due).await.map_err(blame)?;
        }
        let event_type = envelope.event.info().event_type;
        let metadata = envelope.metadata().caused_by(envelope.id());
        let event = envelope.event.clone();
        let given = Given::Event(Arrived { event, how, place, late, event_type, metadata });
        self.take(key, given, at).await.map_err(blame)?;
        Ok(())
    }

    /// Takes the dead letters that somebody wants to be taken, lane by lane, until one fails again.
    async fn replay(&mut self) -> Result<(), Failure> {
        for (lane, events) in self.letters.take_released() {
            for event in events {
                match self.take_late(&event).await {
                    Ok(()) => self.letters.settle(&lane, event.position())?,
                    Err(Failure::Event(error)) => {
                        self.letters.failed_again(&lane, &event, error.why)?;
                        break;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            self.flush(None).await?;
        }
        Ok(())
    }

    async fn take_late(&mut self, event: &RecordedEvent) -> Result<(), Failure> {
        let mut parts = Vec::new();
        let keys = Keys::of_batch(self.app.key_store(), std::slice::from_ref(event)).await?;
        let decoder = Decoder { keys: keys.as_ref(), ..Decoder::default() };
        let decoded = decoder.envelope::<P::Event>(event);
        decoded.map_err(EventError::from)?.for_each(|envelope| parts.push(envelope));
        for (part, envelope) in parts.iter().enumerate() {
            self.take_event(part, envelope, true).await?;
        }
        Ok(())
    }

    /// Appends the steps that wait, and sends off the commands in them.
    async fn flush(&mut self, through: Option<Position>) -> Result<(), Failure> {
        self.pending.flush(&mut self.desk, &mut self.letters, through).await?;
        self.send_off();
        Ok(())
    }

    fn send_off(&mut self) {
        while let Some((key, sent)) = self.desk.next_command() {
            let (app, mailbox) = (self.app.clone(), self.mailbox.clone());
            self.app.world().spawn(Box::pin(async move {
                let id = sent.id;
                let done = done::<P>(&app, sent).await;
                mailbox.put(Landed { key, id, done });
            }));
        }
    }

    async fn landed(
        &mut self,
        (key, id): (Key, Uuid),
        done: Result<Reply, DispatchError>,
    ) -> Result<(), Failure> {
        let Some(tries) = self.desk.landed(&key, id) else {
            return Ok(());
        };
        let attempts = tries.made;
        let given = match done {
            Ok(reply) => Given::Replied { id, reply },
            Err(error) if error.retryable && self.is_tried_again(&key, tries).await? => {
                self.desk.retry(&key, self.soon(attempts));
                return Ok(());
            }
            Err(error) => {
                let error = error.to_string();
                match tries.max {
                    Some(_) => Given::Replied { id, reply: Reply::Failed(error) },
                    None => Given::Parked { id, why: Parked { error, attempts } },
                }
            }
        };
        match self.take(&key, given, self.now()).await {
            // The command is done; with a resume it is asked again, and answers the same.
            Err(Trouble::Step(error)) => {
                let why = Parked { error: error.to_string(), attempts };
                self.take(&key, Given::Parked { id, why }, self.now()).await?;
            }
            taken => {
                taken?;
            }
        }
        Ok(())
    }

    /// Whether a command that failed is tried again. Who said how often does not insist once the
    /// process has failed.
    async fn is_tried_again(&mut self, key: &Key, tries: Tries) -> Result<bool, Failure> {
        let Tries { made, max: Some(max) } = tries else {
            return Ok(tries.made < ATTEMPTS_MAX);
        };
        let held = self.pending.held(key).await.map_err(JournalError::into_failure)?;
        let running = held.record.is_some_and(|record| record.status == Status::Running);
        Ok(running && made < max)
    }

    async fn go_off(&mut self, alarm: Alarm) -> Result<(), Failure> {
        let given = Given::TimedOut { name: alarm.name.clone(), due: alarm.due };
        match self.take(&alarm.key, given, self.now()).await {
            Ok(_) => Ok(()),
            Err(Trouble::Step(_)) => {
                let at = self.soon(ATTEMPTS_MAX);
                self.desk.later(Alarm { at, ..alarm });
                Ok(())
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn now(&self) -> Timestamp {
        self.app.world().now()
    }

    fn soon(&self, attempts: u32) -> Timestamp {
        let pause = RETRY_PAUSE.saturating_mul(1 << attempts.min(16)).min(RETRY_PAUSE_MAX);
        let nanos = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        Timestamp(self.now().0.saturating_add(nanos))
    }

    async fn read_mail(&mut self) -> Result<(), Failure> {
        for Landed { key, id, done } in self.mailbox.take() {
            self.landed((key, id), done).await?;
        }
        Ok(())
    }
}

/// Does a command. A panic is its own trouble, not that of the process.
async fn done<P: Process>(app: &App, sent: Sent) -> Result<Reply, DispatchError> {
    let Sent { id, command, metadata, .. } = sent;
    let given_up = |source: String| DispatchError {
        command: P::NAME,
        retryable: false,
        source: source.into(),
    };
    let span = span::dispatch(P::NAME, &command.name, id, &metadata);
    let trace = app.begun(&span, &metadata);
    let metadata = metadata.within(trace);
    let command = instance::decode::<P>(command).map_err(|error| given_up(error.to_string()))?;
    let call = Call { key: Some(id.to_string()).filter(|_| !is_on(Bug::SendWithoutKey)), metadata };
    let dispatched = caught(command.dispatch(app, call)).instrument(span.clone()).await;
    let done = dispatched.map_err(given_up).flatten();
    match &done {
        Ok(reply) => span::end(&span, reply.name()),
        Err(error) => span::failed(&span, "failed", error),
    }
    done
}

/// Why an input was not taken.
#[derive(thiserror::Error, Debug)]
enum Trouble {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Trouble {
    /// Where an event is to blame for what is wrong with its instance.
    fn into_failure(self, event: &RecordedEvent, key: &str) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::Journal(JournalError::Read(error)) => error.into(),
            error => Failure::Event(blamed(event, key, error.to_string())),
        }
    }
}

fn blamed(event: &RecordedEvent, key: &str, why: String) -> EventError {
    let raw = Raw::of(event);
    EventError {
        position: raw.position,
        event_type: raw.event_type.into(),
        version: raw.version,
        key: Some(key.to_owned()),
        retryable: false,
        why,
        newer: false,
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failure(failure) => failure,
            Trouble::Journal(error) => error.into_failure(),
            Trouble::Step(error) => Self::fatal(error),
        }
    }
}

impl<P: Process> Handler for Runner<P> {
    type Event = P::Event;

    async fn checkpoint(&mut self) -> Result<Position, Failure> {
        self.desk.clear();
        (self.live, self.reached) = (false, Timestamp(i64::MIN));
        let after = self.pending.recover::<P>(&mut self.desk).await?;
        if is_on(Bug::ForgetTimers) {
            self.desk.forget_timers();
        }
        self.letters.load(after).await?;
        self.replay().await?;
        self.send_off();
        Ok(after)
    }

    async fn handle(&mut self, events: &[Envelope<P::Event>]) -> Result<(), Failure> {
        while self.desk.waiting() > WAITING_MAX {
            self.mailbox.rung().await;
            self.read_mail().await?;
            self.flush(None).await?;
        }
        for (part, envelope) in events.iter().enumerate() {
            self.take_event(part, envelope, false).await?;
            self.reached = envelope.recorded_at();
        }
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.live = commit.caught_up;
        self.flush(Some(commit.through)).await
    }

    async fn park(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        self.letters.add(event, error)?;
        Ok(false)
    }

    fn parked(&self) -> u64 {
        self.letters.count()
    }

    fn fence(&mut self, fence: Check) {
        self.letters.fence = Some(fence.clone());
        self.pending.fence = Some(fence);
    }

    fn due(&self) -> Option<Timestamp> {
        let timer = self.desk.next_timer().filter(|_| self.live);
        timer.into_iter().chain(self.desk.next_retry()).min()
    }

    async fn called(&mut self) {
        self.mailbox.rung().await;
    }

    async fn tick(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.read_mail().await?;
        self.desk.retries_due(now);
        for alarm in self.desk.timers_due(if self.live { now } else { self.reached }) {
            self.go_off(alarm).await?;
        }
        self.flush(None).await
    }
}
