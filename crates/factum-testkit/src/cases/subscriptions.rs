//! Subscriptions: what is stored, then what comes, in order, without a gap.

use super::{
    history::{self, With, follow_from_every_point},
    kit::*,
};
use std::task::Poll;

fn by_type(t: &Trial, event_type: &str) -> Select {
    Select::Query(Query::types([t.event_type(event_type)]))
}

pub(crate) async fn a_stream_from_any_point(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With::default()).await?;
    facts.retain(|fact| fact.stream == "ab-1");
    follow_from_every_point(&t, &Select::Stream(t.stream("ab-1")), &facts).await
}

pub(crate) async fn the_store_from_any_point(t: Trial) -> Outcome {
    let facts = history::write(&t, With::default()).await?;
    follow_from_every_point(&t, &all(), &facts).await
}

pub(crate) async fn a_type_from_any_point(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With::default()).await?;
    facts.retain(|fact| fact.event_type == "seat");
    follow_from_every_point(&t, &by_type(&t, "seat"), &facts).await
}

pub(crate) async fn a_category_from_any_point(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With::default()).await?;
    facts.retain(|fact| ["ab-1", "ab-2", "ab"].contains(&fact.stream));
    let select = Select::Query(Query::category(&t.name("ab")));
    follow_from_every_point(&t, &select, &facts).await
}

pub(crate) async fn prefixes_from_any_point(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With::default()).await?;
    facts.retain(|fact| fact.stream.starts_with("ab-") && fact.event_type.starts_with("seat."));
    let item = Item {
        stream_prefixes: vec![t.name("ab-").into()],
        type_prefixes: vec![t.name("seat.").into()],
        ..Item::default()
    };
    follow_from_every_point(&t, &Select::Query(item.into()), &facts).await
}

pub(crate) async fn tags_from_any_point(t: Trial) -> Outcome {
    let mut facts = history::write(&t, With { tags: true, times: false }).await?;
    facts.retain(|fact| fact.tags.contains(&"k:1") && fact.tags.contains(&"k:2"));
    let query = Query::tags([t.tag("k:1"), t.tag("k:2")]);
    follow_from_every_point(&t, &Select::Query(query), &facts).await
}

pub(crate) async fn an_absent_stream_is_waited_for(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    same("at first", feed.caught_up().await?, Vec::new());
    t.put(&stream, 2).await?;
    same("revisions", revisions(&feed.first(2).await?), vec![0, 1]);
    Ok(())
}

pub(crate) async fn an_empty_store_is_waited_for(t: Trial) -> Outcome {
    let mut feed = t.follow(all(), None).await?;
    same("at first", feed.caught_up().await?, Vec::new());
    let append = to(&t.stream("a-1"), t.events(2));
    let given = ids_of(&append);
    t.append(append).await?;
    same("ids", ids(&feed.first(2).await?), given);
    Ok(())
}

pub(crate) async fn each_later_append_comes(t: Trial) -> Outcome {
    let (stream, select) = (t.stream("a-1"), by_type(&t, "happened"));
    let mut feed = t.follow(select, Some(t.head().await?.0)).await?;
    for count in [1, 3, 1, 20] {
        let append = to(&stream, t.events(count));
        let given = ids_of(&append);
        let receipt = t.append(append).await?;
        same("ids", ids(&feed.up_to(receipt.position).await?), given);
    }
    Ok(())
}

pub(crate) async fn it_waits_without_a_batch_while_nothing_comes(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 3).await?;
    let mut feed = t.follow(all(), None).await?;
    feed.up_to(t.head().await?).await?;
    feed.settled().await?;
    let mut next = std::pin::pin!(next_batch(feed.batches()));
    let early = poll_once(&mut next.as_mut()).await;
    assert!(matches!(early, Poll::Pending), "nothing has come, and yet: {early:?}");
    t.put(&stream, 1).await?;
    let batch = t.patiently("the batch of an append", next).await?;
    let events = batch.ok_or_else(|| Failure::new("a subscription ended"))??.events;
    same("revisions", revisions(&events), vec![3]);
    Ok(())
}

pub(crate) async fn it_says_when_it_has_caught_up(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let receipt = t.put(&stream, 50).await?;
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    same("events until then", feed.caught_up().await?.len(), 50);
    assert!(feed.through() >= receipt.position, "caught up at {}", feed.through());
    t.put(&stream, 50).await?;
    same("and once more", feed.caught_up().await?.len(), 50);
    Ok(())
}

pub(crate) async fn it_ends_at_its_checkpoint_and_another_goes_on(t: Trial) -> Outcome {
    let (stream, select) = (t.stream("a-1"), by_type(&t, "happened"));
    let start = t.head().await?.0;
    let mut given = Vec::new();
    let (mut seen, mut after) = (Vec::new(), start);
    for _ in 0..6 {
        let append = to(&stream, t.events(17));
        given.extend(ids_of(&append));
        t.append(append).await?;
        // One batch each time, then the subscription is dropped: a consumer that restarts.
        let mut feed = t.follow(select.clone(), Some(after)).await?;
        seen.extend(ids(&feed.next().await?.events));
        after = feed.through().0;
    }
    let mut feed = t.follow(select, Some(after)).await?;
    seen.extend(ids(&feed.up_to(t.head().await?).await?));
    same("ids", seen, given);
    Ok(())
}

pub(crate) async fn a_stream_is_gone_on_with_after_a_revision(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 5).await?;
    let mut feed = t.follow(Select::Stream(stream.clone()), Some(3)).await?;
    same("the rest", revisions(&feed.first(1).await?), vec![4]);
    drop(feed);
    let mut feed = t.follow(Select::Stream(stream.clone()), Some(4)).await?;
    t.put(&stream, 2).await?;
    same("what came", revisions(&feed.first(2).await?), vec![5, 6]);
    Ok(())
}

pub(crate) async fn two_subscribers_get_the_same(t: Trial) -> Outcome {
    let (stream, select) = (t.stream("a-1"), by_type(&t, "happened"));
    let mut early = t.follow(select.clone(), None).await?;
    let mut given = Vec::new();
    for _ in 0..5 {
        let append = to(&stream, t.events(7));
        given.extend(ids_of(&append));
        t.append(append).await?;
    }
    let mut late = t.follow(select, None).await?;
    same("the early one", ids(&early.first(35).await?), given.clone());
    same("the late one", ids(&late.first(35).await?), given);
    Ok(())
}

pub(crate) async fn one_that_is_never_pulled_holds_nobody_up(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut stuck = t.follow(Select::Stream(stream.clone()), None).await?;
    let mut brisk = t.follow(Select::Stream(stream.clone()), None).await?;
    for round in 0..20 {
        t.put(&stream, 20).await?;
        same("the brisk one", brisk.first(20).await?.len(), 20);
        same("a read", t.of(&stream).await?.len(), 20 * (round + 1));
    }
    same("the stuck one, at last", revisions(&stuck.first(400).await?), (0..400).collect());
    Ok(())
}

pub(crate) async fn it_leaves_out_what_was_truncated(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 6).await?;
    t.set_metadata(&stream, r#"{"$tb":4}"#).await?;
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    let last = t.put(&stream, 1).await?.position;
    same("revisions", revisions(&feed.up_to(last).await?), vec![4, 5, 6]);
    Ok(())
}

pub(crate) async fn with_a_max_count_it_begins_at_the_first_visible(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.set_metadata(&stream, r#"{"$maxCount":2}"#).await?;
    let last = t.put(&stream, 6).await?.position;
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    same("revisions", revisions(&feed.up_to(last).await?), vec![4, 5]);
    for revision in 6..9 {
        let last = t.put(&stream, 1).await?.position;
        same("one more", revisions(&feed.up_to(last).await?), vec![revision]);
    }
    Ok(())
}

pub(crate) async fn it_goes_on_over_a_delete(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    t.put(&stream, 2).await?;
    let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
    same("before", revisions(&feed.first(2).await?), vec![0, 1]);
    t.change(&stream, Change::Delete).await?;
    let last = t.put(&stream, 2).await?.position;
    same("after", revisions(&feed.up_to(last).await?), vec![2, 3]);
    Ok(())
}

pub(crate) async fn the_store_shows_what_its_streams_hide(t: Trial) -> Outcome {
    let (stream, select) = (t.stream("a-1"), by_type(&t, "happened"));
    t.put(&stream, 3).await?;
    t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?;
    t.change(&stream, Change::Delete).await?;
    let mut feed = t.follow(select, None).await?;
    same("revisions", revisions(&feed.first(3).await?), vec![0, 1, 2]);
    Ok(())
}

pub(crate) async fn a_long_backlog_comes_whole(t: Trial) -> Outcome {
    let stream = t.stream("long-1");
    let mut last = Position::START;
    for _ in 0..10 {
        last = t.put(&stream, 200).await?.position;
    }
    let mut feed = t.follow(Select::Stream(stream), None).await?;
    same("revisions", revisions(&feed.up_to(last).await?), (0..2000).collect());
    Ok(())
}

pub(crate) async fn many_subscribers_wake_for_one_append(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut feeds = Vec::new();
    for _ in 0..50 {
        let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
        feed.caught_up().await?;
        feeds.push(feed);
    }
    t.put(&stream, 1).await?;
    for feed in &mut feeds {
        same("revisions", revisions(&feed.first(1).await?), vec![0]);
    }
    Ok(())
}

pub(crate) async fn one_that_is_dropped_is_forgotten(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut kept = t.follow(Select::Stream(stream.clone()), None).await?;
    for _ in 0..50 {
        let mut feed = t.follow(Select::Stream(stream.clone()), None).await?;
        feed.caught_up().await?;
        // Waiting when it is dropped.
        let _ = poll_once(&mut std::pin::pin!(next_batch(feed.batches())).as_mut()).await;
    }
    t.put(&stream, 1).await?;
    same("the one kept", revisions(&kept.first(1).await?), vec![0]);
    Ok(())
}

pub(crate) async fn metadata_can_be_followed(t: Trial) -> Outcome {
    let stream = t.stream("a-1");
    let mut feed = t.follow(Select::Stream(stream.metadata_stream()), None).await?;
    feed.caught_up().await?;
    for revision in 0..3 {
        let last = t.set_metadata(&stream, r#"{"$maxCount":1}"#).await?.position;
        same("revisions", revisions(&feed.up_to(last).await?), vec![revision]);
    }
    Ok(())
}

pub(crate) async fn while_others_append_nothing_is_missed_or_doubled(t: Trial) -> Outcome {
    let start = t.head().await?;
    let mut writers = Vec::new();
    for writer in 0..3 {
        let stream = t.stream(&format!("a-{writer}"));
        let appends: Vec<_> = (0..40).map(|_| to(&stream, t.events(3))).collect();
        let store = t.store().clone();
        writers.push(t.spawn(async move {
            for append in appends {
                store.append(append).await?;
            }
            Ok::<(), AppendError>(())
        }));
    }
    let mut feed = t.follow(by_type(&t, "happened"), Some(start.0)).await?;
    let followed = feed.first(360).await?;
    for writer in writers {
        writer.join().await??;
    }
    same("positions", positions(&followed), positions(&t.since(start).await?));
    Ok(())
}
