//! Sweeps as resources: queued, running, ended; equal requests join; cancel
//! after the batch; results are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::api::{SweepResource, SweepState};
use crate::model::{PlanId, Report, Requester, RunId, SweepRequest};

use super::surroundings::{Control, new_id};

/// How many ended sweeps are remembered.
const REMEMBERED: usize = 200;
/// Of how many of these the lists of files are kept: a list can have as many
/// entries as a root has files. As many as there are plans.
const LISTED: usize = super::plans::KEPT;
/// How many may wait: a bound on memory, far above what joins leave.
const WAITING: usize = 256;
/// So many of them are not root's nor the agent's own, and so many of one user:
/// ends of sessions and of chunks come as often as anybody likes.
const WAITING_OF_OTHERS: usize = 192;
const WAITING_PER_UID: usize = 128;

/// One sweep.
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What was asked for.
    pub request: SweepRequest,
    /// Who asked.
    pub requested_by: Option<Requester>,
    /// What set it off.
    pub trigger: crate::model::Trigger,
    /// Steering and progress.
    pub control: Arc<Control>,
    state: Mutex<Ended>,
}

struct Ended {
    state: SweepState,
    reports: Vec<Report>,
    plan: Option<PlanId>,
    error: Option<String>,
}

impl Run {
    /// As the socket shows it.
    pub fn resource(&self) -> SweepResource {
        let ended = lock(&self.state);
        let mut shown =
            SweepResource::new(self.id.clone(), ended.state, self.control.progress(), ended.reports.clone());
        shown.plan = ended.plan.clone();
        shown.request = Some(self.request.clone());
        shown.error = ended.error.clone();
        shown
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        lock(&self.state).state.is_over()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Book {
    waiting: VecDeque<Arc<Run>>,
    running: Vec<Arc<Run>>,
    ended: VecDeque<Arc<Run>>,
    closed: bool,
}

impl Book {
    /// Whether nothing more of `by` may wait.
    fn is_full_for(&self, by: Option<Requester>) -> bool {
        if self.waiting.len() >= WAITING {
            return true;
        }
        let others = || self.waiting.iter().filter_map(|run| run.requested_by).filter(|by| by.uid != 0);
        by.filter(|by| by.uid != 0).is_some_and(|by| {
            others().count() >= WAITING_OF_OTHERS
                || others().filter(|other| other.uid == by.uid).count() >= WAITING_PER_UID
        })
    }
}

/// What came of asking for a sweep.
pub enum Asked {
    /// Queued.
    New(Arc<Run>),
    /// An equal one is queued or running: this is it.
    Joined(Arc<Run>),
    /// Too many wait, or the agent stops.
    Refused,
}

/// All sweeps.
#[derive(Default)]
pub struct Runs {
    book: Mutex<Book>,
    changed: Condvar,
}

impl Runs {
    /// Queues a sweep, or joins an equal one.
    pub fn ask(
        &self,
        request: SweepRequest,
        trigger: crate::model::Trigger,
        requested_by: Option<Requester>,
    ) -> Asked {
        let mut book = lock(&self.book);
        if book.closed {
            return Asked::Refused;
        }
        // What was asked for after a run began to look is not in it.
        let running: &[Arc<Run>] = if request.chunk.is_some() { &[] } else { &book.running };
        let equal = book
            .waiting
            .iter()
            .chain(running)
            .find(|run| run.request == request && !run.control.is_cancelled());
        if let Some(run) = equal {
            return Asked::Joined(Arc::clone(run));
        }
        if book.is_full_for(requested_by) {
            return Asked::Refused;
        }
        let id = RunId::new(new_id());
        let run = Arc::new(Run {
            control: Arc::new(Control::of(id.clone())),
            id,
            request,
            requested_by,
            trigger,
            state: Mutex::new(Ended {
                state: SweepState::Queued,
                reports: Vec::new(),
                plan: None,
                error: None,
            }),
        });
        book.waiting.push_back(Arc::clone(&run));
        self.changed.notify_all();
        Asked::New(run)
    }

    /// Takes the next sweep, waiting for one; `None` once closed.
    pub fn take(&self) -> Option<Arc<Run>> {
        let mut book = lock(&self.book);
        loop {
            if book.closed {
                return None;
            }
            if let Some(run) = book.waiting.pop_front() {
                lock(&run.state).state = SweepState::Running;
                book.running.push(Arc::clone(&run));
                return Some(run);
            }
            book = self.changed.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends a sweep that was taken.
    pub fn end(&self, run: &Arc<Run>, result: Result<(Vec<Report>, Option<PlanId>), String>) {
        let mut book = lock(&self.book);
        {
            let mut ended = lock(&run.state);
            match result {
                Ok((reports, plan)) => {
                    ended.state =
                        if run.control.is_cancelled() { SweepState::Cancelled } else { SweepState::Done };
                    ended.reports = reports;
                    ended.plan = plan;
                }
                Err(error) => {
                    ended.state = SweepState::Failed;
                    ended.error = Some(error);
                }
            }
        }
        book.running.retain(|other| other.id != run.id);
        book.ended.push_front(Arc::clone(run));
        book.ended.truncate(REMEMBERED);
        for old in book.ended.iter().skip(LISTED) {
            for report in &mut lock(&old.state).reports {
                if report.actions.take().is_some() {
                    report.notes.push("the list of files is no longer kept".to_owned());
                }
            }
        }
        self.changed.notify_all();
    }

    /// Waits until a sweep is over; `false` if the agent stops before.
    pub fn wait(&self, run: &Run) -> bool {
        let mut book = lock(&self.book);
        while !run.is_over() {
            if book.closed {
                return false;
            }
            book = self.changed.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Ends a sweep after its batch; one that waits ends at once.
    pub fn cancel(&self, run: &Arc<Run>, why: &str) {
        run.control.cancel(why);
        let mut book = lock(&self.book);
        if book.waiting.iter().any(|other| other.id == run.id) {
            book.waiting.retain(|other| other.id != run.id);
            lock(&run.state).state = SweepState::Cancelled;
            book.ended.push_front(Arc::clone(run));
        }
        self.changed.notify_all();
    }

    /// One sweep.
    pub fn get(&self, id: &RunId) -> Option<Arc<Run>> {
        let book = lock(&self.book);
        book.waiting.iter().chain(&book.running).chain(&book.ended).find(|run| run.id == *id).cloned()
    }

    /// All that are remembered, newest first.
    pub fn all(&self) -> Vec<Arc<Run>> {
        let book = lock(&self.book);
        let mut all: Vec<Arc<Run>> =
            book.waiting.iter().chain(&book.running).chain(&book.ended).cloned().collect();
        all.sort_by(|a, b| b.id.cmp(&a.id));
        all
    }

    /// How many wait and how many run.
    pub fn counts(&self) -> (u64, u64) {
        let book = lock(&self.book);
        (book.waiting.len() as u64, book.running.len() as u64)
    }

    /// Takes no more sweeps; those that run end after their batch, waiters return.
    pub fn close(&self, why: &str) {
        let mut book = lock(&self.book);
        book.closed = true;
        for run in &book.running {
            run.control.cancel(why);
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Policy, Trigger};

    #[test]
    fn equal_requests_join_and_a_cancelled_one_is_not_joined() {
        let runs = Runs::default();
        let ask = || runs.ask(SweepRequest::of(Policy::Orphans), Trigger::Manual, None);
        let Asked::New(first) = ask() else { panic!("the first is new") };
        let Asked::Joined(second) = ask() else { panic!("the second joins") };
        assert_eq!(first.id, second.id);
        runs.cancel(&first, "changed my mind");
        assert!(first.is_over());
        assert!(matches!(ask(), Asked::New(_)));
    }

    #[test]
    fn one_user_cannot_take_all_the_places_of_sweeps_that_wait() {
        let runs = Runs::default();
        let by = |uid| Some(Requester { uid, gid: uid, pid: 1 });
        let asked = |n: usize, uid| {
            let session = crate::model::SessionId::parse(&format!("s{n}-{uid}")).unwrap();
            let request = SweepRequest { session: Some(session), ..SweepRequest::of(Policy::Session) };
            !matches!(runs.ask(request, Trigger::SessionEnded, by(uid)), Asked::Refused)
        };
        let taken = (0..2 * WAITING).filter(|n| asked(*n, 1000)).count();
        assert!(taken < WAITING, "one user has all {taken} places");
        assert!(asked(0, 1000), "an equal one is joined all the same");
        assert!(asked(0, 1001), "somebody else is not shut out");
        let more = (1002..2000).filter(|uid| asked(0, *uid)).count();
        assert_eq!(taken + 1 + more, WAITING_OF_OTHERS);
        assert!(!asked(0, 2001), "all that others may have is taken");
        assert!(asked(0, 0), "root is not shut out by all others together");
    }

    #[test]
    fn lists_of_files_are_kept_of_the_last_runs_only() {
        let runs = Runs::default();
        let mut first = None;
        for n in 0..=LISTED {
            let request = SweepRequest { max_files: Some(n as u64), ..SweepRequest::of(Policy::Orphans) };
            let Asked::New(run) = runs.ask(request, Trigger::Manual, None) else { panic!("new") };
            let head = crate::sweep::record::RunHead {
                volume_run: RunId::new("v"),
                policy: Policy::Orphans,
                trigger: Trigger::Manual,
                requested_by: None,
                started: crate::model::Timestamp::EPOCH,
            };
            let root = crate::model::RootName::parse("scratch").unwrap();
            let bytes = crate::model::Resource::Bytes;
            let mut record =
                crate::sweep::record::RunRecord::begin(&head, RunId::new("r"), root, bytes, None);
            record.list(vec![serde_json::Value::Null]);
            let taken = runs.take().unwrap();
            runs.end(&taken, Ok((vec![record.finish(Default::default())], None)));
            assert!(run.resource().reports[0].actions.is_some(), "who waits for it gets it");
            first.get_or_insert(run);
        }
        let oldest = &first.unwrap().resource().reports[0];
        assert!(oldest.actions.is_none() && !oldest.notes.is_empty(), "and it is said");
    }

    #[test]
    fn waiting_ends_with_the_sweep_and_with_the_agent() {
        let runs = Arc::new(Runs::default());
        let Asked::New(run) = runs.ask(SweepRequest::of(Policy::Orphans), Trigger::Manual, None) else {
            panic!("new")
        };
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| runs.wait(&run));
            let taken = runs.take().unwrap();
            runs.end(&taken, Ok((Vec::new(), None)));
            assert!(waiter.join().unwrap());
        });
        let Asked::New(other) = runs.ask(SweepRequest::of(Policy::Oldest), Trigger::Manual, None) else {
            panic!("new")
        };
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| runs.wait(&other));
            runs.close("stopping");
            assert!(!waiter.join().unwrap());
        });
    }
}
