//! Writing: a group of appends in one transaction, each judged against all before it.
//!
//! What is refused is refused before anything of it is written. Only what somebody else has to say
//! in the transaction comes after that: such an append is in a savepoint, which is undone with it.
//! Where a statement of the store's own fails, the whole group does.

mod inline;
mod known;
mod rows;
mod view;

pub(crate) use known::Known;

use crate::{
    Inline,
    inline::Hook,
    shared::Shared,
    store::{Refused, Reply, Work},
};
use factum_core::{
    Position, Receipt, Timestamp,
    judge::{self, Plan, Refusal, Verdict},
};
use sqlx::{Connection, Row, SqliteConnection};
use std::sync::Arc;
use tokio::runtime::Runtime;
use view::Judging;

/// A group in its transaction.
pub(crate) struct Group<'a> {
    connection: &'a mut SqliteConnection,
    runtime: &'a Runtime,
    shared: &'a Shared,
    known: &'a mut Known,
    /// The position of the last event, of this group too.
    head: u64,
    /// When it was recorded.
    recorded_at: Timestamp,
    /// The head when the group began.
    began: u64,
    /// Somebody else's statements ran in it: what fails after that may have been committed.
    pub(crate) is_shared: bool,
}

impl<'a> Group<'a> {
    pub(crate) fn begin(
        connection: &'a mut SqliteConnection,
        (runtime, shared): (&'a Runtime, &'a Shared),
        known: &'a mut Known,
    ) -> Result<Self, sqlx::Error> {
        let store = sqlx::query("SELECT head, recorded_at FROM factum_store");
        let row = runtime.block_on(store.fetch_one(&mut *connection))?;
        let head = row.try_get::<i64, _>(0)?.cast_unsigned();
        let recorded_at = Timestamp(row.try_get(1)?);
        Ok(Self {
            connection,
            runtime,
            shared,
            known,
            head,
            recorded_at,
            began: head,
            is_shared: false,
        })
    }

    /// Does one append or change. An error is the whole group's.
    pub(crate) fn take(&mut self, work: Work, hook: Option<Hook>) -> Result<Reply, sqlx::Error> {
        let mut view = Judging::new(self.connection, self.runtime, self.head);
        let judged = match work {
            Work::Append(append) => {
                view.expects(&append);
                judge::judge(append, &mut view)
            }
            Work::Rows => return self.write_shared(None, Theirs { inlines: Vec::new(), hook }),
            Work::Change { stream, change, expected } => {
                judge::judge_change(&stream, change, expected, &mut view)
            }
        };
        match judged {
            Ok(Verdict::Answer(receipt)) => Ok(Ok(receipt)),
            Ok(Verdict::Write(plan)) => self.write(plan, hook),
            Err(Refusal::Append(error)) => Ok(Err(Refused::Append(error))),
            Err(Refusal::View(error)) => Err(error),
        }
    }

    fn write(&mut self, plan: Plan, hook: Option<Hook>) -> Result<Reply, sqlx::Error> {
        let theirs = Theirs { inlines: self.shared.inlines(), hook };
        if theirs.inlines.is_empty() && theirs.hook.is_none() {
            let receipt = self.writing().write(&plan)?;
            return Ok(Ok(receipt));
        }
        self.write_shared(Some(&plan), theirs)
    }

    /// With what somebody else has to say.
    fn write_shared(&mut self, plan: Option<&Plan>, theirs: Theirs) -> Result<Reply, sqlx::Error> {
        self.is_shared = true;
        let before = (self.head, self.recorded_at);
        let shared = self.in_savepoint(plan, theirs);
        if !matches!(shared, Ok(Ok(_))) {
            (self.head, self.recorded_at) = before;
            self.known.forget();
        }
        shared
    }

    fn in_savepoint(&mut self, plan: Option<&Plan>, theirs: Theirs) -> Result<Reply, sqlx::Error> {
        let runtime = self.runtime;
        let mut savepoint = runtime.block_on(self.connection.begin())?;
        let mut writing = Writing {
            connection: &mut savepoint,
            runtime,
            shared: self.shared,
            known: self.known,
            head: &mut self.head,
            recorded_at: &mut self.recorded_at,
        };
        let receipt = match plan {
            Some(plan) => {
                let receipt = writing.write(plan)?;
                // Somebody who ends the transaction, against the rules, leaves a store that is
                // whole.
                writing.reach()?;
                receipt
            }
            None => {
                // They see what the group has written so far.
                if *writing.head > self.began {
                    writing.reach()?;
                }
                writing.nothing()
            }
        };
        match writing.inline(plan, theirs) {
            Ok(()) => runtime.block_on(savepoint.commit()).map(|()| Ok(receipt)),
            Err(refused) => runtime.block_on(savepoint.rollback()).map(|()| Err(refused)),
        }
    }

    fn writing(&mut self) -> Writing<'_> {
        Writing {
            connection: self.connection,
            runtime: self.runtime,
            shared: self.shared,
            known: self.known,
            head: &mut self.head,
            recorded_at: &mut self.recorded_at,
        }
    }

    /// Says in the store how far it reaches; that, and how many events the group has.
    pub(crate) fn finish(self) -> Result<(u64, u64), sqlx::Error> {
        if self.head > self.began {
            let reached = (self.head, self.recorded_at);
            self.runtime.block_on(rows::reach(self.connection, reached))?;
        }
        Ok((self.head, self.head - self.began))
    }
}

/// What others want in the transaction.
struct Theirs {
    /// The projections that are kept in it.
    inlines: Vec<Arc<dyn Inline>>,
    /// The caller.
    hook: Option<Hook>,
}

/// One append.
struct Writing<'a> {
    connection: &'a mut SqliteConnection,
    runtime: &'a Runtime,
    shared: &'a Shared,
    known: &'a mut Known,
    head: &'a mut u64,
    recorded_at: &'a mut Timestamp,
}

impl Writing<'_> {
    fn write(&mut self, plan: &Plan) -> Result<Receipt, sqlx::Error> {
        if !plan.events.is_empty() {
            *self.recorded_at = self.shared.options.clock.now().max(*self.recorded_at);
            let ids = self.known.of(&plan.events, self.connection, self.runtime)?;
            let at = (*self.head + 1, *self.recorded_at);
            let writing = rows::insert(self.connection, (&plan.events, &ids), at);
            self.runtime.block_on(writing)?;
            *self.head += plan.events.len() as u64;
        }
        if let Some(tracking) = &plan.tracking {
            self.runtime.block_on(rows::track(self.connection, tracking))?;
        }
        Ok(plan.receipt(Position(*self.head)))
    }

    /// Says in the store how far it reaches.
    fn reach(&mut self) -> Result<(), sqlx::Error> {
        let reached = (*self.head, *self.recorded_at);
        self.runtime.block_on(rows::reach(self.connection, reached))
    }

    /// The receipt of what has no events.
    fn nothing(&self) -> Receipt {
        Receipt { position: Position(*self.head), streams: Vec::new(), replayed: false }
    }
}
