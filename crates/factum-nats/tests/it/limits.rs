//! What is refused, and how it is said: too large, not allowed, nobody there, full.

use crate::kit::{self, batch, message, name, nats, next, open, put, quiet, settings, shared};
use async_nats::jetstream::consumer::PullConsumer;
use factum_app::message::{Message, Outgoing, PublishError, Publisher, SettleError, Subscription};
use factum_nats::{ConnectError, Login, Nats, Settings, Stream};
use factum_services::nats::{Nats as Server, Version};
use std::time::{Duration, Instant};

fn large(topic: &str, bytes: usize) -> Outgoing {
    let message = Message::new("large", "/test", "tried").key("k").data("x/y", vec![7; bytes]);
    Outgoing::new(topic, message)
}

#[tokio::test]
async fn over_the_limit_of_the_server_or_of_the_stream() {
    let name = name();
    let server = Server::start_with(Version::Pinned, "max_payload: 4096\n").unwrap();
    let plain = nats(&server.url(), &name).await;
    assert_eq!(plain.max_bytes(), 4096);
    let topic = format!("{name}.a");
    let outcomes = plain.publish(&[large(&topic, 3000), large(&topic, 5000)]).await;
    assert_eq!(outcomes[0], Ok(()));
    let too_large = |error| matches!(error, Err(PublishError::TooLarge { bytes: 5001.., .. }));
    assert!(too_large(outcomes[1].clone()), "{outcomes:?}");

    // A limit that is the stream's, and that the settings know nothing of.
    let small = Stream::new(format!("{name}s"), [format!("{name}s.>")]).max_message_bytes(1000);
    let knows = Nats::connect(settings(&server.url()).stream(small)).await.unwrap();
    assert_eq!(knows.max_bytes(), 1000);
    let outcome = plain.publish(&[large(&format!("{name}s.a"), 2000)]).await.remove(0);
    assert!(matches!(outcome, Err(PublishError::TooLarge { bytes: 2001.., .. })), "{outcome:?}");

    let wants = Stream::new(format!("{name}w"), [format!("{name}w.>")]).max_message_bytes(8192);
    let error = Nats::connect(settings(&server.url()).stream(wants)).await.unwrap_err();
    assert_eq!(error, ConnectError::Payload { found: 4096, wanted: 8192 });
}

/// The size that is judged is the one that the server judges, to the byte.
#[tokio::test]
async fn the_largest_message_goes_and_one_byte_more_does_not() {
    let name = name();
    let server = Server::start_with(Version::Pinned, "max_payload: 2048\n").unwrap();
    let nats = nats(&server.url(), &name).await;
    let topic = format!("{name}.a");
    let outcome = nats.publish(&[large(&topic, 2048)]).await.remove(0);
    let Err(PublishError::TooLarge { bytes, .. }) = outcome else { panic!("{outcome:?}") };
    let room = 2048 - usize::try_from(bytes - 2048).unwrap();
    assert_eq!(nats.publish(&[large(&topic, room)]).await.remove(0), Ok(()));
    assert!(nats.publish(&[large(&topic, room + 1)]).await.remove(0).is_err());
}

const USERS: &str = r#"
authorization { users: [
    { user: "all", password: "secret" }
    { user: "few", password: "secret", permissions: { publish: { deny: "forbidden.>" } } }
] }
"#;

fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.into(), password: password.into() }
}

#[tokio::test]
async fn a_refused_login_says_so() {
    let server = Server::start_with(Version::Debian, USERS).unwrap();
    let wrong = [Login::None, Login::Token("no".into()), password("all", "wrong")];
    for login in wrong {
        let refused = Nats::connect(Settings::new(&server.url()).login(login)).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Login { .. }), "{refused}");
        assert!(refused.to_string().contains("look at the token"), "{refused}");
    }
    let right = Settings::new(&server.url()).login(password("all", "secret"));
    assert!(!format!("{right:?}").contains("secret"), "secrets are not shown");
    Nats::connect(right).await.unwrap();

    let settings = "authorization { token: \"secret\" }\n";
    let server = Server::start_with(Version::Pinned, settings).unwrap();
    let with = |token: &str| Settings::new(&server.url()).login(Login::Token(token.into()));
    let refused = Nats::connect(with("other")).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Login { .. }), "{refused}");
    Nats::connect(with("secret")).await.unwrap();
}

#[tokio::test]
async fn what_a_user_may_not_do_is_refused_and_not_waited_for() {
    let server = Server::start_with(Version::Pinned, USERS).unwrap();
    let stream = Stream::new("s", ["forbidden.>", "allowed.>"]);
    let settings = settings(&server.url()).login(password("few", "secret")).stream(stream);
    let nats = Nats::connect(settings).await.unwrap();
    let denied = message("forbidden.a", "k", 1);
    let batch = [denied, message("allowed.a", "j", 2), message("allowed.a", "k", 3)];
    let publishing = tokio::time::timeout(Duration::from_secs(5), nats.publish(&batch));
    let outcomes = publishing.await.expect("a refusal is not waited for");
    let says = |why: &String| why.contains("grant");
    assert!(
        matches!(&outcomes[0], Err(PublishError::Refused { why }) if says(why)),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], Ok(()));
    assert_eq!(outcomes[2], Err(PublishError::Behind { key: "k".into() }));
}

#[tokio::test]
async fn nobody_there_says_where() {
    let started = Instant::now();
    let settings = Settings::new("nats://127.0.0.1:1").within(Duration::from_secs(3));
    let error = Nats::connect(settings).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_no_stream_takes_is_unroutable_and_what_belongs_elsewhere_is_refused() {
    let (name, url) = (name(), shared().url());
    let plain = nats(&url, &name).await;
    let outcome = plain.publish(&[message("nowhere.a", "k", 1)]).await.remove(0);
    assert!(matches!(outcome, Err(PublishError::Unroutable { .. })), "{outcome:?}");
    let outcome = plain.publish(&[message(&format!("{name}.*"), "k", 1)]).await.remove(0);
    assert!(matches!(outcome, Err(PublishError::Refused { .. })), "{outcome:?}");

    // The stream is taken away, and another takes its topics.
    let made = nats(&url, &format!("{name}x")).await;
    kit::context(&url).await.delete_stream(format!("{name}x")).await.unwrap();
    let other = Stream::new(format!("{name}y"), [format!("{name}x.>")]);
    Nats::connect(settings(&url).stream(other)).await.unwrap();
    let outcome = made.publish(&[message(&format!("{name}x.a"), "k", 1)]).await.remove(0);
    let says = |why: &String| why.contains("another stream");
    assert!(matches!(&outcome, Err(PublishError::Refused { why }) if says(why)), "{outcome:?}");
}

/// A full stream refuses what is new, and what it has stays; when there is room it goes on.
#[tokio::test]
async fn a_full_stream_is_a_reason_to_wait() {
    let name = name();
    let stream = Stream::new(&name, [format!("{name}.>")]).max_messages(5);
    let nats = Nats::connect(settings(&shared().url()).stream(stream)).await.unwrap();
    let topic = format!("{name}.a");
    let outcomes = nats.publish(&batch(&topic, 1, 1..=7)).await;
    assert!(outcomes[..5].iter().all(Result::is_ok), "{outcomes:?}");
    assert!(matches!(outcomes[5], Err(PublishError::Unavailable { .. })), "{outcomes:?}");
    assert_eq!(outcomes[6], Err(PublishError::Behind { key: "k0".into() }));
    let context = kit::context(&shared().url()).await;
    context.get_stream(&name).await.unwrap().purge().await.unwrap();
    put(&nats, &batch(&topic, 1, 6..=7)).await;
}

/// The same message again is the same message.
#[tokio::test]
async fn what_is_published_again_is_there_once() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()])).await;
    for _ in 0..3 {
        put(&nats, &batch(&topic, 2, 1..=2)).await;
    }
    for _ in 0..4 {
        next(&mut group).await.ack().await.unwrap();
    }
    quiet(&mut group).await;
}

/// A consumer that takes little does not fill its memory: the rest stays with the server.
#[tokio::test]
async fn a_slow_consumer_leaves_the_rest_with_the_server() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    let mut group = open(&nats, Subscription::shared("g", [topic.clone()]).prefetch(8)).await;
    put(&nats, &batch(&topic, 50, 1..=10)).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(next(&mut group).await);
    }
    quiet(&mut group).await;
    let context = kit::context(&shared().url()).await;
    let consumer: PullConsumer = context.get_consumer_from_stream("g", &name).await.unwrap();
    let info = consumer.cached_info();
    assert_eq!((info.num_ack_pending, info.num_pending), (8, 492));
    for one in held {
        one.ack().await.unwrap();
    }
    for _ in 0..492 {
        next(&mut group).await.ack().await.unwrap();
    }
    quiet(&mut group).await;
}

/// Dead letters are there once, with why, and the message is as it was.
#[tokio::test]
async fn dead_letters_are_kept_as_they_were() {
    let name = name();
    let nats = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    let subscription = Subscription::shared("g.1", [topic.clone()]).deliveries_max(2);
    let mut group = open(&nats, subscription).await;
    put(&nats, &batch(&topic, 1, 1..=2)).await;
    next(&mut group).await.dead_letter("negative: é\n%").await.unwrap();
    for _ in 0..2 {
        next(&mut group).await.send_back(Duration::ZERO).await.unwrap();
    }
    quiet(&mut group).await;
    let letters = async {
        loop {
            let letters = nats.dead_letters("g.1", &topic, 10).await.unwrap();
            if letters.len() == 2 {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let letters = tokio::time::timeout(kit::PATIENCE, letters).await.unwrap();
    assert_eq!((letters[0].why.as_str(), letters[0].attempts), ("negative: é\n%", 1));
    assert_eq!(letters[0].message.as_ref().unwrap(), &batch(&topic, 1, 1..=1)[0].message);
    assert_eq!((letters[1].topic.as_str(), letters[1].attempts), (topic.as_str(), 3));
    assert!(letters[1].why.contains("2 times"), "{}", letters[1].why);
    assert_eq!(nats.dead_letters("g", &topic, 10).await.unwrap(), []);
}

/// Where there is no place for dead letters, that is said, and the message comes again.
#[tokio::test]
async fn without_a_place_for_dead_letters_nothing_is_dropped() {
    let name = name();
    let made = nats(&shared().url(), &name).await;
    let topic = format!("{name}.a");
    // For the stream of leases.
    open(&made, Subscription::shared("other", [topic.clone()])).await;
    put(&made, &batch(&topic, 1, 1..=2)).await;
    let nowhere = Stream::new("nowhere", [format!("{name}d.>")]);
    let settings = Settings::new(&shared().url()).dead_letters(nowhere);
    let nats = Nats::connect(settings).await.unwrap();
    let oldest = Subscription::shared("g", [topic.clone()]).from_oldest();
    let mut group = open(&nats, oldest).await;
    let error = next(&mut group).await.dead_letter("no").await.unwrap_err();
    let says = |what: &String| what.contains("nowhere");
    assert!(matches!(&error, SettleError::Unsupported { what } if says(what)), "{error}");
    let again = [next(&mut group).await, next(&mut group).await];
    let mut numbers = again.iter().map(|one| kit::label(one).1).collect::<Vec<_>>();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
}
