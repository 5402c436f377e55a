//! Importing from a table: what the arguments say about it, and what they lack.

use crate::{
    args,
    failure::{Failure, Outcome},
    input::{Format, InputError, Metadata, Records, TableColumns, marten},
};

/// What a database is read as; none where the input is a file.
pub(super) fn format(args: &args::Import) -> Outcome<Option<Format>> {
    let url = args.file.to_string_lossy();
    let is_database = ["postgres://", "postgresql://"].iter().any(|begin| url.starts_with(begin));
    match (is_database, args.format) {
        (true, Some(Format::Marten)) => Ok(Some(Format::Marten)),
        (true, None) if args.table.table.is_some() => Ok(Some(Format::Table)),
        (true, None) => {
            Err(Failure::usage("a database has many tables: which one has the events?")
                .help("--table event_store --order seq, or --format marten"))
        }
        (true, Some(_)) => Err(Failure::usage("--format is about files, and this is a database")
            .help("leave it out, or say --format marten")),
        (false, Some(Format::Marten)) => Err(Failure::usage("Marten's events are in PostgreSQL")
            .help("name its database: postgres://user@host/database")),
        (false, _) if args.table.table.is_some() => {
            Err(Failure::usage("--table is about a database, and this is a file")
                .help("name a database: postgres://user@host/database"))
        }
        (false, _) => Ok(None),
    }
}

/// The records of the table.
pub(super) fn records(args: &args::Import, format: Format) -> Outcome<Result<Records, InputError>> {
    let args::Table { table, order, data, metadata } = args.table.clone();
    let (table, order, columns) = match format {
        Format::Marten => {
            let data = Some(data.unwrap_or_else(|| marten::DATA.to_owned()));
            let metadata = metadata.map_or(Metadata::Marten, Metadata::Column);
            let order = order.unwrap_or_else(|| marten::ORDER.to_owned());
            let table = table.unwrap_or_else(|| marten::TABLE.to_owned());
            (table, order, TableColumns { data, metadata })
        }
        _ => {
            let metadata = metadata.map_or(Metadata::None, Metadata::Column);
            let order = order.ok_or_else(|| {
                Failure::usage("--order is missing: a table has no order of its own")
                    .help("name the column that says in which order events were written")
            })?;
            (table.unwrap_or_default(), order, TableColumns { data, metadata })
        }
    };
    of_database(args.file.to_string_lossy().into_owned(), (table, order), columns)
}

#[cfg(feature = "postgres")]
fn of_database(
    url: String,
    (table, order): (String, String),
    columns: TableColumns,
) -> Outcome<Result<Records, InputError>> {
    use crate::input::postgres;
    Ok(postgres::records(postgres::TableSource { url, table, order, columns }))
}

#[cfg(not(feature = "postgres"))]
fn of_database(
    _: String,
    _: (String, String),
    _: TableColumns,
) -> Outcome<Result<Records, InputError>> {
    Err(Failure::usage("this factum was built without PostgreSQL")
        .help("build it with the feature `postgres`"))
}
