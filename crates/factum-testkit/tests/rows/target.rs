//! A target whose process dies at a commit, before it or after, or does not hear what came of it.

use super::world::spread;
use factum_app::{
    projection::{MemoryTarget, Target, TargetError, target::*},
    world::{BoxFuture, World},
};
use factum_testkit::SimWorld;
use std::sync::Arc;

/// Rows that outlive the instances, as one of them sees them.
#[derive(Clone, Debug)]
pub(crate) struct Shaken {
    pub(crate) rows: MemoryTarget,
    pub(crate) instance: Arc<SimWorld>,
    /// One commit in so many goes wrong; 0 is never.
    pub(crate) one_in: u64,
}

impl Shaken {
    async fn die<T>(&self) -> T {
        self.instance.kill();
        std::future::pending().await
    }
}

fn away<T>() -> Result<T, TargetError> {
    Err(TargetError::Away { why: "planned by the test".into() })
}

impl Target for Shaken {
    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(async move {
            let random = spread(self.instance.random());
            let shaken = self.one_in > 0 && random.is_multiple_of(self.one_in);
            let what = if shaken { random >> 32 } else { 9 };
            match what % 10 {
                0 | 1 => self.die().await,
                2 => away(),
                3 | 4 => {
                    self.rows.commit(changes).await?;
                    self.die().await
                }
                5 => {
                    self.rows.commit(changes).await?;
                    away()
                }
                _ => self.rows.commit(changes).await,
            }
        })
    }

    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>> {
        self.rows.open(table, part, role)
    }

    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>> {
        self.rows.load(table, generation, keys)
    }

    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>> {
        self.rows.renew(table, how)
    }

    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>> {
        self.rows.get(table, key)
    }

    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>> {
        self.rows.list(table, list)
    }

    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>> {
        self.rows.parked(table)
    }

    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>> {
        self.rows.versions(name)
    }

    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>> {
        self.rows.remove(table)
    }
}
