//! Filters of `$all`: by the name of the stream or the type, by prefixes or a regular expression.
//!
//! Prefixes become a query where the store can, so that it looks up what matches. A regular
//! expression is run here on every event. Expressions without look-around and back-references take
//! linear time; clients do send look-ahead ("everything but …"), whose steps are limited.

use super::errors;
use crate::config::Limits;
use factum_core::{Item, Query, RecordedEvent};
use factum_proto::event_store::client::streams::read_req::options::{
    FilterOptions,
    filter_options::{Expression, Filter as Wire, Window},
};
use fancy_regex::{Regex, RegexBuilder};
use std::sync::Arc;
use tonic::Status;

/// How many events a page has where a filter's window is "count".
const PAGE_EVENTS: u64 = 32;

/// Which events, and how often to tell how far was looked.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    on: On,
    pattern: Pattern,
    /// Events between two checkpoints.
    pub(super) checkpoint_interval: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Stream,
    Type,
}

#[derive(Clone, Debug)]
enum Pattern {
    Prefixes(Vec<Arc<str>>),
    Regex(Arc<Regex>),
}

/// Reads a filter's options. `subscribes`: checkpoints are wanted.
pub(super) fn filter(
    options: FilterOptions,
    subscribes: bool,
    limits: &Limits,
) -> Result<Filter, Status> {
    let window = match options.window {
        Some(Window::Max(0)) => return Err(errors::invalid("a filter's window must not be 0")),
        Some(Window::Max(max)) => u64::from(max),
        Some(Window::Count(_)) => PAGE_EVENTS,
        None => return Err(errors::required("window")),
    };
    let multiplier = u64::from(options.checkpoint_interval_multiplier);
    if subscribes && multiplier == 0 {
        return Err(errors::invalid("checkpointIntervalMultiplier must not be 0"));
    }
    let (on, expression) = match options.filter {
        Some(Wire::StreamIdentifier(expression)) => (On::Stream, expression),
        Some(Wire::EventType(expression)) => (On::Type, expression),
        None => return Err(errors::required("filter")),
    };
    let pattern = pattern(expression, limits)?;
    Ok(Filter { on, pattern, checkpoint_interval: window * multiplier.max(1) })
}

fn pattern(expression: Expression, limits: &Limits) -> Result<Pattern, Status> {
    if expression.regex.is_empty() {
        if expression.prefix.is_empty() {
            return Err(errors::invalid("a filter needs a regex or a prefix"));
        }
        return Ok(Pattern::Prefixes(expression.prefix.into_iter().map(Arc::from).collect()));
    }
    if expression.regex.len() > limits.regex_bytes_max {
        let max = limits.regex_bytes_max;
        return Err(errors::invalid(format!("a filter's regex has at most {max} bytes")));
    }
    let regex = RegexBuilder::new(&expression.regex)
        .backtrack_limit(limits.regex_steps_max)
        .delegate_size_limit(limits.regex_compiled_bytes_max)
        .delegate_dfa_size_limit(limits.regex_compiled_bytes_max)
        .build();
    let regex = regex.map_err(|error| errors::invalid(format!("a filter's regex: {error}")))?;
    Ok(Pattern::Regex(Arc::new(regex)))
}

impl Filter {
    /// What the store can select of it: no less than what matches.
    pub(super) fn query(&self, store_has_queries: bool) -> Query {
        match &self.pattern {
            Pattern::Prefixes(prefixes) if store_has_queries => {
                let prefixes = prefixes.clone();
                Query::from(match self.on {
                    On::Stream => Item { stream_prefixes: prefixes, ..Item::default() },
                    On::Type => Item { type_prefixes: prefixes, ..Item::default() },
                })
            }
            _ => Query::All,
        }
    }

    /// Whether an event matches; fails where the expression takes too many steps.
    pub(super) fn matches(&self, event: &RecordedEvent) -> Result<bool, Status> {
        self.matches_name(match self.on {
            On::Stream => event.stream().as_str(),
            On::Type => event.event_type().as_str(),
        })
    }

    fn matches_name(&self, name: &str) -> Result<bool, Status> {
        match &self.pattern {
            Pattern::Prefixes(prefixes) => {
                Ok(prefixes.iter().any(|prefix| name.starts_with(&**prefix)))
            }
            Pattern::Regex(regex) => regex.is_match(name).map_err(|error| {
                errors::invalid(format!("a filter's regex, on a name: {error}; make it simpler"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use factum_proto::event_store::client::Empty;

    fn options(regex: &str, prefix: &[&str]) -> FilterOptions {
        FilterOptions {
            filter: Some(Wire::StreamIdentifier(Expression {
                regex: regex.into(),
                prefix: prefix.iter().map(|prefix| (*prefix).into()).collect(),
            })),
            window: Some(Window::Max(10)),
            checkpoint_interval_multiplier: 3,
        }
    }

    fn made(options: FilterOptions) -> Result<Filter, Status> {
        filter(options, true, &Limits::default())
    }

    fn check(regex: &str, prefix: &[&str], name: &str, expected: bool) {
        let matches = made(options(regex, prefix)).unwrap().matches_name(name);
        assert_eq!(matches.unwrap(), expected, "{regex:?} {prefix:?} {name:?}");
    }

    #[test]
    fn prefixes_and_expressions_match() {
        check("", &["a-", "b"], "b1", true);
        check("", &["a-"], "b-a-", false);
        check("", &[""], "anything", true);
        check(r"^[^\$].*", &[], "order-1", true);
        check(r"^[^\$].*", &[], "$$order-1", false);
        check("der", &["ignored"], "order-1", true);
        // As the Python client says "all but those of the system".
        check(r"^(?!(\$.+$|PersistentConfig\d+$))", &[], "order-1", true);
        check(r"^(?!(\$.+$|PersistentConfig\d+$))", &[], "$metadata", false);
        check(r"^(?!(\$.+$|PersistentConfig\d+$))", &[], "PersistentConfig7", false);
    }

    #[test]
    fn only_prefixes_are_a_query() {
        let prefixed = made(options("", &["a"])).unwrap();
        assert_ne!(prefixed.query(true), Query::All);
        assert_eq!(prefixed.query(false), Query::All);
        assert_eq!(made(options("a", &[])).unwrap().query(true), Query::All);
    }

    #[test]
    fn windows_make_intervals() {
        assert_eq!(made(options("a", &[])).unwrap().checkpoint_interval, 30);
        let count = FilterOptions { window: Some(Window::Count(Empty {})), ..options("a", &[]) };
        assert_eq!(made(count).unwrap().checkpoint_interval, 96);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let good = options("a", &[]);
        for bad in [
            options("", &[]),
            options("(", &[]),
            options(&"a".repeat(4_097), &[]),
            options("(a{1000}){1000}", &[]),
            FilterOptions { window: None, ..good.clone() },
            FilterOptions { window: Some(Window::Max(0)), ..good.clone() },
            FilterOptions { filter: None, ..good.clone() },
            FilterOptions { checkpoint_interval_multiplier: 0, ..good },
        ] {
            let status = made(bad.clone()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{bad:?}");
        }
        assert!(made(options(&"a".repeat(4_096), &[])).is_ok());
    }

    #[test]
    fn a_catastrophic_expression_ends() {
        let name = "a".repeat(1_000);
        let linear = made(options("^(a+)+$", &[])).unwrap();
        assert!(!linear.matches_name(&format!("{name}!")).unwrap());
        let backtracking = made(options("^(?=(a+)+$)(a+)+b$", &[])).unwrap();
        let status = backtracking.matches_name(&name);
        assert!(status.is_err() || !status.unwrap());
        let worse = made(options(r"^((a+)\2?)+$(?<!x)b", &[])).unwrap();
        assert!(worse.matches_name(&format!("{name}!")).is_err());
    }
}
