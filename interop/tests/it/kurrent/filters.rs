//! Filters on `$all`: by stream and by type, with prefixes and regular expressions.

use super::{append, client, event, from, numbers, read_all};
use crate::{Outcome, server::Server};
use kurrentdb::{
    Client, ReadAllOptions, StreamMetadata, StreamPosition, SubscriptionFilter as Filter,
};

/// Numbers 0 to 7 in two categories with two types, and an event of the system.
async fn prepare(client: &Client) -> kurrentdb::Result<()> {
    for number in 0..8 {
        let stream = if number % 2 == 0 { "order-1" } else { "invoice-1" };
        let kind = if number < 4 { "placed" } else { "paid-late" };
        append(client, stream, vec![event(kind, number)]).await?;
    }
    let metadata = StreamMetadata::builder().max_count(100).build();
    client.set_stream_metadata("order-1", &Default::default(), &metadata).await?;
    Ok(())
}

async fn check(client: &Client, what: &str, filter: Filter, expect: &[u64]) -> Outcome {
    let options = ReadAllOptions::default().filter(filter.clone());
    assert_eq!(numbers(&read_all(client, &options).await?), expect, "{what}");
    let options = options.position(StreamPosition::End);
    let reversed: Vec<u64> = expect.iter().rev().copied().collect();
    assert_eq!(numbers(&read_all(client, &options).await?), reversed, "{what}, backwards");
    Ok(())
}

#[tokio::test]
async fn by_prefix() -> Outcome {
    let Some(server) = Server::start("kurrent::filters::prefix") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let (stream, kind) = (Filter::on_stream_name, Filter::on_event_type);
    let all = [0, 1, 2, 3, 4, 5, 6, 7];
    check(&client, "stream", stream().add_prefix("order-"), &[0, 2, 4, 6]).await?;
    check(&client, "two", stream().add_prefix("order-").add_prefix("inv"), &all).await?;
    check(&client, "type", kind().add_prefix("paid"), &[4, 5, 6, 7]).await?;
    check(&client, "types", kind().add_prefix("paid").add_prefix("placed"), &all).await?;
    check(&client, "none", kind().add_prefix("Paid"), &[]).await
}

#[tokio::test]
async fn by_regular_expression() -> Outcome {
    let Some(server) = Server::start("kurrent::filters::regex") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let (stream, kind) = (Filter::on_stream_name, Filter::on_event_type);
    let all = [0, 1, 2, 3, 4, 5, 6, 7];
    check(&client, "stream", stream().regex("^inv.*-1$"), &[1, 3, 5, 7]).await?;
    check(&client, "type", kind().regex("^paid-l"), &[4, 5, 6, 7]).await?;
    check(&client, "anywhere", kind().regex("late"), &[4, 5, 6, 7]).await?;
    check(&client, "user events", kind().exclude_system_events(), &all).await?;
    check(&client, "look-ahead", kind().regex(r"^(?!paid)(?!\$)"), &[0, 1, 2, 3]).await
}

#[tokio::test]
async fn with_a_limit_and_from_a_position() -> Outcome {
    let Some(server) = Server::start("kurrent::filters::limit") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let orders = || ReadAllOptions::default().filter(Filter::on_stream_name().add_prefix("order"));
    let found = read_all(&client, &orders().max_count(2)).await?;
    assert_eq!(numbers(&found), [0, 2]);
    let position = found[1].get_original_event().position;
    let rest = read_all(&client, &orders().position(from(position))).await?;
    assert_eq!(numbers(&rest), [2, 4, 6]);
    let before = read_all(&client, &orders().position(from(position)).backwards()).await?;
    assert_eq!(numbers(&before), [0]);
    Ok(())
}

#[tokio::test]
async fn the_system_has_events_too() -> Outcome {
    let Some(server) = Server::start("kurrent::filters::system") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let filter = Filter::on_stream_name().add_prefix("$$");
    let found = read_all(&client, &ReadAllOptions::default().filter(filter)).await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].get_original_stream_id(), "$$order-1");
    assert_eq!(found[0].get_original_event().event_type, "$metadata");
    Ok(())
}

#[tokio::test]
async fn a_broken_expression_is_refused() -> Outcome {
    let Some(server) = Server::start("kurrent::filters::broken") else { return Ok(()) };
    let client = client(&server);
    prepare(&client).await?;
    let filter = Filter::on_event_type().regex("(unclosed");
    let found = read_all(&client, &ReadAllOptions::default().filter(filter)).await;
    let Err(kurrentdb::Error::Grpc { code, message }) = found else { panic!("{found:?}") };
    assert_eq!(format!("{code:?}"), "InvalidArgument", "{message}");
    Ok(())
}
