//! Whether the wall clock can be trusted with ages.
//!
//! A clock that jumps a year makes every file old. Outside emergencies age
//! policies pause until time is synchronised or somebody trusts the clock by hand.

use std::time::Duration;

use crate::model::Timestamp;

/// How far wall and boot-time clocks may drift apart.
pub const MAX_DRIFT: Duration = Duration::from_secs(3600);
/// How long after the ledger's last time a start is believed.
pub const MAX_ABSENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why the clock is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// At the start it was earlier than the ledger's last time, by this much.
    BeforeLedger(Duration),
    /// At the start it was this much after the ledger's last time.
    LongAfterLedger(Duration),
    /// It moved against the boot-time clock by this much.
    Drift(Duration),
}

/// Compares the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockGuard {
    wall: Timestamp,
    boot: Duration,
    doubt: Option<Doubt>,
}

impl ClockGuard {
    /// Judges the clock at the start. `last` is the ledger's last time, `None` on a new ledger.
    pub fn at_start(wall: Timestamp, boot: Duration, last: Option<Timestamp>, synchronised: bool) -> Self {
        let doubt = last.filter(|_| !synchronised).and_then(|last| {
            let after = last.age_at(wall);
            if wall < last {
                Some(Doubt::BeforeLedger(wall.age_at(last)))
            } else {
                (after > MAX_ABSENCE).then_some(Doubt::LongAfterLedger(after))
            }
        });
        Self { wall, boot, doubt }
    }

    /// Takes a look at both clocks. `synchronised` is what the kernel says
    /// (`adjtimex`); it settles every doubt. A doubt doesn't end by itself.
    pub fn observe(&mut self, wall: Timestamp, boot: Duration, synchronised: bool) -> Option<Doubt> {
        if synchronised {
            self.trust(wall, boot);
            return None;
        }
        let expected = self.wall.plus(boot.saturating_sub(self.boot));
        let drift = expected.age_at(wall).max(wall.age_at(expected));
        if self.doubt.is_none() && drift > MAX_DRIFT {
            self.doubt = Some(Doubt::Drift(drift));
        }
        self.doubt
    }

    /// Somebody trusts the clock (`guardian clock trust`).
    pub const fn trust(&mut self, wall: Timestamp, boot: Duration) {
        *self = Self { wall, boot, doubt: None };
    }

    /// Why it is not trusted; `None` while it is.
    pub const fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }
}
