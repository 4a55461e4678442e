//! What a run needs from the world: clocks, names, the record of removals, the
//! index that follows, and whether to stop.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::references::References;
use crate::api::{Event, Events, Progress, SweepState};
use crate::model::{
    Action, AlertKind, JobId, Level, Phase, Policy, Reason, RelPath, Report, Resource, RootName, RunId,
    Timestamp, Trigger, VolumeUsage, WirePath,
};
use crate::policy::Target;
use crate::store::RootKey;
use crate::store::audit::{AuditEntry, AuditLog, BatchHeader, BatchTicket, NotRemoved};
use crate::store::ledger::Ledger;
use crate::sweep::run::{IntendedBatch, Surroundings};
use crate::sys::clock;

use super::alerts::{Alert, Alerts, Subject};
use super::breakers::{Breakers, Changed};
use super::metrics::Meters;

/// Between two events about the progress of one run.
const TELLING_PAUSE: Duration = Duration::from_millis(250);

/// Keeps the index abreast of what a run did and found.
pub trait Feed: Send + Sync {
    /// These names are gone, or not what the index says.
    fn look_at(&self, root: RootKey, paths: &[RelPath]);
}

/// Takes how far a run is.
pub type Told = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Steers a run from outside and shows how far it is.
#[derive(Default)]
pub struct Control {
    /// The sweep that somebody asked for.
    pub sweep: Option<RunId>,
    cancelled: AtomicBool,
    reason: Mutex<Option<String>>,
    progress: Mutex<Progress>,
    /// What was removed on volumes that are done with.
    before: Mutex<(u64, u64)>,
    told: Option<Told>,
}

impl Control {
    /// Ends the run after its batch.
    pub fn cancel(&self, why: &str) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether the run is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// For the sweep of this name.
    pub fn of(sweep: RunId) -> Self {
        Self { sweep: Some(sweep), ..Self::default() }
    }

    /// Tells somebody how far the run is, after each batch.
    pub fn telling(told: Told) -> Self {
        Self { told: Some(told), ..Self::default() }
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, change: impl FnOnce(&mut Progress, (u64, u64))) {
        let now = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut progress, *self.before.lock().unwrap_or_else(PoisonError::into_inner));
            *progress
        };
        if let Some(told) = &self.told {
            told(&now);
        }
    }

    /// The run goes on to another volume.
    fn next_volume(&self) {
        let now = self.progress();
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = (now.files, now.bytes);
    }
}

/// The world of one run.
pub struct RunWorld<'a> {
    /// Where removals are recorded; without it each batch is a line in the log.
    pub audit: Option<&'a Arc<AuditLog>>,
    /// What follows the index, and the keys of the roots in it.
    pub feed: Option<&'a dyn Feed>,
    /// Where what is told of files is on record.
    pub recorded: Option<&'a References>,
    /// Keys by name, for the feed.
    pub keys: HashMap<RootName, RootKey>,
    /// Steering.
    pub control: &'a Control,
    /// Called between batches.
    pub between: &'a (dyn Fn() + Sync),
    /// Another reason to stop after the batch (a flag of Ctrl-C, a pause).
    pub stop: &'a (dyn Fn() -> Option<String> + Sync),
    /// Policies whose removals fail.
    pub breakers: &'a Breakers,
    /// Whether these are left out of the run.
    pub kept_back: bool,
    /// What somebody should know.
    pub alerts: &'a Alerts,
    /// What happens, for whoever listens, and what this run is called there.
    pub events: &'a Events,
    /// The run as its events show it, without progress.
    pub shown: ShownRun,
    /// When its progress was last told.
    pub told_at: Mutex<Option<Duration>>,
    /// When the batch at work was begun.
    pub batch_began: Mutex<Timestamp>,
    /// Batches that are on record and not completed yet.
    pub open: Mutex<HashMap<u64, BatchTicket>>,
    /// Numbers them.
    pub next: AtomicU64,
    /// Where jobs are marked whose results went; and which were, in this run.
    pub jobs: Option<&'a Ledger>,
    /// Jobs that are marked.
    pub without_results: Mutex<HashSet<JobId>>,
    /// What is counted.
    pub meters: &'a Meters,
    /// How long the phases took.
    pub took: Mutex<PhaseTimes>,
}

/// How long the phases of a run took: a batch's time goes to its phase, from
/// the end of the batch before, so that choosing counts as well as removing.
#[derive(Debug, Default)]
pub struct PhaseTimes {
    last: Option<Duration>,
    /// By root and phase.
    pub by_phase: BTreeMap<(RootName, Phase), Duration>,
}

impl PhaseTimes {
    fn begin(&mut self, now: Duration) {
        self.last = Some(now);
    }

    fn batch_ended(&mut self, root: &RootName, phase: Phase, now: Duration) {
        let took = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last));
        *self.by_phase.entry((root.clone(), phase)).or_default() += took;
        self.last = Some(now);
    }
}

/// A new name of a run or plan: sorts by time (UUID version 7).
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// When a name was made by [`new_id`]; `None`: it was not.
pub fn made_at(id: &str) -> Option<Timestamp> {
    let (seconds, nanos) = uuid::Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    Some(Timestamp::from_unix(i64::try_from(seconds).ok()?, nanos))
}

fn percent(usage: &VolumeUsage, resource: Resource) -> f64 {
    (usage.percent(resource) * 100.0).round() / 100.0
}

/// A run over a volume, as its events show it.
#[derive(Debug, Clone)]
pub struct ShownRun {
    /// What was asked for.
    pub policy: Policy,
    /// What set it off.
    pub trigger: Trigger,
    /// Over which roots.
    pub roots: Vec<RootName>,
}

impl ShownRun {
    fn event(&self, control: &Control, state: SweepState, reports: &[Report]) -> Event {
        let reports =
            reports.iter().map(|report| Report { actions: None, errors: Vec::new(), ..report.clone() });
        Event::Sweep {
            time: clock::now(),
            sweep: control.sweep.clone(),
            policy: self.policy,
            trigger: self.trigger,
            roots: self.roots.clone(),
            state,
            progress: control.progress(),
            reports: reports.collect(),
        }
    }

    /// Tells that the run has ended.
    pub fn tell_end(&self, events: &Events, control: &Control, over: SweepState, reports: &[Report]) {
        events.publish(&self.event(control, over, reports));
    }
}

impl RunWorld<'_> {
    /// Tells how far the run is, a few times a second at most.
    fn tell(&self, begins: bool) {
        let now = clock::since_boot();
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if begins || told_at.is_none_or(|at| now.saturating_sub(at) >= TELLING_PAUSE) {
            *told_at = Some(now);
            let event = || self.shown.event(self.control, SweepState::Running, &[]);
            // How far it is tells nothing any more to who comes later.
            if begins {
                self.events.publish(&event());
            } else if self.events.has_readers() {
                self.events.mention(&event());
            }
        }
    }

    fn tell_index(&self, root: &RootName, actions: &[&Action]) {
        if let (Some(feed), Some(key)) = (self.feed, self.keys.get(root))
            && !actions.is_empty()
        {
            let paths: Vec<RelPath> = actions.iter().map(|action| action.path.clone()).collect();
            feed.look_at(*key, &paths);
        }
    }

    fn mark_jobs(&self, actions: &[&Action]) {
        let Some(ledger) = self.jobs else { return };
        let mut marked = self.without_results.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = actions.iter().flat_map(|action| match &action.reason {
            Reason::OldResult { job, .. } => std::slice::from_ref(job),
            Reason::Tree { results_of, .. } => results_of,
            _ => &[],
        });
        for job in jobs {
            if marked.insert(job.clone())
                && let Err(error) = ledger.mark_without_results(job, clock::now())
            {
                tracing::warn!(job = %job, reason = %super::chain(&error), "a job is not marked as one without results");
            }
        }
    }

    fn warn_unrecorded(batch: &IntendedBatch<'_>, cause: &str) {
        let paths: Vec<String> = batch
            .actions
            .iter()
            .map(|action| format!("{:?}", action.path.under(batch.root.path())))
            .collect();
        tracing::warn!(
            root = %batch.root.name,
            policy = %batch.phase,
            run = %batch.run,
            reason = cause,
            path = %paths.join(" "),
            "removing files that could not be put on record"
        );
    }
}

impl Surroundings for RunWorld<'_> {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn elapsed(&self) -> Duration {
        clock::since_boot()
    }

    fn new_run_id(&self) -> RunId {
        RunId::new(new_id())
    }

    fn intend(&self, batch: &IntendedBatch<'_>) -> Option<u64> {
        *self.batch_began.lock().unwrap_or_else(PoisonError::into_inner) = clock::now();
        let Some(audit) = self.audit else {
            Self::warn_unrecorded(batch, "there is no audit log");
            return None;
        };
        let header = BatchHeader {
            run: batch.run.clone(),
            volume_run: batch.volume_run.clone(),
            root: batch.root.name.clone(),
            root_path: WirePath::from_path(batch.root.path()),
            policy: batch.policy,
            phase: batch.phase,
            time: clock::now(),
        };
        let entries: Vec<AuditEntry> = batch
            .actions
            .iter()
            .map(|action| AuditEntry {
                path: WirePath::from_bytes(action.path.as_bytes()),
                reason: action.reason.clone(),
                ino: action.facts.id.ino,
                size: action.facts.id.size,
                allocated: match &action.reason {
                    Reason::Tree { bytes, .. } => *bytes,
                    _ => action.facts.allocated,
                },
                uid: action.facts.uid,
                mtime: action.facts.id.mtime,
            })
            .collect();
        match audit.append_batch(&header, &entries) {
            Ok(ticket) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, ticket);
                Some(number)
            }
            Err(error) => {
                Self::warn_unrecorded(batch, &super::chain(&error));
                None
            }
        }
    }

    fn carried_out(&self, ticket: Option<u64>, not_removed: &[(usize, String)]) {
        let taken = ticket.and_then(|n| self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&n));
        let (Some(audit), Some(ticket)) = (self.audit, taken) else { return };
        let not_removed: Vec<NotRemoved> = not_removed
            .iter()
            .map(|(number, why)| NotRemoved(u32::try_from(*number).unwrap_or(u32::MAX), why.clone()))
            .collect();
        if let Err(error) = audit.finish_batch(ticket, &not_removed) {
            tracing::warn!(reason = %super::chain(&error), "a batch of removals stays on record without its outcome");
        }
        if audit.is_sync_due(clock::since_boot()) {
            sync_aside(audit);
        }
    }

    fn removed(&self, root: &RootName, actions: &[&Action]) {
        for action in actions {
            tracing::debug!(root = %root, path = %action.path, bytes = action.facts.allocated, reason = %action.reason, "removed");
        }
        self.meters.unlinked(root, actions.iter().map(|action| action.facts.allocated).sum());
        self.mark_jobs(actions);
        if let Some(recorded) = self.recorded {
            let began = *self.batch_began.lock().unwrap_or_else(PoisonError::into_inner);
            let files = actions.iter().map(|action| (&action.path, action.facts.id.ino));
            recorded.gone(root, files, began);
        }
        self.tell_index(root, actions);
    }

    fn found_different(&self, root: &RootName, actions: &[&Action]) {
        self.tell_index(root, actions);
    }

    fn aims(&self, target: &Target, usage: Option<&VolumeUsage>) {
        self.control.next_volume();
        self.took.lock().unwrap_or_else(PoisonError::into_inner).begin(clock::since_boot());
        let need = usage.filter(|_| target.is_set()).map(|usage| target.excess(usage));
        self.control.advance(|progress, (files, bytes)| {
            let is = |resource| need.filter(|_| target.resource == resource);
            progress.bytes_goal = is(Resource::Bytes).map(|need| bytes.saturating_add(need));
            progress.files_goal = is(Resource::Inodes).map(|need| files.saturating_add(need));
            progress.target_percent = target.percent;
            progress.usage_percent = usage.map(|usage| percent(usage, target.resource));
        });
        self.tell(true);
    }

    fn seen(&self, target: &Target, usage: &VolumeUsage) {
        let percent = percent(usage, target.resource);
        self.control.advance(|progress, _| progress.usage_percent = Some(percent));
    }

    fn progress(&self, files: u64, bytes: u64) {
        self.control.advance(|progress, before| {
            (progress.files, progress.bytes) = (before.0 + files, before.1 + bytes);
        });
        self.tell(false);
    }

    fn tried(&self, root: &RootName, phase: Phase, failed: &[bool]) {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).batch_ended(
            root,
            phase,
            clock::since_boot(),
        );
        let now = clock::since_boot();
        let subject = Subject::of(AlertKind::PolicyFailing, Some(root)).part(phase.as_str());
        match self.breakers.tried(root, phase, failed, now) {
            Some(Changed::Opened(why)) => self.alerts.raise(&Alert::new(subject, Level::Critical, why), now),
            Some(Changed::Closed) => self.alerts.end(&subject),
            None => {}
        }
    }

    fn suspended(&self, root: &RootName, phase: Phase) -> Option<String> {
        self.breakers.suspended(root, phase, clock::since_boot()).filter(|_| self.kept_back)
    }

    fn stop(&self) -> Option<String> {
        if self.control.is_cancelled() {
            let reason = self.control.reason.lock().unwrap_or_else(PoisonError::into_inner);
            return Some(reason.clone().unwrap_or_else(|| "cancelled".to_owned()));
        }
        (self.stop)()
    }

    fn between_batches(&self) {
        (self.between)();
    }
}

/// A disk takes tens of milliseconds, in which a volume fills: the next batch
/// doesn't wait for it. The end of a run does.
fn sync_aside(audit: &Arc<AuditLog>) {
    let audit = Arc::clone(audit);
    let sync = move || {
        if let Err(error) = audit.sync() {
            tracing::warn!(reason = %super::chain(&error), "the record of removals is not synced");
        }
    };
    // Without the thread the run's end syncs.
    let _ = std::thread::Builder::new().name("guardian-audit".to_owned()).spawn(sync);
}

/// The index of an agent, as runs see it.
pub type SharedFeed = Arc<dyn Feed>;
