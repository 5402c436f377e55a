//! The newest file and the one before it, cut to every length.

use super::{Find, Meter, store::Closed};
use crate::dice::Dice;
use std::path::Path;

/// Lengths of one store: so few that a case is short.
const LENGTHS: usize = 2_000;

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let store = Closed::new(seed)?;
    let mut dice = Dice::new(seed);
    let is_log = |path: &Path| path.extension().is_some_and(|end| end == "log" || end == "zst");
    let logs = store.files.iter().filter(|(path, _)| is_log(path));
    let mut places: Vec<_> =
        logs.flat_map(|(path, to)| (0..*to).map(move |at| (path, at))).collect();
    for nth in (1..places.len()).rev() {
        places.swap(nth, dice.index(nth + 1));
    }
    for (path, len) in places.into_iter().take(LENGTHS) {
        if meter.is_over() {
            return Ok(());
        }
        meter.done += 1;
        let mut damaged = store.disk.clone();
        damaged.damage(path, |bytes| bytes.truncate(len));
        if dice.one_in(2) {
            damaged = store.without_indexes(damaged);
        }
        let checked = store.check(damaged, &mut dice);
        checked.map_err(|find| format!("{} cut to {len} bytes: {find}", path.display()))?;
    }
    Ok(())
}
