//! A day of a busy host, in steps of five minutes of a time that is given:
//! jobs that complete, fail and vanish, chunks, sessions, expirations, results,
//! holds, orphans, and an emergency now and then.
//!
//! A model that shares nothing with the policy says after each step what must
//! still be there, and after each scheduled sweep what must be gone. Times run
//! ahead of the real clock: a file's ctime can't be set, and must not be later
//! than the moment at which its chunk was completed.

mod model;

use std::collections::BTreeMap;

use model::{Dice, JobLife, Life, SessionLife};

use super::*;
use crate::model::{
    ChunkId, CompletedChunk, HoldId, HoldRecord, Phase, Recorded, RelPath, SessionId, SessionRecord,
    TrackRecord,
};
use crate::policy::Globs;
use crate::sweep::named::look;

const STEP: u64 = 300;
const JOBS: u64 = 200;
const DAY: u64 = 24 * HOUR;

struct Day {
    world: World,
    began: Timestamp,
    now: u64,
    dice: Dice,
    files: BTreeMap<String, Life>,
    jobs: BTreeMap<String, JobLife>,
    sessions: BTreeMap<String, SessionLife>,
    /// Files that went, by part of the run.
    gone: BTreeMap<Phase, u64>,
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut world = World::with_capacity(Some(1 << 30));
        world.root.rules.results = Globs::compile(&["results/**".to_owned()]).unwrap();
        world.root.limits.batch = 50;
        Self {
            world,
            began: crate::sys::clock::now(),
            now: 0,
            dice: Dice(seed | 1),
            files: BTreeMap::new(),
            jobs: BTreeMap::new(),
            sessions: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    fn at(&self, second: i64) -> Timestamp {
        let span = Duration::from_secs(second.unsigned_abs());
        if second < 0 { self.began.minus(span) } else { self.began.plus(span) }
    }

    fn time(&self) -> Timestamp {
        self.at(self.now as i64)
    }

    /// Writes a file whose content is from now, or from so many seconds before the day.
    fn write(&mut self, name: &str, age: u64, life: Life) {
        let path = self.world.file(name, 4096, 0);
        let written = self.at(self.now as i64 - age as i64);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(written.as_nanos() as u64))
            .unwrap();
        self.files.insert(name.to_owned(), Life { written: (age == 0).then_some(self.now), ..life });
    }

    fn recorded(&self, name: &str) -> (RelPath, Recorded, Covers) {
        let path = RelPath::from_bytes(name.as_bytes().to_vec()).unwrap();
        let facts = look(self.world.root.dir.handle(), &path).unwrap();
        (path, Recorded::of(&facts), Covers::AnyOwner)
    }

    fn track(&mut self, name: &str, session: Option<&str>, expires: Option<u64>) {
        let (path, recorded, covers) = self.recorded(name);
        let record = TrackRecord {
            root: self.world.root.name.clone(),
            path,
            recorded,
            expires_at: expires.map(|at| self.at(at as i64)),
            session: session.map(|id| SessionId::parse(id).unwrap()),
            jobs: Vec::new(),
            uid: 0,
            covers,
            tracked_at: self.time(),
        };
        self.world.references.write().unwrap().put_track(record);
    }

    fn hold(&mut self, name: &str, until: u64) {
        let (path, recorded, covers) = self.recorded(name);
        let record = HoldRecord {
            id: HoldId::new(format!("hold-{name}")),
            root: self.world.root.name.clone(),
            path,
            recorded,
            until: Some(self.at(until as i64)),
            reason: None,
            uid: 0,
            covers,
            created_at: self.time(),
        };
        self.world.references.write().unwrap().put_hold(&record);
    }

    fn put_session(&mut self, id: &str) {
        let life = &self.sessions[id];
        let record = SessionRecord {
            id: SessionId::parse(id).unwrap(),
            uid: 0,
            created_at: self.began,
            last_activity: self.at(life.active as i64),
            ended_at: life.ended.then(|| self.time()),
        };
        self.world.references.write().unwrap().put_session(&record);
    }

    /// Registers a job as the model has it.
    fn put_job(&self, id: &str, state: JobState) {
        let life = &self.jobs[id];
        let facts = JobFacts {
            state,
            presumed: life.presumed,
            covers: Covers::AnyOwner,
            root: None,
            ended_at: (!life.alive).then(|| self.at(life.ended)),
            last_sign_of_life: if life.alive { self.time() } else { self.at(life.last_sign as i64) },
            completed: Vec::new(),
        };
        let mut view = self.world.jobs.write().unwrap();
        let id = JobId::parse(id).unwrap();
        let completed = view.jobs.remove(&id).map(|old| old.completed).unwrap_or_default();
        view.jobs.insert(id, JobFacts { completed, ..facts });
    }

    /// One run; what it must not take is checked against the model.
    fn run(&mut self, policy: Policy, phases: &[Phase], change: impl FnOnce(&mut Orders, &mut Moment)) {
        let emergency = policy == Policy::Emergency;
        let mut moment =
            if emergency { Moment::emergency(self.time()) } else { Moment::ordinary(self.time()) };
        let mut orders = Orders { phases: phases.to_vec(), ..self.world.orders(policy) };
        change(&mut orders, &mut moment);
        let root = RunRoot {
            root: &self.world.root,
            nominator: Box::new(Walked::walk(&self.world.root).unwrap()),
            moment,
            past_its_mark: true,
        };
        let shared = Shared { jobs: &self.world.jobs, references: &self.world.references };
        let report = carry_out(&orders, &[root], shared, &Observer::default()).remove(0);
        assert_eq!(report.errors_total, 0, "{:?}", report.errors);
        for part in &report.phases {
            *self.gone.entry(part.policy).or_default() += part.files_deleted;
        }
        let there = self.world.files();
        let lost: Vec<String> =
            self.files.keys().filter(|name| !there.contains(&self.world.path(name))).cloned().collect();
        assert_eq!(report.files_deleted as usize, lost.len(), "the report counts what went");
        for name in lost {
            let life = self.files.remove(&name).unwrap();
            // As the agent does: else the next file with this inode would inherit what was told.
            let path = RelPath::from_bytes(name.as_bytes().to_vec()).unwrap();
            self.world.references.write().unwrap().remove_track(&self.world.root.name, &path);
            assert!(
                !self.must_live(&life, emergency),
                "{policy} at {} s took {name}, which had to live: {life:?}, job {:?}",
                self.now,
                life.job.as_ref().and_then(|id| self.jobs.get(id))
            );
        }
    }

    /// The sweep of each hour, and every sixth with orphans.
    fn scheduled(&mut self) {
        let orphans = self.now.is_multiple_of(6 * HOUR);
        let phases: Vec<Phase> = phases_of(Policy::Scheduled)
            .iter()
            .copied()
            .filter(|phase| orphans || *phase != Phase::Orphans)
            .collect();
        self.run(Policy::Scheduled, &phases, |_, _| {});
        for (name, life) in &self.files {
            assert!(
                !self.is_due(life, orphans),
                "the sweep at {} s left {name}: {life:?}, job {:?}",
                self.now,
                life.job.as_ref().and_then(|id| self.jobs.get(id))
            );
        }
    }

    /// Usage is past the mark: a tenth of what is there must go.
    fn emergency(&mut self) {
        let used = self.world.root.probe.look().unwrap().percent(crate::model::Resource::Bytes);
        self.run(Policy::Emergency, phases_of(Policy::Emergency), |orders, _| {
            orders.target.percent = Some(used * 0.9);
        });
    }

    fn begin_job(&mut self, number: u64) {
        let id = format!("d{number}");
        let ends_at = self.now + STEP * (1 + self.dice.below(30));
        self.jobs.insert(
            id.clone(),
            JobLife {
                alive: true,
                ended: 0,
                presumed: false,
                last_sign: self.now,
                done_chunks: Vec::new(),
                ends_at,
            },
        );
        self.put_job(&id, JobState::Active);
        let life = Life { job: Some(id.clone()), ..Life::default() };
        for chunk in 0..self.dice.below(4) {
            for n in 0..2 {
                let life = Life { chunk: Some(chunk), ..life.clone() };
                self.write(&format!("job_{id}_chunk_{chunk}_{n}"), 0, life);
            }
        }
        self.write(&format!("job_{id}_tmp"), 0, life.clone());
        self.write(&format!("results/job_{id}_out"), 0, Life { result: true, ..life.clone() });
        let expires = self.now + self.dice.below(3 * HOUR);
        let name = format!("job_{id}_lease");
        self.write(&name, 0, Life { expires: Some(expires), ..life });
        self.track(&name, None, Some(expires));
    }

    fn end_job(&mut self, id: &str) {
        let (state, presumed) = match self.dice.below(10) {
            0 => (JobState::Failed, false),
            1 => (JobState::Cancelled, false),
            2 => (JobState::Error, false),
            3 => (JobState::Failed, true),
            _ => (JobState::Completed, false),
        };
        let (now, silent) = (self.now, self.dice.below(STEP));
        let life = self.jobs.get_mut(id).unwrap();
        life.alive = false;
        life.ended = now as i64;
        life.presumed = presumed;
        life.last_sign = if presumed { now - silent.min(now) } else { now };
        self.put_job(id, state);
    }

    fn complete_chunk(&mut self, id: &str) {
        let chunk = self.dice.below(4);
        let job = JobId::parse(id).unwrap();
        let named = ChunkId::parse(&chunk.to_string()).unwrap();
        let report = CompletedChunk { job: job.clone(), chunk: named, at: self.time(), files: None };
        if let Some(facts) = self.world.jobs.write().unwrap().jobs.get_mut(&job) {
            facts.completed.push(Arc::new(report));
        }
        self.jobs.get_mut(id).unwrap().done_chunks.push(chunk);
        self.run(Policy::Scheduled, &[Phase::Chunks], |_, moment| moment.forced_job = Some(job));
        let left: Vec<_> = self
            .files
            .iter()
            .filter(|(_, life)| life.job.as_deref() == Some(id) && life.chunk == Some(chunk))
            .collect();
        assert!(left.is_empty(), "files of a completed chunk are left: {left:?}");
    }

    fn sessions(&mut self) {
        let id = format!("s{}", self.dice.below(12));
        match self.sessions.get_mut(&id) {
            Some(life) if life.ended => {}
            Some(life) if self.dice.below(5) == 0 => {
                life.ended = true;
                self.put_session(&id);
                let only = SessionId::parse(&id).unwrap();
                self.run(Policy::Session, &[Phase::Sessions], |_, moment| moment.session = Some(only));
                let left = |life: &&Life| life.session.as_deref() == Some(&id) && self.is_due(life, false);
                assert_eq!(self.files.values().filter(left).count(), 0, "files of an ended session are left");
            }
            known => {
                let active = self.now;
                match known {
                    Some(life) => life.active = active,
                    None => drop(self.sessions.insert(id.clone(), SessionLife { active, ended: false })),
                }
                self.put_session(&id);
                let n = self.files.len();
                let job = self.jobs.iter().find(|(_, job)| job.alive).map(|(id, _)| id.clone());
                // Now and then a member that a living job uses.
                let job = job.filter(|_| self.dice.below(3) == 0);
                let name = match &job {
                    Some(job) => format!("sess/{id}/job_{job}_{n}_{}", self.now),
                    None => format!("sess/{id}/f{n}_{}", self.now),
                };
                let expires = (self.dice.below(2) == 0).then_some(3 * DAY);
                self.write(&name, 0, Life { job, session: Some(id.clone()), expires, ..Life::default() });
                self.track(&name, Some(&id), expires);
            }
        }
    }

    fn before_the_day(&mut self) {
        for n in 0..60 {
            // Orphans of tomorrow, due within the day.
            let age = self.dice.below(DAY);
            let life = Life { orphan_from: Some(DAY - age), ..Life::default() };
            self.write(&format!("plain/{n}"), age, life);
            if n % 7 == 0 {
                let until = self.dice.below(DAY + 6 * HOUR);
                self.hold(&format!("plain/{n}"), until);
                self.files.get_mut(&format!("plain/{n}")).unwrap().held_until = Some(until);
            }
        }
        for n in 0..20 {
            let id = format!("old{n}");
            let ended = -((30 * DAY) as i64) + self.dice.below(2 * DAY) as i64;
            let job = JobLife {
                alive: false,
                ended,
                presumed: false,
                last_sign: 0,
                done_chunks: vec![],
                ends_at: 0,
            };
            self.jobs.insert(id.clone(), job);
            let state = if n % 2 == 0 { JobState::Completed } else { JobState::Failed };
            self.put_job(&id, state);
            let name = format!("results/job_{id}_out");
            self.write(&name, 20 * DAY, Life { job: Some(id), result: true, ..Life::default() });
        }
    }

    fn live_through(&mut self) {
        self.before_the_day();
        let mut begun = 0;
        while self.now < DAY {
            self.now += STEP;
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
        eprintln!("day {seed}: {JOBS} jobs, {} files left, gone {:?}", day.files.len(), day.gone);
        for part in [Phase::Chunks, Phase::Expired, Phase::Sessions, Phase::FailedJobs, Phase::Results] {
            assert!(day.gone.get(&part).is_some_and(|files| *files > 0), "nothing went as {part}");
        }
    }
}
