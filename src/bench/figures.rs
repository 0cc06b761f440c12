//! Medians, percentiles and ratios. Pure.

use std::time::Duration;

use super::load::Sample;
use super::readers::Mark;

/// Several measurements of one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) };
        Self { median, low: at(0), high: at(values.len().wrapping_sub(1)) }
    }
}

/// The value below which so many percent of these lie.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

/// How long each sample took to be handed out, from the call of its insert and from its acknowledgement (nothing, where
/// the reader was faster than the writer's own answer); sorted. Samples that never came are left out, and counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Delays {
    pub(super) from_call: Vec<Duration>,
    pub(super) from_acknowledgement: Vec<Duration>,
    /// How long the inserts themselves took.
    pub(super) inserts: Vec<Duration>,
    pub(super) missing: usize,
}

impl Delays {
    /// `marks` are in the order in which they were made.
    pub(super) fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>, marks: &[Mark]) -> Self {
        let mut delays = Self::default();
        for sample in samples {
            let first = marks.partition_point(|mark| mark.upto < sample.seq);
            match marks.get(first) {
                Some(mark) => {
                    delays.from_call.push(mark.at.saturating_duration_since(sample.called));
                    delays.from_acknowledgement.push(mark.at.saturating_duration_since(sample.acknowledged));
                    delays.inserts.push(sample.acknowledged - sample.called);
                }
                None => delays.missing += 1,
            }
        }
        delays.sort();
        delays
    }

    /// Those of several rounds together.
    pub(super) fn together(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.from_call.extend(one.from_call);
            sum.from_acknowledgement.extend(one.from_acknowledgement);
            sum.inserts.extend(one.inserts);
            sum.missing += one.missing;
        }
        sum.sort();
        sum
    }

    fn sort(&mut self) {
        self.from_call.sort_unstable();
        self.from_acknowledgement.sort_unstable();
        self.inserts.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_spread_is_the_median_and_the_bounds() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]), Spread { median: 2.5, low: 1.0, high: 4.0 });
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50), Duration::from_millis(101));
        assert_eq!(percentile(&values, 99), Duration::from_millis(199));
        assert_eq!(percentile(&values[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn a_sample_has_come_with_the_first_mark_that_covers_it() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let sample =
            |seq, called, took| Sample { seq, called: start + ms(called), acknowledged: start + ms(called + took) };
        let marks = [(2, 10), (5, 20)].map(|(upto, at)| Mark { upto, at: start + ms(at) });
        let delays = Delays::of(&[sample(5, 5, 3), sample(2, 1, 12), sample(3, 2, 1), sample(6, 0, 1)], &marks);
        assert_eq!(delays.from_call, [ms(9), ms(15), ms(18)]);
        assert_eq!(delays.from_acknowledgement, [ms(0), ms(12), ms(17)]);
        assert_eq!(delays.missing, 1);
        let twice = Delays::together([delays.clone(), delays]);
        assert_eq!((twice.from_call.len(), twice.missing), (6, 2));
        assert!(twice.from_call.is_sorted());
    }
}
