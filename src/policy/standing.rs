//! Alerts that stand: told when they begin and when they become worse, again
//! each hour while they last. Times are those of the boot-time clock.

use std::time::Duration;

use super::level::REPEAT;
use crate::model::{AlertState, Level};

/// One alert in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    level: Level,
    told_at: Duration,
}

impl Standing {
    /// It begins, and is told.
    pub const fn begin(level: Level, now: Duration) -> Self {
        Self { level, told_at: now }
    }

    /// How bad it is.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// It is found again, as bad as `level`; what of that is to be told.
    pub fn found(&mut self, level: Level, now: Duration) -> Option<AlertState> {
        let state = match level.cmp(&self.level) {
            std::cmp::Ordering::Greater => AlertState::Raised,
            std::cmp::Ordering::Less => AlertState::Eased,
            std::cmp::Ordering::Equal => return None,
        };
        *self = Self { level, told_at: now };
        Some(state)
    }

    /// Whether it is to be told again.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let due = now.saturating_sub(self.told_at) >= REPEAT;
        if due {
            self.told_at = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_again_each_hour_and_when_it_changes() {
        let at = Duration::from_secs;
        let mut alert = Standing::begin(Level::Warning, at(0));
        for second in 1..3600 {
            assert_eq!(alert.found(Level::Warning, at(second)), None);
            assert!(!alert.is_due(at(second)));
        }
        assert!(alert.is_due(at(3600)) && !alert.is_due(at(3601)));
        assert_eq!(alert.found(Level::Critical, at(5000)), Some(AlertState::Raised));
        assert!(!alert.is_due(at(8599)), "an hour after it became worse");
        assert!(alert.is_due(at(8600)));
        assert_eq!(alert.found(Level::Warning, at(9000)), Some(AlertState::Eased));
    }
}
