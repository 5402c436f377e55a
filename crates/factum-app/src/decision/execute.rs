//! Doing a command: read, decide, append under the condition that nothing has changed; where it
//! has, again with the new facts.

use super::{
    Decision, Emit, ExecuteError, Parts, Receipt,
    command::Call,
    keyed,
    load::{Appended, Loader},
};
use crate::{
    App, Ctx, Envelope, Metadata,
    event::{Draft, EventSet},
    observe::{
        meter::{CommandMeter, Outcome},
        span,
    },
    planted::{Bug, is_on},
    world::BoxFuture,
};
use factum_core::{Append, AppendError, Check, EventStore, Position, Tag};
use std::{future::IntoFuture, time::Duration};
use tracing::{Instrument, Span};

/// How often a command is decided, at most, before its caller is told.
const ATTEMPTS_MAX: u32 = 20;
/// How often one append is sent again, at most, where its outcome is unknown or the store is busy.
pub(super) const SENDS_MAX: u32 = 8;
/// The longest first pause; each further one may be twice as long.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A command on its way: `.await` does it.
#[must_use = "a command is done when it is awaited"]
pub struct Execute<'a, D> {
    app: &'a App,
    command: D,
    call: Call,
}

impl<'a, D: Decision> Execute<'a, D> {
    pub(crate) fn new(app: &'a App, command: D) -> Self {
        Self { app, command, call: Call::default() }
    }

    /// With a key: a retry with the same one is answered with the first receipt.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.call.key = Some(key.into());
        self
    }

    /// On behalf of somebody.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.call.metadata.actor = Some(actor.into());
        self
    }

    /// For a tenant.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.call.metadata.tenant = Some(tenant.into());
        self
    }

    /// With all of this known about it.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.call.metadata = metadata;
        self
    }

    /// Because of an event.
    pub fn caused_by<E>(mut self, cause: &Envelope<E>) -> Self {
        self.call.metadata = cause.metadata().caused_by(cause.id());
        self
    }
}

impl<'a, D: Decision> IntoFuture for Execute<'a, D> {
    type Output = Result<Receipt, ExecuteError<D::Refusal>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { run(self.app, &self.command, &self.call).await })
    }
}

/// Does a command, and tells of it.
pub(crate) async fn run<D: Decision>(
    app: &App,
    command: &D,
    call: &Call,
) -> Result<Receipt, ExecuteError<D::Refusal>> {
    let (ctx, meter) = (app.context(&call.metadata), app.meters().command(command.name()));
    let (begun, span) = (ctx.now(), span::command(command.name(), call.key.as_deref(), &ctx));
    let ctx = app.traced(&span, ctx);
    let told = Told { span: &span, meter: &meter };
    let done = decided(app, command, (call, ctx), told).instrument(span.clone()).await;
    let outcome = Outcome::of(&done);
    meter.count(outcome, begun, app.world().now());
    match &done {
        Ok(receipt) => {
            span.record("events", receipt.ids.len());
            span.record("position", receipt.position.0);
            span::end(&span, outcome.name());
        }
        Err(ExecuteError::Refused(refusal)) => {
            span.record("error", tracing::field::debug(refusal));
            span::end(&span, outcome.name());
        }
        Err(error) => span::failed(&span, outcome.name(), error),
    }
    done
}

/// To whom it is told what a command comes to.
#[derive(Clone, Copy)]
struct Told<'a> {
    span: &'a Span,
    meter: &'a CommandMeter,
}

async fn decided<D: Decision>(
    app: &App,
    command: &D,
    (call, ctx): (&Call, Ctx),
    told: Told<'_>,
) -> Result<Receipt, ExecuteError<D::Refusal>> {
    command.validate().map_err(ExecuteError::Refused)?;
    let key = call.key.as_ref().map(|key| keyed::tag(command.name(), key)).transpose()?;
    if let Some(first) = done_before(app, key.as_ref()).await? {
        return Ok(first);
    }
    let boundary = command.boundary()?;
    let reads = D::State::boundaries(&boundary);
    if reads.iter().any(|one| !one.is_some()) {
        return Err(ExecuteError::NoBoundary { command: command.name() });
    }
    told.span.record("boundary", tracing::field::display(span::Reads(&reads)));
    let mut job = Job { app, command, boundary: &boundary, ctx, key };
    for attempt in 0..ATTEMPTS_MAX {
        told.span.record("attempts", attempt + 1);
        let end = match job.attempt(attempt == 0).await {
            Err(ExecuteError::Append(AppendError::Unknown { .. }))
                if is_on(Bug::DecideAnewAfterLostReply) =>
            {
                job.ctx = app.context(&call.metadata);
                None
            }
            Ok(Attempt::Done(receipt)) if receipt.nothing.is_some() => Some(Ok(receipt)),
            Ok(Attempt::Done(receipt)) => return Ok(receipt),
            Ok(Attempt::Conflict) => {
                told.meter.conflicts.increment(1);
                None
            }
            Err(refused @ ExecuteError::Refused(_)) => Some(Err(refused)),
            Err(error) => return Err(error),
        };
        if end.is_none() {
            app.pause(attempt, PAUSE, PAUSE_MAX).await;
        }
        // Nothing, or a refusal, may be because of the first attempt with this key, which went on
        // elsewhere while this one was being read for.
        let key = job.key.as_ref().filter(|_| end.is_none() || !is_on(Bug::ForgetKeyAtRefusal));
        if let Some(first) = done_before(app, key).await? {
            return Ok(first);
        }
        if let Some(end) = end {
            return end;
        }
    }
    Err(ExecuteError::Exhausted { attempts: ATTEMPTS_MAX })
}

async fn done_before<R>(app: &App, key: Option<&Tag>) -> Result<Option<Receipt>, ExecuteError<R>> {
    match key {
        Some(tag) => Ok(keyed::first(app.store(), tag).await?),
        None => Ok(None),
    }
}

/// One command, being done.
struct Job<'a, D: Decision> {
    app: &'a App,
    command: &'a D,
    boundary: &'a <D::State as Parts>::Boundary,
    ctx: Ctx,
    key: Option<Tag>,
}

enum Attempt {
    Done(Receipt),
    Conflict,
}

impl<D: Decision> Job<'_, D> {
    /// Decides once. The first time on what the cache has: where the outcome appends, the condition
    /// proves that it was new enough; otherwise the store is asked, and it is decided again.
    async fn attempt(&self, first: bool) -> Result<Attempt, ExecuteError<D::Refusal>> {
        let app = self.app;
        let mut loader = Loader::new(app);
        // Without the check of its metadata nothing tells that a stream was deleted meanwhile.
        if first && app.store().capabilities().query_checks {
            loader = loader.trusting();
        }
        let mut read = D::State::load(&mut loader, self.boundary).await?;
        let mut outcome = self.decide(&read);
        let emits = outcome.as_ref().is_ok_and(|(emit, _)| !emit.events.is_empty());
        if loader.trusted() && !emits && !is_on(Bug::TrustCacheForRefusal) {
            loader = Loader::new(app);
            read = D::State::load(&mut loader, self.boundary).await?;
            outcome = self.decide(&read);
        }
        if loader.is_torn() {
            return Ok(Attempt::Conflict);
        }
        let (emit, ctx) = outcome.map_err(ExecuteError::Refused)?;
        if emit.events.is_empty() {
            app.take(loader.due());
            return Ok(Attempt::Done(self.nothing(loader.head(), &emit)));
        }
        let append = self.append(&read, &emit, &ctx)?;
        let bytes = append.events.iter().map(|(_, event)| event.payload_bytes() as u64).sum();
        let ids = append.events.iter().map(|(_, event)| event.id).collect();
        let sends_max = if is_on(Bug::DecideAnewAfterLostReply) { 1 } else { SENDS_MAX };
        let receipt = match app.send(append, sends_max).await {
            Ok(receipt) => receipt,
            Err(AppendError::Conflict { .. }) => return Ok(Attempt::Conflict),
            Err(error) => return Err(error.into()),
        };
        if !receipt.replayed {
            let appended =
                Appended { boundary: self.boundary, read, emit: &emit, receipt: &receipt, bytes };
            D::State::keep(&mut loader, appended);
        }
        app.take(loader.due());
        Ok(Attempt::Done(Receipt {
            position: receipt.position,
            streams: receipt.streams,
            ids,
            correlation: self.correlation(),
            // That its append was sent again, after a lost reply, is no concern of who asked once.
            replayed: false,
            nothing: None,
        }))
    }

    #[allow(clippy::type_complexity, reason = "the outcome, and the context with its count of ids")]
    fn decide(
        &self,
        read: &<D::State as Parts>::Read,
    ) -> Result<(Emit<<D::State as Parts>::Event>, Ctx), D::Refusal> {
        let ctx = self.ctx.again();
        let emit = self.command.decide(D::State::state(read), &ctx)?;
        Ok((emit, ctx))
    }

    fn correlation(&self) -> factum_core::Uuid {
        self.ctx.metadata().correlation.unwrap_or_default()
    }

    fn nothing(&self, read: Position, emit: &Emit<<D::State as Parts>::Event>) -> Receipt {
        Receipt {
            position: read,
            streams: Vec::new(),
            ids: Vec::new(),
            correlation: self.correlation(),
            replayed: false,
            nothing: emit.nothing.clone().or(Some("there was nothing to do".into())),
        }
    }

    /// The events, under the condition that what was read is all there is.
    fn append(
        &self,
        read: &<D::State as Parts>::Read,
        emit: &Emit<<D::State as Parts>::Event>,
        ctx: &Ctx,
    ) -> Result<Append, ExecuteError<D::Refusal>> {
        let seen = D::State::marked(self.boundary, read);
        let store = self.app.store().capabilities();
        let mut checks: Vec<Check> = Vec::new();
        for one in &seen {
            for (part, mark) in one.boundary.parts().iter().zip(one.marks) {
                mark.check(part, store, &mut checks);
            }
        }
        if is_on(Bug::DropCondition) {
            checks.clear();
        }
        let key = self.key.as_ref().filter(|_| !is_on(Bug::DropKeyCheck));
        checks.extend(key.map(keyed::check));
        let mut events = Vec::with_capacity(emit.events.len());
        for event in &emit.events {
            let mut draft = Draft::new(event, ctx.id(), ctx.metadata())?;
            let is_seen = |one: &super::parts::Seen<'_>| {
                one.boundary.sees(&draft.stream, &draft.data.event_type, &draft.data.tags)
            };
            if !seen.iter().any(is_seen) {
                let (command, event_type) = (self.command.name(), event.info().event_type);
                let stream = draft.stream;
                return Err(ExecuteError::OutsideBoundary { command, event_type, stream });
            }
            draft.data.tags.extend(self.key.clone());
            events.push((draft.stream, draft.data));
        }
        Ok(Append { events, checks, tracking: None })
    }
}
