//! Tables of projections, their generations, and how far each part of them is.
//!
//! | table | a row is |
//! |---|---|
//! | `factum_views` | a version of a projection: the last generation begun, and the one read |
//! | `factum_view_parts` | a part of a generation: its checkpoint, and whether it had caught up |
//! | `factum_view_rows` | a row of a generation, by key |
//! | `factum_view_parked` | an event that waits in a part |
//! | `factum_view_garbage` | a generation that is gone, and has rows still |
//!
//! Whoever writes anything of a projection has its row in `factum_views` locked: `View::lock` does.

use super::{On, Stop, rows};
use factum_app::projection::{
    Mark,
    target::{Changes, Opened, Parked, Part, Renew, Role, Table, TargetError},
};
use factum_core::Position;
use sqlx::{Row, postgres::PgRow};

/// A projection in one version.
pub(super) struct View {
    pub(super) id: i64,
    /// The last generation begun.
    last: i64,
    /// The one that is read.
    pub(super) read: Option<i64>,
}

impl View {
    /// To look at.
    pub(super) async fn find(on: &mut On<'_>, table: &Table) -> Result<Option<Self>, sqlx::Error> {
        let sql = "SELECT id, last, read FROM {s}.factum_views WHERE name = $1 AND version = $2";
        Self::found(on, table, sql).await
    }

    /// To write: others who do wait until this transaction ends.
    async fn lock(on: &mut On<'_>, table: &Table) -> Result<Option<Self>, sqlx::Error> {
        let sql = "SELECT id, last, read FROM {s}.factum_views WHERE name = $1 AND version = $2
            FOR UPDATE";
        Self::found(on, table, sql).await
    }

    async fn found(on: &mut On<'_>, table: &Table, sql: &str) -> Result<Option<Self>, sqlx::Error> {
        let found = on.query(sql).bind(table.name.to_string()).bind(i64::from(table.version));
        let view = found.fetch_optional(&mut *on.connection).await?.map(|row| {
            Ok(Self { id: row.try_get(0)?, last: row.try_get(1)?, read: row.try_get(2)? })
        });
        view.transpose()
    }

    /// Made by whoever comes first.
    async fn make(on: &mut On<'_>, table: &Table) -> Result<Self, sqlx::Error> {
        let sql = "INSERT INTO {s}.factum_views (name, version, last) VALUES ($1, $2, 0)
            ON CONFLICT (name, version) DO NOTHING";
        let made = on.query(sql).bind(table.name.to_string()).bind(i64::from(table.version));
        made.execute(&mut *on.connection).await?;
        Self::lock(on, table).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Its generations, ascending, each with the number of its parts.
    async fn all(&self, on: &mut On<'_>) -> Result<Vec<(i64, i64)>, sqlx::Error> {
        let sql = "SELECT generation, count(*) FROM {s}.factum_view_parts WHERE view = $1
            GROUP BY generation ORDER BY generation";
        let rows = on.query(sql).bind(self.id).fetch_all(&mut *on.connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    pub(super) async fn has(&self, on: &mut On<'_>, generation: i64) -> Result<bool, sqlx::Error> {
        let all = self.all(on).await?;
        Ok(all.iter().any(|(one, _)| *one == generation))
    }

    /// The lowest checkpoint of a generation's parts.
    pub(super) async fn through(
        &self,
        on: &mut On<'_>,
        generation: i64,
    ) -> Result<Position, sqlx::Error> {
        let sql = "SELECT coalesce(min(through), 0) FROM {s}.factum_view_parts
            WHERE view = $1 AND generation = $2";
        let lowest = on.query(sql).bind(self.id).bind(generation);
        let row = lowest.fetch_one(&mut *on.connection).await?;
        Ok(Position(row.try_get::<i64, _>(0)?.cast_unsigned()))
    }

    /// What waits in the generation that is kept, oldest first.
    pub(super) async fn parked(&self, on: &mut On<'_>) -> Result<Vec<Parked>, sqlx::Error> {
        let last = self.all(on).await?.last().map(|(last, _)| *last);
        let Some(kept) = self.read.or(last) else { return Ok(Vec::new()) };
        let sql = "SELECT position, key, stream, why FROM {s}.factum_view_parked
            WHERE view = $1 AND generation = $2 ORDER BY position, part, nth";
        let rows = on.query(sql).bind(self.id).bind(kept).fetch_all(&mut *on.connection).await?;
        rows.iter().map(parked_of).collect()
    }

    /// The generation that a role writes.
    fn written(&self, all: &[(i64, i64)], (role, parts): (Role, i64)) -> Option<i64> {
        let fits = |number: &i64| all.contains(&(*number, parts));
        let beside = all.last().map(|(last, _)| *last).filter(|last| Some(*last) != self.read);
        match role {
            Role::Builder => beside.filter(|_| self.read.as_ref().is_some_and(fits)).filter(fits),
            Role::Keeper => self.read.filter(fits).or(beside.filter(fits)),
        }
    }

    /// Begins a generation. Of the others only the one that is read stays.
    async fn begin(&mut self, on: &mut On<'_>, parts: i64) -> Result<i64, sqlx::Error> {
        let read = self.read.unwrap_or(0);
        self.drop_where(on, "generation != $2", read).await?;
        self.last += 1;
        let moved = on.query("UPDATE {s}.factum_views SET last = $1 WHERE id = $2");
        moved.bind(self.last).bind(self.id).execute(&mut *on.connection).await?;
        let sql = "INSERT INTO {s}.factum_view_parts
            SELECT $1, $2, part, 0, false FROM generate_series(0, $3 - 1) AS n(part)";
        let made = on.query(sql).bind(self.id).bind(self.last).bind(parts);
        made.execute(&mut *on.connection).await?;
        Ok(self.last)
    }

    /// Lets generations go: their rows are garbage from now on.
    async fn drop_where(
        &self,
        on: &mut On<'_>,
        which: &'static str,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let statements = [
            "INSERT INTO {s}.factum_view_garbage SELECT DISTINCT view, generation
                FROM {s}.factum_view_parts WHERE view = $1 AND ",
            "DELETE FROM {s}.factum_view_parts WHERE view = $1 AND ",
            "DELETE FROM {s}.factum_view_parked WHERE view = $1 AND ",
        ];
        for statement in statements {
            let sql = format!("{statement}{which}");
            on.query(&sql).bind(self.id).bind(number).execute(&mut *on.connection).await?;
        }
        Ok(())
    }
}

fn parked_of(row: &PgRow) -> Result<Parked, sqlx::Error> {
    Ok(Parked {
        position: Position(row.try_get::<i64, _>(0)?.cast_unsigned()),
        key: row.try_get::<Option<Vec<u8>>, _>(1)?.map(rows::key_of).transpose()?,
        stream: row.try_get(2)?,
        why: row.try_get(3)?,
    })
}

/// What is there of a part, for who writes it.
pub(super) async fn open(
    on: &mut On<'_>,
    table: &Table,
    (part, role): (Part, Role),
) -> Result<Option<Opened>, sqlx::Error> {
    let parts = i64::from(part.of);
    let mut view = match (View::lock(on, table).await?, role) {
        (Some(view), _) => view,
        (None, Role::Keeper) => View::make(on, table).await?,
        (None, Role::Builder) => return Ok(None),
    };
    let all = view.all(on).await?;
    let generation = match (view.written(&all, (role, parts)), role) {
        (Some(generation), _) => generation,
        (None, Role::Keeper) => view.begin(on, parts).await?,
        (None, Role::Builder) => return Ok(None),
    };
    let sql = "SELECT through, ready FROM {s}.factum_view_parts
        WHERE view = $1 AND generation = $2 AND part = $3";
    let of = (view.id, generation, i64::from(part.index));
    let found = on.query(sql).bind(of.0).bind(of.1).bind(of.2);
    let Some(row) = found.fetch_optional(&mut *on.connection).await? else { return Ok(None) };
    let through = Position(row.try_get::<i64, _>(0)?.cast_unsigned());
    let sql = "SELECT position, key, stream, why FROM {s}.factum_view_parked
        WHERE view = $1 AND generation = $2 AND part = $3 ORDER BY nth";
    let waiting =
        on.query(sql).bind(of.0).bind(of.1).bind(of.2).fetch_all(&mut *on.connection).await?;
    let parked = waiting.iter().map(parked_of).collect::<Result<_, _>>()?;
    let mark = Mark { generation: generation.cast_unsigned(), through };
    Ok(Some(Opened { mark, ready: row.try_get(1)?, parked }))
}

/// Writes rows, what waits, and the checkpoint, where it follows on the one that is there.
pub(super) async fn commit(on: &mut On<'_>, changes: Changes) -> Result<(), Stop> {
    let view = View::lock(on, &changes.table).await?.ok_or(TargetError::Moved)?;
    let generation = changes.from.generation.cast_signed();
    let part = i64::from(changes.part.index);
    let sql = "UPDATE {s}.factum_view_parts SET through = $4, ready = ready OR $5
        WHERE view = $1 AND generation = $2 AND part = $3 AND through = $6 AND $7 = (
            SELECT count(*) FROM {s}.factum_view_parts WHERE view = $1 AND generation = $2)";
    let moved = on
        .query(sql)
        .bind(view.id)
        .bind(generation)
        .bind(part)
        .bind(changes.through.0.cast_signed())
        .bind(changes.ready)
        .bind(changes.from.through.0.cast_signed())
        .bind(i64::from(changes.part.of));
    if moved.execute(&mut *on.connection).await?.rows_affected() != 1 {
        return Err(TargetError::Moved.into());
    }
    rows::write(on, (view.id, generation), &changes.rows).await?;
    let of = (view.id, generation, part);
    park(on, of, (&changes.released, &changes.parked)).await?;
    if changes.ready {
        finish(on, &view, generation).await?;
    }
    rows::sweep(on).await?;
    Ok(())
}

async fn park(
    on: &mut On<'_>,
    (view, generation, part): (i64, i64, i64),
    (released, parked): (&[(Option<String>, Position)], &[Parked]),
) -> Result<(), sqlx::Error> {
    let gone = "DELETE FROM {s}.factum_view_parked
        WHERE view = $1 AND generation = $2 AND part = $3 AND position = $4
            AND key IS NOT DISTINCT FROM $5";
    for (key, position) in released {
        let gone = on.query(gone).bind(view).bind(generation).bind(part);
        gone.bind(position.0.cast_signed())
            .bind(key.clone().map(String::into_bytes))
            .execute(&mut *on.connection)
            .await?;
    }
    let put = "INSERT INTO {s}.factum_view_parked
        (view, generation, part, position, key, stream, why) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for one in parked {
        let put = on.query(put).bind(view).bind(generation).bind(part);
        let put =
            put.bind(one.position.0.cast_signed()).bind(one.key.clone().map(String::into_bytes));
        put.bind(one.stream.to_string())
            .bind(one.why.as_deref().map(printable))
            .execute(&mut *on.connection)
            .await?;
    }
    Ok(())
}

/// No text of PostgreSQL has a NUL.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Where all parts of a generation have caught up, it is the one that is read.
async fn finish(on: &mut On<'_>, view: &View, generation: i64) -> Result<(), sqlx::Error> {
    let sql = "SELECT bool_and(ready) FROM {s}.factum_view_parts
        WHERE view = $1 AND generation = $2";
    let all = on.query(sql).bind(view.id).bind(generation);
    let row = all.fetch_one(&mut *on.connection).await?;
    if !row.try_get::<bool, _>(0)? || view.read.is_some_and(|read| read >= generation) {
        return Ok(());
    }
    let read = on.query("UPDATE {s}.factum_views SET read = $1 WHERE id = $2");
    read.bind(generation).bind(view.id).execute(&mut *on.connection).await?;
    view.drop_where(on, "generation < $2", generation).await
}

/// Begins a generation, with as many parts as the last one has.
pub(super) async fn renew(on: &mut On<'_>, table: &Table, how: Renew) -> Result<(), sqlx::Error> {
    let Some(mut view) = View::lock(on, table).await? else { return Ok(()) };
    let last = view.all(on).await?.last().copied();
    let Some((_, parts)) = last else { return Ok(()) };
    if how == Renew::Instead {
        view.read = None;
        let none = on.query("UPDATE {s}.factum_views SET read = NULL WHERE id = $1");
        none.bind(view.id).execute(&mut *on.connection).await?;
    }
    view.begin(on, parts).await?;
    Ok(())
}

/// The versions of a projection that have a generation to read.
pub(super) async fn versions(on: &mut On<'_>, name: &str) -> Result<Vec<u32>, sqlx::Error> {
    let sql = "SELECT version FROM {s}.factum_views WHERE name = $1 AND read IS NOT NULL
        ORDER BY version";
    let rows = on.query(sql).bind(name.to_owned()).fetch_all(&mut *on.connection).await?;
    let version = |row: &PgRow| row.try_get::<i64, _>(0);
    let number = |version: i64| u32::try_from(version).unwrap_or(u32::MAX);
    rows.iter().map(|row| version(row).map(number)).collect()
}

/// Removes a version.
pub(super) async fn remove(on: &mut On<'_>, table: &Table) -> Result<(), sqlx::Error> {
    let Some(view) = View::lock(on, table).await? else { return Ok(()) };
    view.drop_where(on, "generation > $2", 0).await?;
    let gone = on.query("DELETE FROM {s}.factum_views WHERE id = $1").bind(view.id);
    gone.execute(&mut *on.connection).await?;
    rows::sweep(on).await
}
