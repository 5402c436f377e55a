//! The connection to a server: how it is set up, and why there is none.
//!
//! Both clients use it, so that both behave alike when a server is gone.

use crate::address::{Address, InvalidAddress};
use std::{error::Error, time::Duration};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// How long a call waits for a connection to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes of a read's answer wait here, at most, for a consumer that does not ask: one
/// batch in its hands, and one ahead.
pub const READ_AHEAD_BYTES: u32 = 512 * 1024;

/// What all calls of one connection may have waiting here. So large that the windows of single
/// calls rule: stalled subscribers must never hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// Why there is no client.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is wrong. Correct it.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// Nobody answers there. Start a server, or correct the URL.
    #[error("no server at {authority}: start one with `factum dev` ({why})")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What the system says.
        why: String,
    },
    /// Somebody answers, in another language. Use another scheme, or correct the URL.
    #[error("what answers at {authority} does not speak {protocol}: {instead} ({why})")]
    OtherProtocol {
        /// Host and port.
        authority: String,
        /// What was asked for.
        protocol: &'static str,
        /// What may help.
        instead: &'static str,
        /// What it says.
        why: String,
    },
    /// The server refuses. It says why.
    #[error("the server at {authority} refuses: {why}")]
    Refused {
        /// Host and port.
        authority: String,
        /// What it says.
        why: String,
    },
}

/// A channel that connects when it is first used, and again when it has to.
pub(crate) fn channel(address: &Address) -> Result<Channel, ConnectError> {
    let authority = address.authority();
    let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|error| {
        InvalidAddress::Part { part: "host".into(), why: format!("{authority:?}: {error}") }
    })?;
    let mut endpoint = endpoint
        .user_agent(concat!("factum/", env!("CARGO_PKG_VERSION")))
        .expect("letters, dots and a slash are a header's value")
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(READ_AHEAD_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if let Some(keep_alive) = address.keep_alive {
        endpoint = endpoint
            .http2_keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout)
            .keep_alive_while_idle(true);
    }
    Ok(endpoint.connect_lazy())
}

/// Makes a call; once more, on a new connection, where the one that there was turned out to be
/// closed before the call was sent.
pub(crate) async fn once_more<T, F>(call: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    match call().await {
        Err(status) if found_it_closed(&status) => call().await,
        outcome => outcome,
    }
}

/// Whether the call never left: there was no connection to send it on.
pub(crate) fn was_not_sent(status: &Status) -> bool {
    found_it_closed(status) || causes(status).any(|error| error.is::<tonic::ConnectError>())
}

/// Whether the call never left, as the connection was closed before it could be sent: of HTTP/2,
/// hyper calls only such a request canceled.
pub(crate) fn found_it_closed(status: &Status) -> bool {
    causes(status)
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_canceled)
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |error| (**error).source())
}

/// What a status says, with what caused it.
pub(crate) fn explain(status: &Status) -> String {
    let mut text = match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    };
    for error in causes(status) {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    text
}

/// Why a call did nothing, for one that was not sent.
pub(crate) fn no_server(authority: &str, status: &Status) -> String {
    if found_it_closed(status) {
        return format!("the connection to {authority} was closed before this was sent");
    }
    format!("no server at {authority}: {}", explain(status))
}

impl ConnectError {
    /// From the answer to the first call, in a protocol that the server may not speak.
    pub(crate) fn first_call(
        address: &Address,
        protocol: &'static str,
        instead: &'static str,
        status: &Status,
    ) -> Self {
        let (authority, why) = (address.authority(), explain(status));
        match status.code() {
            // Who hangs up, or talks nonsense on HTTP/2, is no gRPC server.
            _ if found_it_closed(status) => {
                Self::OtherProtocol { authority, protocol, instead, why }
            }
            _ if was_not_sent(status) => Self::Unreachable { authority, why },
            Code::Unimplemented | Code::Unknown | Code::Internal | Code::Cancelled => {
                Self::OtherProtocol { authority, protocol, instead, why }
            }
            _ => Self::Refused { authority, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &Status, expected: &str) {
        let address = Address::factum("factum://h:1").unwrap();
        let error = ConnectError::first_call(&address, "factum.v1", "try another", status);
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_first_answer_says_who_is_there() {
        check(
            &Status::unimplemented("no such service"),
            "what answers at h:1 does not speak factum.v1: try another (no such service)",
        );
        check(&Status::unauthenticated("who?"), "the server at h:1 refuses: who?");
        let nobody = tonic::ConnectError("refused".into());
        check(
            &Status::from_error(Box::new(nobody)),
            "no server at h:1: start one with `factum dev` (refused)",
        );
    }
}
