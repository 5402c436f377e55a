//! Event sourcing without CQRS: decisions and their state; nothing is kept beside the facts.

use factum::AnyStore;
use factum::app::prelude::*;

#[event("lamp.switched")]
struct LampSwitched {
    lamp: String,
    on: bool,
}

#[data]
struct Lamp {
    on: bool,
}

impl State for Lamp {
    type Event = LampSwitched;

    fn evolve(self, event: &LampSwitched) -> Self {
        Self { on: event.on }
    }
}

#[command("lamp.switch")]
struct Switch {
    lamp: String,
    on: bool,
}

impl Decision for Switch {
    type State = Lamp;
    type Refusal = std::convert::Infallible;

    fn decide(&self, lamp: &Lamp, _: &Ctx) -> Outcome<Self> {
        if lamp.on == self.on {
            return nothing("it is so already");
        }
        emit(LampSwitched { lamp: self.lamp.clone(), on: self.on })
    }
}

pub(crate) async fn run(store: &AnyStore, run: &str) -> Result {
    let app = App::new(store.clone());
    let lamp = format!("desk.{run}");
    for on in [true, true, false] {
        let receipt = app.execute(Switch { lamp: lamp.clone(), on }).await?;
        println!("Event sourcing alone: on = {on}: {}", receipt.nothing.unwrap_or("done".into()));
    }
    assert!(!app.state::<Lamp>(&lamp).await?.on, "the last fact counts");
    Ok(())
}
