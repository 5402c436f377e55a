//! The file of `factum serve`: its options as keys, and the limits of server and store.
//!
//! Apart from serving, because it is all that an operator can get wrong before anything runs. What
//! must hold: an unknown key, and a limit of nothing, are errors that name file and line; what is
//! not named keeps its default.

use crate::{
    args,
    failure::{Failure, Outcome},
};
use factum::log::{Options, World, packed::Compression};
use serde::{Deserialize, Deserializer};
use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
};

/// The options of `serve`, in a file.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) tier: Option<String>,
    #[serde(default, deserialize_with = "compression")]
    compress: Compression,
    #[serde(default)]
    pub(super) insecure: bool,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) store: Store,
}

/// How the store is kept.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    segment_bytes: Option<NonZeroU64>,
    /// 0 for not at all.
    pub(super) scrub_bytes_per_second: Option<u64>,
}

/// How much of what clients can make grow is taken in; what is over it is refused.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    connections_max: Option<NonZeroUsize>,
    calls_max: Option<NonZeroUsize>,
    calls_per_connection_max: Option<NonZeroU32>,
    subscriptions_max: Option<NonZeroUsize>,
    received_bytes_max: Option<NonZeroUsize>,
    append_bytes_max: Option<NonZeroUsize>,
    queue_jobs_max: Option<NonZeroUsize>,
    queue_bytes_max: Option<NonZeroUsize>,
    read_jobs_max: Option<NonZeroUsize>,
}

impl Settings {
    #[allow(clippy::disallowed_methods, reason = "the door to the file that the user names")]
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::bad_input(format!("cannot read {}: {error}", path.display()))
                .help("check the file's name")
        })?;
        toml::from_str(&text).map_err(|error| {
            Failure::bad_input(format!("{}: {}", path.display(), error.to_string().trim_end()))
                .help(
                    "the keys are data, listen, tier, compress and insecure, as the options of \
                     `factum serve`, and the tables [limits] and [store], as docs/cli.md lists \
                     them",
                )
        })
    }
}

impl Settings {
    /// How the store is opened.
    pub(super) fn options(&self, world: World) -> Options {
        let compression = self.compress;
        let mut options = Options { world, compression, ..Options::default() };
        set(&mut options.segment_bytes, self.store.segment_bytes);
        set(&mut options.scrub_bytes_per_second, self.store.scrub_bytes_per_second);
        set(&mut options.queue_jobs_max, self.limits.queue_jobs_max);
        set(&mut options.queue_bytes_max, self.limits.queue_bytes_max);
        set(&mut options.read_jobs_max, self.limits.read_jobs_max);
        options
    }
}

impl Limits {
    /// Sets those of the server.
    pub(super) fn of_server(&self, limits: &mut factum_server::Limits) {
        set(&mut limits.connections_max, self.connections_max);
        set(&mut limits.calls_max, self.calls_max);
        set(&mut limits.calls_per_connection_max, self.calls_per_connection_max);
        set(&mut limits.subscriptions_max, self.subscriptions_max);
        set(&mut limits.received_bytes_max, self.received_bytes_max);
        set(&mut limits.append_bytes_max, self.append_bytes_max);
    }
}

fn compression<'de, D: Deserializer<'de>>(value: D) -> Result<Compression, D::Error> {
    args::compression(&String::deserialize(value)?).map_err(serde::de::Error::custom)
}

fn set<T>(limit: &mut T, given: Option<impl Into<T>>) {
    if let Some(given) = given {
        *limit = given.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_knows_the_options_and_nothing_else() {
        let file = parse("data = '/d'\nlisten = '127.0.0.1:1'\ninsecure = true").unwrap();
        assert!(file.insecure && file.data.is_some() && file.listen.is_some());
        let error = parse("dta = 1").unwrap_err();
        assert!(error.contains("unknown field `dta`"), "{error}");
        assert!(parse("listen = 'nowhere'").is_err());
        let packed = parse("compress = 'zstd:9'").unwrap().options(World::default());
        assert_eq!(packed.compression, Compression::Zstd { level: 9 });
        assert!(parse("compress = 'lz4'").unwrap_err().contains("zstd:LEVEL"));
    }

    #[test]
    fn limits_that_are_named_are_taken_and_the_others_stay() {
        let text = "[limits]\ncalls_max = 7\nqueue_jobs_max = 8\n[store]\nsegment_bytes = 65536";
        let file = parse(text).unwrap();
        let (mut server, store) =
            (factum_server::Limits::default(), file.options(World::default()));
        file.limits.of_server(&mut server);
        assert_eq!((server.calls_max, store.queue_jobs_max, store.segment_bytes), (7, 8, 65_536));
        let mut expect = factum_server::Limits::default();
        expect.calls_max = 7;
        assert_eq!(server, expect, "nothing else has changed");
        assert_eq!(store.queue_bytes_max, Options::default().queue_bytes_max);
        let off = parse("[store]\nscrub_bytes_per_second = 0").unwrap().options(World::default());
        assert_eq!(off.scrub_bytes_per_second, 0, "it may be nothing");
        assert_ne!(store.scrub_bytes_per_second, 0);
    }

    #[test]
    fn a_limit_of_nothing_or_of_another_name_is_refused() {
        for (text, what) in [
            ("[limits]\ncalls_max = 0", "nonzero"),
            ("[limits]\ncalls_max = -1", "-1"),
            ("[limits]\ncals_max = 1", "unknown field `cals_max`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
