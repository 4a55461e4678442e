//! The clocks across runs: what the ledger noted last, and whether to trust now.

use std::time::Duration;

use crate::model::Timestamp;
use crate::policy::ClockGuard;
use crate::store::ledger::{ClockMark, Ledger};
use crate::sys::clock;

use super::chain;

/// Notes the clocks in the ledger, so that a start after a jump is recognised.
pub fn note_clock(ledger: &Ledger, wall: Timestamp, since_boot: Duration) {
    let mark = ClockMark {
        wall,
        boot_id: clock::boot_id().unwrap_or_default(),
        boottime_nanos: u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX),
    };
    if let Err(error) = ledger.set_clock_mark(&mark) {
        tracing::debug!(reason = %chain(&error), "the time is not in the ledger");
    }
}

/// Whether the clock can be trusted, by what the ledger noted last.
pub fn clock_guard(ledger: &Ledger) -> ClockGuard {
    let last = ledger.clock_mark().ok().flatten().map(|mark| mark.wall);
    ClockGuard::at_start(clock::now(), clock::since_boot(), last, clock::time_is_synchronised())
}
