//! A disk without room: appends are refused and say so, reads go on, and freeing space is enough to
//! go on, without opening the store again; opening it is possible too.

use crate::mounts::Mount;
use factum_core::{
    Append, AppendError, EventData, EventStore, EventType, Receipt, StreamName, Uuid,
};
use factum_log::{LogStore, Options};
use factum_sim::{
    dice::Dice,
    linear::wait,
    rows::{Find, Meter},
};
use std::{fs, path::Path, time::Duration};

const DISK_BYTES: u64 = 6 << 20;
/// What is deleted to make room.
const BALLAST_BYTES: usize = 1 << 20;
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Appends that fill any such disk.
const APPENDS_MAX: u64 = 20_000;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    crate::work::plant();
    let mount = Mount::memory(DISK_BYTES)?;
    for ballast in ["one", "two", "three"] {
        let written = fs::write(mount.path().join(ballast), vec![7; BALLAST_BYTES]);
        written.map_err(|error| error.to_string())?;
    }
    let data = mount.path().join("data");
    let mut filler = Filler { dice: Dice::new(seed), data: &data, store: None, done: 0 };
    filler.fill()?;
    free(mount.path(), "one")?;
    filler.goes_on("after space was freed")?;
    filler.fill()?;
    filler.store = None;
    // Opening needs no space: what is there can be read.
    let opened = filler.open();
    opened.map_err(|find| format!("opening on a full disk: {find}"))?;
    filler.whole()?;
    filler.store = None;
    free(mount.path(), "two")?;
    filler.open()?;
    filler.goes_on("opened after space was freed")?;
    free(mount.path(), "three")?;
    filler.store = None;
    filler.open()?;
    filler.whole()
}

fn free(mount: &Path, ballast: &str) -> Result<(), Find> {
    fs::remove_file(mount.join(ballast)).map_err(|error| error.to_string())
}

struct Filler<'a> {
    dice: Dice,
    data: &'a Path,
    store: Option<LogStore>,
    /// Events that were acknowledged.
    done: u64,
}

impl Filler<'_> {
    fn open(&mut self) -> Result<(), Find> {
        let options = Options { segment_bytes: 1 << 20, ..Options::default() };
        let store = LogStore::open(self.data, options).map_err(|error| error.to_string())?;
        self.store = Some(store);
        Ok(())
    }

    fn append(&mut self) -> Result<Receipt, AppendError> {
        let bytes = 1 + self.dice.below(40_000);
        let id = Uuid::from_u128(u128::from(self.done + 1));
        let data = vec![b'x'; usize::try_from(bytes).expect("small")];
        let event = EventData::new(id, EventType::new("t").unwrap(), data);
        let append = Append::to(StreamName::new("s-1").unwrap(), [event]);
        let store = self.store.as_ref().expect("it is open");
        let answer = wait::within(ANSWER_MAX, store.append(append));
        let answer = answer.expect("an answer within 20 s");
        self.done += u64::from(answer.is_ok());
        answer
    }

    /// Until there is no room.
    fn fill(&mut self) -> Result<(), Find> {
        if self.store.is_none() {
            self.open()?;
        }
        for _ in 0..APPENDS_MAX {
            match self.append() {
                Ok(_) => {}
                Err(AppendError::Unavailable { why }) if why.contains("full") => {
                    return self.whole();
                }
                Err(error) => return Err(format!("on a full disk: {error}")),
            }
        }
        Err("it is never full".into())
    }

    fn goes_on(&mut self, when: &str) -> Result<(), Find> {
        self.append().map(drop).map_err(|error| format!("{when}: {error}"))?;
        self.whole()
    }

    /// All that was acknowledged is there, and nothing else.
    fn whole(&self) -> Result<(), Find> {
        let store = self.store.as_ref().expect("it is open");
        let read = async {
            let all = factum_core::Read::query(factum_core::Query::All);
            store.read(all).await?.events().await
        };
        let events = wait::within(ANSWER_MAX, read).ok_or("no answer to a read")?;
        let events = events.map_err(|error| format!("a read on a full disk: {error}"))?;
        let is_whole = (1..).zip(&events).all(|(nth, event)| {
            event.position().0 == nth && event.id() == Uuid::from_u128(nth.into())
        });
        match is_whole && events.len() as u64 == self.done {
            true => Ok(()),
            false => Err(format!("{} events instead of {}", events.len(), self.done)),
        }
    }
}
