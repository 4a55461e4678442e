//! The living jobs in memory, and who is changing which of them.
//!
//! Promises: changes of one job follow each other; those of several wait for
//! the disk together, and keep nobody from looking meanwhile.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::{JobRegistry, Now};
use crate::model::{JobId, JobRecord, JobState, ProcessId, Timestamp};
use crate::policy::{deadline_after_beat, deadline_after_downtime};

/// A tick that comes this long after the one before finds that the process did
/// not run meanwhile (stopped, or its virtual machine was): heartbeats could not be received.
const STALLED: Duration = Duration::from_secs(90);
/// The boot-time clock runs ahead of the monotonic one only while the host is suspended.
const SUSPENDED: Duration = Duration::from_secs(1);

/// The right to change one job; ends when dropped.
pub(super) struct Claim<'r> {
    pub(super) registry: &'r JobRegistry,
    pub(super) id: JobId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.registry.live().claimed.remove(&self.id);
        self.registry.released.notify_all();
    }
}

/// What memory knows of living jobs.
pub(super) struct Live {
    pub(super) jobs: HashMap<JobId, LivingJob>,
    /// Jobs of which somebody is writing down a change.
    pub(super) claimed: HashSet<JobId>,
    /// Presumed failures that the ledger could not take yet. They hold all the
    /// same: cleaning must not wait for a write, and a restart concludes them again.
    pub(super) unsaved: HashMap<JobId, JobRecord>,
    pub(super) last_tick: Now,
    /// When deadlines were last put off because nobody could be heard, by the boot-time clock.
    pub(super) put_off_at: Duration,
}

/// A pending or active job.
pub(super) struct LivingJob {
    /// As the ledger has it.
    pub(super) record: JobRecord,
    /// Last heartbeat, if later than the one on record.
    pub(super) beat: Option<Timestamp>,
    /// By the boot-time clock.
    pub(super) deadline: Option<Duration>,
    /// Its process was seen alive by us, so its end is seen when it comes.
    pub(super) seen: bool,
    /// Since when its process is known to have ended, by the boot-time clock.
    pub(super) gone: Option<Duration>,
}

impl LivingJob {
    pub(super) fn shown(&self) -> JobRecord {
        JobRecord { last_heartbeat: self.beat.max(self.record.last_heartbeat), ..self.record.clone() }
    }
}

impl Live {
    /// Whether somebody is writing down a change of the job.
    pub(super) fn claimed(&self, id: &JobId) -> bool {
        self.claimed.contains(id)
    }

    /// What memory knows better than the ledger.
    pub(super) fn remembered(&self, id: &JobId) -> Option<JobRecord> {
        self.jobs.get(id).map(LivingJob::shown).or_else(|| self.unsaved.get(id).cloned())
    }

    /// The deadline of a job that was heard of at `now`, on this computer `asked`:
    /// what writing it down took since is not the job's time, and if nobody could
    /// be heard meanwhile it gets what the others got then.
    pub(super) fn deadline(&self, now: Now, asked: Instant, ttl: Option<Duration>) -> Option<Duration> {
        let heard = deadline_after_beat(now.since_boot.saturating_add(asked.elapsed()), ttl);
        let put_off = (self.put_off_at > now.since_boot)
            .then(|| deadline_after_downtime(self.put_off_at, ttl))
            .flatten();
        heard.max(put_off)
    }

    pub(super) fn count_of(&self, uid: u32) -> usize {
        self.jobs.values().filter(|job| job.record.uid == uid).count()
    }

    /// Whether heartbeats could not be received since the last tick.
    pub(super) fn could_not_hear(&self, now: Now) -> bool {
        let passed = now.since_boot.saturating_sub(self.last_tick.since_boot);
        let awake = now.awake.saturating_duration_since(self.last_tick.awake);
        passed.saturating_sub(awake) >= SUSPENDED || passed >= STALLED
    }

    pub(super) fn processes(&self, boot_id: &str) -> HashSet<&ProcessId> {
        let active = self.jobs.values().filter(|job| job.record.state == JobState::Active);
        active.filter_map(|job| job.record.process.as_ref()).filter(|one| one.boot_id == boot_id).collect()
    }
}
