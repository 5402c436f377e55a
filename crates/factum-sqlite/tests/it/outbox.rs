//! The outbox in SQLite, against the suite of outboxes: what is committed is published, in order
//! for each key, whatever fails between enqueueing, publishing and marking; what is not never is.

mod kills;

use crate::support::open;
use factum_app::{TokioWorld, World, outbox::Outbox};
use factum_sqlite::{SqliteOutbox, outbox::enqueue, sqlx};
use factum_testkit::{
    Boxed,
    outboxes::{Made, OutboxUnderTest, TableUnderTest, Writing, suite},
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(test)
}

fn world() -> Arc<dyn World> {
    Arc::new(TokioWorld::default())
}

/// Outboxes in files of their own.
struct Sqlite;

struct Table {
    dir: TempDir,
    outbox: SqliteOutbox,
}

impl Table {
    fn file(&self) -> PathBuf {
        self.dir.path().join("app.db")
    }

    /// Of the application's own.
    async fn connection(&self) -> sqlx::Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(self.file()).busy_timeout(LONG);
        options.connect().await
    }
}

impl OutboxUnderTest for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn world(&self) -> Arc<dyn World> {
        world()
    }

    fn table(&self) -> Boxed<'_, Made<Box<dyn TableUnderTest>>> {
        Box::pin(async {
            let dir = tempfile::tempdir()?;
            let outbox = SqliteOutbox::beside(&open(&dir.path().join("app.db"))).await?;
            Ok(Box::new(Table { dir, outbox }) as Box<dyn TableUnderTest>)
        })
    }
}

impl TableUnderTest for Table {
    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.clone())
    }

    fn another(&self) -> Boxed<'_, Made<Arc<dyn Outbox>>> {
        Box::pin(async {
            let outbox = SqliteOutbox::beside(&open(&self.file())).await?;
            Ok(Arc::new(outbox) as Arc<dyn Outbox>)
        })
    }

    fn write<'a>(&'a self, writing: Writing<'a>) -> Boxed<'a, Made<()>> {
        Box::pin(async move {
            let mut connection = self.connection().await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            enqueue(&mut transaction, writing.batch).await?;
            writing.before_end.await;
            match writing.commits {
                true => transaction.commit().await?,
                false => transaction.rollback().await?,
            }
            Ok(())
        })
    }

    fn wake(&self) {
        self.outbox.wake();
    }

    fn traceparents(&self) -> Boxed<'_, Made<Vec<Option<String>>>> {
        Box::pin(async {
            let asking =
                sqlx::query_scalar("SELECT traceparent FROM factum_outbox ORDER BY sequence");
            Ok(asking.fetch_all(&mut self.connection().await?).await?)
        })
    }
}

#[test]
fn the_suite() {
    run(suite(&Sqlite));
}
