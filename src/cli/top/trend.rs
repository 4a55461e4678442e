//! How full a root was during the last minutes, as one line of blocks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Timestamp;

/// The most and the least that a line shows.
const SPAN: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(60));
/// The least difference that fills a line's whole height, in percent of the volume:
/// a volume at rest shows a flat line, not its noise.
const LEAST_RANGE: f64 = 2.0;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Percent used, by time.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<(Timestamp, f64)>);

impl Trend {
    pub(super) fn add(&mut self, now: Timestamp, percent: f64) {
        self.0.push_back((now, percent));
        // One older than the span says where the line begins.
        while self.0.get(1).is_some_and(|(time, _)| time.age_at(now) >= SPAN.0) {
            self.0.pop_front();
        }
    }

    /// What its line shows: whole minutes, as many as there are.
    pub(super) fn span(&self, now: Timestamp) -> Duration {
        let age = self.0.front().map_or(Duration::ZERO, |(time, _)| time.age_at(now));
        (SPAN.1 * u32::try_from(age.as_secs().div_ceil(60)).unwrap_or(u32::MAX).clamp(1, 5)).min(SPAN.0)
    }

    /// One character per part of `span`, the present last; blank before the first look.
    pub(super) fn line(&self, now: Timestamp, span: Duration, width: usize) -> String {
        let part = span / u32::try_from(width.max(1)).unwrap_or(1);
        let values: Vec<Option<f64>> = (0..width)
            .map(|column| {
                let back = part * u32::try_from(width - 1 - column).unwrap_or(0);
                let seen = self.0.iter().rev().find(|(time, _)| time.age_at(now) >= back);
                seen.map(|(_, percent)| *percent)
            })
            .collect();
        let known = || values.iter().flatten().copied();
        let (low, high) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
        let middle = f64::midpoint(low, high);
        let range = (high - low).max(LEAST_RANGE);
        let block = |percent: f64| {
            // The middle lies within a block, not between two, where noise would show.
            let height = (percent - (middle - range * 0.45)) / range * 8.0;
            BLOCKS[(height as usize).min(7)]
        };
        values.iter().map(|value| value.map_or(' ', block)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(100_000 + seconds))
    }

    #[test]
    fn a_line_rises_with_what_is_used_and_is_blank_before_the_first_look() {
        let mut trend = Trend::default();
        for second in 150..=300 {
            trend.add(at(second), 50.0 + (second - 150) as f64 / 10.0);
        }
        assert_eq!(trend.span(at(300)), Duration::from_secs(180));
        let line = trend.line(at(300), SPAN.0, 10);
        assert_eq!(line.chars().count(), 10);
        assert!(line.starts_with("    ") && line.ends_with('█'), "{line:?}");
        let heights: Vec<_> = line.trim().chars().collect();
        assert!(heights.is_sorted(), "{line:?}");
    }

    #[test]
    fn noise_stays_flat_and_old_looks_are_forgotten() {
        let mut trend = Trend::default();
        for second in 0..2000 {
            trend.add(at(second), 50.0 + (second % 2) as f64 / 100.0);
        }
        assert!(trend.0.len() < 310, "{}", trend.0.len());
        assert_eq!(trend.span(at(2000)), SPAN.0);
        let line = trend.line(at(2000), SPAN.0, 20);
        let first = line.chars().next().unwrap();
        assert!(first != ' ' && line.chars().all(|block| block == first), "{line:?}");
        assert_eq!(Trend::default().line(at(0), SPAN.1, 3), "   ");
    }
}
