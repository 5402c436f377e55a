//! Writing: a group of appends in one transaction, each judged against all before it, and each in
//! a savepoint, so that one that is refused leaves nothing behind.

mod inline;
mod known;
mod rows;
mod view;

pub(crate) use known::Known;

use crate::{
    Options,
    inline::Hook,
    store::{Refused, Reply, Work},
};
use factum_core::{
    Receipt, Timestamp,
    judge::{self, Plan, Refusal, Verdict},
};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::runtime::Runtime;
use view::Judging;

/// A group in its transaction.
pub(crate) struct Group<'a> {
    connection: &'a mut SqliteConnection,
    runtime: &'a Runtime,
    options: &'a Options,
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

/// What is undone with a savepoint.
enum Undone {
    /// The append is refused.
    Refused(Refused),
    /// The whole group fails.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Undone {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Group<'a> {
    pub(crate) fn begin(
        connection: &'a mut SqliteConnection,
        (runtime, options): (&'a Runtime, &'a Options),
        known: &'a mut Known,
    ) -> Result<Self, sqlx::Error> {
        let store = sqlx::query("SELECT head, recorded_at FROM factum_store");
        let row = runtime.block_on(store.fetch_one(&mut *connection))?;
        let head = row.try_get::<i64, _>(0)?.cast_unsigned();
        let recorded_at = Timestamp(row.try_get(1)?);
        Ok(Self {
            connection,
            runtime,
            options,
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
        let before = (self.head, self.recorded_at);
        self.is_shared |= self.options.inline.is_some() || hook.is_some();
        let mut savepoint = self.runtime.block_on(self.connection.begin())?;
        let mut writing = Writing {
            connection: &mut savepoint,
            runtime: self.runtime,
            options: self.options,
            known: self.known,
            head: self.head,
            recorded_at: self.recorded_at,
        };
        match writing.write(plan, hook) {
            Ok(receipt) => {
                (self.head, self.recorded_at) = (writing.head, writing.recorded_at);
                self.runtime.block_on(savepoint.commit())?;
                Ok(Ok(receipt))
            }
            Err(undone) => {
                (self.head, self.recorded_at) = before;
                self.known.forget();
                let undoing = self.runtime.block_on(savepoint.rollback());
                match undone {
                    Undone::Refused(refused) => undoing.map(|()| Err(refused)),
                    // What failed first says more: SQLite may have rolled back all by itself.
                    Undone::Failed(error) => Err(error),
                }
            }
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

/// One append in its savepoint.
struct Writing<'a> {
    connection: &'a mut SqliteConnection,
    runtime: &'a Runtime,
    options: &'a Options,
    known: &'a mut Known,
    head: u64,
    recorded_at: Timestamp,
}

impl Writing<'_> {
    fn write(&mut self, plan: Plan, hook: Option<Hook>) -> Result<Receipt, Undone> {
        let first = self.head + 1;
        if !plan.events.is_empty() {
            self.recorded_at = self.options.clock.now().max(self.recorded_at);
            let ids = self.known.of(&plan.events, self.connection, self.runtime)?;
            let writing =
                rows::insert(self.connection, (&plan.events, &ids), (first, self.recorded_at));
            self.runtime.block_on(writing)?;
            self.head += plan.events.len() as u64;
        }
        if let Some(tracking) = &plan.tracking {
            self.runtime.block_on(rows::track(self.connection, tracking))?;
        }
        if self.options.inline.is_some() || hook.is_some() {
            // Somebody who ends the transaction, against the rules, leaves a store that is whole.
            let reached = (self.head, self.recorded_at);
            self.runtime.block_on(rows::reach(self.connection, reached))?;
            self.inline(&plan, first, hook).map_err(Undone::Refused)?;
        }
        Ok(plan.receipt(factum_core::Position(self.head)))
    }
}
