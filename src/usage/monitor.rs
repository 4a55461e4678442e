//! One volume over time: samples, growth, and when to look again.

use std::time::Duration;

use crate::model::{Resource, VolumeUsage};
use crate::policy::{Growth, Marks, Pace, next_pause};

use super::probe::{Probe, UsageError};

/// How far back the fastest recent rise is looked for.
const RECENT: Duration = Duration::from_secs(60);

/// One look at a volume.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When, by the boot-time clock.
    pub at: Duration,
    /// What the volume said.
    pub usage: VolumeUsage,
}

/// Watches one volume. Times are those of the boot-time clock, so that sleep
/// counts and a change of the wall clock doesn't.
pub struct VolumeMonitor {
    probe: Probe,
    longest: Duration,
    growth: Growth,
    last: Option<Look>,
}

impl VolumeMonitor {
    /// Begins to watch; `longest` is the longest pause between two looks.
    pub fn new(probe: Probe, longest: Duration) -> Self {
        Self { probe, longest, growth: Growth::default(), last: None }
    }

    /// Looks now.
    pub fn look(&mut self, at: Duration) -> Result<Look, UsageError> {
        let look = Look { at, usage: self.probe.look()? };
        self.growth.add(at, look.usage.used);
        self.last = Some(look);
        Ok(look)
    }

    /// The last look; `None` before the first.
    pub const fn last(&self) -> Option<Look> {
        self.last
    }

    /// When the volume will be full at the lasting rate; `None` while that is
    /// unknown or it does not fill.
    pub fn time_to_full(&self) -> Option<Duration> {
        self.growth.time_to_full(self.last?.usage.available)
    }

    /// Forgets the growth so far: guardian's own removals are no trend.
    pub fn cut(&mut self) {
        self.growth = Growth::default();
    }

    /// How long to wait for the next look. `marks` are the strictest of the
    /// volume's roots, `stirring` whether anything changed below them lately.
    pub fn pause(&self, marks: &[Marks], stirring: bool) -> Duration {
        let Some(look) = self.last else { return self.longest };
        let bytes = Resource::Bytes;
        let usable = look.usage.used.saturating_add(look.usage.available) as f64;
        let headroom = marks
            .iter()
            .map(|marks| {
                let to_mark = usable * marks.of(bytes).1 / 100.0 - look.usage.used as f64;
                let to_min_free = look.usage.available.saturating_sub(marks.min_free) as f64;
                if to_mark.min(to_min_free) > 0.0 {
                    to_mark.min(to_min_free) as u64
                } else {
                    look.usage.available
                }
            })
            .min()
            .unwrap_or(look.usage.available);
        let past_warning = marks.iter().any(|marks| look.usage.percent(bytes) >= marks.of(bytes).0);
        next_pause(&Pace {
            longest: self.longest,
            headroom,
            past_warning,
            fastest: self.growth.fastest(look.at, RECENT).unwrap_or(0.0),
            stirring,
        })
    }
}
