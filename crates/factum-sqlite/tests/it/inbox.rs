//! The inbox in SQLite, against the suite of inboxes.

use crate::support::open;
use factum_app::message::Message;
use factum_core::Timestamp;
use factum_sqlite::{AppendWithError, SqliteInbox, SqliteStore, inbox::is_first, sqlx};
use factum_testkit::{
    Boxed, block_on,
    outboxes::{InboxUnderTest, Made, inbox},
};
use sqlx::SqliteConnection;
use tempfile::TempDir;

struct Service {
    dir: TempDir,
    on: Option<(SqliteStore, SqliteInbox)>,
}

impl Service {
    fn store(&self) -> &SqliteStore {
        &self.on.as_ref().unwrap().0
    }
}

impl InboxUnderTest for Service {
    fn handle<'a>(
        &'a self,
        consumer: &'a str,
        message: &'a Message,
        undo: bool,
    ) -> Boxed<'a, Made<bool>> {
        let (consumer, message) = (consumer.to_owned(), message.clone());
        let handling = async move |connection: &mut SqliteConnection| {
            let is_first = is_first(connection, &consumer, &message).await?;
            if is_first {
                let sql = "UPDATE balance SET amount = amount + 1";
                sqlx::query(sql).execute(connection).await?;
            }
            if undo { Err(sqlx::Error::RowNotFound) } else { Ok(is_first) }
        };
        Box::pin(async move {
            match self.store().write(handling).await {
                Err(AppendWithError::Inline(sqlx::Error::RowNotFound)) => Ok(false),
                other => Ok(other?),
            }
        })
    }

    fn balance(&self) -> Boxed<'_, Made<i64>> {
        let amount = async |connection: &mut SqliteConnection| {
            sqlx::query_scalar("SELECT amount FROM balance").fetch_one(connection).await
        };
        Box::pin(async move { Ok(self.store().write::<_, sqlx::Error, _>(amount).await?) })
    }

    fn restart(&mut self) -> Boxed<'_, Made<()>> {
        Box::pin(async {
            self.on = None;
            let store = open(&self.dir.path().join("app.db"));
            let inbox = SqliteInbox::beside(&store).await?;
            self.on = Some((store, inbox));
            Ok(())
        })
    }

    fn forget(&self, before: Timestamp, rows_max: u32) -> Boxed<'_, Made<u64>> {
        let inbox = &self.on.as_ref().unwrap().1;
        Box::pin(async move { Ok(inbox.forget(before, rows_max).await?) })
    }
}

#[test]
fn the_suite() {
    let mut service = Service { dir: tempfile::tempdir().unwrap(), on: None };
    block_on(async {
        service.restart().await.unwrap();
        let make = async |connection: &mut SqliteConnection| {
            let sql = "CREATE TABLE balance (amount INTEGER); INSERT INTO balance VALUES (0)";
            sqlx::raw_sql(sql).execute(connection).await.map(drop)
        };
        service.store().write(make).await.unwrap();
        inbox(service).await.unwrap();
    });
}
