//! `factum follow`: a replica of a server's store, served to read.
//!
//! What must hold: trouble with the source never ends it, and is said once.

use super::{follow::Stop, host::Host, remote::Remote, store, tier, verify};
use crate::{
    args,
    console::{self, Out, warning},
    failure::{Exit, Failure, Outcome},
};
use factum::log::{
    LogStore, Options,
    copy::SourceError,
    replica::ReplicaError,
    store::{Follow, Following, Lag},
};
use factum_server::Config;
use std::{io::Write, sync::Arc, time::Duration};

/// How often it is looked how following goes.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Follows the server at the URL, and serves what comes.
pub(super) async fn follow(url: &str, args: args::Follow, out: &mut Out) -> Outcome {
    let args::Follow { data, listen, insecure } = args;
    if !url.starts_with("factum:") {
        return Err(Failure::usage(format!("a replica follows a Factum server, and not {url}"))
            .help("name it: --at factum://HOST:PORT"));
    }
    if !listen.ip().is_loopback() && !insecure {
        return Err(Failure::usage(format!(
            "TLS and users are not there yet, and {} is reached by others",
            listen.ip()
        ))
        .help("on a network that you trust, add --insecure: everybody who reaches it reads all"));
    }
    let stop = Stop::listen();
    let source = Arc::new(Remote::new(verify::copies(url)?));
    let (world, _) = tier::world(&data)?;
    let options = Options { world, ..Options::default() };
    let (dir, name) = (data.clone(), url.to_owned());
    let opening = move || LogStore::follow(&dir, options, Follow { source, name });
    let opened = tokio::task::spawn_blocking(opening).await;
    let log = opened.map_err(|error| Failure::new(Exit::Failure, error))?.map_err(refused)?;
    let following = log.following().expect("it was opened to follow");
    let host = Host::start(&data, log, Config::new(listen)).await?;
    if insecure {
        warning(format_args!(
            "no TLS and no users: everybody who reaches {} reads all",
            host.local
        ));
    }
    let (dir, at) = (data.display(), host.url());
    writeln!(out, "factum serves {dir} at {at} (a replica of {url})")?;
    out.flush()?;
    let telling = tokio::spawn(tell(following));
    let ended = host.run(stop, out).await;
    telling.abort();
    ended
}

/// Says how following goes, where that changes.
async fn tell(following: Arc<Following>) {
    let mut told: Option<Arc<str>> = None;
    let mut was_level = false;
    loop {
        tokio::time::sleep(ASKED_EVERY).await;
        let lag = following.lag();
        let Lag { source, source_head, positions, trouble, is_stopped, .. } = lag;
        match &trouble {
            // The same trouble may be told in other words each time.
            Some(why) if told.is_none() || (is_stopped && told != trouble) => {
                warning(format_args!(
                    "{why}. What is here is served{}",
                    if is_stopped {
                        "; nothing more is added until this is started again"
                    } else {
                        ""
                    }
                ))
            }
            None if told.is_some() => {
                console::note(format_args!("{source} is followed again"));
                was_level = false;
            }
            _ => {}
        }
        told = trouble;
        if told.is_none() && positions == 0 && !was_level {
            console::note(format_args!("level with {source}, at position {source_head}"));
            was_level = true;
        }
    }
}

fn refused(error: ReplicaError) -> Failure {
    let cure = error.cure();
    match error {
        ReplicaError::Open(error) => store::embedded(error),
        ReplicaError::Source(SourceError::Unreachable { .. }) => {
            Failure::new(Exit::Unreachable, error)
                .help("start the source, or correct its URL: a new replica begins with it")
        }
        ReplicaError::Full { .. } => {
            Failure::new(Exit::Failure, error).help("free some space, and start again: it goes on")
        }
        error => Failure::new(Exit::Store, error).help(cure),
    }
}
