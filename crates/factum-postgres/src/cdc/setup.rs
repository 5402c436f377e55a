//! What is asked of a server before changes are taken from it: its settings, the user's right, the
//! publication and the slot, which are made where they are missing.
//!
//! What must hold: the publication is there before the slot, as changes are published as it was
//! when they were written; and nothing is made twice.

use super::{
    CdcError,
    error::{create_slot, drop_slot},
    table::{TableName, checked, quoted},
};
use crate::error::Class;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// What is to be there.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) slot: String,
    pub(crate) publication: String,
    pub(crate) tables: Vec<TableName>,
    /// New rows alone, or every kind of change.
    pub(crate) kinds: Kinds,
    /// Whether what is missing is made.
    pub(crate) makes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kinds {
    Inserts,
    All,
}

/// Checks all but the slot, and makes the publication.
pub(crate) async fn prepare(connection: &mut PgConnection, plan: &Plan) -> Result<(), CdcError> {
    checked("slot", &plan.slot)?;
    checked("publication", &plan.publication)?;
    server(connection).await?;
    for table in &plan.tables {
        let sql = "SELECT to_regclass($1) IS NOT NULL";
        let is_there: bool =
            sqlx::query_scalar(sql).bind(table.quoted()).fetch_one(&mut *connection).await?;
        if !is_there {
            return Err(CdcError::NoTable { name: table.to_string() });
        }
    }
    publication(connection, plan).await
}

async fn server(connection: &mut PgConnection) -> Result<(), CdcError> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('wal_level'), current_user::text,
        rolsuper OR rolreplication OR EXISTS (SELECT FROM pg_roles AS role
            WHERE role.rolname = 'rds_replication'
                AND pg_has_role(current_user, role.oid, 'MEMBER'))
        FROM pg_roles WHERE rolname = current_user";
    let row = sqlx::query(sql).persistent(false).fetch_one(connection).await?;
    if row.try_get(0)? {
        return Err(CdcError::Replica);
    }
    let found: String = row.try_get(1)?;
    if found != "logical" {
        return Err(CdcError::WalLevel { found });
    }
    match row.try_get(3)? {
        true => Ok(()),
        false => Err(CdcError::NoReplicationRight { user: row.try_get(2)? }),
    }
}

async fn publication(connection: &mut PgConnection, plan: &Plan) -> Result<(), CdcError> {
    let name = &plan.publication;
    let sql = "SELECT pubinsert, pubupdate AND pubdelete AND pubtruncate
        FROM pg_publication WHERE pubname = $1";
    let found = sqlx::query(sql).bind(name).fetch_optional(&mut *connection).await?;
    let Some(found) = found else { return make_publication(connection, plan).await };
    let (inserts, rest): (bool, bool) = (found.try_get(0)?, found.try_get(1)?);
    if !inserts || (plan.kinds == Kinds::All && !rest) {
        return Err(CdcError::PublicationLacks {
            name: name.clone(),
            what: "all kinds of changes".to_owned(),
            cure: format!("ALTER PUBLICATION {} SET (publish = '{}')", quoted(name), kinds(plan)),
        });
    }
    for table in &plan.tables {
        let sql = "SELECT EXISTS (SELECT FROM pg_publication_tables
            WHERE pubname = $1 AND schemaname = $2 AND tablename = $3)";
        let query = sqlx::query_scalar(sql).bind(name).bind(table.schema()).bind(table.name());
        if !query.fetch_one(&mut *connection).await? {
            return Err(CdcError::PublicationLacks {
                name: name.clone(),
                what: format!("the table {table}"),
                cure: format!("ALTER PUBLICATION {} ADD TABLE {}", quoted(name), table.quoted()),
            });
        }
    }
    Ok(())
}

fn kinds(plan: &Plan) -> &'static str {
    match plan.kinds {
        Kinds::Inserts => "insert",
        Kinds::All => "insert, update, delete, truncate",
    }
}

async fn make_publication(connection: &mut PgConnection, plan: &Plan) -> Result<(), CdcError> {
    let tables = plan.tables.iter().map(TableName::quoted).collect::<Vec<_>>().join(", ");
    let name = &plan.publication;
    let cure = format!(
        "CREATE PUBLICATION {} FOR TABLE {tables} WITH (publish = '{}')",
        quoted(name),
        kinds(plan)
    );
    if !plan.makes {
        return Err(CdcError::NoPublication { name: name.clone(), cure });
    }
    let made = sqlx::raw_sql(AssertSqlSafe(cure.clone())).execute(connection).await;
    match made {
        Ok(_) => Ok(()),
        // Another one made it in the same moment.
        Err(error) if code(&error) == Some("42710") => Ok(()),
        Err(error) if code(&error) == Some("42501") => {
            Err(CdcError::NoRight { why: error.to_string(), cure })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the slot is there, and can be used.
pub(crate) async fn has_slot(connection: &mut PgConnection, plan: &Plan) -> Result<bool, CdcError> {
    let sql = "SELECT coalesce(plugin, 'physical'), coalesce(database, ''),
        database IS NOT DISTINCT FROM current_database(), coalesce(wal_status, '')
        FROM pg_replication_slots WHERE slot_name = $1";
    let found = sqlx::query(sql).bind(&plan.slot).fetch_optional(connection).await?;
    let name = plan.slot.clone();
    let Some(found) = found else {
        return match plan.makes {
            true => Ok(false),
            false => Err(CdcError::NoSlot { cure: create_slot(&name), name }),
        };
    };
    let plugin: String = found.try_get(0)?;
    if plugin != "pgoutput" {
        return Err(CdcError::SlotOfOthers { name, whose: format!("the plugin {plugin}") });
    }
    if !found.try_get::<bool, _>(2)? {
        let database: String = found.try_get(1)?;
        return Err(CdcError::SlotOfOthers { name, whose: format!("the database {database}") });
    }
    if found.try_get::<String, _>(3)? == "lost" {
        let why = "its wal_status is `lost`".to_owned();
        return Err(CdcError::SlotLost { cure: drop_slot(&name), name, why });
    }
    Ok(true)
}

/// Makes the slot.
pub(crate) async fn make_slot(connection: &mut PgConnection, plan: &Plan) -> Result<(), CdcError> {
    let sql = "SELECT FROM pg_create_logical_replication_slot($1, 'pgoutput')";
    let made = sqlx::query(sql).bind(&plan.slot).execute(&mut *connection).await;
    match made {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some("42710") => Ok(()),
        Err(error) if code(&error) == Some("53400") => no_slot_free(connection).await,
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn no_slot_free(connection: &mut PgConnection) -> Result<(), CdcError> {
    let sql = "SELECT current_setting('max_replication_slots')";
    Err(CdcError::NoSlotFree { max: sqlx::query_scalar(sql).fetch_one(connection).await? })
}

/// The number of an error of the server's.
pub(crate) fn code(error: &sqlx::Error) -> Option<&str> {
    let of_server = error.as_database_error()?;
    let code = of_server.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.code();
    // One that ends the connection is of the connection.
    (Class::of(error) != Class::Lost).then_some(code)
}
