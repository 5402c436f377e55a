//! What the server counts, and how Prometheus reads it.

use crate::{context::Context, rpc::Rpc, statistics};
use factum_core::{Bucket, Statistics};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet, text::encode},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::time::Instant;
use tonic::Code;

/// The content type of what [`render`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    service: &'static str,
    method: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    service: &'static str,
    method: &'static str,
}

/// What only grows while calls are served; everything else is read when it is asked for.
#[derive(Debug)]
pub(crate) struct Metrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.1 ms to 1.6 s.
        let buckets = || Histogram::new(exponential_buckets(0.000_1, 2.0, 15));
        Self { calls: Family::default(), seconds: Family::new_with_constructor(buckets) }
    }
}

/// A call in progress. Dropped without an end, it counts as cancelled.
pub(crate) struct Call {
    context: Context,
    rpc: &'static Rpc,
    began: Instant,
    code: Code,
}

impl Call {
    pub(crate) fn new(context: Context, rpc: &'static Rpc) -> Self {
        Self { context, rpc, began: Instant::now(), code: Code::Cancelled }
    }

    /// It ended so.
    pub(crate) fn done(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Rpc { service, method, .. } = *self.rpc;
        let metrics = &self.context.metrics;
        let labels = CallLabels { service, method, code: name(self.code) };
        metrics.calls.get_or_create(&labels).inc();
        let seconds = self.began.elapsed().as_secs_f64();
        metrics.seconds.get_or_create(&MethodLabels { service, method }).observe(seconds);
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The numbers of store and server at one moment, as metrics.
#[derive(Debug)]
struct Snapshot(Statistics);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for one in &self.0.numbers {
            let kind = if one.counter { MetricType::Counter } else { MetricType::Gauge };
            // The encoder ends the name of a counter in `_total` by itself.
            let name = one.name.strip_suffix("_total").filter(|_| one.counter);
            let name = name.unwrap_or(&one.name);
            let encoder = encoder.encode_descriptor(name, &one.help, None, kind)?;
            if one.counter {
                ConstCounter::new(one.value).encode(encoder)?;
            } else {
                ConstGauge::new(one.value).encode(encoder)?;
            }
        }
        for one in &self.0.histograms {
            let kind = MetricType::Histogram;
            let mut encoder = encoder.encode_descriptor(&one.name, &one.help, None, kind)?;
            let buckets = coarse(one);
            encoder.encode_histogram::<NoLabelSet>(one.sum, one.count(), &buckets, None)?;
        }
        Ok(())
    }
}

/// The same values in the few buckets that Prometheus always wants to see: each twice as long as
/// the one before, from a microsecond to half a minute.
fn coarse(histogram: &factum_core::Histogram) -> Vec<(f64, u64)> {
    let ends = std::iter::successors(Some(1e-6), |end| Some(end * 2.0)).take(25);
    let mut buckets: Vec<(f64, u64)> = ends.chain([f64::INFINITY]).map(|end| (end, 0)).collect();
    for Bucket { up_to, count } in &histogram.buckets {
        let index = buckets.partition_point(|(end, _)| end < up_to);
        if let Some((_, sum)) = buckets.get_mut(index) {
            *sum += count;
        }
    }
    buckets
}

/// Everything, in Prometheus' text format.
pub(crate) async fn render(context: &Context) -> String {
    let mut registry = Registry::with_prefix("factum");
    let Metrics { calls, seconds } = &context.metrics;
    registry.register("calls", "gRPC calls that have ended", calls.clone());
    registry.register("call_seconds", "How long calls took", seconds.clone());
    registry.register_collector(Box::new(Snapshot(statistics::gather(context).await)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes all");
    text
}
