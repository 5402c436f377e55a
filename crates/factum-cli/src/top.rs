//! `factum top`: what a server does right now, in a terminal, or for scripts.
//!
//! | module | what |
//! |---|---|
//! | `figures` | two looks at a server's statistics, and what happened between them; pure |
//! | `text` | figures as words, the same for the screen and for scripts; pure |
//! | `view`, `draw` | what the screen shows, and how; pure |
//! | `live` | keys, time, the server: the loop around them |

mod draw;
mod figures;
mod live;
mod text;
mod view;

use crate::{
    args,
    command::{Access, Stop, open},
    console::Out,
    failure::{Failure, Outcome},
};
use factum::{AnyStore, EventStore, ReadError};
pub(crate) use text::{duration, whole};

use figures::{Figures, Look};
use std::io::{self, IsTerminal, Write};
use tokio::time::{Instant, sleep};

/// Watches a server.
pub(crate) async fn top(url: &str, args: &args::Top, out: &mut Out) -> Outcome {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    if scheme != "factum" {
        return Err(not_a_server(url, scheme));
    }
    let is_plain = args.once || args.json;
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !is_plain && !is_terminal {
        return Err(Failure::usage("top draws on a terminal, and this is none")
            .help("`factum top --once` prints one look, `factum top --json` a line for each"));
    }
    let store = open(url, Access::Existing).await?;
    if is_plain {
        return plain(url, &store, args, out).await;
    }
    live::run(url, store, args.interval).await
}

fn not_a_server(url: &str, scheme: &str) -> Failure {
    match scheme {
        "file" => Failure::usage(format!(
            "a folder is open in one process at a time, so top cannot look into {url} from outside"
        ))
        .help(
            "serve it with `factum dev --data DIR`, and give the URL of that server: \
             --at factum://127.0.0.1:2113; `factum stats` tells a folder's own numbers",
        ),
        "memory" => {
            Failure::usage("a store in memory is this process's own: nothing happens there")
                .help("give the URL of a server: --at factum://127.0.0.1:2113")
        }
        _ => Failure::usage(format!("top asks over factum://, and {url} is another protocol"))
            .help("give the URL of a Factum server: --at factum://127.0.0.1:2113"),
    }
}

/// One look after the other, as lines.
async fn plain(url: &str, store: &AnyStore, args: &args::Top, out: &mut Out) -> Outcome {
    let mut stop = Stop::listen();
    let mut earlier = look(store).await?;
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = sleep(args.interval) => {}
        }
        let later = look(store).await?;
        let figures = Figures::between(&earlier, &later);
        if args.json {
            let line = serde_json::to_string(&figures);
            writeln!(out, "{}", line.expect("figures have names for keys"))?;
        } else {
            text::print(url, &figures, out)?;
        }
        out.flush()?;
        if args.once {
            return Ok(());
        }
        earlier = later;
    }
}

async fn look(store: &AnyStore) -> Result<Look, ReadError> {
    let statistics = store.statistics().await?;
    Ok(Look { at: Instant::now(), statistics })
}
