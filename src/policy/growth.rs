//! How fast a volume fills, from recent samples.

use std::collections::VecDeque;
use std::time::Duration;

/// How many samples are remembered: enough for a median that one burst doesn't
/// move, few enough to compare each with each (496 pairs).
const CAPACITY: usize = 32;

/// Recent samples of what is used, by the boot-time clock.
#[derive(Debug, Clone, Default)]
pub struct Growth {
    samples: VecDeque<(Duration, u64)>,
}

impl Growth {
    /// Adds a sample. One that is not later than the last replaces it.
    pub fn add(&mut self, at: Duration, used: u64) {
        if self.samples.back().is_some_and(|(last, _)| *last >= at) {
            self.samples.pop_back();
        }
        self.samples.push_back((at, used));
        if self.samples.len() > CAPACITY {
            self.samples.pop_front();
        }
    }

    /// The fastest rise between neighbouring samples no older than `window`,
    /// in bytes a second; 0 if nothing rose, `None` with fewer than two samples.
    pub fn fastest(&self, now: Duration, window: Duration) -> Option<f64> {
        let from = now.saturating_sub(window);
        let recent = self.samples.iter().skip_while(|(at, _)| *at < from);
        recent
            .clone()
            .zip(recent.skip(1))
            .filter_map(|(a, b)| slope(*a, *b))
            .fold(None, |most: Option<f64>, rate| Some(most.unwrap_or(0.0).max(rate)))
    }

    /// The lasting rate in bytes a second, negative while the volume empties:
    /// the median of the slopes between all pairs (Theil-Sen), which up to 29%
    /// outliers don't move. `None` with fewer than two samples.
    pub fn trend(&self) -> Option<f64> {
        let mut slopes: Vec<f64> = (0..self.samples.len())
            .flat_map(|i| (i + 1..self.samples.len()).map(move |j| (i, j)))
            .filter_map(|(i, j)| slope(self.samples[i], self.samples[j]))
            .collect();
        if slopes.is_empty() {
            return None;
        }
        slopes.sort_unstable_by(f64::total_cmp);
        Some(slopes[slopes.len() / 2])
    }

    /// How long until `available` bytes are used up at the lasting rate;
    /// `None` while that is not known or not rising.
    pub fn time_to_full(&self, available: u64) -> Option<Duration> {
        let rate = self.trend().filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(available as f64 / rate).ok()
    }
}

fn slope(a: (Duration, u64), b: (Duration, u64)) -> Option<f64> {
    let seconds = b.0.checked_sub(a.0)?.as_secs_f64();
    (seconds > 0.0).then(|| (b.1 as f64 - a.1 as f64) / seconds)
}
