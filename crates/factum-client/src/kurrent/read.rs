//! Reads and subscriptions, in the protocol's terms.
//!
//! The head and the stream's state come first, each from a read of its own, and the answer is cut
//! there: so it may be older than the server is, and never tells less than it shows.

use super::{
    KurrentBatches,
    batches::{Mode, Source, Then, Until, Wanted},
    call::{Ask, Calls, all_from, stream_from},
    filter,
    place::Server,
    refusal::exception,
};
use factum_core::{
    AppendError, AsOf, Direction, Freshness, Item, Limits, Position, Query, Read, ReadError,
    Reading, Revision, Select, StreamName, StreamState, Subscribe, judge,
};
use factum_proto::event_store::client::{
    Empty,
    streams::{
        read_req::options::{all_options::AllOption, stream_options::RevisionOption},
        read_resp::{Content, ReadEvent},
    },
};
use futures_util::future::try_join;

impl Calls {
    pub(super) async fn reading(
        &self,
        read: Read,
        limits: &Limits,
    ) -> Result<Reading<KurrentBatches>, ReadError> {
        if read.as_of != AsOf::Now {
            let what = "read as of the past: KurrentDB's protocol has no such read";
            return Err(ReadError::Unsupported { what: what.into() });
        }
        check(&read.select, limits)?;
        let of_leader = read.freshness == Freshness::Current;
        if let Some(position) = read.at_least {
            self.reaches(position, of_leader).await?;
        }
        let once = Once {
            direction: read.direction,
            from: read.from,
            limit: read.limit.unwrap_or(u64::MAX),
            of_leader,
        };
        match read.select {
            Select::Stream(stream) => self.reading_stream(&stream, once).await,
            Select::Query(query) => self.reading_query(query, once).await,
        }
    }

    async fn reading_stream(
        &self,
        stream: &StreamName,
        once: Once,
    ) -> Result<Reading<KurrentBatches>, ReadError> {
        let head = self.head(once.of_leader);
        let state = self.state_and_last(stream, once.of_leader);
        let (head, (state, position)) = try_join(head, state).await?;
        // The one was read while the other was: what is shown is never past the head.
        let head = head.max(position);
        let last = match state {
            StreamState::Live { last } => last,
            _ => Revision(0),
        };
        let from = match (once.direction, once.from) {
            _ if once.limit == 0 || !matches!(state, StreamState::Live { .. }) => None,
            (Direction::Forward, Some(from)) => {
                (from <= last.0).then_some(RevisionOption::Revision(from))
            }
            (Direction::Forward, None) => Some(RevisionOption::Start(Empty {})),
            (Direction::Backward, from) => {
                Some(RevisionOption::Revision(from.map_or(last.0, |from| from.min(last.0))))
            }
        };
        let ask = from.map(|from| Ask {
            direction: once.direction,
            count: Some(once.limit),
            of_leader: once.of_leader,
            ..Ask::of(stream_from(stream, from))
        });
        let wanted = Wanted::Stream { stream: stream.clone(), after: None };
        let batches = self.pulled(ask, wanted, once.mode(head, Some(last))).await?;
        Ok(Reading { head, state: Some(state), batches })
    }

    async fn reading_query(
        &self,
        query: Query,
        once: Once,
    ) -> Result<Reading<KurrentBatches>, ReadError> {
        let head = self.head(once.of_leader).await?;
        let is_nothing = once.limit == 0
            || head == Position::START
            || match once.direction {
                Direction::Forward => once.from.is_some_and(|from| from > head.0),
                Direction::Backward => once.from == Some(0),
            };
        let ask = if is_nothing { None } else { Some(self.ask_all(&query, &once, head).await?) };
        let batches = self.pulled(ask, Wanted::Query(query), once.mode(head, None)).await?;
        Ok(Reading { head, state: None, batches })
    }

    async fn ask_all(&self, query: &Query, once: &Once, head: Position) -> Result<Ask, ReadError> {
        let from = match (once.direction, once.from.map(Position)) {
            (Direction::Forward, from) => {
                let from = from.and_then(|from| self.server.theirs(from));
                from.map_or(AllOption::Start(Empty {}), AllOption::Position)
            }
            (Direction::Backward, from) => {
                let from = from.map_or(head, |from| from.min(head));
                self.past(from, once.of_leader).await?
            }
        };
        Ok(Ask {
            direction: once.direction,
            // What is cut off or left out here does not count there.
            count: Some(if *query == Query::All { once.limit } else { u64::MAX }),
            filter: filter::filter(query, self.window_events),
            of_leader: once.of_leader,
            ..Ask::of(all_from(from))
        })
    }

    /// Where a backward read begins so that its first event is that of a position: the protocol
    /// leaves out the event that is named. In a KurrentDB that is the event after it.
    async fn past(&self, position: Position, of_leader: bool) -> Result<AllOption, ReadError> {
        let end = AllOption::End(Empty {});
        if self.server == Server::Factum {
            let next = self.server.theirs(Position(position.0.saturating_add(1)));
            return Ok(next.map_or(end, AllOption::Position));
        }
        let Some(at) = self.server.theirs(position) else {
            return Ok(AllOption::Start(Empty {}));
        };
        let two = Ask { count: Some(2), of_leader, ..Ask::of(all_from(AllOption::Position(at))) };
        let mut answers = self.read(two).await.map_err(|status| self.read_error(&status))?;
        while let Some(answer) =
            answers.message().await.map_err(|status| self.read_error(&status))?
        {
            if let Some(Content::Event(ReadEvent { event: Some(event), .. })) = answer.content
                && let next = self.server.ours(event.commit_position)
                && next > position
            {
                return Ok(self.server.theirs(next).map_or(end, AllOption::Position));
            }
        }
        Ok(end)
    }

    async fn pulled(
        &self,
        ask: Option<Ask>,
        wanted: Wanted,
        mode: Mode,
    ) -> Result<KurrentBatches, ReadError> {
        let source = match ask {
            None => Source::Nothing,
            Some(ask) => match self.read(ask).await {
                Ok(answers) => Source::Open(Box::new(answers)),
                // Its tombstone came after the state was told.
                Err(status) if exception(&status) == Some("stream-deleted") => Source::Nothing,
                Err(status) => return Err(self.read_error(&status)),
            },
        };
        Ok(KurrentBatches::new(self.clone(), (source, None), wanted, mode))
    }

    pub(super) async fn following(
        &self,
        subscribe: Subscribe,
        limits: &Limits,
    ) -> Result<KurrentBatches, ReadError> {
        check(&subscribe.select, limits)?;
        match subscribe.select {
            Select::Stream(stream) => self.following_stream(stream, subscribe.after).await,
            Select::Query(query) => {
                let ask = self.live(&query, Position(subscribe.after.unwrap_or_default()));
                let answers = self.read(ask).await.map_err(|status| self.read_error(&status))?;
                let source = Source::Open(Box::new(answers));
                Ok(self.followed((source, None), Wanted::Query(query.clone()), &query))
            }
        }
    }

    /// What the stream has is read as a stream; what comes after is filtered out of everything,
    /// as only then the server tells checkpoints.
    async fn following_stream(
        &self,
        stream: StreamName,
        after: Option<u64>,
    ) -> Result<KurrentBatches, ReadError> {
        let head = self.head(false).await?;
        let prefix = Item { stream_prefixes: vec![stream.as_str().into()], ..Item::default() };
        let named = Query::from(prefix);
        let then = Some(Then { ask: self.live(&named, head), head });
        let from = match after {
            None => RevisionOption::Start(Empty {}),
            Some(after) => RevisionOption::Revision(after.saturating_add(1).min(i64::MAX as u64)),
        };
        let wanted = Wanted::Stream { stream: stream.clone(), after: after.map(Revision) };
        let source = match self.read(Ask::of(stream_from(&stream, from))).await {
            Ok(answers) => Source::Open(Box::new(answers)),
            Err(status) if exception(&status) == Some("stream-deleted") => Source::Nothing,
            Err(status) => return Err(self.read_error(&status)),
        };
        Ok(self.followed((source, then), wanted, &named))
    }

    fn followed(
        &self,
        sources: (Source, Option<Then>),
        wanted: Wanted,
        query: &Query,
    ) -> KurrentBatches {
        let filter = filter::filter(query, self.window_events);
        let last = Ask { filter, ..Ask::last(all_from(AllOption::End(Empty {})), false) };
        KurrentBatches::new(self.clone(), sources, wanted, Mode::Follow { last })
    }

    /// A subscription to what a query selects after a position.
    fn live(&self, query: &Query, after: Position) -> Ask {
        let after = Some(after).filter(|after| *after > Position::START);
        let from = after.and_then(|after| self.server.theirs(after));
        let from = from.map_or(AllOption::Start(Empty {}), AllOption::Position);
        let filter = filter::filter(query, self.window_events);
        Ask { filter, count: None, ..Ask::of(all_from(from)) }
    }
}

/// A read, but for what it selects.
#[derive(Clone, Copy)]
struct Once {
    direction: Direction,
    from: Option<u64>,
    limit: u64,
    of_leader: bool,
}

impl Once {
    fn mode(&self, head: Position, last: Option<Revision>) -> Mode {
        let until = Until { head, last };
        Mode::Read { direction: self.direction, left: self.limit, until }
    }
}

fn check(select: &Select, limits: &Limits) -> Result<(), ReadError> {
    let Select::Query(query) = select else {
        return Ok(());
    };
    judge::validate_query(query, limits).map_err(|error| match error {
        AppendError::Invalid(invalid) => ReadError::Invalid(invalid),
        other => ReadError::Unsupported { what: other.to_string().into() },
    })
}
