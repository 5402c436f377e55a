//! Personal data: sealed in the store, opened with the subject's key, gone with it.

use factum_app::{
    AnyStore, App, Ctx, Decision, Envelope, EventSet, EventStore, ExecuteError, LoadError,
    MemoryStore, OnError, Outcome, Position, State, StreamName, command,
    consumer::{Commit, EventError, Failure, Handler, Spec},
    emit, event,
    event::{Decoded, Decoder, Why},
    lock::{self, Lock},
    nothing,
    personal::{KeyError, KeyState, KeyStore, Keys, MemoryKeys, StreamKeys, SubjectErased},
};
use factum_core::{Append, AppendError, EventData, Query, Read, RecordedEvent, Uuid};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

#[event("customer.registered")]
struct Registered {
    #[tag]
    customer: u32,
    #[personal]
    email: Option<String>,
    #[personal(erased = "(erased)".to_owned())]
    #[serde(rename = "fullName")]
    name: String,
    plan: String,
}

/// Of two people at once.
#[event("customer.recommended")]
struct Recommended {
    #[tag]
    customer: u32,
    #[tag("customer")]
    friend: u32,
    #[personal(subject = friend)]
    email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, EventSet)]
enum Event {
    Registered(Registered),
    Recommended(Recommended),
    Erased(SubjectErased),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Customer(Option<Registered>);

impl State for Customer {
    type Event = Registered;

    fn evolve(self, event: &Registered) -> Self {
        Self(Some(event.clone()))
    }
}

#[command("customer.register")]
struct Register {
    #[tag]
    customer: u32,
    name: String,
}

impl Decision for Register {
    type State = Customer;
    type Refusal = std::convert::Infallible;

    fn decide(&self, customer: &Customer, _: &Ctx) -> Outcome<Self> {
        if customer.0.is_some() {
            return nothing("is registered");
        }
        emit(registered(self.customer, &self.name))
    }
}

fn registered(customer: u32, name: &str) -> Registered {
    let email = Some(format!("{name}@example.org"));
    Registered { customer, email, name: name.into(), plan: "basic".into() }
}

async fn everything(store: &AnyStore) -> Vec<RecordedEvent> {
    let read = store.read(Read::query(Query::All)).await.unwrap().events().await.unwrap();
    read.into_iter().filter(|one| !one.event_type().as_str().starts_with('$')).collect()
}

async fn decode(keys: &dyn KeyStore, event: &RecordedEvent) -> Result<Event, Why> {
    let keys = Keys::of_batch(Some(keys), std::slice::from_ref(event)).await.unwrap();
    match (Decoder { keys: keys.as_ref(), ..Decoder::default() }).decode::<Event>(event) {
        Ok(Decoded::One(one)) => Ok(one),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.why),
    }
}

/// An app over a store with its keys there, and another for what it wrote.
fn app(keys: Arc<dyn KeyStore>) -> (App, AnyStore) {
    let store = AnyStore::new(MemoryStore::new());
    (App::builder(store.clone()).states_max(0).personal(keys).build(), store)
}

fn both() -> Vec<(Arc<dyn KeyStore>, App, AnyStore)> {
    let memory: Arc<dyn KeyStore> = Arc::new(MemoryKeys::default());
    let (app_of_memory, its_store) = app(memory.clone());
    let store = AnyStore::new(MemoryStore::new());
    let stream: Arc<dyn KeyStore> = Arc::new(StreamKeys::new(store.clone()));
    let app = App::builder(store.clone()).states_max(0).personal(stream.clone()).build();
    vec![(memory, app_of_memory, its_store), (stream, app, store)]
}

#[tokio::test]
async fn what_is_stored_is_sealed_and_what_is_read_is_open_until_it_is_erased() {
    for (keys, app, store) in both() {
        app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
        app.execute(Register { customer: 8, name: "bob".into() }).await.unwrap();
        let stored = everything(&store).await;
        for event in &stored {
            let text = String::from_utf8(event.data().to_vec()).unwrap();
            assert!(!text.contains("ann") && !text.contains("bob"), "{text}");
            assert!(text.contains("basic") && text.contains("fullName"), "{text}");
        }
        let ann = Event::from(registered(7, "ann"));
        assert_eq!(decode(&*keys, &stored[0]).await, Ok(ann));
        let again = app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
        assert_eq!(again.nothing.as_deref(), Some("is registered"), "decisions read it");

        app.erase("customer:7").await.unwrap();
        app.erase("customer:7").await.unwrap();
        let erased = Registered { email: None, name: "(erased)".into(), ..registered(7, "") };
        assert_eq!(decode(&*keys, &stored[0]).await, Ok(erased.clone().into()));
        assert_eq!(decode(&*keys, &stored[1]).await, Ok(registered(8, "bob").into()), "others");
        let state = app.state::<Customer>(7).await.unwrap();
        assert_eq!(state.0, Some(erased), "a state is folded of it, without an error");
        let told = everything(&store).await;
        let told = decode(&*keys, told.last().unwrap()).await;
        assert_eq!(told, Ok(SubjectErased { subject: "customer:7".into() }.into()));
        assert_eq!(everything(&store).await.len(), 3, "told once");
        // Nothing personal is written about who was erased.
        assert_eq!(
            keys.get_or_create("customer:7").await,
            Err(KeyError::Erased { subject: "customer:7".into() })
        );
    }
}

#[tokio::test]
async fn a_field_is_of_the_subject_that_it_names() {
    let keys = Arc::new(MemoryKeys::default());
    let (app, store) = app(keys.clone());
    let email = Some("bob@example.org".to_owned());
    let recommended = Recommended { customer: 7, friend: 8, email };
    append(&app, &recommended.clone().into()).await;
    let stored = everything(&store).await.remove(0);
    keys.erase("customer:7").await.unwrap();
    assert_eq!(decode(&*keys, &stored).await, Ok(recommended.clone().into()));
    keys.erase("customer:8").await.unwrap();
    assert_eq!(
        decode(&*keys, &stored).await,
        Ok(Recommended { email: None, ..recommended }.into())
    );
}

/// Appends an event as a command would.
async fn append(app: &App, event: &Event) {
    #[derive(Clone, Debug, Default)]
    struct Any;
    impl State for Any {
        type Event = Event;
        fn evolve(self, _: &Event) -> Self {
            self
        }
    }
    #[command("any.append")]
    struct AppendAny {
        #[tag]
        customer: u32,
        event: String,
    }
    impl Decision for AppendAny {
        type State = Any;
        type Refusal = std::convert::Infallible;
        fn decide(&self, _: &Any, _: &Ctx) -> Outcome<Self> {
            emit(factum_app::serde_json::from_str::<Recommended>(&self.event).unwrap())
        }
    }
    let Event::Recommended(event) = event else { panic!("{event:?}") };
    let event = factum_app::serde_json::to_string(event).unwrap();
    app.execute(AppendAny { customer: 7, event }).await.unwrap();
}

#[tokio::test]
async fn what_is_copied_does_not_open() {
    let keys = Arc::new(MemoryKeys::default());
    let (app, store) = app(keys.clone());
    app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
    let original = everything(&store).await.remove(0);
    let copy = async |id: Uuid, data: String| {
        let store = MemoryStore::new();
        let mut event = EventData::new(id, original.event_type().clone(), data);
        event.metadata = original.metadata().to_vec().into();
        store.append(Append::to(original.stream().clone(), [event])).await.unwrap();
        let read = store.read(Read::stream(original.stream().clone())).await.unwrap();
        decode(&*keys, &read.events().await.unwrap()[0]).await
    };
    let data = String::from_utf8(original.data().to_vec()).unwrap();
    let ann = Ok(registered(7, "ann").into());
    assert_eq!(copy(original.id(), data.clone()).await, ann, "the same event in another store");
    let fails = |read: Result<Event, Why>| {
        let Err(Why::Personal { what, .. }) = read else { panic!("{read:?}") };
        assert!(what.contains("does not open"), "{what}");
    };
    fails(copy(Uuid::from_u128(1), data.clone()).await);
    let value: factum_app::serde_json::Value = factum_app::serde_json::from_str(&data).unwrap();
    let mut swapped = value.clone();
    swapped["email"] = value["fullName"].clone();
    fails(copy(original.id(), swapped.to_string()).await);
    let mut torn = value.clone();
    torn["email"]["sealed"] = "AAAA".into();
    fails(copy(original.id(), torn.to_string()).await);
    keys.get_or_create("customer:8").await.unwrap();
    fails(copy(original.id(), data.replace("customer:7", "customer:8")).await);
}

#[tokio::test]
async fn nonces_differ_though_everything_else_is_the_same() {
    let keys = Arc::new(MemoryKeys::default());
    let mut sealed = BTreeSet::new();
    for _ in 0..100 {
        let (app, store) = app(keys.clone());
        app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
        let event = everything(&store).await.remove(0);
        let value: factum_app::serde_json::Value =
            factum_app::serde_json::from_slice(event.data()).unwrap();
        for field in ["email", "fullName"] {
            let text = value[field]["sealed"].as_str().unwrap();
            // 24 bytes are 32 digits.
            assert!(sealed.insert(text[..32].to_owned()), "a nonce twice");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_wrong_or_lost_is_an_error_and_not_erased() {
    let keys = Arc::new(MemoryKeys::default());
    let (app, store) = app(keys.clone());
    app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
    let stored = everything(&store).await.remove(0);
    let right = keys.get("customer:7").await.unwrap();
    let what = async || match decode(&*keys, &stored).await {
        Err(Why::Personal { field, subject, what }) => {
            assert_eq!((&*field, &*subject), ("email", "customer:7"));
            what
        }
        other => panic!("{other:?}"),
    };
    keys.set("customer:7", KeyState::Key(factum_app::personal::Key([7; 32])));
    assert!(what().await.contains("another key"));
    keys.set("customer:7", KeyState::Absent);
    assert!(what().await.contains("restore it"));
    keys.set("customer:7", right);
    assert_eq!(decode(&*keys, &stored).await, Ok(registered(7, "ann").into()), "nothing is lost");
    let without = Decoder::default().decode::<Event>(&stored).unwrap_err();
    assert!(without.to_string().contains("AppBuilder::personal"), "{without}");
}

#[tokio::test(start_paused = true)]
async fn a_key_store_that_is_away_is_tried_again_and_nothing_is_lost() {
    let keys = Arc::new(MemoryKeys::default());
    let (app, store) = app(keys.clone());
    keys.set_away(true);
    let error = app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(matches!(error, ExecuteError::Append(AppendError::Unavailable { .. })), "{error}");
    assert_eq!(everything(&store).await.len(), 0, "nothing was written in the open");
    keys.set_away(false);
    app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
    keys.set_away(true);
    let error = app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(matches!(error, ExecuteError::Load(LoadError::Keys(_))), "{error}");
    assert!(app.erase("customer:7").await.is_err());
}

#[tokio::test]
async fn without_a_key_store_nothing_personal_is_written() {
    let app = App::new(MemoryStore::new());
    let error = app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("AppBuilder::personal"), "{error}");
    assert_eq!(everything(app.store()).await.len(), 0);
}

/// Keeps the names that it is handed, and forgets who is erased.
struct Names(Arc<Mutex<Vec<String>>>);

impl Handler for Names {
    type Event = Event;

    async fn checkpoint(&mut self) -> Result<Position, Failure> {
        Ok(Position::START)
    }

    async fn handle(&mut self, events: &[Envelope<Event>]) -> Result<(), Failure> {
        for one in events {
            self.0.lock().unwrap().push(match &one.event {
                Event::Registered(registered) => registered.name.clone(),
                Event::Recommended(_) => "recommended".into(),
                Event::Erased(erased) => format!("erased {}", erased.subject),
            });
        }
        Ok(())
    }

    async fn commit(&mut self, _: Commit) -> Result<(), Failure> {
        Ok(())
    }

    async fn park(&mut self, event: &RecordedEvent, error: &EventError) -> Result<bool, Failure> {
        panic!("{event:?}: {error}")
    }
}

async fn names_of(store: &AnyStore, keys: Arc<MemoryKeys>, count: usize) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spec = Spec::of::<Event>("names", 1, &OnError::Stop.into()).unwrap();
    let names = Names(seen.clone());
    let app = App::builder(store.clone()).personal(keys.clone()).consume(spec, |_| names);
    let app = app.start().await.unwrap();
    // Counted, not timed: a machine that stands still for a while is no failure.
    for left in (0..60_000).rev() {
        if seen.lock().unwrap().len() >= count {
            break;
        }
        assert!(left > 0, "{:?}", app.consumers().await);
        tokio::time::sleep(Duration::from_millis(1)).await;
        // It is waited for, and comes back.
        keys.set_away(false);
    }
    app.stop().await;
    let names = seen.lock().unwrap();
    names.clone()
}

#[tokio::test]
async fn a_consumer_reads_it_open_is_told_and_goes_on_with_what_is_erased() {
    let keys = Arc::new(MemoryKeys::default());
    let (app, store) = app(keys.clone());
    app.execute(Register { customer: 7, name: "ann".into() }).await.unwrap();
    app.execute(Register { customer: 8, name: "bob".into() }).await.unwrap();
    keys.set_away(true);
    assert_eq!(names_of(&store, keys.clone(), 2).await, ["ann", "bob"]);
    app.erase("customer:7").await.unwrap();
    assert_eq!(names_of(&store, keys, 3).await, ["(erased)", "bob", "erased customer:7"]);
}

#[test]
fn a_field_that_is_no_longer_personal_is_refused_by_the_lock() {
    let of = |personal: bool| {
        let mut lock = Lock::of(&[<Registered as EventSet>::MEMBERS]);
        if !personal {
            let email = &mut lock.events[0].schema["properties"]["email"];
            email.as_object_mut().unwrap().remove("x-personal").unwrap();
        }
        lock
    };
    let found = lock::compare(&of(true), &of(false));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("not personal any more"), "{found:?}");
    assert_eq!(lock::compare(&of(false), &of(true)), [], "older facts are read as they are");
}

#[test]
fn the_stream_of_a_key_is_no_stream_of_the_application() {
    assert!(StreamName::new("$key-customer:7").unwrap().is_system());
}
