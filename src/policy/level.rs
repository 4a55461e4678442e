//! Alerts about levels: once per crossing, with hysteresis, again each hour while they last.

use std::time::Duration;

use super::pressure::{Marks, level};
use crate::model::{Level, Resource, VolumeUsage};

/// How far usage must fall below the warning mark for a recovery, in percent points.
pub const HYSTERESIS_POINTS: f64 = 2.0;
/// How often a lasting level is reported again.
pub const REPEAT: Duration = Duration::from_secs(3600);

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// The level rose.
    Rose {
        /// Before.
        from: Level,
        /// Now.
        to: Level,
    },
    /// The level fell.
    Fell {
        /// Before.
        from: Level,
        /// Now.
        to: Level,
    },
    /// The level lasts, an hour after it was last reported.
    Lasts(Level),
}

/// The reported level of one resource of one root. Times are those of the boot-time clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelState {
    level: Level,
    reported_at: Duration,
}

impl Default for LevelState {
    fn default() -> Self {
        Self { level: Level::Healthy, reported_at: Duration::ZERO }
    }
}

impl LevelState {
    /// The level with hysteresis.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// When the level is reported again if it lasts; `None` while healthy.
    pub fn next_repeat(&self) -> Option<Duration> {
        (self.level > Level::Healthy).then(|| self.reported_at.saturating_add(REPEAT))
    }

    /// Takes a sample. It rises at a mark at once; it falls from critical only
    /// at the low mark (with 1.5 times `min_free` available), and from warning
    /// only [`HYSTERESIS_POINTS`] below the warning mark.
    pub fn observe(
        &mut self,
        now: Duration,
        usage: &VolumeUsage,
        resource: Resource,
        marks: &Marks,
    ) -> Option<Crossing> {
        let to = self.next(usage, resource, marks);
        let from = self.level;
        let crossing = match to.cmp(&from) {
            std::cmp::Ordering::Greater => Crossing::Rose { from, to },
            std::cmp::Ordering::Less => Crossing::Fell { from, to },
            std::cmp::Ordering::Equal if self.next_repeat().is_some_and(|at| now >= at) => {
                Crossing::Lasts(to)
            }
            std::cmp::Ordering::Equal => return None,
        };
        *self = Self { level: to, reported_at: now };
        Some(crossing)
    }

    fn next(&self, usage: &VolumeUsage, resource: Resource, marks: &Marks) -> Level {
        let raw = level(usage, resource, marks);
        let (warning, _, low) = marks.of(resource);
        let percent = usage.percent(resource);
        let short =
            resource == Resource::Bytes && marks.min_free > 0 && usage.available < marks.min_free_end();
        if self.level == Level::Critical && (percent > low || short) {
            return Level::Critical;
        }
        if self.level >= Level::Warning && percent >= warning - HYSTERESIS_POINTS {
            return raw.max(Level::Warning);
        }
        raw
    }
}
