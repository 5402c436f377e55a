//! The server: how it is addressed, and what is asked of it before anything is stored there.

use crate::{OpenError, Options, options::Listen};
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions};

/// The oldest major version that will do.
const VERSION_MIN: i64 = 15;
/// A transaction of the store's own that does nothing for so long was left behind by a machine
/// that is gone: it would hold back all who follow.
const IDLE_IN_TRANSACTION_MS_MAX: u32 = 30_000;
/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 128;

/// What a URL says, for PostgreSQL and for the store.
pub(crate) fn address(url: &str) -> Result<(PgConnectOptions, Options), OpenError> {
    let mut options = Options::default();
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let refused = |why: String| OpenError::Url { url: without_password(before), why };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("factum_schema", name)) if !name.is_empty() => options.schema = name.to_owned(),
            Some(("factum_pooler", "transaction")) => options.pooler = true,
            Some(("factum_listen", "off")) => options.listen = Listen::Off,
            Some((name, _)) if name.starts_with("factum_") => {
                let why = format!(
                    "`{pair}` is none of factum_schema=NAME, factum_pooler=transaction, \
                     factum_listen=off"
                );
                return Err(refused(why));
            }
            _ => kept.push(pair),
        }
    }
    let address = format!("{before}?{}", kept.join("&"));
    let address = address.parse::<PgConnectOptions>();
    address.map(|address| (address, options)).map_err(|error| refused(error.to_string()))
}

/// For people: a URL without who asks.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

/// An address with what every connection of the store is to be like.
pub(crate) fn fitted(address: PgConnectOptions, options: &Options) -> PgConnectOptions {
    let address = match address.get_application_name() {
        Some(_) => address,
        None => address.application_name("factum"),
    };
    let address = address.disable_statement_logging();
    if options.pooler {
        // A pooler takes no settings of a connection, and PgBouncer refuses those it does not know.
        return address.statement_cache_capacity(0).extra_float_digits(None);
    }
    address.statement_cache_capacity(STATEMENTS_MAX).options([
        ("default_transaction_isolation", "read committed".to_owned()),
        ("lock_timeout", options.lock_timeout_ms.to_string()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS_MAX.to_string()),
    ])
}

/// Refuses a server that could lose what is acknowledged, or answer wrongly.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), OpenError> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('server_version_num')::bigint / 10000,
        current_setting('synchronous_commit'), current_setting('fsync'),
        current_setting('server_encoding')";
    let row = sqlx::query(sql).persistent(false).fetch_one(connection).await?;
    if row.try_get(0)? {
        return Err(OpenError::Replica);
    }
    let found: i64 = row.try_get(1)?;
    if found < VERSION_MIN {
        return Err(OpenError::OldServer { found, known: VERSION_MIN });
    }
    for (column, setting) in [(2, "synchronous_commit"), (3, "fsync")] {
        if row.try_get::<&str, _>(column)? == "off" {
            return Err(OpenError::NotDurable { setting });
        }
    }
    match row.try_get::<&str, _>(4)? {
        "UTF8" => Ok(()),
        found => Err(OpenError::Encoding { found: found.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_is_the_stores_own() {
        let (address, options) =
            address("postgres://u@h:7/d?factum_schema=shop&sslmode=disable&factum_listen=off")
                .unwrap();
        assert_eq!((address.get_host(), address.get_port()), ("h", 7));
        assert_eq!(options.schema, "shop");
        assert!(matches!(options.listen, Listen::Off));
    }

    #[test]
    fn what_is_not_understood_is_named_and_no_password_is_told() {
        let error = address("postgres://u@h/d?factum_poller=on").unwrap_err().to_string();
        assert!(error.contains("factum_poller=on") && error.contains("factum_schema"), "{error}");
        let error = address("postgres://u:secret@h:port/d").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
