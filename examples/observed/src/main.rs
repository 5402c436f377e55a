//! `cargo run -p observed`: two services over a broker, seen by OpenTelemetry and Prometheus. One
//! request to the one becomes one trace over both; and what they counted is there to be scraped.
//!
//! Where a real program sends its spans to a collector, this one keeps them and prints them as a
//! tree.

mod otel;
mod services;

use factum::app::message::{MemoryBroker, ReceiverState};
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use services::Place;
use std::{error::Error, time::Duration};
use tracing_subscriber::layer::SubscriberExt;

/// How long everything may take.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "a program for people")]
async fn main() -> Result<(), Box<dyn Error>> {
    let numbers = PrometheusBuilder::new().install_recorder()?;
    let spans = traced().await?;
    println!("{}", tree(&spans, SpanId::INVALID, 0));
    let counted = numbers.render();
    counted.lines().filter(|line| line.contains("_total{")).for_each(|line| println!("{line}"));
    Ok(())
}

/// Places an order, and waits until it is billed. Answers the spans of both services.
async fn traced() -> Result<Vec<SpanData>, Box<dyn Error>> {
    let kept = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("observed"));
    let _seen = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let broker = MemoryBroker::new();
    let (billing, orders) =
        (services::billing(broker.clone()).await?, services::orders(broker).await?);
    let mut receiving = billing.receiving("orders").ok_or("nobody receives")?;
    let subscribed = receiving.wait_for(|now| now.state == ReceiverState::Running);
    tokio::time::timeout(WITHIN, subscribed).await??;
    orders.execute(Place { order: 7, cents: 1_250 }).await?;
    let mut bill = billing.consumer("bill").ok_or("nobody bills")?.progress();
    tokio::time::timeout(WITHIN, bill.wait_for(|now| now.handled == 1)).await??;
    // The spans of what runs end with it.
    orders.stop().await;
    billing.stop().await;
    Ok(kept.get_finished_spans()?)
}

/// The spans under one, each behind as many blanks as it is deep.
fn tree(all: &[SpanData], under: SpanId, depth: usize) -> String {
    let mut text = String::new();
    for span in all.iter().filter(|span| span.parent_span_id == under) {
        let name = |key: &str| {
            let found = span.attributes.iter().find(|one| one.key.as_str() == key);
            found.map(|one| format!(" {}", one.value)).unwrap_or_default()
        };
        let of = name("command") + &name("handler") + &name("outcome");
        text += &format!("{:1$}{2}{of}\n", "", depth * 2, span.name);
        text += &tree(all, span.span_context.span_id(), depth + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bill is in the trace of the order, under the delivery of the other service.
    #[tokio::test]
    async fn one_trace_over_both_services() -> Result<(), Box<dyn Error>> {
        let spans = traced().await?;
        let of = |name: &str, value: &str| {
            let is = |one: &&SpanData| {
                let said = one.attributes.iter().any(|said| said.value.as_str() == value);
                one.name == name && said
            };
            spans.iter().find(is).ok_or_else(|| format!("{name} {value}: {spans:#?}"))
        };
        let place = of("factum.command", "order.place")?;
        let published = of("factum.delivery", "to-bill")?;
        let handled = of("factum.delivery", "bill")?;
        let bill = of("factum.command", "bill.send")?;
        let trace = place.span_context.trace_id();
        for (one, under) in [(published, place), (handled, place), (bill, handled)] {
            assert_eq!(one.span_context.trace_id(), trace, "{one:#?}");
            assert_eq!(one.parent_span_id, under.span_context.span_id(), "{one:#?}");
        }
        Ok(())
    }
}
