//! The same run again and again, each time with a fault at another append.

use super::{Report, Sim};
use crate::{Chances, Fault};

/// Runs once undisturbed, then once for each append of that run and each of these faults. Returns
/// the first report, and how many runs followed. Appends that only a fault leads to (a retry, what
/// a restarted instance writes) come after those that are counted here.
///
/// ```
/// # use factum_app::App;
/// use factum_testkit::{Fault, at_every_append};
///
/// let crashes = [Fault::CrashBefore, Fault::CrashAfter];
/// let (undisturbed, runs) = at_every_append(7, &crashes, |sim| {
///     sim.instances(1).run(
///         |store, world| async { App::builder(store).world(world).build() },
///         async |sim| assert!(sim.events().await.is_empty()),
///     )
/// });
/// assert_eq!(runs, 2 * undisturbed.counts.appends);
/// ```
///
/// # Panics
///
/// As the run; the test's own text should say what held, and the number of the append is printed.
pub fn at_every_append(seed: u64, faults: &[Fault], run: impl Fn(Sim) -> Report) -> (Report, u64) {
    let calm = Sim::new(seed).chances(Chances::NONE);
    let undisturbed = run(calm.clone());
    let mut runs = 0;
    for append in 1..=undisturbed.counts.appends {
        for fault in faults {
            let named = Named { append, fault: *fault };
            run(calm.clone().at(append, *fault));
            drop(named);
            runs += 1;
        }
    }
    (undisturbed, runs)
}

/// Says at which fault a run panicked.
struct Named {
    append: u64,
    fault: Fault,
}

impl Drop for Named {
    #[allow(clippy::print_stderr, reason = "beside the panic of a test, which says the rest")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the fault was {:?} at append {}", self.fault, self.append);
        }
    }
}
