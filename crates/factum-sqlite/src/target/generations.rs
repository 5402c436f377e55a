//! Tables of projections, their generations, and how far each part of them is.
//!
//! | table | a row is |
//! |---|---|
//! | `factum_views` | a version of a projection: the last generation begun, and the one read |
//! | `factum_view_parts` | a part of a generation: its checkpoint, and whether it had caught up |
//! | `factum_view_rows` | a row of a generation, by key |
//! | `factum_view_parked` | an event that waits in a part |
//! | `factum_view_garbage` | a generation that is gone, and has rows still |

use super::{Stop, inline::Place, rows};
use factum_app::projection::{
    Mark,
    target::{Changes, Opened, Parked, Part, Renew, Role, Table, TargetError},
};
use factum_core::Position;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS factum_views (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    last INTEGER NOT NULL,
    read INTEGER,
    UNIQUE (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS factum_view_parts (
    view INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL,
    through INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    PRIMARY KEY (view, generation, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS factum_view_rows (
    view INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (view, generation, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS factum_view_parked (
    view INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key TEXT,
    stream TEXT NOT NULL,
    why TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS factum_view_parked_by_part
    ON factum_view_parked (view, generation, part, position);
CREATE TABLE IF NOT EXISTS factum_view_garbage (
    view INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (view, generation)
) STRICT, WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS factum_rows AS
    SELECT v.name, v.version, r.key, r.at, r.data
    FROM factum_views v
        JOIN factum_view_rows r ON r.view = v.id AND r.generation = v.read;
";

pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(TABLES).execute(connection).await?;
    Ok(())
}

/// A projection in one version.
pub(super) struct View {
    pub(super) id: i64,
    /// The last generation begun.
    last: i64,
    /// The one that is read.
    pub(super) read: Option<i64>,
}

impl View {
    pub(super) async fn find(
        connection: &mut SqliteConnection,
        table: &Table,
    ) -> Result<Option<Self>, sqlx::Error> {
        let sql = "SELECT id, last, read FROM factum_views WHERE name = ? AND version = ?";
        let found = sqlx::query(sql).bind(&*table.name).bind(i64::from(table.version));
        let view = found.fetch_optional(connection).await?.map(|row| {
            Ok(Self { id: row.try_get(0)?, last: row.try_get(1)?, read: row.try_get(2)? })
        });
        view.transpose()
    }

    async fn make(connection: &mut SqliteConnection, table: &Table) -> Result<Self, sqlx::Error> {
        let sql = "INSERT INTO factum_views (name, version, last) VALUES (?, ?, 0) RETURNING id";
        let made = sqlx::query_scalar(sql).bind(&*table.name).bind(i64::from(table.version));
        Ok(Self { id: made.fetch_one(connection).await?, last: 0, read: None })
    }

    /// Its generations, ascending, each with the number of its parts.
    async fn all(&self, connection: &mut SqliteConnection) -> Result<Vec<(i64, i64)>, sqlx::Error> {
        let sql = "SELECT generation, count(*) FROM factum_view_parts WHERE view = ?
            GROUP BY generation ORDER BY generation";
        sqlx::query_as(sql).bind(self.id).fetch_all(connection).await
    }

    pub(super) async fn has(
        &self,
        connection: &mut SqliteConnection,
        generation: i64,
    ) -> Result<bool, sqlx::Error> {
        let all = self.all(connection).await?;
        Ok(all.iter().any(|(one, _)| *one == generation))
    }

    /// The lowest checkpoint of a generation's parts.
    pub(super) async fn through(
        &self,
        connection: &mut SqliteConnection,
        generation: i64,
    ) -> Result<Position, sqlx::Error> {
        let sql = "SELECT coalesce(min(through), 0) FROM factum_view_parts
            WHERE view = ? AND generation = ?";
        let lowest = sqlx::query_scalar::<_, i64>(sql).bind(self.id).bind(generation);
        Ok(Position(lowest.fetch_one(connection).await?.cast_unsigned()))
    }

    /// What waits in the generation that is kept, oldest first.
    pub(super) async fn parked(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Parked>, sqlx::Error> {
        let last = self.all(&mut *connection).await?.last().map(|(last, _)| *last);
        let Some(kept) = self.read.or(last) else { return Ok(Vec::new()) };
        let sql = "SELECT position, key, stream, why FROM factum_view_parked
            WHERE view = ? AND generation = ? ORDER BY position, part, rowid";
        let rows = sqlx::query(sql).bind(self.id).bind(kept).fetch_all(connection).await?;
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
    async fn begin(
        &mut self,
        connection: &mut SqliteConnection,
        parts: i64,
    ) -> Result<i64, sqlx::Error> {
        let read = self.read.unwrap_or(0);
        self.drop_where(&mut *connection, "generation != ?", read).await?;
        self.last += 1;
        let moved = sqlx::query("UPDATE factum_views SET last = ? WHERE id = ?");
        moved.bind(self.last).bind(self.id).execute(&mut *connection).await?;
        let sql = "WITH RECURSIVE n (part) AS (
                SELECT 0 UNION ALL SELECT part + 1 FROM n WHERE part + 1 < ?3)
            INSERT INTO factum_view_parts SELECT ?1, ?2, part, 0, 0 FROM n WHERE part < ?3";
        let made = sqlx::query(sql).bind(self.id).bind(self.last).bind(parts);
        made.execute(connection).await?;
        Ok(self.last)
    }

    /// Lets generations go: their rows are garbage from now on.
    async fn drop_where(
        &self,
        connection: &mut SqliteConnection,
        which: &'static str,
        number: i64,
    ) -> Result<(), sqlx::Error> {
        let statements = [
            "INSERT INTO factum_view_garbage SELECT DISTINCT view, generation
                FROM factum_view_parts WHERE view = ? AND ",
            "DELETE FROM factum_view_parts WHERE view = ? AND ",
            "DELETE FROM factum_view_parked WHERE view = ? AND ",
        ];
        for statement in statements {
            let sql = sqlx::AssertSqlSafe(format!("{statement}{which}"));
            sqlx::query(sql).bind(self.id).bind(number).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

fn parked_of(row: &SqliteRow) -> Result<Parked, sqlx::Error> {
    Ok(Parked {
        position: Position(row.try_get::<i64, _>(0)?.cast_unsigned()),
        key: row.try_get(1)?,
        stream: row.try_get(2)?,
        why: row.try_get(3)?,
    })
}

/// What is there of a part, for who writes it.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    table: &Table,
    (part, role): (Part, Role),
) -> Result<Option<Opened>, sqlx::Error> {
    let parts = i64::from(part.of);
    let mut view = match (View::find(&mut *connection, table).await?, role) {
        (Some(view), _) => view,
        (None, Role::Keeper) => View::make(&mut *connection, table).await?,
        (None, Role::Builder) => return Ok(None),
    };
    let all = view.all(&mut *connection).await?;
    let generation = match (view.written(&all, (role, parts)), role) {
        (Some(generation), _) => generation,
        (None, Role::Keeper) => view.begin(&mut *connection, parts).await?,
        (None, Role::Builder) => return Ok(None),
    };
    let sql = "SELECT through, ready FROM factum_view_parts
        WHERE view = ? AND generation = ? AND part = ?";
    let of = (view.id, generation, i64::from(part.index));
    let found = sqlx::query(sql).bind(of.0).bind(of.1).bind(of.2);
    let Some(row) = found.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let through = Position(row.try_get::<i64, _>(0)?.cast_unsigned());
    let sql = "SELECT position, key, stream, why FROM factum_view_parked
        WHERE view = ? AND generation = ? AND part = ? ORDER BY rowid";
    let waiting = sqlx::query(sql).bind(of.0).bind(of.1).bind(of.2).fetch_all(connection).await?;
    let parked = waiting.iter().map(parked_of).collect::<Result<_, _>>()?;
    let mark = Mark { generation: generation.cast_unsigned(), through };
    Ok(Some(Opened { mark, ready: row.try_get(1)?, parked }))
}

/// Writes rows, what waits, and the checkpoint, where it follows on the one that is there.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    changes: Changes,
) -> Result<(), Stop> {
    let view = View::find(&mut *connection, &changes.table).await?.ok_or(TargetError::Moved)?;
    let generation = changes.from.generation.cast_signed();
    let part = i64::from(changes.part.index);
    let sql = "UPDATE factum_view_parts SET through = ?4, ready = max(ready, ?5)
        WHERE view = ?1 AND generation = ?2 AND part = ?3 AND through = ?6 AND ?7 = (
            SELECT count(*) FROM factum_view_parts WHERE view = ?1 AND generation = ?2)";
    let moved = sqlx::query(sql)
        .bind(view.id)
        .bind(generation)
        .bind(part)
        .bind(changes.through.0.cast_signed())
        .bind(changes.ready)
        .bind(changes.from.through.0.cast_signed())
        .bind(i64::from(changes.part.of));
    if moved.execute(&mut *connection).await?.rows_affected() != 1 {
        return Err(TargetError::Moved.into());
    }
    rows::write(&mut *connection, (view.id, generation), &changes.rows).await?;
    let of = (view.id, generation, part);
    park(&mut *connection, of, (&changes.released, &changes.parked)).await?;
    if changes.ready {
        finish(&mut *connection, &view, generation).await?;
    }
    rows::sweep(connection).await?;
    Ok(())
}

/// The generation that appends write, if there is one.
pub(super) async fn inline(
    connection: &mut SqliteConnection,
    table: &Table,
) -> Result<Option<Place>, sqlx::Error> {
    let sql = "SELECT v.id, v.read, min(p.through)
        FROM factum_views v
            JOIN factum_view_parts p ON p.view = v.id AND p.generation = v.read
        WHERE v.name = ? AND v.version = ? AND NOT EXISTS (
            SELECT 1 FROM factum_view_parked q WHERE q.view = v.id AND q.generation = v.read)
        GROUP BY v.id, v.read HAVING count(*) = 1";
    let found = sqlx::query_as::<_, (i64, i64, i64)>(sql);
    let found = found.bind(&*table.name).bind(i64::from(table.version));
    let place = found.fetch_optional(connection).await?;
    Ok(place.map(|(view, generation, through)| Place {
        view,
        generation,
        through: through.cast_unsigned(),
    }))
}

/// Moves the checkpoint of what appends write.
pub(super) async fn reach(
    connection: &mut SqliteConnection,
    place: &Place,
    through: u64,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE factum_view_parts SET through = ? WHERE view = ? AND generation = ?";
    let moved = sqlx::query(sql).bind(through.cast_signed()).bind(place.view);
    moved.bind(place.generation).execute(connection).await?;
    Ok(())
}

async fn park(
    connection: &mut SqliteConnection,
    (view, generation, part): (i64, i64, i64),
    (released, parked): (&[(Option<String>, Position)], &[Parked]),
) -> Result<(), sqlx::Error> {
    let gone = "DELETE FROM factum_view_parked
        WHERE view = ? AND generation = ? AND part = ? AND position = ? AND key IS ?";
    for (key, position) in released {
        let gone = sqlx::query(gone).bind(view).bind(generation).bind(part);
        gone.bind(position.0.cast_signed()).bind(key).execute(&mut *connection).await?;
    }
    let put = "INSERT INTO factum_view_parked VALUES (?, ?, ?, ?, ?, ?, ?)";
    for one in parked {
        let put = sqlx::query(put).bind(view).bind(generation).bind(part);
        let put = put.bind(one.position.0.cast_signed()).bind(&one.key);
        put.bind(&*one.stream).bind(&one.why).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Where all parts of a generation have caught up, it is the one that is read.
async fn finish(
    connection: &mut SqliteConnection,
    view: &View,
    generation: i64,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT min(ready) FROM factum_view_parts WHERE view = ? AND generation = ?";
    let all = sqlx::query_scalar::<_, bool>(sql).bind(view.id).bind(generation);
    if !all.fetch_one(&mut *connection).await? || view.read.is_some_and(|read| read >= generation) {
        return Ok(());
    }
    let read = sqlx::query("UPDATE factum_views SET read = ? WHERE id = ?");
    read.bind(generation).bind(view.id).execute(&mut *connection).await?;
    view.drop_where(connection, "generation < ?", generation).await
}

/// Begins a generation, with as many parts as the last one has.
pub(super) async fn renew(
    connection: &mut SqliteConnection,
    table: &Table,
    how: Renew,
) -> Result<(), sqlx::Error> {
    let Some(mut view) = View::find(&mut *connection, table).await? else { return Ok(()) };
    let last = view.all(&mut *connection).await?.last().copied();
    let Some((_, parts)) = last else { return Ok(()) };
    if how == Renew::Instead {
        view.read = None;
        let none = sqlx::query("UPDATE factum_views SET read = NULL WHERE id = ?");
        none.bind(view.id).execute(&mut *connection).await?;
    }
    view.begin(connection, parts).await?;
    Ok(())
}

/// The versions of a projection that have a generation to read.
pub(super) async fn versions(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Vec<u32>, sqlx::Error> {
    let sql = "SELECT version FROM factum_views WHERE name = ? AND read IS NOT NULL
        ORDER BY version";
    sqlx::query_scalar(sql).bind(name).fetch_all(connection).await
}

/// Removes a version.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    table: &Table,
) -> Result<(), sqlx::Error> {
    let Some(view) = View::find(&mut *connection, table).await? else { return Ok(()) };
    view.drop_where(&mut *connection, "generation > ?", 0).await?;
    let gone = sqlx::query("DELETE FROM factum_views WHERE id = ?").bind(view.id);
    gone.execute(&mut *connection).await?;
    rows::sweep(connection).await
}
