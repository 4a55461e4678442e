//! Waiting for filesystems that show freed space late.
//!
//! btrfs showed 303 of 400 MiB unlinked for more than 20 s; xfs lags by 10 ms.
//! What was unlinked and isn't visible yet is a credit. It only ever delays
//! removal: while it would cover the need, nothing more is taken. Whether the
//! target is reached is for the volume alone to say.

use std::time::Duration;

/// How long a credit may delay removal.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The same while space is urgently short (see [`super::is_urgent`]).
pub const URGENT_PATIENCE: Duration = Duration::from_millis(50);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The volume is at its target.
    Done,
    /// Remove up to this many bytes more.
    Proceed {
        /// The need that no credit covers.
        bytes: u64,
    },
    /// Remove nothing: the credit covers the need. Sync, and look again.
    Wait,
    /// The credit didn't show in time and is written off; the gap is for the report.
    GiveUp {
        /// What was unlinked and never showed.
        missing: u64,
    },
}

/// The credit of one run on one volume. Times are those of the boot-time clock.
#[derive(Debug, Clone, Copy)]
pub struct Settle {
    /// `Duration::ZERO` where freed space shows at once (tmpfs, ext4): then it never waits.
    patience: Duration,
    credit: u64,
    used: u64,
    waiting_since: Option<Duration>,
}

impl Settle {
    /// Begins with what is used now.
    pub const fn new(used: u64, patience: Duration) -> Self {
        Self { patience, credit: 0, used, waiting_since: None }
    }

    /// Bytes unlinked and not yet visible.
    pub const fn credit(&self) -> u64 {
        self.credit
    }

    /// Records what a batch unlinked.
    pub const fn unlinked(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// Takes a sample: what came free since the last one settles the credit.
    /// What others wrote meanwhile hides part of it; patience bounds that.
    pub fn sampled(&mut self, used: u64) {
        self.credit = self.credit.saturating_sub(self.used.saturating_sub(used));
        self.used = used;
    }

    /// What to do, given what must still go by the latest sample.
    pub fn next(&mut self, need: u64, urgent: bool, now: Duration) -> Step {
        if need == 0 {
            self.waiting_since = None;
            return Step::Done;
        }
        if need > self.credit {
            self.waiting_since = None;
            return Step::Proceed { bytes: need - self.credit };
        }
        let since = *self.waiting_since.get_or_insert(now);
        let patience = if urgent { self.patience.min(URGENT_PATIENCE) } else { self.patience };
        if now.saturating_sub(since) < patience {
            return Step::Wait;
        }
        self.waiting_since = None;
        Step::GiveUp { missing: std::mem::take(&mut self.credit) }
    }
}
