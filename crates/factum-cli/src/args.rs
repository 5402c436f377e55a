//! The command line, as clap reads it: every command, option and help text.
//!
//! Only shapes and their parsing live here; what a command does is in [`crate::command`]. The help
//! texts are what man pages and completions are made of.

mod events;
mod import;
mod parse;
mod select;

pub(crate) use events::{Events, EventsCheck};
pub(crate) use import::{Import, Table};
pub(crate) use parse::{AsOfArg, Expect, From, Payload, SegmentArg, compression};
pub(crate) use select::Selection;

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, parser::ValueSource,
};
use factum::{
    EventType, StreamName, Tag, Timestamp, Uuid,
    log::packed::{Compression, LEVEL_DEFAULT},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where `--at` points if nobody says otherwise.
pub(crate) const DEFAULT_URL: &str = "factum://127.0.0.1:2113";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for another reason than those below
  2  the command line is wrong
  3  an expectation does not hold; nothing was written
  4  no such stream or store, or it was deleted
  5  nobody answers at the URL, or the store is overloaded
  6  the input is bad: a file, a row, a JSON text
  7  the store cannot be used so: in use, damaged, read-only, of a newer format
  8  verified: whole, but for what is known to be lost

Begin with `factum dev`, and in another terminal `factum append order-1 --type order.placed`.";

/// A store of facts: append events, read them, follow them.
#[derive(Parser, Debug)]
#[command(name = "factum", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The store: factum://host:port, kurrentdb://host:port?tls=false, or without a server
    /// file:./folder, postgres://user@host/database
    #[arg(long, global = true, env = "FACTUM_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub(crate) at: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line of this process; ends it where that is wrong, or asks for help.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        // No store is put under load because an environment or a default names it.
        if let Command::Bench(bench) = &mut cli.command
            && matches.value_source("at") == Some(ValueSource::CommandLine)
        {
            bench.at = Some(cli.at.clone());
        }
        cli
    }
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Append an event to a stream
    Append(Append),
    /// Read events: of a stream, of all streams, by type, tag or category
    Read(Read),
    /// Follow events as they come, until Ctrl-C
    Tail(Tail),
    /// Delete a stream: its events are hidden, and it can go on later
    Delete(Delete),
    /// Show or replace a stream's metadata ($maxAge, $maxCount, $tb, and your own keys)
    Meta(Meta),
    /// Show numbers about the store
    Stats(Stats),
    /// Watch a server: rates, latencies, subscribers and their lag
    Top(Top),
    /// Measure a disk, or the server that --at names: syncs, appends, reads
    Bench(Bench),
    /// Import events: a file of CSV, XES, JSON lines or CloudEvents, or a table of PostgreSQL
    Import(Box<Import>),
    /// Write events to standard output, as JSON lines or CloudEvents
    Export(Export),
    /// Read every byte of a store, and say what is damaged, where, and what is lost by it
    Verify(Verify),
    /// Put a damaged segment of a folder aside, say what is lost with it, and go on without
    Quarantine(Quarantine),
    /// Erase one event for good: its place says so, and an audit who asked and why
    Erase(Erase),
    /// Take what is deleted, truncated or expired out of the files, while the store serves
    Scavenge(Scavenge),
    /// Copy a store into a folder while it is in use; again, what is new
    Backup(Backup),
    /// Make a store from a backup, as it was then or at a moment before
    Restore(Restore),
    /// Compress the sealed segments of a folder, or bring them back
    Compress(Compress),
    /// Sealed segments in object storage: see, move, fetch back
    #[command(subcommand)]
    Tier(Tier),
    /// Serve a read-only replica of the server's store that --at names, and keep it up to date
    Follow(Follow),
    /// Check the shapes of an application's events
    #[command(subcommand)]
    Events(Events),
    /// Start a store on this machine, for development: no TLS, no users, loopback only
    Dev(Dev),
    /// Start a store for others
    Serve(Serve),
    /// Write a shell's completions to standard output
    Completions(Completions),
    /// Write man pages into a folder
    Man(Man),
}

/// An event to append.
#[derive(Args, Debug)]
pub(crate) struct Append {
    /// The stream: category and id, such as order-123
    pub(crate) stream: StreamName,
    /// What happened, in the past tense, such as order.placed
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: EventType,
    /// The fact: JSON, @FILE, or - for standard input [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) data: Option<Payload>,
    /// Store the data as bytes, whatever they are
    #[arg(long, requires = "data")]
    pub(crate) binary: bool,
    /// What is known about the fact: JSON, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) metadata: Option<Payload>,
    /// A tag to find the event by, such as customer:7; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<Tag>,
    /// When it happened, with its zone, such as 2024-05-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::time::moment)]
    pub(crate) occurred_at: Option<Timestamp>,
    /// What the stream must be like: any, none (no event yet), exists, or its last revision
    #[arg(long, value_name = "any|none|exists|N", default_value = "any")]
    pub(crate) expect: Expect,
    /// The event's id: a retry with the same id is not written twice [default: a random one]
    #[arg(long, value_name = "UUID")]
    pub(crate) id: Option<Uuid>,
    /// Print the receipt as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to read.
#[derive(Args, Debug)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Where to begin, inclusive: a revision of a stream, else a position; start or end
    #[arg(long, value_name = "N|start|end")]
    pub(crate) from: Option<From>,
    /// From the newest to the oldest
    #[arg(long)]
    pub(crate) backwards: bool,
    /// At most this many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// As the store was at a moment, or up to a position
    #[arg(long, value_name = "TIME|POSITION", conflicts_with = "occurred_as_of")]
    pub(crate) as_of: Option<AsOfArg>,
    /// Only what had happened by then, by the events' own time
    #[arg(long, value_name = "TIME", value_parser = crate::time::moment)]
    pub(crate) occurred_as_of: Option<Timestamp>,
    /// A JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to follow.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Where to begin, inclusive: a revision of a stream, else a position; start or end
    #[arg(long, value_name = "N|start|end", default_value = "end")]
    pub(crate) from: From,
    /// End after this many events
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// A JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to delete.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The stream
    pub(crate) stream: StreamName,
    /// For ever: the name can never be used again
    #[arg(long)]
    pub(crate) tombstone: bool,
    /// What the stream must be like: any, exists, or the revision of its last event
    #[arg(long, value_name = "any|exists|N", default_value = "any")]
    pub(crate) expect: Expect,
}

/// Whose metadata.
#[derive(Args, Debug)]
pub(crate) struct Meta {
    /// The stream
    pub(crate) stream: StreamName,
    /// Replace it by this JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) set: Option<Payload>,
}

/// Numbers.
#[derive(Args, Debug)]
pub(crate) struct Stats {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to watch, and how.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// How often to look, such as 500ms, 1s or 10s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse::interval)]
    pub(crate) interval: Duration,
    /// Look once, print, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// A JSON object for each look, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to measure, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// A folder on the disk to measure; nothing stays there [default: .]
    pub(crate) dir: Option<PathBuf>,
    /// What the command line itself says with --at.
    #[arg(skip)]
    pub(crate) at: Option<String>,
    /// About how long, in seconds, in all
    #[arg(long, value_name = "N", default_value = "24",
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to export.
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Events of the store itself too (streams that begin with $)
    #[arg(long)]
    pub(crate) system: bool,
    /// As what
    #[arg(long, default_value = "jsonl")]
    pub(crate) format: ExportFormat,
    /// The `source` of CloudEvents: a URI of your own
    #[arg(long, value_name = "URI", default_value = "factum")]
    pub(crate) source: String,
    /// As the store was at a moment, or up to a position
    #[arg(long, value_name = "TIME|POSITION")]
    pub(crate) as_of: Option<AsOfArg>,
}

/// What `export` writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line, as `read --json`.
    Jsonl,
    /// CloudEvents 1.0, an event a line.
    Cloudevents,
}

/// Verifying.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Putting aside.
#[derive(Args, Debug)]
pub(crate) struct Quarantine {
    /// Segments, as `verify` names their files, or by their first position [default: all damaged]
    #[arg(value_name = "SEGMENT")]
    pub(crate) segments: Vec<SegmentArg>,
    /// Do it: what is lost is lost. Without this, only say what would be
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Keep nothing of a damaged segment, not even its whole appends
    #[arg(long)]
    pub(crate) no_salvage: bool,
    /// Bring this segment back: what was put aside and has been mended, or what --from says
    #[arg(long, value_name = "SEGMENT", conflicts_with_all = ["segments", "accept_loss"])]
    pub(crate) undo: Option<SegmentArg>,
    /// Where it comes from: the segment's file, or the folder of a backup
    #[arg(long, value_name = "FILE|BACKUP", requires = "undo")]
    pub(crate) from: Option<PathBuf>,
    /// One JSON object, with every lost event of which something is known
    #[arg(long)]
    pub(crate) json: bool,
}

/// Erasing.
#[derive(Args, Debug)]
pub(crate) struct Erase {
    /// The event's stream
    pub(crate) stream: StreamName,
    /// The event's revision in it
    pub(crate) revision: u64,
    /// Why: it is kept for ever, so no personal data
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who asks
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) by: String,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Scavenging.
#[derive(Args, Debug)]
pub(crate) struct Scavenge {
    /// Events recorded within this time stay, whatever hides them: 90s, 12h, 7d, or 0
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse::seconds)]
    pub(crate) grace: u64,
    /// Segments of which less would be freed are left alone, in percent of their bytes
    #[arg(long, value_name = "PERCENT", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) threshold: u32,
    /// Bytes read and written a second, at most: 500k, 20M [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    pub(crate) throttle: Option<u64>,
    /// Stop the scavenge that a server is doing
    #[arg(long)]
    pub(crate) stop: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Compressing.
#[derive(Args, Debug)]
pub(crate) struct Compress {
    /// How thoroughly, from 1, which is fast, to 22, which is small
    #[arg(long, value_name = "N", default_value_t = LEVEL_DEFAULT,
          value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
    /// Bring compressed segments back, as they were
    #[arg(long, conflicts_with = "level")]
    pub(crate) undo: bool,
    /// Bytes of segments a second, at most: 500k, 20M [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    pub(crate) throttle: Option<u64>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Backing up.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The folder of the backup: empty, not there, or with a backup of the same store
    pub(crate) dest: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Restoring.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The folder of the backup
    pub(crate) backup: PathBuf,
    /// The new store: file: and a folder that is empty, or is not there
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
    /// Up to this position, in whole appends; the store gets an id of its own
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    pub(crate) to_position: Option<u64>,
    /// What was recorded by then; the store gets an id of its own
    #[arg(long, value_name = "TIME", value_parser = crate::time::moment)]
    pub(crate) to_time: Option<Timestamp>,
    /// Give the store an id of its own: what was appended after the backup is lost, and consumers
    /// have seen it
    #[arg(long)]
    pub(crate) new_id: bool,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with a folder's sealed segments.
#[derive(Subcommand, Debug)]
pub(crate) enum Tier {
    /// Show where each segment is
    Status {
        /// The folder; it may be in use
        dir: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Move the oldest sealed segments to object storage; nobody may have the folder open
    Move {
        /// The folder
        dir: PathBuf,
        /// The storage: s3://bucket/prefix?region=…&endpoint=…; later calls know it
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// How much of the newest sealed segments stays here, such as 10GiB
        #[arg(long, value_name = "BYTES", value_parser = parse::size)]
        keep: Option<u64>,
        /// How many of the newest sealed segments stay here, at most
        #[arg(long, value_name = "N")]
        keep_segments: Option<usize>,
    },
    /// Fetch all moved segments back; nobody may have the folder open
    Fetch {
        /// The folder
        dir: PathBuf,
    },
}

/// A store for development.
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// The folder of the data; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./factum-data")]
    pub(crate) data: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2113")]
    pub(crate) listen: SocketAddr,
    /// Compress sealed segments in the background [default: none]
    #[arg(long, value_name = "zstd[:LEVEL]|none", value_parser = parse::compression)]
    pub(crate) compress: Option<Compression>,
    /// Bytes a second of sealed files that are read again to find what rots: 4MiB, off
    /// [default: 1MiB]
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) scrub: Option<u64>,
}

/// A store for others.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The folder of the data; made if it is not there [default: ./factum-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Serve another store in place of a folder, such as postgres://user@host/database
    #[arg(
        long,
        value_name = "URL",
        conflicts_with_all = ["data", "tier", "compress", "scrub", "config"]
    )]
    pub(crate) store: Option<String>,
    /// The address to listen on [default: 127.0.0.1:2113]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Start without TLS and without users: everybody who reaches the address reads and writes all
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Where sealed segments go that are more than --tier-keep: s3://bucket/prefix?region=…
    #[arg(long, value_name = "URL", requires = "tier_keep")]
    pub(crate) tier: Option<String>,
    /// How much of the newest sealed segments stays here, such as 10GiB; the rest is moved
    #[arg(long, value_name = "BYTES", value_parser = parse::size)]
    pub(crate) tier_keep: Option<u64>,
    /// Compress sealed segments in the background [default: none]
    #[arg(long, value_name = "zstd[:LEVEL]|none", value_parser = parse::compression)]
    pub(crate) compress: Option<Compression>,
    /// Bytes a second of sealed files that are read again to find what rots: 4MiB, off
    /// [default: 1MiB]
    #[arg(long, value_name = "RATE", value_parser = parse::rate)]
    pub(crate) scrub: Option<u64>,
    /// A TOML file with these options as keys (data, listen, tier, compress, insecure), and limits
    /// in a table
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A replica.
#[derive(Args, Debug)]
pub(crate) struct Follow {
    /// The folder of the replica; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./factum-replica")]
    pub(crate) data: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2114")]
    pub(crate) listen: SocketAddr,
    /// Listen without TLS and without users where others reach it: everybody reads everything
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Completions.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Man pages.
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The folder; made if it is not there
    pub(crate) dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_no_name_or_no_number_is_a_usage_error() {
        for line in [
            "factum append order-1",
            "factum append $$ --type t",
            "factum append a --type t --expect maybe",
            "factum append a --type t --occurred-at 2024-01-01",
            "factum read a --all",
            "factum read a --category b",
            "factum read a --from -1",
            "factum read a --as-of yesterday",
            "factum top --interval 1",
            "factum bench --seconds 0",
            "factum top --interval 10ms",
            "factum import x --batch 0",
            "factum import x --delimiter ab",
            "factum import x --stream a{",
            "factum dev --listen nowhere",
            "factum dev --compress lz4",
            "factum compress --level 0",
            "factum compress --level 3 --undo",
            "factum frobnicate",
        ] {
            let error = Cli::try_parse_from(line.split(' '));
            assert!(error.is_err_and(|error| error.exit_code() == 2), "{line}");
        }
    }
}
