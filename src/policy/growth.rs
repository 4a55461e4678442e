//! How fast a volume fills at most, from recent samples: what the pace of looking
//! at it depends on. When it will be full is for the forecast.

use std::collections::VecDeque;
use std::time::Duration;

/// How many samples are remembered.
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
}

fn slope(a: (Duration, u64), b: (Duration, u64)) -> Option<f64> {
    let seconds = b.0.checked_sub(a.0)?.as_secs_f64();
    (seconds > 0.0).then(|| (b.1 as f64 - a.1 as f64) / seconds)
}
