//! The process that is killed: it appends to a store in a folder, and says of each append what it
//! was answered, as soon as it was.
//!
//! What it appends follows from a seed and a number alone, so that whoever looks at the folder
//! afterwards knows what each event must be.

use factum_core::{
    Append, AppendError, EventData, EventStore, EventType, Position, Receipt, StreamName, Uuid,
};
use factum_log::{LogStore, Options};
use factum_sim::{dice::Dice, linear::wait};
use std::{io::Write, path::Path, process::ExitCode, time::Duration};

/// Appends of a run.
pub(crate) const OPS: u64 = 48;
/// Appends that are under way at once, at most.
const GROUP_MAX: u64 = 4;
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The source whose position is tracked with each append.
pub(crate) const SOURCE: &str = "work";

/// What was said of an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// It is durable; its last event is here.
    Done(Position),
    /// It is not there, and never will be.
    Refused,
    /// It may be there.
    Unknown,
}

/// Small segments, so that a run fills several.
pub(crate) fn options() -> Options {
    Options { segment_bytes: 64 << 10, heads_max: 4, open_files_max: 3, ..Options::default() }
}

/// The append of this number.
pub(crate) fn append(seed: u64, number: u64) -> Append {
    let mut dice = Dice::of(seed, number);
    let mut append = Append::default();
    for nth in 0..1 + dice.below(3) {
        let bytes = match dice.below(24) {
            // More than a segment.
            0 => 70_000,
            1..8 => 3_000 + dice.below(7_000),
            _ => dice.below(200),
        };
        let fill = u8::try_from(dice.below(256)).expect("a byte");
        let data = vec![fill; usize::try_from(bytes).expect("small")];
        let id = Uuid::from_u128(u128::from(number + 1) << 16 | u128::from(nth));
        let event = EventData::new(id, EventType::new("worked").unwrap(), data);
        let stream = StreamName::new(&format!("work-{}", dice.below(3))).unwrap();
        append.events.push((stream, event));
    }
    append.tracking(SOURCE, number + 1)
}

/// Appends everything, in groups, until whoever hears an answer has heard enough.
pub(crate) fn work(
    store: &impl EventStore,
    seed: u64,
    mut hear: impl FnMut(u64, Result<Receipt, AppendError>) -> bool,
) {
    let mut dice = Dice::new(seed);
    let (mut number, mut goes_on) = (0, true);
    while number < OPS && goes_on {
        let upto = (number + 1 + dice.below(GROUP_MAX)).min(OPS);
        // They are in the queue in this order, as each is polled once before any is waited for.
        let mut under_way: Vec<_> = (number..upto)
            .map(|number| (number, Box::pin(store.append(append(seed, number))), None))
            .collect();
        for (_, asked, answer) in &mut under_way {
            *answer = wait::once(asked.as_mut());
        }
        for (number, asked, answer) in under_way {
            let answer = answer.or_else(|| wait::within(ANSWER_MAX, asked));
            goes_on &= hear(number, answer.expect("an answer within a minute"));
        }
        number = upto;
    }
}

/// Is the process that is killed.
pub(crate) fn run(folder: &Path, seed: u64) -> ExitCode {
    plant();
    let store = match LogStore::open(folder, options()) {
        Ok(store) => store,
        Err(error) => {
            println!("not opened: {error}");
            return ExitCode::FAILURE;
        }
    };
    work(&store, seed, say);
    store.close();
    println!("closed");
    ExitCode::SUCCESS
}

/// The bug on purpose that is asked for: to see that the rows catch it.
#[cfg(feature = "planted")]
pub(crate) fn plant() {
    use factum_log::planted::{Bug, set};
    let asked = std::env::var("FACTUM_BUG").unwrap_or_default();
    set(Bug::named(&asked));
}

#[cfg(not(feature = "planted"))]
pub(crate) fn plant() {}

fn say(number: u64, answer: Result<Receipt, AppendError>) -> bool {
    match Said::of(&answer) {
        Said::Done(position) => println!("done {number} {position}"),
        Said::Unknown => println!("unknown {number}"),
        Said::Refused => println!("refused {number}"),
    }
    // Before anything else happens: whoever reads this may rely on it.
    std::io::stdout().flush().expect("somebody listens");
    true
}

impl Said {
    pub(crate) fn of(answer: &Result<Receipt, AppendError>) -> Self {
        match answer {
            Ok(receipt) => Self::Done(receipt.position),
            Err(AppendError::Unknown { .. }) => Self::Unknown,
            Err(_) => Self::Refused,
        }
    }

    /// From a line that [`run`] printed; which append it is about.
    pub(crate) fn parse(line: &str) -> Option<(u64, Self)> {
        let mut words = line.split(' ');
        let (what, number) = (words.next()?, words.next()?.parse().ok()?);
        let said = match what {
            "done" => Self::Done(Position(words.next()?.parse().ok()?)),
            "refused" => Self::Refused,
            "unknown" => Self::Unknown,
            _ => return None,
        };
        Some((number, said))
    }
}
