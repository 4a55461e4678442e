//! A day of a busy host, in steps of five minutes of a time that is told to the
//! thread: jobs that complete, fail and fall silent, chunks, sessions,
//! expirations, results, holds, orphans, deferred deletions, trash and what is
//! had back from it, crashes of the agent, and an emergency now and then.
//!
//! Ledger, registry, references, queue, trash and engine are the agent's own. A
//! model that shares nothing with them says after each step what must still be
//! there, and after each scheduled sweep what must be gone. Times run ahead of
//! the real clock: a file's ctime can't be set, and must not be later than the
//! moment at which its chunk was completed.

mod events;
mod host;
mod kept;
mod model;

use std::collections::BTreeMap;

use host::Host;
use kept::Given;
use model::{Dice, JobLife, Life, SessionLife};

use super::*;
use crate::agent::engine::Commission;
use crate::agent::jobs::{Caller, JobChange, Now};
use crate::agent::references::{Named, Telling};
use crate::agent::surroundings::Control;
use crate::model::{
    ChunkId, EntryId, JobId, JobState, Phase, Policy, RelPath, Resource, SessionId, SweepRequest, Timestamp,
    Trigger,
};
use crate::sweep::named::look;
use crate::sys::clock;

const STEP: u64 = 300;
const MINUTE: u64 = 60;
const JOBS: u64 = 200;
const DAY: u64 = 24 * HOUR;
const TTL: u64 = 900;
const ROOT: Caller = Caller { uid: 0, admin: true };

struct Day {
    home: tempfile::TempDir,
    settings: Settings,
    host: Option<Host>,
    began: Timestamp,
    booted: Duration,
    awake: Instant,
    now: u64,
    restarted: u64,
    restarts: u64,
    dice: Dice,
    files: BTreeMap<String, Life>,
    given: BTreeMap<EntryId, Given>,
    jobs: BTreeMap<String, JobLife>,
    sessions: BTreeMap<String, SessionLife>,
    /// Files that went, by part of the run.
    gone: BTreeMap<Phase, u64>,
    written: u64,
    restored: u64,
    /// Requests to give up what is spoken for; for good, or into the trash.
    refused: BTreeMap<bool, u64>,
}

impl Day {
    fn new(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("scratch")).unwrap();
        let settings = settings(
            home.path(),
            "capacity = \"1GiB\"\nresults = [\"results/**\"]\n\
             retain = { trash = \"3h\" }\nlimits = { batch = 50 }",
        );
        let mut day = Self {
            home,
            settings,
            host: None,
            began: clock::now(),
            booted: clock::since_boot(),
            awake: Instant::now(),
            now: 0,
            restarted: 0,
            restarts: 0,
            dice: Dice(seed | 1),
            files: BTreeMap::new(),
            given: BTreeMap::new(),
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            gone: BTreeMap::new(),
            written: 0,
            restored: 0,
            refused: BTreeMap::new(),
        };
        day.advance(0);
        day.host = Some(Host::start(&day.settings, day.moment()));
        day
    }

    fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    fn advance(&mut self, seconds: u64) {
        self.now += seconds;
        clock::told::tell(self.began, Duration::from_secs(self.now));
    }

    fn at(&self, second: i64) -> Timestamp {
        let span = Duration::from_secs(second.unsigned_abs());
        if second < 0 { self.began.minus(span) } else { self.began.plus(span) }
    }

    fn time(&self) -> Timestamp {
        self.at(self.now as i64)
    }

    /// The host was awake all day.
    fn moment(&self) -> Now {
        let span = Duration::from_secs(self.now);
        Now { wall: self.time(), since_boot: self.booted + span, awake: self.awake + span }
    }

    /// The agent ends and starts again, in order or not.
    fn restart(&mut self, in_order: bool) {
        if in_order {
            self.host().registry.flush().unwrap();
        }
        self.host = None;
        self.host = Some(Host::start(&self.settings, self.moment()));
        (self.restarted, self.restarts) = (self.now, self.restarts + 1);
        // What waits in its place was tried once more.
        let gone = self.settle(&SweepRequest::of(Policy::Deferred));
        assert_eq!(gone, 0, "a start removes nothing");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("scratch").join(name)
    }

    /// Writes a file whose content is from now, or from so many seconds before the day.
    fn write(&mut self, name: &str, age: u64, life: Life) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.written += 1;
        let life = Life { number: self.written, written: (age == 0).then_some(self.now), ..life };
        fs::write(&path, life.content()).unwrap();
        let written = self.at(self.now as i64 - age as i64);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(written.as_nanos() as u64))
            .unwrap();
        self.files.insert(name.to_owned(), life);
    }

    fn named(&self, name: &str) -> Vec<Named> {
        let root = &self.host().target.root;
        let path = RelPath::from_bytes(name.as_bytes().to_vec()).unwrap();
        let facts = look(root.dir.handle(), &path).unwrap();
        vec![Named { root: root.name.clone(), path, facts }]
    }

    fn track(&mut self, name: &str, session: Option<&str>, expires: Option<u64>) {
        let telling = Telling {
            expires_at: expires.map(|at| self.at(at as i64)),
            session: session.map(|id| SessionId::parse(id).unwrap()),
            job: None,
        };
        self.host().references.track(self.named(name), &telling, ROOT, self.time()).unwrap();
    }

    fn hold(&mut self, name: &str, until: u64) {
        let until = Some(self.at(until as i64));
        self.host().references.hold(self.named(name), until, None, ROOT, self.time()).unwrap();
    }

    fn put_job(&self, id: &str, state: JobState) {
        self.put_job_at(id, state, self.moment());
    }

    fn put_job_at(&self, id: &str, state: JobState, at: Now) {
        let ttl = (state == JobState::Active && self.jobs[id].has_ttl).then(|| Duration::from_secs(TTL));
        let change = JobChange { state: Some(state), ttl, ..JobChange::default() };
        self.host().registry.put(&JobId::parse(id).unwrap(), &change, ROOT, at).unwrap();
    }

    /// Heartbeats, and what follows where they stop.
    fn a_minute_passes(&mut self) {
        self.advance(MINUTE);
        let moment = self.moment();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.alive && job.has_ttl && !job.silent) {
            let id = JobId::parse(id).unwrap();
            self.host.as_ref().unwrap().registry.heartbeat(&id, ROOT, moment).unwrap();
            job.last_sign = self.now;
        }
        for failure in self.host().registry.tick(moment).unwrap() {
            let job = self.jobs.get_mut(failure.job.id.as_str()).unwrap();
            let quiet = self.now - job.last_sign.max(self.restarted);
            assert!(job.alive && job.silent && quiet >= TTL, "{failure:?}: {job:?}");
            (job.alive, job.presumed, job.ended) = (false, true, self.now as i64);
        }
        for job in self.jobs.values().filter(|job| job.alive && job.silent) {
            assert!(
                self.now - job.last_sign.max(self.restarted) < TTL + MINUTE,
                "it counts as alive: {job:?}"
            );
        }
    }

    /// One run; what it must not take is checked against the model.
    fn run(&mut self, request: &SweepRequest, leave_out: Option<Phase>) {
        let emergency = request.policy == Policy::Emergency;
        let control = Control::default();
        let commission = Commission {
            request,
            trigger: Trigger::Scheduled,
            requested_by: None,
            control: &control,
            list: false,
            stop: &|| None,
            leave_out,
        };
        let host = self.host.as_ref().unwrap();
        let report = host.engine.sweep(&commission, std::slice::from_ref(&host.target)).unwrap().remove(0);
        // A file that is open ends a try of its deletion in vain.
        let tried = |error: &crate::model::PathFailure| error.error.contains("open or mapped");
        assert!(report.errors.iter().all(tried), "{:?}", report.errors);
        for part in &report.phases {
            *self.gone.entry(part.policy).or_default() += part.files_deleted;
        }
        let lost: Vec<String> = self.files.keys().filter(|name| !self.path(name).exists()).cloned().collect();
        let kept = self.settle(request);
        assert_eq!(report.files_deleted, lost.len() as u64 + kept, "the report counts what went");
        for name in lost {
            let life = self.files.remove(&name).unwrap();
            assert!(
                !self.must_live(&life, emergency),
                "{} at {} s took {name}, which had to live: {life:?}, job {:?}",
                request.policy,
                self.now,
                life.job.as_ref().and_then(|id| self.jobs.get(id))
            );
        }
    }

    /// The sweep of each hour, and every sixth with orphans.
    fn scheduled(&mut self) {
        let orphans = self.now.is_multiple_of(6 * HOUR);
        self.host().references.end_idle(Duration::from_secs(HOUR), self.time()).unwrap();
        for session in self.sessions.values_mut() {
            session.ended |= self.now - session.active >= HOUR;
        }
        self.run(&SweepRequest::of(Policy::Scheduled), (!orphans).then_some(Phase::Orphans));
        for (name, life) in &self.files {
            assert!(
                !self.is_due(life, orphans),
                "the sweep at {} s left {name}: {life:?}, job {:?}",
                self.now,
                life.job.as_ref().and_then(|id| self.jobs.get(id))
            );
        }
        self.check_trash();
    }

    /// Usage is past the mark: a tenth of what is there must go.
    fn emergency(&mut self) {
        let used = self.host().target.root.probe.look().unwrap().percent(Resource::Bytes);
        let until_percent = Some(used * 0.9);
        self.run(&SweepRequest { until_percent, ..SweepRequest::of(Policy::Emergency) }, None);
    }

    fn live_through(&mut self) {
        self.before_the_day();
        let mut begun = 0;
        while self.now < DAY {
            for _ in 0..STEP / MINUTE {
                self.a_minute_passes();
            }
            while begun * DAY < JOBS * self.now {
                self.begin_job(begun);
                begun += 1;
            }
            let alive: Vec<String> =
                self.jobs.iter().filter(|(_, job)| job.alive).map(|(id, _)| id.clone()).collect();
            for id in alive {
                if self.jobs[&id].ends_at <= self.now {
                    self.end_job(&id);
                } else if self.dice.below(4) == 0 {
                    self.complete_chunk(&id);
                }
            }
            self.sessions();
            self.close_files();
            match self.dice.below(9) {
                0..=4 => self.give_up(),
                5 => self.restore(),
                6 => self.write_again(),
                _ => {}
            }
            if self.dice.below(3) == 0 {
                self.run_queue();
            }
            if self.dice.below(40) == 0 {
                let in_order = self.dice.below(2) == 0;
                self.restart(in_order);
            }
            if self.now.is_multiple_of(HOUR) {
                self.scheduled();
            } else if self.dice.below(60) == 0 {
                self.emergency();
            }
        }
        assert_eq!(begun, JOBS);
    }
}

#[test]
fn on_a_busy_day_nothing_that_should_live_goes_and_nothing_due_remains() {
    let seeds = if std::env::var_os("GUARDIAN_LONG").is_some() { 1..9_u32 } else { 1..2 };
    for seed in seeds {
        let mut day = Day::new(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        day.live_through();
        eprintln!(
            "day {seed}: {JOBS} jobs, {} files written, {} left, {} in queue and trash, {} had back, \
             {:?} refused, {} restarts, gone {:?}",
            day.written,
            day.files.len(),
            day.given.len(),
            day.restored,
            day.refused,
            day.restarts,
            day.gone
        );
        for part in [
            Phase::Chunks,
            Phase::Expired,
            Phase::Sessions,
            Phase::FailedJobs,
            Phase::Results,
            Phase::Deferred,
            Phase::Trash,
        ] {
            assert!(day.gone.get(&part).is_some_and(|files| *files > 0), "nothing went as {part}");
        }
        assert!(day.restored > 0 && day.restarts > 3 && day.refused.len() == 2, "a day without events");
    }
}
