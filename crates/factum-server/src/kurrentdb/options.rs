//! The options of a read, as a plan: what, where from, and in which shape. Pure.

use super::{
    errors,
    events::{IdForm, stream_in},
    filter::{self, Filter},
};
use crate::config::Limits;
use factum_core::{Direction, StreamName};
use factum_proto::event_store::client::streams::{
    ReadReq,
    read_req::options::{
        AllOptions, CountOption, FilterOption, Position, ReadDirection, StreamOption,
        StreamOptions, all_options::AllOption, stream_options::RevisionOption,
        uuid_option::Content,
    },
};
use tonic::Status;

/// A read or a subscription.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) mode: Mode,
    pub(super) shape: Shape,
}

/// Which events.
#[derive(Debug)]
pub(super) enum Source {
    Stream(StreamName),
    All(Option<Filter>),
}

/// Once, or on and on.
#[derive(Debug)]
pub(super) enum Mode {
    Read(Once),
    Subscribe(Start),
}

/// A read that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Once {
    pub(super) direction: Direction,
    pub(super) from: Start,
    pub(super) count: u64,
}

/// Where to begin: a revision of a stream, or a position of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    First,
    Last,
    At(u64),
}

/// How events are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) resolve_links: bool,
    pub(super) ids: IdForm,
    /// The client is to be told a stream's first and last revision.
    pub(super) tells_bounds: bool,
}

/// Reads the options.
pub(super) fn plan(request: ReadReq, limits: &Limits) -> Result<Plan, Status> {
    let options = request.options.ok_or_else(|| errors::required("options"))?;
    let ids = options.uuid_option.and_then(|option| option.content);
    let ids = match ids.ok_or_else(|| errors::required("uuid_option"))? {
        Content::Structured(_) => IdForm::Structured,
        Content::String(_) => IdForm::Text,
    };
    let Ok(direction) = ReadDirection::try_from(options.read_direction) else {
        return Err(errors::invalid(format!(
            "read direction {} is unknown",
            options.read_direction
        )));
    };
    let count = options.count_option.ok_or_else(|| errors::required("count_option"))?;
    let filter = options.filter_option.ok_or_else(|| errors::required("filter_option"))?;
    let stream = options.stream_option.ok_or_else(|| errors::required("stream_option"))?;
    let subscribes = matches!(count, CountOption::Subscription(_));
    check_combination(&stream, direction, subscribes, &filter)?;
    let (source, from) = match stream {
        StreamOption::Stream(stream) => of_stream(stream)?,
        StreamOption::All(all) => {
            let filter = match filter {
                FilterOption::Filter(options) => Some(filter::filter(options, subscribes, limits)?),
                FilterOption::NoFilter(_) => None,
            };
            (Source::All(filter), of_all(all)?)
        }
    };
    let direction = match direction {
        ReadDirection::Forwards => Direction::Forward,
        ReadDirection::Backwards => Direction::Backward,
    };
    let mode = match count {
        CountOption::Count(count) => Mode::Read(Once { direction, from, count }),
        CountOption::Subscription(_) => Mode::Subscribe(from),
    };
    let tells_bounds = options.control_option.is_some_and(|control| control.compatibility >= 1);
    let shape = Shape { resolve_links: options.resolve_links, ids, tells_bounds };
    Ok(Plan { source, mode, shape })
}

/// A stream has no filter, and a subscription no way back.
fn check_combination(
    stream: &StreamOption,
    direction: ReadDirection,
    subscribes: bool,
    filter: &FilterOption,
) -> Result<(), Status> {
    let is_stream = matches!(stream, StreamOption::Stream(_));
    let is_filtered = matches!(filter, FilterOption::Filter(_));
    let goes_back = direction == ReadDirection::Backwards;
    if !(is_stream && is_filtered || subscribes && goes_back) {
        return Ok(());
    }
    let stream = if is_stream { "Stream" } else { "All" };
    let count = if subscribes { "Subscription" } else { "Count" };
    let direction = if goes_back { "Backwards" } else { "Forwards" };
    let filter = if is_filtered { "Filter" } else { "NoFilter" };
    Err(errors::invalid(format!(
        "The combination of ({stream}, {count}, {direction}, {filter}) is invalid."
    )))
}

fn of_stream(options: StreamOptions) -> Result<(Source, Start), Status> {
    let stream = stream_in(options.stream_identifier)?;
    let start = match options.revision_option {
        Some(RevisionOption::Start(_)) => Start::First,
        Some(RevisionOption::End(_)) => Start::Last,
        Some(RevisionOption::Revision(revision)) => number(revision, "revision")?,
        None => return Err(errors::required("revision_option")),
    };
    Ok((Source::Stream(stream), start))
}

fn of_all(options: AllOptions) -> Result<Start, Status> {
    match options.all_option {
        Some(AllOption::Start(_)) => Ok(Start::First),
        Some(AllOption::End(_)) => Ok(Start::Last),
        Some(AllOption::Position(Position { commit_position, prepare_position })) => {
            if commit_position < prepare_position {
                return Err(errors::invalid(
                    "the commit position cannot be less than the prepare position",
                ));
            }
            number(commit_position, "position")
        }
        None => Err(errors::required("all_option")),
    }
}

/// The greatest number is the end; others are within 63 bits.
fn number(number: u64, what: &str) -> Result<Start, Status> {
    match number {
        u64::MAX => Ok(Start::Last),
        at if at <= i64::MAX as u64 => Ok(Start::At(at)),
        at => Err(errors::invalid(format!("{what} {at} is over {}", i64::MAX))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use factum_proto::event_store::client::{
        Empty, StreamIdentifier,
        streams::read_req::{
            Options,
            options::{
                ControlOption, FilterOptions, SubscriptionOptions, UuidOption,
                filter_options::{Expression, Filter as By, Window},
            },
        },
    };

    fn of_a_stream() -> Options {
        let name = Some(StreamIdentifier { stream_name: "a-1".into() });
        Options {
            stream_option: Some(StreamOption::Stream(StreamOptions {
                stream_identifier: name,
                revision_option: Some(RevisionOption::Revision(7)),
            })),
            count_option: Some(CountOption::Count(u64::MAX)),
            filter_option: Some(FilterOption::NoFilter(Empty {})),
            uuid_option: Some(UuidOption { content: Some(Content::String(Empty {})) }),
            control_option: Some(ControlOption { compatibility: 1 }),
            ..Options::default()
        }
    }

    fn filtered() -> Option<FilterOption> {
        Some(FilterOption::Filter(FilterOptions {
            filter: Some(By::EventType(Expression { regex: "a".into(), prefix: vec![] })),
            window: Some(Window::Max(1)),
            checkpoint_interval_multiplier: 1,
        }))
    }

    fn made(options: Options) -> Result<Plan, Status> {
        plan(ReadReq { options: Some(options) }, &Limits::default())
    }

    fn refused(options: Options, message: &str) {
        let status = made(options).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(message), "{status} instead of {message}");
    }

    #[test]
    fn options_make_a_plan() {
        let plan = made(of_a_stream()).unwrap();
        assert!(matches!(&plan.source, Source::Stream(name) if name.as_str() == "a-1"));
        let Mode::Read(once) = plan.mode else { panic!() };
        let (direction, from) = (Direction::Forward, Start::At(7));
        assert_eq!(once, Once { direction, from, count: u64::MAX });
        let shape = Shape { resolve_links: false, ids: IdForm::Text, tells_bounds: true };
        assert_eq!(plan.shape, shape);
    }

    #[test]
    fn what_is_unset_is_named() {
        let good = of_a_stream;
        let status = plan(ReadReq { options: None }, &Limits::default()).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        refused(Options { uuid_option: None, ..good() }, "uuid_option");
        let no_content = Some(UuidOption { content: None });
        refused(Options { uuid_option: no_content, ..good() }, "uuid_option");
        refused(Options { count_option: None, ..good() }, "count_option");
        refused(Options { filter_option: None, ..good() }, "filter_option");
        refused(Options { stream_option: None, ..good() }, "stream_option");
        refused(Options { read_direction: 2, ..good() }, "read direction 2");
        let all = |option| Some(StreamOption::All(AllOptions { all_option: option }));
        refused(Options { stream_option: all(None), ..good() }, "all_option");
        let no_stream = StreamOption::Stream(StreamOptions::default());
        refused(Options { stream_option: Some(no_stream), ..good() }, "stream_identifier");
    }

    #[test]
    fn combinations_without_a_meaning_are_refused() {
        let subscription = || Some(CountOption::Subscription(SubscriptionOptions {}));
        refused(
            Options { filter_option: filtered(), ..of_a_stream() },
            "The combination of (Stream, Count, Forwards, Filter) is invalid.",
        );
        refused(
            Options { count_option: subscription(), read_direction: 1, ..of_a_stream() },
            "The combination of (Stream, Subscription, Backwards, NoFilter) is invalid.",
        );
    }

    #[test]
    fn numbers_at_the_edges() {
        let max = i64::MAX as u64;
        assert_eq!(number(0, "").unwrap(), Start::At(0));
        assert_eq!(number(max, "").unwrap(), Start::At(max));
        assert_eq!(number(u64::MAX, "").unwrap(), Start::Last);
        assert!(number(max + 1, "").is_err() && number(u64::MAX - 1, "").is_err());
        let position = Position { commit_position: 1, prepare_position: 2 };
        let all = AllOptions { all_option: Some(AllOption::Position(position)) };
        assert!(of_all(all).is_err());
    }
}
