//! The in-memory store with one bug, planted around it.

use super::batches::BrokenBatches;
use factum_core::{
    Append, AppendError, AsOf, Capabilities, Change, Check, Direction, EventData, EventStore,
    Expected, Found, Item, MemoryStore, Position, Query, Read, ReadError, Reading, Receipt,
    RecordedEvent, Select, Statistics, StreamMetadata, StreamName, StreamState, Subscribe,
    Timestamp,
};
use factum_testkit::{Ids, MemoryHarness};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How often, and for how long, a bug looks whether another thread has come in between.
const LOOKS_MAX: usize = 20;
const LOOK_EVERY: Duration = Duration::from_micros(400);

/// What is wrong. Each is said as the wrong behaviour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bug {
    LateCommit,
    HeadAfterData,
    HeadIsLastMatch,
    AfterBeyondHeadFails,
    AfterIsInclusive,
    OnlyFirstTagIndexed,
    PlainWritersUnseen,
    TypeCheckMissesTagged,
    ReplayIfLastMatchIsMine,
    ReplayForgottenAtRestart,
    ReplayIgnoresOrder,
    ReplayInPart,
    ReplayJudgesChecks,
    ReplayUnknown,
    ReplayRaces,
    RightNumberIsReplay,
    GroupsByStream,
    UnwrittenCheckedEarly,
    UnwrittenUnchecked,
    OnlyFirstCheck,
    EmptyTaken,
    EqualTrackingTaken,
    RefusedMovesTracking,
    NoStreamFailsIfDeleted,
    ExistsHoldsIfDeleted,
    HiddenInQueries,
    RecordedGoesBack,
    OccurredIsPrefix,
    PastTheEndIsNothing,
    BackwardFromExcludes,
    LimitOneMore,
    LimitOneLess,
    TagsAreOr,
    CheckpointStuck,
    CheckpointAhead,
    LiveSkipsOne,
    LiveRepeatsOne,
    WrittenInTwoPolls,
    RefusedWritesSome,
    ReceiptOfFirstEvent,
    ReceiptSorted,
    TombstoneAfterChecks,
    UnknownKeysLost,
    NeverWakes,
}

/// What the bugs remember.
#[derive(Default)]
pub(super) struct Notes {
    /// Written, and not yet visible.
    pub(super) late: HashSet<Position>,
    /// Written without a check.
    plain: HashSet<Position>,
    /// What the clock said, which steps back.
    pub(super) clock: HashMap<Position, Timestamp>,
}

#[derive(Clone)]
pub(super) struct Broken {
    inner: MemoryStore,
    clock: MemoryHarness,
    bug: Option<Bug>,
    restarted: bool,
    ids: Arc<Ids>,
    notes: Arc<Mutex<Notes>>,
}

impl Broken {
    pub(super) fn new(memory: MemoryHarness, bug: Option<Bug>) -> Self {
        Self {
            inner: memory.store(),
            clock: memory,
            bug,
            restarted: false,
            ids: Arc::new(Ids::seeded(7)),
            notes: Arc::default(),
        }
    }

    pub(super) fn restarted(self) -> Self {
        Self { restarted: true, ..self }
    }

    /// Waits for another thread to append: a race that is met every time there is one.
    async fn overtaken(&self) {
        let before = self.inner.head().await.expect("memory can be read");
        for _ in 0..LOOKS_MAX {
            if self.inner.head().await.expect("memory can be read") > before {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    async fn stored(&self) -> Vec<RecordedEvent> {
        self.inner.read(Read::query(Query::All)).await.unwrap().events().await.unwrap()
    }

    async fn state(&self, stream: &StreamName) -> StreamState {
        self.inner.read(Read::stream(stream.clone())).await.unwrap().state.unwrap()
    }

    /// Where the append's events are stored already, those that are.
    async fn known(&self, append: &Append) -> Vec<Option<Position>> {
        let stored = self.stored().await;
        let find = |(stream, event): &(StreamName, EventData)| {
            let same = |known: &&RecordedEvent| known.id() == event.id && known.stream() == stream;
            stored.iter().find(same).map(RecordedEvent::position)
        };
        append.events.iter().map(find).collect()
    }

    /// The check's matches.
    async fn matches(&self, query: &Query, after: Position) -> Vec<RecordedEvent> {
        let mut stored = self.stored().await;
        stored.retain(|event| event.position() > after && query.matches(event));
        stored
    }

    /// The query checks that the bug blinds: those of which all matches are of a kind.
    async fn drop_blind(
        &self,
        append: &mut Append,
        is_unseen: impl Fn(&Query, &RecordedEvent) -> bool,
    ) {
        let mut kept = Vec::new();
        for check in append.checks.drain(..) {
            let blind = match &check {
                Check::NoMatch { query, after } => {
                    self.matches(query, *after).await.iter().all(|event| is_unseen(query, event))
                }
                Check::Stream { .. } => false,
            };
            if !blind {
                kept.push(check);
            }
        }
        append.checks = kept;
    }

    /// Makes the append what the bug takes it for.
    async fn misread(&self, append: &mut Append) {
        let Some(bug) = self.bug else { return };
        let written: HashSet<StreamName> = append.events.iter().map(|(s, _)| s.clone()).collect();
        let is_written = |check: &Check| match check {
            Check::Stream { stream, .. } => written.contains(stream),
            Check::NoMatch { .. } => true,
        };
        match bug {
            Bug::AfterIsInclusive => after_is_inclusive(append),
            Bug::OnlyFirstTagIndexed => {
                self.drop_blind(append, |query, event| {
                    event.tags().first().is_none_or(|tag| !names_tag(query, tag.as_str()))
                })
                .await;
            }
            Bug::PlainWritersUnseen => {
                let plain = self.notes.lock().unwrap().plain.clone();
                self.drop_blind(append, |_, event| plain.contains(&event.position())).await;
            }
            Bug::TypeCheckMissesTagged => {
                self.drop_blind(append, |_, event| !event.tags().is_empty()).await;
            }
            Bug::HiddenInQueries => self.drop_hidden(append).await,
            Bug::ReplayIgnoresOrder => {
                let known = self.known(append).await;
                let mut order: Vec<_> = known.into_iter().zip(append.events.drain(..)).collect();
                order.sort_by_key(|(at, _)| *at);
                append.events = order.into_iter().map(|(_, event)| event).collect();
            }
            Bug::ReplayInPart if self.known(append).await[0].is_some() => append.events.truncate(1),
            Bug::RightNumberIsReplay if self.known(append).await.iter().all(Option::is_some) => {
                append.checks.clear();
            }
            Bug::ReplayUnknown => self.renew(append),
            Bug::ReplayForgottenAtRestart if self.restarted => self.renew(append),
            Bug::GroupsByStream => append.events.sort_by(|(a, _), (b, _)| a.cmp(b)),
            Bug::UnwrittenUnchecked => append.checks.retain(is_written),
            Bug::OnlyFirstCheck => append.checks.truncate(1),
            Bug::TagsAreOr => {
                for check in &mut append.checks {
                    if let Check::NoMatch { query, .. } = check {
                        *query = tags_are_or(query);
                    }
                }
            }
            Bug::ExistsHoldsIfDeleted => self.drop_exists(append).await,
            _ => {}
        }
    }

    fn renew(&self, append: &mut Append) {
        append.events.iter_mut().for_each(|(_, event)| event.id = self.ids.next());
    }

    async fn drop_exists(&self, append: &mut Append) {
        let mut kept = Vec::new();
        for check in append.checks.drain(..) {
            let dropped = match &check {
                Check::Stream { stream, expected: Expected::Exists } => {
                    matches!(self.state(stream).await, StreamState::Deleted { .. })
                }
                _ => false,
            };
            if !dropped {
                kept.push(check);
            }
        }
        append.checks = kept;
    }

    async fn drop_hidden(&self, append: &mut Append) {
        let visible = self.visible().await;
        self.drop_blind(append, |_, event| !visible.contains(&event.position())).await;
    }

    /// The positions that reads of streams show.
    async fn visible(&self) -> HashSet<Position> {
        let streams: HashSet<_> = self.stored().await.iter().map(|e| e.stream().clone()).collect();
        let mut visible = HashSet::new();
        for stream in streams {
            let events =
                self.inner.read(Read::stream(stream)).await.unwrap().events().await.unwrap();
            visible.extend(events.iter().map(RecordedEvent::position));
        }
        visible
    }

    /// What the bug answers without asking the store.
    async fn hasty(&self, append: &Append) -> Option<Result<Receipt, AppendError>> {
        match self.bug? {
            Bug::EmptyTaken if append.events.is_empty() && append.tracking.is_none() => {
                let position = self.inner.head().await.unwrap();
                Some(Ok(Receipt { position, streams: Vec::new(), replayed: false }))
            }
            Bug::AfterBeyondHeadFails => {
                let head = self.inner.head().await.unwrap();
                let beyond =
                    |check: &Check| matches!(check, Check::NoMatch { after, .. } if *after > head);
                let index = append.checks.iter().position(beyond)?;
                Some(Err(AppendError::Conflict { index, found: Found::Match(head) }))
            }
            Bug::ReplayIfLastMatchIsMine => {
                let Some(Check::NoMatch { query, after }) = append.checks.first() else {
                    return None;
                };
                let last = self.matches(query, *after).await.pop()?;
                let mine = append.events.iter().any(|(_, event)| event.id == last.id());
                let found = Found::Match(last.position());
                (!mine).then_some(Err(AppendError::Conflict { index: 0, found }))
            }
            Bug::ReplayJudgesChecks | Bug::TombstoneAfterChecks | Bug::NoStreamFailsIfDeleted => {
                self.failing(append).await
            }
            _ => None,
        }
    }

    /// The first stream check that fails, judged before anything else.
    async fn failing(&self, append: &Append) -> Option<Result<Receipt, AppendError>> {
        for (index, check) in append.checks.iter().enumerate() {
            let Check::Stream { stream, expected } = check else { continue };
            let state = self.state(stream).await;
            let deleted = matches!(state, StreamState::Deleted { .. });
            let holds = match (expected, state) {
                (Expected::NoStream, StreamState::Absent) => true,
                (Expected::NoStream, _) => deleted && !self.has(Bug::NoStreamFailsIfDeleted),
                (Expected::Exists, StreamState::Live { .. }) => true,
                (Expected::Exists, _) => false,
                (Expected::At(_), _) => true,
            };
            if !holds {
                return Some(Err(AppendError::Conflict { index, found: Found::Stream(state) }));
            }
        }
        None
    }

    /// What the bug does beside, around or after the append.
    async fn write(&self, mut append: Append) -> Result<Receipt, AppendError> {
        let asked = append.clone();
        match self.bug {
            Some(Bug::ReplayRaces) => return self.check_then_write(append).await,
            Some(Bug::UnwrittenCheckedEarly) => {
                if let Some(refused) = self.failing(&append).await {
                    return refused;
                }
                self.overtaken().await;
                append.checks.clear();
            }
            Some(Bug::WrittenInTwoPolls) if append.events.len() > 1 => {
                let first = append.events.remove(0);
                self.inner.append(Append { events: vec![first], ..Append::default() }).await?;
                yield_once().await;
                return self
                    .inner
                    .append(Append { events: asked.events[1..].to_vec(), ..append })
                    .await;
            }
            _ => {}
        }
        let result = self.inner.append(append).await;
        self.afterwards(&asked, result).await
    }

    async fn afterwards(
        &self,
        asked: &Append,
        result: Result<Receipt, AppendError>,
    ) -> Result<Receipt, AppendError> {
        match (self.bug, result) {
            (Some(Bug::EqualTrackingTaken), Err(AppendError::Tracked { .. })) => {
                let position = self.inner.head().await.unwrap();
                Ok(Receipt { position, streams: Vec::new(), replayed: false })
            }
            (Some(Bug::RefusedMovesTracking), Err(error)) => {
                let tracking = asked.tracking.clone();
                let _ = self.inner.append(Append { tracking, ..Append::default() }).await;
                Err(error)
            }
            (Some(Bug::RefusedWritesSome), Err(error @ AppendError::Conflict { .. })) => {
                let events = asked.events[..1].to_vec();
                let _ = self.inner.append(Append { events, ..Append::default() }).await;
                Err(error)
            }
            (Some(Bug::ReceiptOfFirstEvent), Ok(receipt)) if !receipt.replayed => {
                let more = asked.events.len().saturating_sub(1) as u64;
                Ok(Receipt { position: Position(receipt.position.0 - more), ..receipt })
            }
            (Some(Bug::ReceiptSorted), Ok(mut receipt)) => {
                receipt.streams.sort_by(|a, b| a.stream.cmp(&b.stream));
                Ok(receipt)
            }
            (_, Ok(receipt)) => {
                self.note(asked, &receipt).await;
                Ok(receipt)
            }
            (_, refused) => refused,
        }
    }

    async fn note(&self, asked: &Append, receipt: &Receipt) {
        let count = asked.events.len() as u64;
        let first = (receipt.position.0 + 1).saturating_sub(count);
        let written: Vec<_> = (first..=receipt.position.0).map(Position).collect();
        {
            let mut notes = self.notes.lock().unwrap();
            notes.clock.extend(written.iter().map(|position| (*position, self.clock.now())));
            if asked.checks.is_empty() {
                notes.plain.extend(&written);
            }
            if self.has(Bug::LateCommit) {
                notes.late.extend(&written);
            }
        }
        if self.has(Bug::LateCommit) {
            self.overtaken().await;
            let mut notes = self.notes.lock().unwrap();
            written.iter().for_each(|position| _ = notes.late.remove(position));
        }
    }

    /// Looks for a replay, and writes later, whatever has come in between.
    async fn check_then_write(&self, append: Append) -> Result<Receipt, AppendError> {
        if self.known(&append).await.iter().all(Option::is_some) {
            return self.inner.append(append).await;
        }
        self.overtaken().await;
        loop {
            // A right number for each stream writes whatever the ids.
            let mut forced = Append { checks: Vec::new(), ..append.clone() };
            let streams: HashSet<_> = append.events.iter().map(|(s, _)| s.clone()).collect();
            for stream in streams {
                let expected = match self.state(&stream).await {
                    StreamState::Live { last } => Expected::At(last),
                    _ => Expected::NoStream,
                };
                forced = forced.expecting(stream, expected);
            }
            match self.inner.append(forced).await {
                Err(AppendError::Conflict { .. }) => {}
                done => return done,
            }
        }
    }

    /// Makes the read what the bug takes it for.
    fn misread_read(&self, read: &mut Read) {
        match self.bug {
            Some(Bug::LimitOneMore) => read.limit = read.limit.map(|limit| limit.saturating_add(1)),
            Some(Bug::LimitOneLess) => read.limit = read.limit.map(|limit| limit.saturating_sub(1)),
            Some(Bug::BackwardFromExcludes) if read.direction == Direction::Backward => {
                read.from = read.from.map(|from| from.saturating_sub(1));
            }
            Some(Bug::OccurredIsPrefix | Bug::RecordedGoesBack) => read.as_of = AsOf::Now,
            _ => {}
        }
        if let (Some(Bug::TagsAreOr), Select::Query(query)) = (self.bug, &mut read.select) {
            *query = tags_are_or(query);
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

fn after_is_inclusive(append: &mut Append) {
    for check in &mut append.checks {
        if let Check::NoMatch { after, .. } = check {
            after.0 = after.0.saturating_sub(1);
        }
    }
}

fn names_tag(query: &Query, tag: &str) -> bool {
    match query {
        Query::All => true,
        Query::AnyOf(items) => items.iter().any(|i| i.tags.iter().any(|t| t.as_str() == tag)),
    }
}

fn tags_are_or(query: &Query) -> Query {
    let Query::AnyOf(items) = query else { return query.clone() };
    let split = |item: &Item| -> Vec<Item> {
        let one = |tag| Item { tags: vec![tag], ..item.clone() };
        if item.tags.is_empty() {
            vec![item.clone()]
        } else {
            item.tags.iter().cloned().map(one).collect()
        }
    };
    Query::AnyOf(items.iter().flat_map(split).collect())
}

impl EventStore for Broken {
    type Batches = BrokenBatches;

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, mut append: Append) -> Result<Receipt, AppendError> {
        if let Some(answer) = self.hasty(&append).await {
            return answer;
        }
        self.misread(&mut append).await;
        self.write(append).await
    }

    async fn read(&self, mut read: Read) -> Result<Reading<BrokenBatches>, ReadError> {
        let asked = read.clone();
        self.misread_read(&mut read);
        if let (Some(Bug::NeverWakes), Some(position)) = (self.bug, read.at_least)
            && self.inner.head().await? < position
        {
            std::future::pending::<()>().await;
        }
        let mut reading = self.inner.read(read).await?;
        if self.has(Bug::HeadAfterData) {
            self.overtaken().await;
            reading.head = self.inner.head().await?;
        }
        if self.has(Bug::PastTheEndIsNothing) && asked.direction == Direction::Backward {
            let end = match reading.state {
                Some(StreamState::Live { last }) => last.0,
                _ => reading.head.0,
            };
            if asked.from.is_some_and(|from| from > end) {
                reading = self.inner.read(Read { limit: Some(0), ..asked.clone() }).await?;
            }
        }
        let Reading { mut head, state, batches } = reading;
        let visible = match (self.bug, &asked.select) {
            (Some(Bug::HiddenInQueries), Select::Query(_)) => Some(self.visible().await),
            _ => None,
        };
        if let (Some(Bug::HeadIsLastMatch), Select::Query(query)) = (self.bug, &asked.select) {
            head = self.matches(query, Position::START).await.last().map_or(head, |e| e.position());
            if self.matches(query, Position::START).await.is_empty() {
                head = Position::START;
            }
        }
        let batches = BrokenBatches::of_read(batches, self.bug, asked.as_of);
        Ok(Reading { head, state, batches: batches.seeing(visible, self.notes.clone()) })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<BrokenBatches, ReadError> {
        let batches = self.inner.subscribe(subscribe).await?;
        let head = self.inner.head().await?;
        Ok(BrokenBatches::of_subscription(batches, self.bug, head))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.inner.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        mut change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        if let (Some(Bug::UnknownKeysLost), Change::SetMetadata(metadata)) = (self.bug, &mut change)
        {
            metadata.other.clear();
        }
        self.inner.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.inner.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.inner.statistics().await
    }
}
