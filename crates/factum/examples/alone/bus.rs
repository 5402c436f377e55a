//! The event bus alone: events go in at one end, and each handler gets each of them, in order for
//! each key, whatever becomes of the other handlers.

use factum::AnyStore;
use factum::app::{
    bus::{Delivery, HandlerError},
    prelude::*,
};
use tokio::sync::mpsc;

#[event("door.opened")]
struct DoorOpened {
    door: String,
    by: String,
}

pub(crate) async fn run(store: &AnyStore, run: &str) -> Result {
    let (tell, mut told) = mpsc::channel(16);
    let app = App::builder(store.clone())
        .on("alone.broken", OnError::Skip, |_: Delivery<DoorOpened>| async {
            Err(HandlerError::poison("a handler that is broken"))
        })
        .on("alone.log", OnError::Park, move |opened: Delivery<DoorOpened>| {
            let tell = tell.clone();
            async move {
                let DoorOpened { door, by } = opened.event;
                tell.send((door, by)).await?;
                Ok(())
            }
        })
        .start()
        .await?;
    let door = format!("front.{run}");
    for by in ["ann", "bob"] {
        app.record(DoorOpened { door: door.clone(), by: by.to_owned() }).await?;
    }
    let mut names = Vec::new();
    while names.len() < 2 {
        let (where_, by) = told.recv().await.ok_or("the handler is gone")?;
        // What an earlier run over the same store left is handled too.
        if where_ == door {
            names.push(by);
        }
    }
    println!("The bus alone: opened by {}", names.join(", then by "));
    assert_eq!(names, ["ann", "bob"]);
    Ok(())
}
