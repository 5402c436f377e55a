//! What an append or a delete expects of its stream. The protocol has one meaning in four forms:
//! a choice in each of the options, a number in trailers. Pure.

use super::errors;
use factum_core::{Expected, Revision};
use factum_proto::event_store::client::{
    Empty, WrongExpectedVersion, streams as wire, wrong_expected_version as detail,
};
use tonic::Status;

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// Nothing.
    Any,
    /// No events, or deleted.
    NoStream,
    /// Events.
    Exists,
    /// This last revision.
    At(u64),
}

impl Expectation {
    /// As the core has it.
    pub(super) fn check(self) -> Option<Expected> {
        match self {
            Self::Any => None,
            Self::NoStream => Some(Expected::NoStream),
            Self::Exists => Some(Expected::Exists),
            Self::At(revision) => Some(Expected::At(Revision(revision))),
        }
    }

    /// As trailers have it.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::NoStream => -1,
            Self::Any => -2,
            Self::Exists => -4,
            Self::At(revision) => revision.cast_signed(),
        }
    }

    fn at(revision: u64) -> Result<Self, Status> {
        if revision > i64::MAX as u64 {
            let why =
                format!("expected revision {revision} is over {}: expect no_stream", i64::MAX);
            return Err(errors::invalid(why));
        }
        Ok(Self::At(revision))
    }
}

macro_rules! from_choice {
    ($function:ident, $choice:path) => {
        /// What the options expect.
        pub(super) fn $function(choice: Option<$choice>) -> Result<Expectation, Status> {
            use $choice as Choice;
            match choice {
                Some(Choice::Any(_)) => Ok(Expectation::Any),
                Some(Choice::NoStream(_)) => Ok(Expectation::NoStream),
                Some(Choice::StreamExists(_)) => Ok(Expectation::Exists),
                Some(Choice::Revision(revision)) => Expectation::at(revision),
                None => Err(errors::required("expected_stream_revision")),
            }
        }
    };
}

from_choice!(of_append, wire::append_req::options::ExpectedStreamRevision);
from_choice!(of_delete, wire::delete_req::options::ExpectedStreamRevision);
from_choice!(of_tombstone, wire::tombstone_req::options::ExpectedStreamRevision);

/// What a batch's options expect.
pub(super) fn of_batch(
    choice: Option<wire::batch_append_req::options::ExpectedStreamPosition>,
) -> Result<Expectation, Status> {
    use wire::batch_append_req::options::ExpectedStreamPosition as Choice;
    match choice {
        Some(Choice::Any(())) => Ok(Expectation::Any),
        Some(Choice::NoStream(())) => Ok(Expectation::NoStream),
        Some(Choice::StreamExists(())) => Ok(Expectation::Exists),
        Some(Choice::StreamPosition(revision)) => Expectation::at(revision),
        None => Err(errors::required("expected_stream_position")),
    }
}

/// The in-band refusal of an append, told in both its generations.
pub(super) fn wrong_in_band(
    expected: Expectation,
    current: Option<u64>,
) -> wire::append_resp::WrongExpectedVersion {
    use wire::append_resp::wrong_expected_version::{
        CurrentRevisionOption as Current, CurrentRevisionOption2060 as OldCurrent,
        ExpectedRevisionOption as New, ExpectedRevisionOption2060 as Old,
    };
    let (new, old) = match expected {
        Expectation::Any => (New::ExpectedAny(Empty {}), Old::Any2060(Empty {})),
        Expectation::NoStream => {
            (New::ExpectedNoStream(Empty {}), Old::ExpectedRevision2060(u64::MAX))
        }
        Expectation::Exists => {
            (New::ExpectedStreamExists(Empty {}), Old::StreamExists2060(Empty {}))
        }
        Expectation::At(at) => (New::ExpectedRevision(at), Old::ExpectedRevision2060(at)),
    };
    let (current, old_current) = match current {
        Some(at) => (Current::CurrentRevision(at), OldCurrent::CurrentRevision2060(at)),
        None => (Current::CurrentNoStream(Empty {}), OldCurrent::NoStream2060(Empty {})),
    };
    wire::append_resp::WrongExpectedVersion {
        current_revision_option: Some(current),
        current_revision_option_20_6_0: Some(old_current),
        expected_revision_option: Some(new),
        expected_revision_option_20_6_0: Some(old),
    }
}

/// The detail of a refused batch append.
pub(super) fn wrong_detail(expected: Expectation, current: Option<u64>) -> WrongExpectedVersion {
    use detail::{CurrentStreamRevisionOption as Current, ExpectedStreamPositionOption as Wanted};
    let wanted = match expected {
        Expectation::Any => Wanted::ExpectedAny(()),
        Expectation::NoStream => Wanted::ExpectedNoStream(()),
        Expectation::Exists => Wanted::ExpectedStreamExists(()),
        Expectation::At(at) => Wanted::ExpectedStreamPosition(at),
    };
    let current = current.map_or(Current::CurrentNoStream(()), Current::CurrentStreamRevision);
    WrongExpectedVersion {
        current_stream_revision_option: Some(current),
        expected_stream_position_option: Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wire::append_req::options::ExpectedStreamRevision as Choice;

    #[test]
    fn revisions_are_within_63_bits() {
        let max = i64::MAX as u64;
        assert_eq!(of_append(Some(Choice::Revision(0))).unwrap(), Expectation::At(0));
        assert_eq!(of_append(Some(Choice::Revision(max))).unwrap(), Expectation::At(max));
        for bad in [max + 1, u64::MAX - 1, u64::MAX] {
            let status = of_append(Some(Choice::Revision(bad))).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
        assert!(of_append(None).is_err());
    }

    #[test]
    fn both_generations_are_told() {
        use wire::append_resp::wrong_expected_version as told;
        let wrong = wrong_in_band(Expectation::NoStream, Some(3));
        assert_eq!(
            wrong.expected_revision_option_20_6_0,
            Some(told::ExpectedRevisionOption2060::ExpectedRevision2060(u64::MAX))
        );
        assert_eq!(
            wrong.current_revision_option,
            Some(told::CurrentRevisionOption::CurrentRevision(3))
        );
        assert_eq!(
            wrong.current_revision_option_20_6_0,
            Some(told::CurrentRevisionOption2060::CurrentRevision2060(3))
        );
    }
}
