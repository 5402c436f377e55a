//! URLs of servers: what each part means, and which are refused.
//!
//! Apart from connecting, because it is pure: text in, an [`Address`] or a clear error out.

use percent_encoding::percent_decode_str;
use std::time::Duration;
use url::{Host, Url};

/// The port of a Factum server, and of a KurrentDB, where the URL names none.
pub const DEFAULT_PORT: u16 = 2113;

/// Why a URL is none of a server. The caller has to correct it.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// It is no URL at all.
    #[error("{url:?} is not a URL ({why}): write it as {example}")]
    NotAUrl {
        /// As given, without a password.
        url: String,
        /// What is wrong with it.
        why: String,
        /// One that is right.
        example: &'static str,
    },
    /// It begins with another scheme.
    #[error("{scheme}:// is not a scheme of this client: write {example}")]
    Scheme {
        /// As given.
        scheme: String,
        /// One that is right.
        example: &'static str,
    },
    /// A part is missing, or has no meaning.
    #[error("the URL's {part} cannot be used: {why}")]
    Part {
        /// Which.
        part: String,
        /// What is wrong, and what to write.
        why: String,
    },
    /// It asks for what this client cannot do yet.
    #[error("{what} is not there yet: {instead}")]
    NotYet {
        /// What it asks for.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

/// A server, and how to talk to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// Name or number, IPv6 in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<Credentials>,
    /// Told to the server, for its logs.
    pub(crate) connection_name: Option<String>,
    pub(crate) keep_alive: Option<KeepAlive>,
    /// Of appends and changes.
    pub(crate) default_deadline: Option<Duration>,
}

/// Who is asking.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a dead connection is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(10) }
    }
}

impl Address {
    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A `factum://host[:port]`.
    pub(crate) fn factum(text: &str) -> Result<Self, InvalidAddress> {
        const EXAMPLE: &str = "factum://127.0.0.1:2113";
        let url = parse(text, EXAMPLE)?;
        if url.scheme() != "factum" {
            return Err(scheme(&url, EXAMPLE));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let (what, instead) = ("a user in a factum:// URL", "leave it out");
            return Err(InvalidAddress::NotYet { what, instead });
        }
        if let Some((key, _)) = url.query_pairs().next() {
            return Err(part(&key, "a factum:// URL has no keys after `?`: leave it out"));
        }
        Self::of(&url)
    }

    /// A `kurrentdb://[user:password@]host[:port]?tls=false&…`.
    pub(crate) fn kurrent(text: &str) -> Result<Self, InvalidAddress> {
        const EXAMPLE: &str = "kurrentdb://127.0.0.1:2113?tls=false";
        let url = parse_kurrent(text, EXAMPLE)?;
        let mut address = Self::of(&url)?;
        address.credentials = credentials(&url)?;
        let mut keys = Keys { tls: true, keep_alive: KeepAlive::default(), pings: true };
        for (key, value) in url.query_pairs() {
            address.set(&mut keys, &key, &value)?;
        }
        if keys.tls {
            return Err(NO_TLS);
        }
        address.keep_alive = keys.pings.then_some(keys.keep_alive);
        Ok(address)
    }

    fn of(url: &Url) -> Result<Self, InvalidAddress> {
        let host = url.host().filter(|host| *host != Host::Domain("")).map(|host| host.to_string());
        let host = host.ok_or_else(|| part("host", "it is missing: name one, as 127.0.0.1"))?;
        if !matches!(url.path(), "" | "/") {
            return Err(part("path", "a server has none: end the URL after the port"));
        }
        if url.fragment().is_some() {
            return Err(part("fragment", "a server has none: leave out the `#`"));
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            credentials: None,
            connection_name: None,
            keep_alive: Some(KeepAlive::default()),
            default_deadline: None,
        })
    }

    /// Takes in one key; the names are those of KurrentDB's clients, in any case.
    fn set(&mut self, keys: &mut Keys, key: &str, value: &str) -> Result<(), InvalidAddress> {
        match key.to_ascii_lowercase().as_str() {
            "tls" => keys.tls = yes_or_no(key, value)?,
            "connectionname" => self.connection_name = Some(printable(key, value)?),
            "keepaliveinterval" => match millis(key, value)? {
                Some(interval) => keys.keep_alive.interval = interval,
                None => keys.pings = false,
            },
            "keepalivetimeout" => keys.keep_alive.timeout = millis(key, value)?.unwrap_or(NEVER),
            "defaultdeadline" => self.default_deadline = millis(key, value)?,
            "usercertfile" | "userkeyfile" => {
                return Err(InvalidAddress::NotYet {
                    what: "a client's certificate",
                    instead: "use a name and a password, as in kurrentdb://user:password@host",
                });
            }
            // They steer TLS, the discovery of a cluster, or another client's exceptions.
            "tlsverifycert"
            | "tlscafile"
            | "maxdiscoverattempts"
            | "discoveryinterval"
            | "gossiptimeout"
            | "nodepreference"
            | "throwonappendfailure"
            | "dnsdiscover" => {}
            _ => return Err(part(key, "no client of KurrentDB knows this key: leave it out")),
        }
        Ok(())
    }
}

const CLUSTER: InvalidAddress = InvalidAddress::NotYet {
    what: "the discovery of a cluster",
    instead: "name one node, the leader, without `+discover`",
};

const NO_TLS: InvalidAddress = InvalidAddress::NotYet {
    what: "TLS",
    instead: "add `?tls=false` to the URL; the server must then allow plaintext (`--insecure`)",
};

/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the keys say about the connection as a whole.
struct Keys {
    tls: bool,
    keep_alive: KeepAlive,
    pings: bool,
}

fn parse_kurrent(text: &str, example: &'static str) -> Result<Url, InvalidAddress> {
    let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let hosts = after_scheme.split(['/', '?']).next().unwrap_or_default();
    if hosts.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) {
        return Err(CLUSTER);
    }
    let url = parse(text, example)?;
    match url.scheme() {
        "kurrentdb" | "kurrent" | "kdb" | "esdb" => Ok(url),
        "kurrentdb+discover" | "kurrent+discover" | "kdb+discover" | "esdb+discover" => {
            Err(CLUSTER)
        }
        _ => Err(scheme(&url, example)),
    }
}

fn parse(text: &str, example: &'static str) -> Result<Url, InvalidAddress> {
    let not_a_url =
        |why: String| InvalidAddress::NotAUrl { url: hide_password(text), why, example };
    if !text.contains("://") {
        return Err(not_a_url("there is no `://`".into()));
    }
    Url::parse(text).map_err(|error| not_a_url(error.to_string()))
}

/// The text without what stands before an `@`: errors end up in logs.
fn hide_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => text.to_owned(),
    }
}

fn scheme(url: &Url, example: &'static str) -> InvalidAddress {
    InvalidAddress::Scheme { scheme: url.scheme().to_owned(), example }
}

fn part(part: &str, why: &str) -> InvalidAddress {
    InvalidAddress::Part { part: part.to_owned(), why: why.to_owned() }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, InvalidAddress> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user = decoded("user", url.username())?;
    let password = decoded("password", url.password().unwrap_or_default())?;
    if user.contains(':') {
        return Err(part("user", "a name with `:` cannot be sent"));
    }
    Ok(Some(Credentials { user, password }))
}

/// Undoes `%XX`.
fn decoded(what: &str, text: &str) -> Result<String, InvalidAddress> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| part(what, "it is not UTF-8"))
}

fn yes_or_no(key: &str, value: &str) -> Result<bool, InvalidAddress> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(part(key, "it is `true` or `false`")),
    }
}

fn millis(key: &str, value: &str) -> Result<Option<Duration>, InvalidAddress> {
    match value.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms.unsigned_abs()))),
        _ => Err(part(key, "it is a number of milliseconds, or -1 for none")),
    }
}

fn printable(key: &str, value: &str) -> Result<String, InvalidAddress> {
    if !value.is_empty() && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(value.to_owned());
    }
    Err(part(key, "it is made of printable ASCII characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factum(text: &str, expected: Result<&str, &str>) {
        check(text, Address::factum(text), expected);
    }

    fn kurrent(text: &str, expected: Result<&str, &str>) {
        check(text, Address::kurrent(text), expected);
    }

    fn check(text: &str, got: Result<Address, InvalidAddress>, expected: Result<&str, &str>) {
        match (got.map(|address| address.authority()), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(got), Err(expected)) => {
                assert!(got.to_string().contains(expected), "{text}: {got}");
            }
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_factum_url_is_a_host_and_perhaps_a_port() {
        factum("factum://localhost", Ok("localhost:2113"));
        factum("factum://127.0.0.1:1/", Ok("127.0.0.1:1"));
        factum("factum://[::1]:5", Ok("[::1]:5"));
        factum("factum://", Err("host cannot be used: it is missing"));
        factum("factum:///tmp", Err("host"));
        factum("localhost:2113", Err("write it as factum://127.0.0.1:2113"));
        factum("factum://h:99999", Err("not a URL"));
        factum("http://h:1", Err("http:// is not a scheme"));
        factum("kurrentdb://h?tls=false", Err("kurrentdb:// is not a scheme"));
        factum("factum://h/a", Err("path"));
        factum("factum://h?tls=true", Err("URL's tls cannot"));
        factum("factum://u:p@h", Err("a user"));
    }

    #[test]
    fn kurrentdb_has_four_schemes_and_no_tls_yet() {
        for scheme in ["kurrentdb", "kurrent", "kdb", "esdb", "KurrentDB"] {
            kurrent(&format!("{scheme}://h?tls=false"), Ok("h:2113"));
        }
        kurrent("esdb://h:1113/?TLS=False", Ok("h:1113"));
        kurrent("esdb://a,b:c@h?tls=false", Ok("h:2113"));
        kurrent("esdb://h:1113", Err("TLS is not there yet: add `?tls=false`"));
        kurrent("esdb://h?tls=true", Err("TLS"));
        kurrent("esdb://h?tls=no", Err("`true` or `false`"));
        kurrent("esdb+discover://h?tls=false", Err("cluster"));
        kurrent("esdb://a:1,b:2?tls=false", Err("cluster"));
        kurrent("factum://h", Err("factum:// is not a scheme"));
        kurrent("esdb://h?tls=false&colour=red", Err("colour"));
        kurrent("esdb://h?tls=false&userCertFile=x", Err("certificate"));
        kurrent("esdb://h?tls=false&keepAliveInterval=soon", Err("milliseconds"));
        kurrent("esdb://h?tls=false&connectionName=%0A", Err("printable"));
    }

    #[test]
    fn the_keys_of_the_other_clients_are_known() {
        let text = "esdb://us%40er:p%3Aw@h?tls=false&connectionName=me&keepAliveInterval=5000\
                    &keepAliveTimeout=-1&defaultDeadline=100&nodePreference=leader";
        let address = Address::kurrent(text).unwrap();
        let credentials = address.credentials.unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("us@er", "p:w"));
        assert_eq!(address.connection_name.as_deref(), Some("me"));
        let keep_alive = address.keep_alive.unwrap();
        assert_eq!((keep_alive.interval, keep_alive.timeout), (Duration::from_secs(5), NEVER));
        assert_eq!(address.default_deadline, Some(Duration::from_millis(100)));
        let address = Address::kurrent("esdb://h?tls=false&keepAliveInterval=-1").unwrap();
        assert_eq!(address.keep_alive, None);
    }

    #[test]
    fn a_password_never_gets_into_an_error() {
        let error = Address::kurrent("esdb://me:secret@h:99999").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let address = Address::kurrent("esdb://me:secret@h?tls=false").unwrap();
        assert!(!format!("{address:?}").contains("secret"));
    }
}
