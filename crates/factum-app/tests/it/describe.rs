//! An app says of itself what it is made of, and the documents made of it are what others read.

use crate::payments::{Cancel, Confirm, Payment, Place};
use factum_app::{
    App, Ctx, Decision, Envelope, MemoryStore, OnError, Outcome, Publication, State,
    bus::Delivery,
    command, data,
    describe::Description,
    emit, event, events,
    message::{Outgoing, PublishError, Publisher},
    projection,
    world::BoxFuture,
};
use serde_json::{Value, json};
use std::convert::Infallible;

#[events]
enum TankEvent {
    #[event("tank.filled")]
    TankFilled { tank: u32, with: Fluid },
    #[event("tank.\"emptied\"", stream = "tank-{tank}")]
    TankEmptied {
        #[tag]
        tank: u32,
    },
}

#[data]
enum Fluid {
    #[default]
    Water,
    Oil {
        grade: u8,
    },
}

#[projection("tanks", version = 3)]
struct Tank {
    fluid: Fluid,
}

impl State for Tank {
    type Event = TankEvent;

    fn evolve(self, event: &TankEvent) -> Self {
        match event {
            TankEvent::TankFilled(filled) => Self { fluid: filled.with.clone() },
            TankEvent::TankEmptied(_) => self,
        }
    }
}

#[command("tank")]
enum Do {
    Fill { tank: u32 },
    Empty { tank: u32 },
}

impl Decision for Do {
    type State = Tank;
    type Refusal = Infallible;

    fn decide(&self, _: &Tank, _: &Ctx) -> Outcome<Self> {
        match *self {
            Self::Fill { tank } => emit(TankFilled { tank, with: Fluid::Water }),
            Self::Empty { tank } => emit(TankEmptied { tank }),
        }
    }
}

#[event("plant.tank.filled", version = 2, since = 2, stream = "tank-{tank}")]
struct Told {
    #[tag]
    tank: u32,
    with: Fluid,
    then: Option<Box<Fluid>>,
}

#[event("plant.tank.emptied", stream = "tank-{tank}")]
struct Emptied {
    #[tag]
    tank: u32,
}

#[events]
enum PlantMessage {
    Told,
    Emptied,
}

struct Tanks;

impl Publication for Tanks {
    const NAME: &'static str = "to-the-plant";
    const TOPIC: Option<&'static str> = Some("plant/tanks");
    type Event = TankFilled;
    type State = ();
    type Message = PlantMessage;

    fn message(event: &Envelope<TankFilled>, (): &()) -> Option<PlantMessage> {
        let TankFilled { tank, with } = event.event.clone();
        Some(Told { tank, with, then: None }.into())
    }
}

#[derive(Debug)]
struct Nobody;

impl Publisher for Nobody {
    fn max_bytes(&self) -> u64 {
        0
    }

    fn publish<'a>(&'a self, _: &'a [Outgoing]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

fn plant() -> Description {
    let builder = App::builder(MemoryStore::new()).service("plant", "1.2");
    let builder = builder
        .decision::<Do>()
        .decision::<Place>()
        .decision::<Confirm>()
        .decision::<Cancel>()
        .projection::<Tank>(OnError::Park)
        .process::<Payment>(OnError::Park)
        .on("mail", OnError::Skip, |_: Delivery<TankEvent>| async { Ok(()) })
        .publish::<Tanks>(OnError::Stop, Nobody);
    builder.describe()
}

#[test]
fn a_description_is_what_was_registered() {
    let plant = plant();
    let value = serde_json::to_value(&plant).unwrap();
    assert_eq!(serde_json::from_value::<Description>(value.clone()).unwrap(), plant);
    let filled = "tank.filled";
    let emptied = "tank.\"emptied\"";
    assert_eq!(
        value["decisions"][0],
        json!({ "name": "tank", "commands": ["tank.fill", "tank.empty"],
            "emits": [filled, emptied] })
    );
    assert_eq!(
        value["followers"][0],
        json!({ "name": "tanks", "version": 3, "reads": [filled, emptied], "kind": "projection" })
    );
    assert_eq!(
        value["followers"][1],
        json!({ "name": "payment", "version": 1, "reads": ["order.placed", "payment.received"],
            "kind": "process", "sends": ["order.confirm", "order.cancel"] })
    );
    let kinds: Vec<_> = plant.followers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(kinds, ["tanks", "payment", "mail", "to-the-plant"]);
    let events: Vec<_> = plant.events.iter().map(|one| one.name.as_str()).collect();
    let orders = ["order.cancelled", "order.confirmed", "order.placed", "payment.received"];
    assert_eq!(events, [&orders[..], &[emptied, filled]].concat());
    assert_eq!((plant.events[5].stream.as_str(), plant.events[5].tags.len()), ("tank-{tank}", 1));
}

#[tokio::test]
async fn a_running_app_says_the_same() {
    let builder = App::builder(MemoryStore::new()).projection::<Tank>(OnError::Park);
    let before = builder.describe();
    assert_eq!(builder.start().await.unwrap().describe(), before);
    assert_eq!(before.followers.len(), 1, "once, though it is built anew beside");
}

#[test]
fn a_chart_has_each_node_once_and_every_arrow() {
    let chart = plant().mermaid();
    let line = |text: &str| {
        let found: Vec<_> = chart.lines().filter(|line| line.contains(text)).collect();
        assert_eq!(found.len(), 1, "{text} in\n{chart}");
        found[0].trim().split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
    };
    let (filled, tank) = (line("\"tank.filled\""), line("\"tank.fill<br/>tank.empty\""));
    let (emptied, rows) = (line("\"tank.#quot;emptied#quot;\""), line("[(\"tanks\")]"));
    let (payment, cancel) = (line("{{\"payment\"}}"), line("\"order.cancel\""));
    let (plant, told) = (line("\"to-the-plant\""), line("\"plant.tank.filled v2\""));
    for edge in [
        format!("{tank} --> {filled}"),
        format!("{tank} --> {emptied}"),
        format!("{filled} --> {rows}"),
        format!("{payment} -.-> {cancel}"),
        format!("{filled} --> {plant}"),
        format!("{plant} ==> {told}"),
    ] {
        assert!(chart.lines().any(|line| line.trim() == edge), "{edge} in\n{chart}");
    }
    assert!(!chart.contains(&format!("{emptied} --> {plant}")), "it does not read that");
}

/// Every reference in a document, and whether there is something where it points.
fn references(root: &Value, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{target} points at nothing");
                        found.push(target.clone());
                    }
                    value => references(root, value, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| references(root, one, found)),
        _ => {}
    }
}

#[test]
fn an_asyncapi_document_has_the_messages_and_every_reference_points_at_something() {
    let document = plant().asyncapi();
    let mut found = Vec::new();
    references(&document, &document, &mut found);
    let moved = "#/components/schemas/plant.tank.filled.v2.Fluid";
    assert!(found.iter().filter(|one| *one == moved).count() >= 2, "{found:?}");
    assert_eq!(document["info"], json!({ "title": "plant", "version": "1.2" }));
    let channel = &document["channels"]["plant_tanks"];
    assert_eq!(channel["address"], "plant/tanks");
    assert_eq!(channel["messages"].as_object().unwrap().len(), 2);
    let operation = &document["operations"]["send.plant_tanks"];
    assert_eq!(
        (&operation["action"], operation["messages"].as_array().unwrap().len()),
        (&json!("send"), 2)
    );
    assert!(document["channels"].get("tank.filled").is_none(), "facts do not leave");
}

#[test]
fn schemas_are_those_of_events_and_messages() {
    let schemas = plant().json_schemas();
    let names: Vec<_> = schemas.keys().map(String::as_str).collect();
    let facts =
        ["order.cancelled.v1", "order.confirmed.v1", "order.placed.v1", "payment.received.v1"];
    let told = ["plant.tank.emptied.v1", "plant.tank.filled.v2"];
    assert_eq!(names, [&facts[..], &told, &["tank.\"emptied\".v1", "tank.filled.v1"]].concat());
    assert_eq!(schemas["order.placed.v1"]["required"], json!(["order"]));
}
