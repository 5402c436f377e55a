//! The server is killed and started again: events, conditions, tracking and retries are as before.

use super::{client, event, numbers, positions, query, read, unless};
use crate::{Outcome, PATIENCE, server::Server};
use std::time::{Duration, Instant};
use umadb_dcb::{DcbError, DcbEventStoreAsync, TrackingInfo};
use uuid::Uuid;

#[tokio::test]
async fn nothing_is_different() -> Outcome {
    let Some(mut server) = Server::start("umadb::restart::same") else { return Ok(()) };
    let before = client(&server).await?;
    let id = Uuid::new_v4();
    let first = || vec![event("placed", &["o:1"], 0).uuid(id)];
    let condition = || unless(query(&["placed"], &["o:1"]), None);
    let upstream = || Some(TrackingInfo { source: "upstream".to_owned(), position: 41 });
    let position = before.append(first(), condition(), None).await?;
    let more = (1..100).map(|number| event("paid", &["o:1"], number)).collect();
    before.append(more, None, upstream()).await?;
    let told = read(&before, None).await?;
    for crash in [true, false] {
        if crash {
            server.kill()
        } else {
            server.stop().await
        }
        server.start_again();
        let after = client(&server).await?;
        let found = read(&after, None).await?;
        assert_eq!(numbers(&found), numbers(&told));
        assert_eq!(positions(&found), positions(&told));
        assert_eq!(after.head().await?, Some(told[99].position));
        assert_eq!(after.get_tracking_info("upstream").await?, Some(41));
        let refused = after.append(vec![event("placed", &["o:1"], 7)], condition(), None).await;
        assert!(matches!(refused, Err(DcbError::IntegrityError(_))), "{refused:?}");
        let refused = after.append(vec![event("seen", &[], 7)], None, upstream()).await;
        assert!(matches!(refused, Err(DcbError::IntegrityError(_))), "{refused:?}");
        assert_eq!(after.append(first(), condition(), None).await?, position);
    }
    Ok(())
}

#[tokio::test]
async fn a_subscription_ends_with_an_error_and_another_goes_on() -> Outcome {
    let Some(mut server) = Server::start("umadb::restart::subscription") else { return Ok(()) };
    let before = client(&server).await?;
    let last = before.append(vec![event("placed", &["o:1"], 0)], None, None).await?;
    for crash in [true, false] {
        let subscriber = client(&server).await?;
        let mut subscription = subscriber.subscribe(None, Some(last)).await?;
        if crash {
            server.kill()
        } else {
            server.stop().await
        }
        let ended = crate::soon("the end", subscription.next_batch()).await;
        assert!(ended.is_err(), "crash {crash}: {ended:?}");
        server.start_again();
    }
    // The client of before connects anew by itself.
    let started = Instant::now();
    while let Err(error) = before.append(vec![event("placed", &["o:1"], 1)], None, None).await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut subscription = before.subscribe(None, Some(last)).await?;
    let batch = crate::soon("an event", subscription.next_batch()).await?;
    assert_eq!(numbers(&batch), [1]);
    Ok(())
}
