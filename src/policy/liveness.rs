//! Whether an active job still lives.
//!
//! Deadlines run by the boot-time clock, and only while the agent can receive
//! heartbeats: after a start or a resume each job gets a whole ttl, at least
//! [`START_GRACE`].

use std::time::Duration;

use crate::model::{JobState, ProcessId};

/// The least time a job has after the agent started or the host resumed.
pub const START_GRACE: Duration = Duration::from_secs(600);

/// The deadline after a heartbeat (or registration) at `now`; `None` without a ttl.
pub fn deadline_after_beat(now: Duration, ttl: Option<Duration>) -> Option<Duration> {
    ttl.map(|ttl| now.saturating_add(ttl))
}

/// The deadline after the agent started or the host resumed at `now`.
pub fn deadline_after_downtime(now: Duration, ttl: Option<Duration>) -> Option<Duration> {
    ttl.map(|ttl| now.saturating_add(ttl.max(START_GRACE)))
}

/// Why a job is presumed failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presumption {
    /// Its heartbeats stopped; the deadline passed this long ago.
    HeartbeatsStopped(Duration),
    /// Its process ended.
    ProcessGone,
    /// Its process belonged to an earlier boot.
    OtherBoot,
}

/// Judges one job. `process_lives` is what the kernel says of its process now
/// (`None`: not known, which is no reason to presume anything). Only active
/// jobs are presumed failed: a pending one has not begun, an ended one has ended.
pub fn presume(
    state: JobState,
    deadline: Option<Duration>,
    process: Option<&ProcessId>,
    process_lives: Option<bool>,
    boot_id: &str,
    now: Duration,
) -> Option<Presumption> {
    if state != JobState::Active {
        return None;
    }
    if let Some(process) = process {
        if process.boot_id != boot_id {
            return Some(Presumption::OtherBoot);
        }
        if process_lives == Some(false) {
            return Some(Presumption::ProcessGone);
        }
    }
    let late = now.checked_sub(deadline?)?;
    Some(Presumption::HeartbeatsStopped(late))
}
