//! Runs one case: on a thread of its own, within a time limit, to a verdict.
//!
//! The limit is what keeps a store that hangs from becoming a test run that hangs: the thread is
//! left behind, and the case fails by name.

use crate::{Boxed, Case, Harness, Need, Trial, build, skip, suite, trial::Refusal, within};
use factum_core::EventStore;
use futures_util::future::{Either, select};
use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// A case comes to one verdict, and may panic after that.
const VERDICTS_MAX: usize = 2;

/// Drives a future to its end, in whatever runtime the store needs.
pub type Run = fn(Boxed<'static, ()>);

/// What a case comes to, by itself.
pub type Outcome = Result<(), Failure>;

/// An error that a case did not expect, and where.
pub struct Failure {
    text: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// A failure with a text of the case's own.
    #[track_caller]
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: Location::caller() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {}:{})", self.text, self.at.file(), self.at.line())
    }
}

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The store does what the case asks.
    Passed,
    /// The store declares that it cannot do what the case needs, and refused it as it must.
    Refused {
        /// What it cannot do.
        what: String,
    },
    /// The harness cannot do what the case needs.
    Skipped {
        /// What is missing.
        why: String,
    },
    /// The store does something else.
    Failed {
        /// What, and where the case says so.
        how: String,
    },
}

/// How cases are run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What names and ids follow from. The variable `SEED` sets it, to run a failure again.
    pub seed: u64,
    /// After this a case has failed: it hangs.
    pub case_time_max: Duration,
    /// How long a case waits for a thing that must come, such as an event of a subscription.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        Self {
            seed: given.unwrap_or_else(build::entropy),
            case_time_max: Duration::from_secs(180),
            patience: Duration::from_secs(60),
        }
    }
}

/// Runs the case of this name as a test: panics if it failed. The macro
/// [`conformance!`](crate::conformance) calls it.
///
/// # Panics
/// If the case failed, or there is none of this name.
pub fn test(name: &str, harness: impl Harness, run: Run) {
    let case = suite::find(name).expect("the macro names cases from the list");
    let (settings, store) = (Settings::default(), harness.name());
    match try_case(case, Arc::new(harness), run, settings) {
        Verdict::Passed | Verdict::Refused { .. } => {}
        Verdict::Skipped { why } => skip::skipped(&format!("{store} {name}"), &why),
        Verdict::Failed { how } => {
            panic!("{name} over {store}: {how}\n(again with SEED={})", settings.seed)
        }
    }
}

/// Runs a case to its verdict.
#[must_use]
pub fn try_case(
    case: &'static Case,
    harness: Arc<dyn Harness>,
    run: Run,
    settings: Settings,
) -> Verdict {
    let can = |need: &&Need| **need == Need::Gapless || harness.can(**need);
    if let Some(missing) = case.needs.iter().find(|need| !can(need)) {
        return Verdict::Skipped { why: missing.to_string() };
    }
    let (sender, verdict) = mpsc::sync_channel(VERDICTS_MAX);
    let body = move || {
        let answer = sender.clone();
        let attempt = Box::pin(async move {
            let _ = answer.send(attempt(case, harness, run, settings).await);
        });
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(attempt))) {
            let _ = sender.send(Verdict::Failed { how: panic_text(&*panic) });
        }
    };
    let thread = thread::Builder::new().name(case.name.to_owned()).spawn(body);
    thread.expect("the machine can start a thread");
    verdict.recv_timeout(settings.case_time_max).unwrap_or_else(|_| Verdict::Failed {
        how: format!("still running after {} s: it hangs", settings.case_time_max.as_secs()),
    })
}

async fn attempt(
    case: &'static Case,
    harness: Arc<dyn Harness>,
    run: Run,
    settings: Settings,
) -> Verdict {
    let refusal = Refusal::default();
    let trial = match Trial::open(case, harness, run, settings, refusal.clone()).await {
        Ok(trial) => trial,
        Err(error) => return Verdict::Failed { how: format!("no store to test: {error}") },
    };
    let gapless = trial.store().capabilities().gapless;
    if case.needs.contains(&Need::Gapless) && !gapless {
        return Verdict::Skipped { why: Need::Gapless.to_string() };
    }
    match select((case.run)(trial), Box::pin(refusal.declared())).await {
        Either::Left((Ok(()), _)) => Verdict::Passed,
        Either::Left((Err(failure), _)) => Verdict::Failed { how: format!("{failure:?}") },
        Either::Right((what, _)) => Verdict::Refused { what },
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Waits for what must come; the failure says for what.
pub(crate) async fn patiently<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, Failure> {
    let value = within(patience, future).await;
    value.ok_or_else(|| Failure::new(format!("waited {patience:?} in vain for {what}")))
}
