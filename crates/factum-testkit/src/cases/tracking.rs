//! Tracked positions: where a consumer of another system has got to.

use super::kit::*;

fn tracking(source: &str, position: u64) -> Append {
    Append::default().tracking(source, position)
}

/// The refusal of a position that does not increase.
fn behind(source: &str, stored: u64) -> Result<Receipt, AppendError> {
    Err(AppendError::Tracked { source_name: source.into(), stored })
}

pub(crate) async fn an_unknown_source_has_no_position(t: Trial) -> Outcome {
    same("tracked", t.store().tracked(&t.name("nobody")).await?, None);
    Ok(())
}

pub(crate) async fn a_position_commits_with_its_events(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    t.append(to(&stream, t.events(2)).tracking(&source, 7)).await?;
    same("tracked", t.store().tracked(&source).await?, Some(7));
    same("events", t.of(&stream).await?.len(), 2);
    Ok(())
}

pub(crate) async fn alone_it_takes_no_position_of_the_store(t: Trial) -> Outcome {
    let source = t.name("upstream");
    let before = t.put(&t.stream("a-1"), 1).await?.position;
    let receipt = t.append(tracking(&source, 5)).await?;
    assert!(receipt.position >= before, "the receipt has the head: {receipt:?}");
    same("the streams", (receipt.streams, receipt.replayed), (Vec::new(), false));
    if t.can(Need::Fresh) {
        same("the receipt's position", receipt.position, before);
    }
    t.nothing_since(before).await?;
    same("tracked", t.store().tracked(&source).await?, Some(5));
    Ok(())
}

pub(crate) async fn positions_must_increase_and_may_leap(t: Trial) -> Outcome {
    let source = t.name("upstream");
    for position in [0, 1, 5, 1_000_000, u64::MAX] {
        t.append(tracking(&source, position)).await?;
        same(
            "the same again",
            t.append(tracking(&source, position)).await,
            behind(&source, position),
        );
        same("tracked", t.store().tracked(&source).await?, Some(position));
    }
    same("a lower one", t.append(tracking(&source, 6)).await, behind(&source, u64::MAX));
    same("tracked", t.store().tracked(&source).await?, Some(u64::MAX));
    Ok(())
}

pub(crate) async fn sources_are_apart(t: Trial) -> Outcome {
    let (a, b) = (t.name("a"), t.name("A"));
    t.append(tracking(&a, 5)).await?;
    t.append(tracking(&b, 3)).await?;
    same("one", t.store().tracked(&a).await?, Some(5));
    same("the other", t.store().tracked(&b).await?, Some(3));
    same("a prefix of it", t.store().tracked(&t.name("")).await?, None);
    Ok(())
}

pub(crate) async fn with_a_position_behind_no_event_is_written(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    let before = t.append(to(&stream, t.events(1)).tracking(&source, 7)).await?.position;
    for position in [7, 6, 0] {
        let append = to(&stream, t.events(1)).tracking(&source, position);
        same("the append", t.append(append).await, behind(&source, 7));
    }
    t.nothing_since(before).await?;
    Ok(())
}

pub(crate) async fn checks_come_before_tracking(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    t.append(to(&stream, t.events(1)).tracking(&source, 7)).await?;
    let both = to(&stream, t.events(1)).checking(no_stream(&stream)).tracking(&source, 7);
    same("the append", t.append(both).await, conflict(0, live(0)));
    Ok(())
}

pub(crate) async fn alone_it_stands_under_checks_too(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    let refused = t.append(tracking(&source, 1).checking(exists(&stream))).await;
    same("the append", refused, conflict(0, StreamState::Absent));
    same("tracked", t.store().tracked(&source).await?, None);
    t.append(tracking(&source, 1).checking(no_stream(&stream))).await?;
    same("tracked", t.store().tracked(&source).await?, Some(1));
    Ok(())
}

pub(crate) async fn a_retry_of_tracked_events_is_recognised(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    let append = to(&stream, t.events(1)).tracking(&source, 7);
    let first = t.append(append.clone()).await?;
    t.append(tracking(&source, 9)).await?;
    same("the retry", t.append(append).await?, replay_of(&first));
    same("tracked", t.store().tracked(&source).await?, Some(9));
    Ok(())
}

pub(crate) async fn a_source_without_a_proper_name_is_invalid(t: Trial) -> Outcome {
    let before = t.head().await?;
    let long = "s".repeat(1025);
    for source in ["", "a\0b", &long] {
        let refused = t.append(to(&t.stream("a-1"), t.events(1)).tracking(source, 1)).await;
        invalid(refused, |why| matches!(why, Invalid::Source));
    }
    t.nothing_since(before).await?;
    let longest = format!("{:s>1024}", t.name("source"));
    t.append(tracking(&longest, 1)).await?;
    same("tracked", t.store().tracked(&longest).await?, Some(1));
    Ok(())
}

pub(crate) async fn of_many_at_one_position_exactly_one_wins(t: Trial) -> Outcome {
    let (stream, source) = (t.stream("a-1"), t.name("upstream"));
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let append = to(&stream, t.events(1)).tracking(&source, 3);
            let store = t.store().clone();
            t.spawn(async move { store.append(append).await })
        })
        .collect();
    let mut won = 0;
    for job in jobs {
        match job.join().await? {
            Ok(_) => won += 1,
            lost => same("a loser", lost, behind(&source, 3)),
        }
    }
    same("winners", won, 1);
    same("events", t.of(&stream).await?.len(), 1);
    Ok(())
}
