//! `factum serve --store URL`: every protocol, over a store that is somewhere else.
//!
//! Apart from serving a folder, as nothing of the engine is here: what keeps the facts is the other
//! store's, and so are its operator's tools.

use super::{
    follow::Stop,
    host::{not_listening, reachable, stopped},
    store::{self, Access},
};
use crate::{
    console::{Out, warning},
    failure::Outcome,
};
use factum_server::{Config, Server};
use std::{io::Write, net::SocketAddr};

/// Serves the store until somebody stops it.
pub(super) async fn serve(url: &str, listen: SocketAddr, stop: Stop, out: &mut Out) -> Outcome {
    let store = store::open(url, Access::Creating).await?;
    let server = Server::bind(Config::new(listen), store).await;
    let server = server.map_err(|error| not_listening(error, listen))?;
    let local = server.local_addr();
    warning(format_args!(
        "no TLS and no users: everybody who reaches {local} reads and writes everything"
    ));
    writeln!(out, "factum serves {} at factum://{}", shown(url), reachable(local))?;
    out.flush()?;
    server.serve(stopped(stop)).await;
    writeln!(out, "stopped: everything is in {}", shown(url))?;
    Ok(())
}

/// A URL without a password, and without what comes after its path.
fn shown(url: &str) -> String {
    let before = url.split('?').next().unwrap_or(url);
    match (before.split_once("://"), before.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => before.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(shown("postgres://u:secret@h:7/d?sslmode=disable"), "postgres://h:7/d");
        assert_eq!(shown("file:./data"), "file:./data");
    }
}
