//! Not trying the same in vain again and again.

use std::time::Duration;

/// The first pause after a run in vain.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Spaces out runs that free next to nothing: under a hundredth of what was
/// needed. Times are those of the boot-time clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    pause: Duration,
    not_before: Duration,
}

impl Backoff {
    /// Takes the end of a run; gives the pause that follows (doubling up to
    /// [`LONGEST_PAUSE`], none after a run that helped).
    pub fn ended(&mut self, freed: u64, needed: u64, now: Duration) -> Duration {
        self.pause = if needed > 0 && freed < needed.div_ceil(100) {
            (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        } else {
            Duration::ZERO
        };
        self.not_before = now.saturating_add(self.pause);
        self.pause
    }

    /// Something may have changed (a job ended): the next run need not wait
    /// longer than [`FIRST_PAUSE`]. The pause after it grows on, so that jobs
    /// that come and go all the time don't turn waiting off.
    pub fn ease(&mut self, now: Duration) {
        self.not_before = self.not_before.min(now.saturating_add(FIRST_PAUSE));
    }

    /// Whether a run may begin now.
    pub fn allows(&self, now: Duration) -> bool {
        now >= self.not_before
    }

    /// When the next run may begin.
    pub const fn not_before(&self) -> Duration {
        self.not_before
    }

    /// The circumstances changed (usage fell below the mark, configuration): try at once.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
