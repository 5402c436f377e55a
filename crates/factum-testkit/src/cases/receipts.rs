//! Receipts, and reads that wait for what a receipt tells.

use super::kit::*;
use std::task::Poll;

pub(crate) async fn a_receipt_has_the_position_of_the_last_event(t: Trial) -> Outcome {
    let (a, b) = (t.stream("a-1"), t.stream("b-1"));
    for append in [to(&a, t.events(1)), to(&a, t.events(3)), to(&b, t.events(2))] {
        let last = ids_of(&append).last().copied();
        let receipt = t.append(append).await?;
        let read =
            Read { from: Some(receipt.position.0), limit: Some(1), ..Read::query(Query::All) };
        let found = t.read(read).await?.events;
        same("the event there", ids(&found).last().copied(), last);
    }
    Ok(())
}

pub(crate) async fn streams_stand_in_the_order_of_first_mention(t: Trial) -> Outcome {
    let (a, b, c) = (t.stream("a-1"), t.stream("b-1"), t.stream("c-1"));
    let order = [&c, &a, &c, &b, &a, &c];
    let receipt = t.append(across(order.map(|stream| (stream, t.event("x"))))).await?;
    let streams = vec![written(&c, 0, 2), written(&a, 0, 1), written(&b, 0, 0)];
    same("the receipt's streams", receipt.streams, streams);
    Ok(())
}

pub(crate) async fn the_receipt_of_metadata_is_that_of_its_event(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for revision in 0..3 {
        let receipt = t.set_metadata(&stream, r#"{"$maxCount":3}"#).await?;
        let metadata = stream.metadata_stream();
        let last = t.of(&metadata).await?.pop().map(|event| event.position());
        same("its position", Some(receipt.position), last);
        same("its revision", receipt.streams, vec![written(&metadata, revision, revision)]);
    }
    Ok(())
}

pub(crate) async fn the_head_is_not_before_a_receipt(t: Trial) -> Outcome {
    for _ in 0..5 {
        let receipt = t.put(&t.stream("a-1"), 2).await?;
        let (head, read) = (t.store().head().await?, t.head().await?);
        assert!(head >= receipt.position && read >= receipt.position, "{head} and {read}");
    }
    Ok(())
}

pub(crate) async fn a_read_at_least_a_receipt_holds_its_events(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for count in 1..=5 {
        let receipt = t.put(&stream, 1).await?;
        let read = Read { at_least: Some(receipt.position), ..Read::stream(stream.clone()) };
        // Not `Current`: what was appended must be seen because of the receipt.
        let reading = t.store().read(read).await?;
        assert!(reading.head >= receipt.position, "the head {} is behind", reading.head);
        same("events", reading.events().await?.len(), count);
    }
    Ok(())
}

pub(crate) async fn a_current_read_holds_what_was_acknowledged(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    for count in 1..=5 {
        t.put(&stream, 1).await?;
        same("events", t.of(&stream).await?.len(), count);
    }
    Ok(())
}

pub(crate) async fn a_read_at_least_the_future_waits_for_it(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let head = t.put(&stream, 1).await?.position;
    // The next event is past this position wherever positions ascend.
    let read = Read { at_least: Some(Position(head.0 + 1)), ..Read::stream(stream.clone()) };
    let store = t.store().clone();
    let mut waiting = Box::pin(async move { store.read(read).await?.events().await });
    let early = poll_once(&mut waiting).await;
    if t.can(Need::Fresh) {
        assert!(matches!(early, Poll::Pending), "a read of what is not there yet: {early:?}");
    }
    t.put(&stream, 1).await?;
    let events = match early {
        Poll::Ready(events) => events?,
        Poll::Pending => t.patiently("a read that waits for an append", waiting).await??,
    };
    same("events", revisions(&events), vec![0, 1]);
    Ok(())
}

pub(crate) async fn several_readers_wait_for_one_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let head = t.put(&stream, 1).await?.position;
    let read = Read { at_least: Some(Position(head.0 + 1)), ..Read::stream(stream.clone()) };
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let (store, read) = (t.store().clone(), read.clone());
            t.spawn(async move { store.read(read).await?.events().await })
        })
        .collect();
    let receipt = t.put(&stream, 1).await?;
    for job in jobs {
        let events = t.patiently("a reader that waits", job.join()).await???;
        same("the last event", events.last().map(RecordedEvent::position), Some(receipt.position));
    }
    Ok(())
}
