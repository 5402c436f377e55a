//! A target of projections that fails when it is told to.

use factum_app::{
    projection::{
        MemoryTarget, Target, TargetError,
        target::{Changes, List, Opened, Parked, Part, Renew, Role, Seen, StoredRow, Table},
    },
    world::BoxFuture,
};
use std::sync::{Arc, Mutex};

/// A target whose commits fail: the nth, before or after it is done; or all of them.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    inner: MemoryTarget,
    calls: Arc<Mutex<(u32, u32, bool)>>,
}

impl Failing {
    /// The nth commit fails; with 0 all do.
    pub(crate) fn over(inner: MemoryTarget, nth: u32) -> Self {
        Self { inner, calls: Arc::new(Mutex::new((0, nth, false))) }
    }

    pub(crate) fn after(self) -> Self {
        self.calls.lock().unwrap().2 = true;
        self
    }

    pub(crate) fn mend(&self) {
        self.calls.lock().unwrap().1 = u32::MAX;
    }

    pub(crate) fn has_failed(&self) -> bool {
        let (calls, nth, _) = *self.calls.lock().unwrap();
        calls >= nth
    }
}

impl Target for Failing {
    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>> {
        self.inner.open(table, part, role)
    }

    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>> {
        self.inner.load(table, generation, keys)
    }

    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>> {
        let (fails, after) = {
            let mut calls = self.calls.lock().unwrap();
            calls.0 += 1;
            (calls.1 == 0 || calls.0 == calls.1, calls.2)
        };
        Box::pin(async move {
            let away = TargetError::Away { why: "the cable".into() };
            if fails && !after {
                return Err(away);
            }
            self.inner.commit(changes).await?;
            if fails { Err(away) } else { Ok(()) }
        })
    }

    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>> {
        self.inner.renew(table, how)
    }

    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>> {
        self.inner.get(table, key)
    }

    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>> {
        self.inner.list(table, list)
    }

    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>> {
        self.inner.parked(table)
    }

    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>> {
        self.inner.versions(name)
    }

    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>> {
        self.inner.remove(table)
    }
}
