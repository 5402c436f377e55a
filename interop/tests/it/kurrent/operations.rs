//! What a client asks beside streams: the server's version and features, who is in the cluster,
//! statistics; and what is not there yet.

use super::{append, client, event, read};
use crate::{Outcome, server::Server, soon};
use kurrentdb::{
    Client, Error, PersistentSubscriptionOptions,
    operations::{self, StatsOptions, VNodeState},
};

fn operator(server: &Server) -> operations::Client {
    let settings = format!("kurrentdb://{}?tls=false", server.address());
    operations::Client::new(settings.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn the_version_and_the_features_are_told() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::features") else { return Ok(()) };
    let info = client(&server).server_info().await?;
    assert!(info.version().major() >= 23, "clients switch features on by it");
    assert!(info.contains_features(operations::Features::BATCH_APPEND));
    assert!(!info.contains_features(operations::Features::PERSISTENT_SUBSCRIPTION_LIST));
    Ok(())
}

#[tokio::test]
#[ignore = "known: this client asks HTTP for /gossip, which is not there"]
async fn gossip_over_http_names_the_one_server() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::gossip") else { return Ok(()) };
    let members = operator(&server).read_gossip().await?;
    assert_eq!(members.len(), 1);
    let found = &members[0].http_end_point;
    assert_eq!(format!("{}:{}", found.host, found.port), server.address());
    assert!(members[0].is_alive);
    assert_eq!(members[0].state, VNodeState::Leader);
    Ok(())
}

#[tokio::test]
async fn a_client_finds_the_server_by_gossip() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::discovery") else { return Ok(()) };
    for preference in ["leader", "random"] {
        let at = server.address();
        let settings = format!("esdb://{at},{at}?tls=false&nodePreference={preference}");
        let client = Client::new(settings.parse()?)?;
        append(&client, "order-1", vec![event("placed", 0)]).await?;
    }
    assert_eq!(read(&client(&server), "order-1").await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_user_and_a_connection_name_are_taken() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::user") else { return Ok(()) };
    let settings = format!(
        "kurrentdb+discover://admin:changeit@{}?tls=false&connectionName=test&defaultDeadline=9000",
        server.address()
    );
    let client = Client::new(settings.replace("+discover", "").parse()?)?;
    append(&client, "order-1", vec![event("placed", 0)]).await?;
    Ok(())
}

#[tokio::test]
async fn statistics_come() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::stats") else { return Ok(()) };
    let mut stats = operator(&server).stats(&StatsOptions::default()).await?;
    let first = soon("statistics", stats.next()).await?;
    assert!(!first.0.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() -> Outcome {
    let Some(server) = Server::start("kurrent::operations::absent") else { return Ok(()) };
    let client = client(&server);
    let options = PersistentSubscriptionOptions::default();
    let refused = client.create_persistent_subscription("order-1", "group", &options).await;
    assert!(matches!(refused, Err(Error::UnsupportedFeature)), "{refused:?}");
    let options = kurrentdb::PersistentSubscriptionToAllOptions::default();
    let refused = client.create_persistent_subscription_to_all("group", &options).await;
    assert!(matches!(refused, Err(Error::UnsupportedFeature)), "{refused:?}");
    append(&client, "order-1", vec![event("placed", 0)]).await?;
    Ok(())
}
