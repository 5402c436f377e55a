//! The suite that every broker passes: over the server of today with several partitions, and over
//! the one of Debian with one.

use crate::kit::settings;
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use factum_app::message::{Consumer, DeadMessage, Publisher, STRUCTURED};
use factum_nats::{Mode, Nats, Settings, Stream};
use factum_services::nats::{Nats as Server, Version};
use factum_testkit::{
    Boxed,
    brokers::{Ability, BrokerSettings, BrokerUnderTest, CASES, Case, Made, Raw, report},
};
use futures_util::{StreamExt, stream};
use std::sync::{Arc, Mutex};

/// So many cases run at a time.
const BESIDE: usize = 16;

struct Harness {
    server: Mutex<Server>,
    url: String,
    version: Version,
    partitions: u16,
    mode: Mode,
}

impl Harness {
    fn new(version: Version, partitions: u16, mode: Mode) -> Self {
        let server = Server::start_version(version).unwrap();
        let url = server.url();
        Self { server: Mutex::new(server), url, version, partitions, mode }
    }

    fn settings(&self) -> Settings {
        settings(&self.url).partitions(self.partitions).mode(self.mode)
    }

    async fn nats(&self) -> Made<Arc<Nats>> {
        Ok(Arc::new(Nats::connect(self.settings()).await?))
    }
}

impl BrokerUnderTest for Harness {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn can(&self, ability: Ability) -> bool {
        match ability {
            // With one partition one instance works, and the others stand by.
            Ability::Spread => self.partitions > 1,
            // 2.9 counts no delivery for which nobody was waiting when it was due.
            Ability::Attempts => self.version == Version::Pinned,
            _ => true,
        }
    }

    fn prepare<'a>(&'a self, topics: &'a [String]) -> Boxed<'a, Made<()>> {
        Box::pin(async move {
            let stream = |topic: &String| Stream::new(topic.replace('.', "-"), [topic]);
            let settings = topics.iter().map(stream).fold(self.settings(), Settings::stream);
            Nats::connect(settings).await?.close().await;
            Ok(())
        })
    }

    fn publisher(&self) -> Boxed<'_, Made<Arc<dyn Publisher>>> {
        Box::pin(async { Ok(self.nats().await? as Arc<dyn Publisher>) })
    }

    fn consumer(&self) -> Boxed<'_, Made<Arc<dyn Consumer>>> {
        Box::pin(async { Ok(self.nats().await? as Arc<dyn Consumer>) })
    }

    fn publish_raw(&self, raw: Raw) -> Boxed<'_, Made<()>> {
        Box::pin(async move {
            let context = crate::kit::context(&self.url).await;
            let mut headers = HeaderMap::new();
            for (name, value) in &raw.attributes {
                let name = format!("ce-{name}").parse::<HeaderName>()?;
                headers.insert(name, value.parse::<HeaderValue>()?);
            }
            if let Some(kind) = &raw.content_type {
                // The binding of NATS has the header itself for structured mode.
                let structured = kind.starts_with(STRUCTURED);
                let name = if structured { "content-type" } else { "ce-datacontenttype" };
                headers.insert(name.parse::<HeaderName>()?, kind.parse::<HeaderValue>()?);
            }
            let subject = match self.partitions {
                1 => raw.topic.clone(),
                partitions => format!("p{partitions}.0.{}", raw.topic),
            };
            context.publish_with_headers(subject, headers, raw.data.clone()).await?.await?;
            Ok(())
        })
    }

    fn dead_letters<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> Boxed<'a, Made<Vec<DeadMessage>>> {
        Box::pin(async move {
            let letters = self.nats().await?.dead_letters(group, topic, 100).await?;
            let letter = |letter: factum_nats::DeadLetter| DeadMessage {
                topic: letter.topic,
                message: letter.message,
                why: letter.why,
                attempts: letter.attempts,
            };
            Ok(letters.into_iter().map(letter).collect())
        })
    }

    fn go_away(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async { Ok(self.server.lock().unwrap().kill9()?) })
    }

    fn come_back(&self) -> Boxed<'_, Made<()>> {
        Box::pin(async { Ok(self.server.lock().unwrap().restart()?) })
    }
}

/// Runs every case; one that takes the server away has one of its own, so that no other waits.
async fn run(version: Version, partitions: u16, mode: Mode) {
    let only = std::env::var("CASE").unwrap_or_default();
    let shared = Harness::new(version, partitions, mode);
    let case = |case: &'static Case| {
        let shared = &shared;
        async move {
            let alone = case.needs.contains(&Ability::Outage);
            let own = alone.then(|| Harness::new(version, partitions, mode));
            report(case, own.as_ref().unwrap_or(shared), BrokerSettings::default()).await
        }
    };
    let chosen = CASES.iter().filter(|case| case.name.contains(&only)).map(case);
    let failed = stream::iter(chosen).buffer_unordered(BESIDE).filter_map(std::future::ready);
    let failed = failed.collect::<Vec<_>>().await;
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_partitions() {
    run(Version::Pinned, 8, Mode::Binary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_partition_on_the_old_server_in_structured_mode() {
    run(Version::Debian, 1, Mode::Structured).await;
}
