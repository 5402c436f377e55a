//! `factum bench`: what a disk, or a server, can do for a store.
//!
//! | module | what |
//! |---|---|
//! | `disk` | what one sync costs, with nothing of a store in between |
//! | `load` | appends and reads, over any store |
//! | `measured` | counts and times of one measurement; pure |
//! | `report` | the table, the JSON, the verdict; pure |
//!
//! What must hold: nothing that was there is touched; what is written here is removed, however the
//! command ends; no figure is said that was not measured.

mod disk;
mod load;
mod measured;
mod report;

use crate::{
    args,
    command::{Access, Stop, open},
    console::{Out, note},
    failure::{Exit, Failure, Outcome},
};
use factum::AnyStore;
use load::Load;
use report::Report;
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// Measurements of a disk; a server has two less.
const OF_DISK: u32 = 8;
const OF_STORE: u32 = 6;

/// Measures, and says what it means.
pub(crate) async fn bench(args: &args::Bench, out: &mut Out) -> Outcome {
    // From the first moment on: what is heard too early waits, what is heard too late is lost.
    let mut stop = Stop::listen();
    let report = measure(args, &mut stop).await?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).expect("figures have names for keys"))?;
    } else {
        report.print(out)?;
    }
    Ok(())
}

async fn measure(args: &args::Bench, stop: &mut Stop) -> Outcome<Report> {
    match (args.at.as_deref(), &args.dir) {
        (Some(_), Some(_)) => Err(Failure::usage("a folder and --at are two things to measure")
            .help("give a DIR to measure its disk, or --at URL to measure a server")),
        (Some(url), None) if url.starts_with("file:") => {
            Err(Failure::usage("a folder is measured by its name, beside any store in it")
                .help("give the folder that the disk is to be tried in: `factum bench DIR`"))
        }
        (Some(url), None) => of_server(url, args.seconds, stop).await,
        (None, dir) => {
            let dir = dir.clone().unwrap_or_else(|| PathBuf::from("."));
            of_disk(&dir, args.seconds, stop).await
        }
    }
}

/// Waits for this, or for Ctrl-C, after which there is time to clean up.
async fn unless_stopped<T>(stop: &mut Stop, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        () = stop.requested() => Err(Failure::new(Exit::Failure, "stopped before the end")
            .help("what was written is removed; --seconds makes it shorter")),
        done = work => done,
    }
}

async fn of_server(url: &str, seconds: u32, stop: &mut Stop) -> Outcome<Report> {
    let store = open(url, Access::Existing).await?;
    note(format_args!(
        "this takes about {seconds} s, and appends to streams of its own at {url}, which it \
         deletes in the end"
    ));
    let each = Duration::from_secs(seconds.into()) / OF_STORE;
    let mut load = Load::new(store, each);
    let measured = unless_stopped(stop, load.run()).await;
    let cleaned = load.delete_streams().await;
    let report = Report::of(url, None, measured?);
    cleaned?;
    Ok(report)
}

async fn of_disk(dir: &Path, seconds: u32, stop: &mut Stop) -> Outcome<Report> {
    let place = Place::new(dir)?;
    let shown = dir.display();
    note(format_args!(
        "this takes about {seconds} s, and writes in {}, which it removes in the end",
        place.0.display()
    ));
    let each = Duration::from_secs(seconds.into()) / OF_DISK;
    let end = disk::Stop::default();
    let (path, of_disk) = (place.0.clone(), end.flag());
    let syncs = tokio::task::spawn_blocking(move || disk::syncs(&path, each, &of_disk));
    let syncs = unless_stopped(stop, async {
        let syncs = syncs.await.map_err(|error| Failure::new(Exit::Failure, error))?;
        syncs.map_err(|error| failed(dir, &error))
    });
    let syncs = syncs.await?;
    let url = format!("file:{}", place.0.join("store").display());
    let mut load = Load::new(open(&url, Access::Creating).await?, each);
    let measured = unless_stopped(stop, load.run()).await?;
    Ok(Report::of(&shown.to_string(), Some(syncs), measured))
}

fn failed(dir: &Path, error: &std::io::Error) -> Failure {
    let cause = format!("cannot write in {}: {error}", dir.display());
    Failure::new(Exit::Failure, cause)
        .help("choose a folder that can be written to, with 1 GB free")
}

/// A new folder inside of the one to measure; gone when it is dropped.
struct Place(PathBuf);

#[allow(clippy::disallowed_methods, reason = "the door to the folder that is measured")]
impl Place {
    fn new(dir: &Path) -> Outcome<Self> {
        let names = std::fs::read_dir(dir).map_err(|error| {
            Failure::bad_input(format!("cannot look into {}: {error}", dir.display()))
                .help("give a folder that is there, on the disk to measure")
        })?;
        let is_of_a_store = |name: &str| {
            let digits = name.strip_suffix(".log").unwrap_or_default();
            digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        for entry in names {
            let name = entry.map_err(|error| failed(dir, &error))?.file_name();
            if name.to_str().is_some_and(is_of_a_store) {
                let cause = format!("{} looks like the folder of a store", dir.display());
                return Err(Failure::usage(cause)
                    .help("give the folder above it: it is on the same disk, and holds no store"));
            }
        }
        let path = dir.join(format!("factum-bench-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).map_err(|error| failed(dir, &error))?;
        Ok(Self(path))
    }
}

#[allow(clippy::disallowed_methods, reason = "the door to the folder that is measured")]
impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::console::warning(format_args!("{} is still there: {error}", self.0.display()));
        }
    }
}

/// Whether a store says how often it synced.
async fn groups(store: &AnyStore) -> Option<(f64, f64)> {
    let told = factum::EventStore::statistics(store).await.ok()?;
    Some((told.get("appends_total")?, told.get("groups_total")?))
}
