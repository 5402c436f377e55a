//! Trace contexts without a tracing system: enough to find in the logs of several services what
//! belongs to one trace, and what came of what.

use super::{TraceContext, Traces};
use crate::world::World;
use tracing::{Span, field::display};

/// Ids of its own, by W3C trace context. They are in the fields `trace_id`, `span_id` and
/// `parent_span_id` of the spans, and in the metadata of what comes of them.
///
/// What came without a context, or with one that is none, begins a trace, sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct W3c;

/// The parts of a `traceparent`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    trace: u128,
    span: u64,
    flags: u8,
}

impl Traces for W3c {
    fn begin(
        &self,
        span: &Span,
        from: Option<&TraceContext>,
        world: &dyn World,
    ) -> Option<TraceContext> {
        let parent = from.and_then(|from| Place::parse(&from.parent));
        let (trace, flags) = match parent {
            Some(Place { trace, flags, .. }) => (trace, flags),
            None => (u128::from(id(world)) << 64 | u128::from(world.random()), 1),
        };
        let own = Place { trace, span: id(world), flags };
        span.record("trace_id", display(format_args!("{trace:032x}")));
        span.record("span_id", display(format_args!("{:016x}", own.span)));
        if let Some(Place { span: parent, .. }) = parent {
            span.record("parent_span_id", display(format_args!("{parent:016x}")));
        }
        let state = from.filter(|_| parent.is_some()).and_then(|from| from.state.clone());
        Some(TraceContext { parent: own.text(), state })
    }
}

/// Zero is no id.
fn id(world: &dyn World) -> u64 {
    world.random().max(1)
}

impl Place {
    /// By the rules of version 00; of later versions the part that is the same.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let is_more = parts.next().is_some();
        let version = hex(version, 2).filter(|version| *version != 0xff)?;
        if version == 0 && is_more {
            return None;
        }
        let trace = hex(trace, 32).filter(|trace| *trace != 0)?;
        let span = hex(span, 16).filter(|span| *span != 0)?;
        let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(hex(flags, 2)?).ok()?);
        Some(Self { trace, span, flags })
    }

    fn text(self) -> String {
        let Self { trace, span, flags } = self;
        format!("00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// So many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_hex);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_traceparent_comes_back_as_it_was() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Place::parse(text).unwrap().text(), text);
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes";
        assert_eq!(Place::parse(later).unwrap().text(), text);
    }

    #[test]
    fn what_is_none_is_told_apart() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        for text in [
            String::new(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}"),
            format!("00-+{}-{span}-01", &trace[1..]),
        ] {
            assert_eq!(Place::parse(&text), None, "{text}");
        }
    }
}
