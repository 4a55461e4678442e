//! The registry itself: ledger first, then the view, then the answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::change::{apply, permit};
use super::error::MOST_ALIVE;
use super::follow::{Following, REPORT_TIME};
use super::live::{Claim, Live, LivingJob};
use super::reading::fail;
use super::{Caller, JobBook, JobChange, JobError, Now, PresumedFailure, RegistryError};
use crate::model::{JobId, JobRecord, JobState, ProcessId};
use crate::policy::{JobFacts, JobsView, Presumption, deadline_after_downtime, presume};
use crate::store::StoreError;
use crate::sys::clock;
use crate::sys::process::{self, Waker};

/// The longest pause between two ticks, when nothing calls for one earlier.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Until a job that is being written down is looked at again.
const CLAIMED_PAUSE: Duration = Duration::from_millis(100);
/// A heartbeat is written down when the one on record is older than this, so
/// that a crash of the agent makes a job look at most so much longer dead.
const BEAT_ON_RECORD: Duration = Duration::from_secs(600);

/// The registered jobs. All methods block for one write of the ledger at most
/// (a start also for removals in flight) and may be called from any thread.
pub struct JobRegistry {
    pub(super) book: Arc<dyn JobBook>,
    view: Arc<RwLock<JobsView>>,
    /// Taken before the view's lock, never while holding it. Changes of one job
    /// follow each other by a [`Claim`]; those of several wait for the disk together.
    live: Mutex<Live>,
    pub(super) released: Condvar,
    boot_id: String,
    keep_beats: bool,
    /// Living jobs of one user.
    pub(super) most_alive: usize,
    pub(super) waker: Waker,
}

impl JobRegistry {
    /// Reads the registry. Each active job has a whole ttl from now, at least
    /// ten minutes. `keep_beats` writes every heartbeat down: for a process
    /// that ends at once (own-process mode).
    ///
    /// # Errors
    /// When the ledger can't be read or the host doesn't tell its boot.
    pub fn open(book: Arc<dyn JobBook>, keep_beats: bool, now: Now) -> Result<Self, RegistryError> {
        let records = book.jobs_page(None, usize::MAX, None).map_err(RegistryError::Store)?;
        let chunks = book.chunks().map_err(RegistryError::Store)?;
        let view = JobsView {
            jobs: super::chunks::with_chunks(&records, chunks),
            began_at: book.began_at(),
            known: book.trusted().map_err(RegistryError::Store)?,
        };
        let living = records.into_iter().filter(|record| record.state.is_alive()).map(|record| {
            let deadline = deadline_after_downtime(now.since_boot, record.ttl);
            (record.id.clone(), LivingJob { record, beat: None, deadline, seen: false, gone: None })
        });
        let live = Live {
            jobs: living.collect(),
            claimed: HashSet::new(),
            unsaved: HashMap::new(),
            last_tick: now,
            put_off_at: Duration::ZERO,
        };
        Ok(Self {
            view: Arc::new(RwLock::new(view)),
            live: Mutex::new(live),
            released: Condvar::new(),
            boot_id: clock::boot_id().map_err(RegistryError::Boot)?,
            keep_beats,
            most_alive: MOST_ALIVE,
            waker: Waker::new().map_err(RegistryError::Follow)?,
            book,
        })
    }

    /// What the sweeps read. The executor holds the read lock from its last
    /// look at a job until the file is gone.
    pub const fn view(&self) -> &Arc<RwLock<JobsView>> {
        &self.view
    }

    /// Registers a job or moves it to another state.
    ///
    /// # Errors
    /// Any of [`JobError`] but `NotFound`; nothing has changed then.
    pub fn put(&self, id: &JobId, change: &JobChange, by: Caller, now: Now) -> Result<JobRecord, JobError> {
        let asked = Instant::now();
        let claim = self.claim(id);
        let known = {
            let live = self.live();
            let known = self.lookup(&live, id)?;
            if !by.admin && !live.jobs.contains_key(id) && live.count_of(by.uid) >= self.most_alive {
                return Err(JobError::TooMany { id: id.clone(), uid: by.uid });
            }
            known
        };
        if let Some(record) = &known {
            permit(record, by)?;
        }
        if change.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(JobError::InvalidTtl(id.clone()));
        }
        let process = change.pid.map(|pid| identify(id, pid, by)).transpose()?;
        let record = apply(id, known, change, process, by, now.wall)?;
        self.begin_anew(&record)?;
        self.book.put_job(&record).map_err(|source| store(id, source))?;
        let mut live = self.live();
        live.unsaved.remove(id);
        if record.state.is_alive() {
            let deadline = live.deadline(now, asked, record.ttl);
            let job = LivingJob { record: record.clone(), beat: None, deadline, seen: false, gone: None };
            live.jobs.insert(id.clone(), job);
        } else {
            live.jobs.remove(id);
        }
        drop(live);
        // Here a start waits for removals in flight.
        super::chunks::show(&mut self.view_mut(), &record);
        // The thread that is woken passes over a job that is claimed.
        drop(claim);
        self.waker.wake();
        Ok(record)
    }

    /// A sign of life of a pending or active job.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it has ended, also by presumption;
    /// `Forbidden`; `Store` only where heartbeats are kept on record.
    pub fn heartbeat(&self, id: &JobId, by: Caller, now: Now) -> Result<JobRecord, JobError> {
        let asked = Instant::now();
        let _claim = self.claim(id);
        let mut live = self.live();
        let Some(job) = live.jobs.get_mut(id) else {
            let record = self.lookup(&live, id)?.ok_or_else(|| JobError::NotFound(id.clone()))?;
            permit(&record, by)?;
            return Err(JobError::Conflict { id: record.id, state: record.state });
        };
        permit(&job.record, by)?;
        let shown = JobRecord { last_heartbeat: Some(now.wall), ..job.record.clone() };
        let on_record = job.record.last_sign_of_life();
        if self.keep_beats || on_record.age_at(now.wall) >= BEAT_ON_RECORD {
            drop(live);
            let written = self.book.put_job(&shown);
            live = self.live();
            match (written, live.jobs.get_mut(id)) {
                (Ok(()), Some(job)) => job.record = shown.clone(),
                (Err(source), _) if self.keep_beats => return Err(store(id, source)),
                // It counts all the same; the next one tries again.
                (Err(error), _) => tracing::debug!(job = %id, %error, "heartbeat not on record"),
                (Ok(()), None) => {}
            }
        }
        let deadline = live.deadline(now, asked, shown.ttl);
        if let Some(job) = live.jobs.get_mut(id) {
            // An older one may come after a newer one.
            job.beat = job.beat.max(Some(now.wall));
            job.deadline = job.deadline.max(deadline);
        }
        Ok(shown)
    }

    /// One job, if `by` may change it.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` and `Store`.
    pub fn permitted(&self, id: &JobId, by: Caller) -> Result<JobRecord, JobError> {
        let record = self.get(id)?;
        permit(&record, by)?;
        Ok(record)
    }

    /// One job, with its last heartbeat.
    ///
    /// # Errors
    /// `NotFound` and `Store`.
    pub fn get(&self, id: &JobId) -> Result<JobRecord, JobError> {
        self.lookup(&self.live(), id)?.ok_or_else(|| JobError::NotFound(id.clone()))
    }

    /// Jobs in order of id behind `after`, of one state or of any. While a
    /// presumed failure can't be written down it is missing where `state` asks for failed jobs.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let live = self.live();
        let mut page = self.book.jobs_page(after, limit, state)?;
        for record in &mut page {
            if let Some(now) = live.remembered(&record.id) {
                *record = now;
            }
        }
        page.retain(|record| state.is_none_or(|state| record.state == state));
        Ok(page)
    }

    /// Presumes failed what must be, by processes and deadlines. For own-process
    /// mode; in the agent [`super::JobsThread`] does it.
    ///
    /// # Errors
    /// When no descriptor is left to look at processes.
    pub fn tick(&self, now: Now) -> Result<Vec<PresumedFailure>, RegistryError> {
        let mut following = Following::new(Duration::ZERO).map_err(RegistryError::Follow)?;
        Ok(self.tick_following(&mut following, now))
    }

    pub(super) fn tick_following(&self, following: &mut Following, now: Now) -> Vec<PresumedFailure> {
        let mut live = self.live();
        if live.could_not_hear(now) {
            for job in live.jobs.values_mut() {
                // A deadline that is later already stays.
                job.deadline = deadline_after_downtime(now.since_boot, job.record.ttl).max(job.deadline);
            }
            live.put_off_at = now.since_boot;
        }
        live.last_tick = now;
        self.save_what_could_not_be_saved(&mut live);
        let ended = following.look(live.processes(&self.boot_id));
        let Live { jobs, claimed, .. } = &mut *live;
        for job in jobs.values_mut().filter(|job| claimed.contains(&job.record.id)) {
            // It is told once: this is judged when the claim is over.
            if job.record.process.as_ref().is_some_and(|process| ended.contains(process)) {
                job.gone.get_or_insert(now.since_boot);
            }
        }
        let failed: Vec<PresumedFailure> = jobs
            .values_mut()
            // Whoever has a claim to one has heard of it a moment ago.
            .filter(|job| !claimed.contains(&job.record.id))
            .filter_map(|job| self.judge(job, &ended, following.report_time, now))
            .collect();
        if !failed.is_empty() {
            let mut view = self.view_mut();
            for PresumedFailure { job, .. } in &failed {
                live.jobs.remove(&job.id);
                super::chunks::show(&mut view, job);
            }
        }
        for PresumedFailure { job, .. } in &failed {
            if let Err(error) = self.book.put_job(job) {
                tracing::warn!(job = %job.id, %error, "presumed failure not on record yet");
                live.unsaved.insert(job.id.clone(), job.clone());
            }
        }
        failed
    }

    fn judge(
        &self,
        job: &mut LivingJob,
        ended: &HashSet<ProcessId>,
        report_time: Duration,
        now: Now,
    ) -> Option<PresumedFailure> {
        let process = job.record.process.as_ref();
        let mut lives = process.map(|process| !ended.contains(process));
        if lives == Some(false) {
            let gone = *job.gone.get_or_insert(now.since_boot);
            lives = lives.filter(|_| now.since_boot.saturating_sub(gone) >= report_time);
        }
        let why = presume(job.record.state, job.deadline, process, lives, &self.boot_id, now.since_boot);
        let Some(why) = why else {
            job.seen |= lives == Some(true);
            return None;
        };
        let mut record = job.shown();
        if why == Presumption::ProcessGone && job.seen {
            // It lived until a moment ago.
            record.last_heartbeat = record.last_heartbeat.max(Some(now.wall));
        }
        fail(&mut record, now);
        Some(PresumedFailure { job: record, why })
    }

    fn save_what_could_not_be_saved(&self, live: &mut Live) {
        let Live { unsaved, claimed, .. } = live;
        unsaved.retain(|id, record| claimed.contains(id) || self.book.put_job(record).is_err());
    }

    /// How long nothing has to be looked at, unless a process ends or a job is registered.
    pub(super) fn pause(&self, now: Now) -> Duration {
        let live = self.live();
        let active = live.jobs.values().filter(|job| job.record.state == JobState::Active);
        let report = |job: &LivingJob| job.gone.map(|at| at + REPORT_TIME);
        // One that is claimed is judged when that is over, which nothing tells.
        let soon = now.since_boot.saturating_add(CLAIMED_PAUSE);
        let due = |job: &LivingJob| {
            let at = [job.deadline, report(job)].into_iter().flatten().min()?;
            Some(if live.claimed(&job.record.id) { at.max(soon) } else { at })
        };
        let next = active.filter_map(due).min();
        // The deadline itself must have passed when it is looked at.
        let wait = next.map(|at| at.saturating_sub(now.since_boot).saturating_add(Duration::from_millis(1)));
        wait.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    }

    /// Forgets jobs that ended longer than `keep` ago (`retain.records`); how
    /// many. Their files then name a job unknown to the registry.
    ///
    /// # Errors
    /// When the ledger can't be written; what was forgotten before stays so.
    pub fn prune(&self, keep: Duration, now: Now) -> Result<u64, StoreError> {
        let is_old = |job: &JobFacts| !job.state.is_alive() && job.ended().age_at(now.wall) >= keep;
        let mut live = self.live();
        let old: Vec<JobId> = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            let old = view.jobs.iter().filter(|(id, job)| is_old(job) && !live.claimed(id));
            old.map(|(id, _)| id.clone()).collect()
        };
        let mut pruned = 0;
        for id in old {
            self.book.remove_chunks_of(&id)?;
            pruned += u64::from(self.book.remove_job(&id)?);
            live.unsaved.remove(&id);
            self.view_mut().jobs.remove(&id);
        }
        Ok(pruned)
    }

    /// Declares the registry complete again (`guardian registry trust`).
    ///
    /// # Errors
    /// When the ledger can't be written; nothing has changed then.
    pub fn trust(&self) -> Result<(), StoreError> {
        let _changes = self.live();
        self.book.set_trusted(true)?;
        self.view_mut().known = true;
        Ok(())
    }

    /// A lost ledger was discovered: from now on no file that names a job may
    /// go, until [`Self::trust`]. Holds also when the ledger can't be written.
    ///
    /// # Errors
    /// When it is not on record: a restart would have to discover it again.
    pub fn distrust(&self) -> Result<(), StoreError> {
        let _changes = self.live();
        self.view_mut().known = false;
        self.book.set_trusted(false)
    }

    /// Writes down the heartbeats that are only in memory; for an orderly stop.
    ///
    /// # Errors
    /// The first write that failed; the others were tried.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut live = self.live();
        let mut outcome = Ok(());
        let Live { jobs, claimed, .. } = &mut *live;
        let to_write =
            |job: &&mut LivingJob| job.beat > job.record.last_heartbeat && !claimed.contains(&job.record.id);
        for job in jobs.values_mut().filter(to_write) {
            let shown = job.shown();
            match self.book.put_job(&shown) {
                Ok(()) => job.record = shown,
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.save_what_could_not_be_saved(&mut live);
        outcome
    }

    pub(super) fn lookup(&self, live: &Live, id: &JobId) -> Result<Option<JobRecord>, JobError> {
        match live.remembered(id) {
            Some(record) => Ok(Some(record)),
            None => self.book.job(id).map_err(|source| store(id, source)),
        }
    }

    /// Waits until nobody else changes the job. The lock of [`Self::live`] is free
    /// meanwhile, also while its holder writes.
    pub(super) fn claim(&self, id: &JobId) -> Claim<'_> {
        let claimed = |live: &mut Live| live.claimed(id);
        let mut live = self.released.wait_while(self.live(), claimed).unwrap_or_else(PoisonError::into_inner);
        live.claimed.insert(id.clone());
        Claim { registry: self, id: id.clone() }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view_mut(&self) -> RwLockWriteGuard<'_, JobsView> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn store(id: &JobId, source: StoreError) -> JobError {
    JobError::Store { id: id.clone(), source }
}

/// The process that a caller names, which must be its own unless it is an administrator.
fn identify(id: &JobId, pid: u32, by: Caller) -> Result<ProcessId, JobError> {
    let invalid = |why| JobError::InvalidPid { id: id.clone(), pid, why };
    let found = process::identify(pid)
        .map_err(|source| JobError::Process { id: id.clone(), pid, source })?
        .ok_or_else(|| invalid("there is no such process"))?;
    let owner = process::uid_of(pid);
    // Looked at again: the owner could be that of a later process with the same number.
    if !process::is_alive(&found) {
        return Err(invalid("it has ended"));
    }
    if by.admin || owner == Some(by.uid) { Ok(found) } else { Err(invalid("it belongs to another user")) }
}
