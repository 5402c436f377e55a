//! What the attributes write for whole enums, and the tag that a name gives.

use crate::shop::OrderPlaced;
use factum_app::{
    App, Command, CommandSet, Ctx, Decision, Event, EventSet, EventStore, MemoryStore, OnError,
    Outcome, Projection, State, command, data, emit, events, nothing, projection,
};
use std::convert::Infallible;

#[events]
#[derive(Eq)]
enum ParcelEvent {
    /// Tagged by its name.
    #[event("parcel.sent")]
    ParcelSent {
        parcel: u32,
        to: String,
    },
    #[event("parcel.lost", version = 2, since = 2, stream = "van-{van}")]
    #[derive(Eq)]
    ParcelLost {
        parcel: u32,
        #[tag]
        van: u32,
    },
    #[event("parcel.counted", stream = "parcels")]
    ParcelsCounted,
    OrderPlaced,
}

// Equality of the set needs that of its members.
impl Eq for ParcelSent {}
impl Eq for ParcelsCounted {}
impl Eq for OrderPlaced {}

#[test]
fn a_set_makes_the_events_that_are_written_in_it() {
    let sent = ParcelEvent::from(ParcelSent { parcel: 7, to: "Bologna".into() });
    assert_eq!(sent, ParcelEvent::ParcelSent(ParcelSent { parcel: 7, to: "Bologna".into() }));
    assert_eq!(sent.stream().unwrap().as_str(), "parcel-7");
    assert_eq!(sent.tags().unwrap()[0].as_str(), "parcel:7");
    let lost = ParcelLost { parcel: 7, van: 3 };
    // A tag that is given is the only one.
    assert_eq!((ParcelLost::VERSION, ParcelLost::TAGS), (2, ["van"].as_slice()));
    assert_eq!(Event::stream(&lost).unwrap().as_str(), "van-3");
    assert_eq!(Event::stream(&ParcelsCounted {}).unwrap().as_str(), "parcels");
    let names: Vec<_> = ParcelEvent::MEMBERS.list().iter().map(|info| info.event_type).collect();
    assert_eq!(names, ["parcel.sent", "parcel.lost", "parcel.counted", "order.placed"]);
}

#[derive(Clone, Default)]
struct Parcel {
    sent: bool,
}

#[events]
enum Sent {
    ParcelSent,
}

impl State for Parcel {
    type Event = Sent;

    fn evolve(self, _: &Sent) -> Self {
        Self { sent: true }
    }
}

#[command("parcel")]
enum ParcelCommand {
    Send { parcel: u32, to: String },
    MarkSentBack { parcel: u32 },
    Count,
}
use ParcelCommand::{Count, MarkSentBack, Send};

impl Decision for ParcelCommand {
    type State = Parcel;
    type Refusal = Infallible;

    fn decide(&self, parcel: &Parcel, _: &Ctx) -> Outcome<Self> {
        match self {
            Send { parcel: number, to } if !parcel.sent => {
                emit(ParcelSent { parcel: *number, to: to.clone() })
            }
            _ => nothing("not now"),
        }
    }
}

#[tokio::test]
async fn several_commands_are_decided_together() {
    let app = App::new(MemoryStore::new());
    let send = || Send { parcel: 7, to: "Bologna".into() };
    assert_eq!(app.execute(send()).key("k").await.unwrap().nothing, None);
    let back = MarkSentBack { parcel: 7 };
    // The key is of one command, not of all that are decided together.
    assert_eq!(app.execute(back).key("k").await.unwrap().nothing.as_deref(), Some("not now"));
    assert!(app.execute(send()).key("k").await.unwrap().replayed);
    assert_eq!(app.store().head().await.unwrap().0, 1);
    let error = app.execute(Count).await.unwrap_err().to_string();
    assert!(error.contains("`parcel.count` has no tag"), "{error}");
}

#[data]
#[derive(Eq, Debug)]
enum Size {
    Small,
    #[default]
    Usual,
}

/// Without a default there is none, and nothing complains.
#[data]
enum Side {
    Left { by: u8 },
}

#[data]
struct Box {
    size: Size,
    #[serde(rename = "s")]
    sides: Vec<Side>,
}

#[test]
fn what_is_stored_has_what_it_takes() {
    let one = Box { size: Size::Small, sides: vec![Side::Left { by: 3 }] };
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(text, r#"{"size":"Small","s":[{"Left":{"by":3}}]}"#);
    assert_eq!(serde_json::from_str::<Box>(&text).unwrap(), one.clone());
    assert_eq!(Box::default().size, Size::Usual);
}

#[test]
fn each_of_them_has_its_name() {
    let names = ["parcel.send", "parcel.mark-sent-back", "parcel.count"];
    assert_eq!(<ParcelCommand as CommandSet>::names(), names);
    assert_eq!(Command::name(&MarkSentBack { parcel: 7 }), "parcel.mark-sent-back");
    assert_eq!(ParcelCommand::TAGS, ["parcel"]);
    let encoded = CommandSet::encode(&MarkSentBack { parcel: 7 }).unwrap();
    let decoded = <ParcelCommand as CommandSet>::decode("parcel.mark-sent-back", encoded);
    assert_eq!(decoded.unwrap().unwrap(), MarkSentBack { parcel: 7 });
    assert!(<ParcelCommand as CommandSet>::decode("other", serde_json::Value::Null).is_none());
}

#[projection("parcels-lost", version = 2)]
struct Losses {
    count: u32,
}

impl State for Losses {
    type Event = ParcelLost;

    fn evolve(self, _: &ParcelLost) -> Self {
        Self { count: self.count + 1 }
    }
}

#[tokio::test]
async fn a_state_is_kept_as_rows() {
    assert_eq!((Losses::NAME, Losses::VERSION), ("parcels-lost", 2));
    let app = App::builder(MemoryStore::new()).projection::<Losses>(OnError::Stop);
    let app = app.start().await.unwrap();
    for parcel in 1..=3 {
        app.record(ParcelLost { parcel, van: 1 + parcel % 2 }).await.unwrap();
    }
    let both = app.record(ParcelLost { parcel: 4, van: 2 }).await.unwrap();
    let view = app.view::<Losses>().at_least(&both);
    assert_eq!(view.get(2).await.unwrap(), Some(Losses { count: 3 }));
    assert_eq!(view.get(1).await.unwrap(), Some(Losses { count: 1 }));
}
