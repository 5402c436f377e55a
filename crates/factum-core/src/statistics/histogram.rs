//! How values are spread: counts in ranges, from which quantiles are read, of all time or between
//! two looks.

/// Values, counted by the range they are in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Histogram {
    /// Its name: lower case, `_`, the unit last (`append_seconds`).
    pub name: String,
    /// One sentence: what is counted.
    pub help: String,
    /// Ranges that hold values, ascending. Each begins above the one before, in a grid that stays
    /// the same, so that counts of two moments can be compared.
    pub buckets: Vec<Bucket>,
    /// All values together.
    pub sum: f64,
}

/// A range of values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// The largest value that belongs here.
    pub up_to: f64,
    /// How many values are here.
    pub count: u64,
}

impl Histogram {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// What this share of the values, from 0 to 1, is not above; `None` where nothing was counted.
    ///
    /// ```
    /// use factum_core::{Bucket, Histogram};
    /// let buckets = vec![Bucket { up_to: 0.1, count: 99 }, Bucket { up_to: 2.0, count: 1 }];
    /// let seconds = Histogram { buckets, ..Histogram::default() };
    /// assert_eq!(seconds.quantile(0.5), Some(0.1));
    /// assert_eq!(seconds.quantile(1.0), Some(2.0));
    /// ```
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "of more than 2^53 values a few do not matter")]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0;
        let reaches = |bucket: &&Bucket| {
            below += bucket.count;
            below as f64 >= wanted
        };
        self.buckets.iter().find(reaches).map(|bucket| bucket.up_to)
    }

    /// What was counted after `earlier`. Where that is no earlier moment of the same counting, as
    /// after a restart, all of it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        for before in &earlier.buckets {
            let same = later.buckets.iter_mut().find(|bucket| bucket.up_to == before.up_to);
            match same.filter(|bucket| bucket.count >= before.count) {
                Some(bucket) => bucket.count -= before.count,
                None => return self.clone(),
            }
        }
        later.buckets.retain(|bucket| bucket.count > 0);
        later.sum = (self.sum - earlier.sum).max(0.0);
        later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: &[(f64, u64)]) -> Histogram {
        let buckets = buckets.iter().map(|&(up_to, count)| Bucket { up_to, count });
        Histogram { buckets: buckets.collect(), ..Histogram::default() }
    }

    #[test]
    fn a_quantile_is_the_end_of_the_range_that_reaches_it() {
        let spread = of(&[(1.0, 50), (2.0, 49), (9.0, 1)]);
        for (share, expected) in [(0.0, 1.0), (0.5, 1.0), (0.51, 2.0), (0.99, 2.0), (0.995, 9.0)] {
            assert_eq!(spread.quantile(share), Some(expected), "{share}");
        }
        assert_eq!(of(&[]).quantile(0.5), None);
    }

    #[test]
    fn between_two_looks_only_the_new_values_count() {
        let (early, late) = (of(&[(1.0, 5)]), of(&[(1.0, 5), (2.0, 3)]));
        assert_eq!(late.since(&early), of(&[(2.0, 3)]));
        assert_eq!(late.since(&of(&[])), late);
    }

    #[test]
    fn after_a_restart_all_of_it_counts() {
        let late = of(&[(1.0, 2)]);
        assert_eq!(late.since(&of(&[(1.0, 5)])), late);
        assert_eq!(late.since(&of(&[(7.0, 1)])), late);
    }
}
