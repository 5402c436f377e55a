//! Positions, here and there.
//!
//! A KurrentDB counts the bytes of its log from 0, so its position 0 can be an event's own; here 0
//! is before the first event. So a position here is theirs plus 1. A Factum server says in this
//! protocol what it says in its own, so that a checkpoint means the same over both.

use factum_core::Position;
use factum_proto::event_store::client::streams::read_req::options::Position as WirePosition;

/// Which kind of server it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Server {
    Factum,
    Kurrent,
}

impl Server {
    /// A commit position, as ours.
    pub(super) fn ours(self, commit: u64) -> Position {
        match self {
            Self::Factum => Position(commit),
            Self::Kurrent => Position(commit.saturating_add(1)),
        }
    }

    /// A position of ours, as theirs; of `START` there is none.
    pub(super) fn theirs(self, position: Position) -> Option<WirePosition> {
        // What is past 63 bits is past every event, and refused by servers.
        let position = position.0.min(i64::MAX as u64);
        let commit = match self {
            Self::Factum => position,
            Self::Kurrent => position.checked_sub(1)?,
        };
        Some(WirePosition { commit_position: commit, prepare_position: commit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_both_ways() {
        for server in [Server::Factum, Server::Kurrent] {
            for commit in [1, 2, 4711, i64::MAX as u64 - 1] {
                let back = server.theirs(server.ours(commit)).unwrap();
                assert_eq!(back.commit_position, commit, "{server:?}");
            }
        }
        assert_eq!(Server::Kurrent.ours(0), Position(1), "0 can be an event's own there");
        assert_eq!(Server::Kurrent.theirs(Position::START), None);
        let last = Server::Factum.theirs(Position(u64::MAX)).unwrap();
        assert_eq!(last.commit_position, i64::MAX as u64);
    }
}
