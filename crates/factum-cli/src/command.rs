//! What each command does, over any store.

mod append;
mod backup;
mod compress;
mod erase;
mod events;
mod export;
mod follow;
mod front;
mod host;
mod quarantine;
mod read;
mod remote;
mod replica;
mod scavenge;
mod settings;
mod shell;
mod store;
mod stream;
mod tier;
mod verify;

use crate::{
    args::{Cli, Command},
    bench::bench,
    console::Out,
    failure::{Exit, Failure, Outcome},
    import,
    top::top,
};
pub(crate) use follow::Stop;
use std::io::Write;
pub(crate) use store::{Access, open};

/// Carries out a command line.
pub(crate) fn run(cli: Cli) -> Outcome {
    let mut out = Out::new();
    match cli.command {
        Command::Completions(args) => shell::completions(&args, &mut out)?,
        Command::Man(args) => shell::man(&args, &mut out)?,
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime
                .map_err(|error| Failure::new(Exit::Failure, format!("no threads: {error}")))?;
            runtime.block_on(over_a_store(&cli.at, command, &mut out))?;
        }
    }
    out.flush()?;
    Ok(())
}

async fn over_a_store(url: &str, command: Command, out: &mut Out) -> Outcome {
    match command {
        Command::Append(args) => append::append(url, args, out).await,
        Command::Import(args) => import::import(url, &args, out).await,
        Command::Delete(args) => {
            stream::delete(&open(url, Access::Existing).await?, &args, out).await
        }
        Command::Meta(args) => stream::meta(&open(url, Access::Existing).await?, &args, out).await,
        Command::Stats(args) => {
            stream::stats(&open(url, Access::Existing).await?, &args, out).await
        }
        Command::Top(args) => top(url, &args, out).await,
        Command::Bench(args) => bench(&args, out).await,
        Command::Read(args) => read::read(&open(url, Access::Existing).await?, &args, out).await,
        Command::Export(args) => {
            export::export(&open(url, Access::Existing).await?, &args, out).await
        }
        Command::Tail(args) => follow::tail(&open(url, Access::Existing).await?, &args, out).await,
        Command::Verify(args) => verify::verify(url, &args, out).await,
        Command::Quarantine(args) => quarantine::quarantine(url, args, out).await,
        Command::Erase(args) => erase::erase(url, &args, out).await,
        Command::Events(args) => events::events(url, args, out).await,
        Command::Scavenge(args) => scavenge::scavenge(url, args, out).await,
        Command::Backup(args) => backup::backup(url, args, out).await,
        Command::Restore(args) => backup::restore(args, out).await,
        Command::Compress(args) => compress::compress(url, args, out).await,
        Command::Tier(args) => tier::tier(args, out).await,
        Command::Follow(args) => replica::follow(url, args, out).await,
        Command::Dev(args) => host::dev(args, out).await,
        Command::Serve(args) => host::serve(args, out).await,
        Command::Completions(_) | Command::Man(_) => Ok(()),
    }
}
