//! The registry with a real ledger and real processes.

mod follow;
mod requests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Caller, JobBook, JobChange, JobRegistry, Now};
use crate::model::{CompletedChunk, JobId, JobRecord, JobState, Timestamp};
use crate::store::StoreError;
use crate::store::ledger::Ledger;

pub(super) const ROOT: Caller = Caller { uid: 0, admin: true };
pub(super) const ANN: Caller = Caller { uid: 1000, admin: false };
pub(super) const BOB: Caller = Caller { uid: 1001, admin: false };

/// A real ledger whose writes can be made to fail.
pub(super) struct Book {
    ledger: Ledger,
    full: AtomicBool,
    /// Held by a test: writing down this job takes that long.
    slow: (JobId, Mutex<()>),
}

impl Book {
    pub(super) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
            return Err(StoreError::NoSpace {
                action: "write",
                path: "/ledger".into(),
                source: source.into(),
            });
        }
        Ok(())
    }
}

impl JobBook for Book {
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError> {
        self.ledger.job(id)
    }
    fn jobs_page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError> {
        self.ledger.jobs_page(after, limit, state)
    }
    fn put_job(&self, job: &JobRecord) -> Result<(), StoreError> {
        let _wait = (job.id == self.slow.0).then(|| self.slow.1.lock().unwrap());
        self.room()?;
        self.ledger.put_job(job)
    }
    fn remove_job(&self, id: &JobId) -> Result<bool, StoreError> {
        self.room()?;
        self.ledger.remove_job(id)
    }
    fn chunks(&self) -> Result<Vec<CompletedChunk>, StoreError> {
        self.ledger.chunks()
    }
    fn put_chunk(&self, chunk: &CompletedChunk) -> Result<(), StoreError> {
        self.room()?;
        self.ledger.put_chunk(chunk)
    }
    fn remove_chunk(&self, chunk: &CompletedChunk) -> Result<bool, StoreError> {
        self.room()?;
        self.ledger.remove_chunk(chunk)
    }
    fn remove_chunks_of(&self, job: &JobId) -> Result<(), StoreError> {
        self.room()?;
        self.ledger.remove_chunks_of(job)
    }
    fn began_at(&self) -> Timestamp {
        self.ledger.began_at()
    }
    fn trusted(&self) -> Result<bool, StoreError> {
        self.ledger.trusted()
    }
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        self.room()?;
        self.ledger.set_trusted(trusted)
    }
}

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) book: Arc<Book>,
    pub(super) registry: Arc<JobRegistry>,
    pub(super) begin: Now,
}

pub(super) fn book(dir: &std::path::Path) -> Arc<Book> {
    let (ledger, _) = Ledger::open(dir, Timestamp::from_unix(1_000_000, 0)).unwrap();
    Arc::new(Book { ledger, full: AtomicBool::new(false), slow: (id("slow"), Mutex::default()) })
}

pub(super) fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let book = book(dir.path());
    let begin = Now {
        wall: Timestamp::from_unix(2_000_000, 0),
        since_boot: Duration::from_secs(5_000),
        awake: Instant::now(),
    };
    let registry = Arc::new(JobRegistry::open(Arc::clone(&book) as _, false, begin).unwrap());
    World { dir, book, registry, begin }
}

impl World {
    /// So many seconds after the beginning, the host awake all the while.
    pub(super) fn at(&self, seconds: u64) -> Now {
        let span = Duration::from_secs(seconds);
        Now {
            wall: self.begin.wall.plus(span),
            since_boot: self.begin.since_boot + span,
            awake: self.begin.awake + span,
        }
    }

    /// The registry of the next process on the same ledger.
    pub(super) fn reopened(&self, now: Now) -> JobRegistry {
        JobRegistry::open(Arc::clone(&self.book) as _, false, now).unwrap()
    }

    pub(super) fn tick(&self, now: Now) -> Vec<super::PresumedFailure> {
        self.registry.tick(now).unwrap()
    }

    pub(super) fn viewed(&self, name: &str) -> Option<JobState> {
        self.registry.view().read().unwrap().jobs.get(&id(name)).map(|job| job.state)
    }
}

pub(super) fn id(name: &str) -> JobId {
    JobId::parse(name).unwrap()
}

pub(super) fn to(state: JobState) -> JobChange {
    JobChange { state: Some(state), ..JobChange::default() }
}

pub(super) fn with_ttl(seconds: u64) -> JobChange {
    JobChange { ttl: Some(Duration::from_secs(seconds)), ..to(JobState::Active) }
}

pub(super) fn with_pid(pid: u32) -> JobChange {
    JobChange { pid: Some(pid), ..to(JobState::Active) }
}

#[test]
fn changes_of_one_job_follow_each_other_and_keep_no_other_job_waiting() {
    let world = world();
    let (registry, slow) = (&world.registry, id("slow"));
    let writing = world.book.slow.1.lock().unwrap();
    let (done, is_done) = channel();
    std::thread::scope(|scope| {
        let put = |name: &'static str, change: JobChange| {
            let (done, now) = (done.clone(), world.at(1));
            scope.spawn(move || {
                registry.put(&id(name), &change, ROOT, now).unwrap();
                done.send((name, change.state)).unwrap();
            });
        };
        put("slow", to(JobState::Active));
        let until = Instant::now() + Duration::from_secs(20);
        while !registry.live().claimed(&slow) {
            assert!(Instant::now() < until, "it is not being written down");
            std::thread::sleep(Duration::from_millis(1));
        }
        put("other", with_ttl(5));
        let patience = Duration::from_secs(20);
        assert_eq!(is_done.recv_timeout(patience).unwrap(), ("other", Some(JobState::Active)));
        // Deadlines of others are seen meanwhile, too.
        assert_eq!(world.tick(world.at(50)).len(), 1);
        put("slow", to(JobState::Completed));
        let early = is_done.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout), "it overtook the change before it");
        drop(writing);
        // Which of the two threads tells first of its own return is left to chance.
        for _ in 0..2 {
            assert_eq!(is_done.recv_timeout(patience).unwrap().0, "slow");
        }
    });
    assert_eq!(world.viewed("slow"), Some(JobState::Completed));
    assert_eq!(world.book.job(&slow).unwrap().unwrap().state, JobState::Completed);
}

#[test]
fn one_user_cannot_fill_the_memory_with_living_jobs_and_ended_ones_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = JobRegistry::open(book(dir.path()) as _, false, Now::read()).unwrap();
    registry.most_alive = 2;
    let put = |name: &str, state, by| registry.put(&id(name), &to(state), by, Now::read());
    put("a", JobState::Active, ANN).unwrap();
    put("b", JobState::Pending, ANN).unwrap();
    let refused = put("c", JobState::Active, ANN).unwrap_err();
    assert!(matches!(refused, super::JobError::TooMany { uid: 1000, .. }), "{refused}");
    put("b", JobState::Active, ANN).unwrap();
    put("d", JobState::Active, BOB).unwrap();
    put("a", JobState::Completed, ANN).unwrap();
    put("c", JobState::Active, ANN).unwrap();
}

#[test]
fn time_in_which_nobody_could_be_heard_is_no_job_s_time_also_while_it_is_written_down() {
    let world = world();
    let (registry, slow) = (&world.registry, id("slow"));
    let slept = |seconds, awake| Now { awake: world.at(awake).awake, ..world.at(seconds) };
    let while_written = |change: &(dyn Fn() + Sync), tick: Now| {
        let writing = world.book.slow.1.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(change);
            let until = Instant::now() + Duration::from_secs(20);
            while !registry.live().claimed(&slow) {
                assert!(Instant::now() < until, "it is not being written down");
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(world.tick(tick).is_empty());
            drop(writing);
        });
    };
    // The host sleeps for two hours amid the start of a job, and again amid a heartbeat.
    while_written(&|| drop(registry.put(&slow, &with_ttl(5), ROOT, world.at(1)).unwrap()), slept(7_200, 1));
    assert!(world.tick(slept(7_201, 2)).is_empty(), "its start was just acknowledged");
    let beat = slept(7_202, 3);
    while_written(&|| drop(registry.heartbeat(&slow, ROOT, beat).unwrap()), slept(14_400, 3));
    assert!(world.tick(slept(14_401, 4)).is_empty(), "its heartbeat was just acknowledged");
    assert_eq!(world.viewed("slow"), Some(JobState::Active));
}
