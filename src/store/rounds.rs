//! Several writers, one transaction.
//!
//! Promises: a write that returned is done, together with those that came while
//! the one before was under way; where that fails each is written by itself, and
//! is told how that went. Whoever comes first writes for all of the round, and one
//! of the next is told to write for that: nobody waits for more than two. Must not
//! know: what is written.
//!
//! A sync takes a disk milliseconds, what is synced a fraction of one: two
//! hundred writers would else wait for two hundred syncs, one after the other.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::StoreError;

/// The writers of one database.
#[derive(Debug)]
pub(super) struct Rounds<W>(Mutex<Queue<W>>);

#[derive(Debug)]
struct Queue<W> {
    waiting: Vec<(W, Arc<Member>)>,
    /// Somebody writes, or was told to.
    led: bool,
}

/// One that waits.
#[derive(Debug, Default)]
struct Member {
    told: Mutex<Option<Told>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Told {
    /// To write for the round.
    Lead,
    Done(Result<(), StoreError>),
}

impl<W> Default for Rounds<W> {
    fn default() -> Self {
        Self(Mutex::new(Queue { waiting: Vec::new(), led: false }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    fn tell(&self, what: Told) {
        *lock(&self.told) = Some(what);
        self.changed.notify_one();
    }

    fn wait(&self) -> Told {
        let mut told = lock(&self.told);
        loop {
            match told.take() {
                Some(what) => return what,
                None => told = self.changed.wait(told).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A round under way. However it ends, its members hear of it and the next begins.
struct Round<'r, W> {
    of: &'r Rounds<W>,
    members: Vec<(Arc<Member>, Result<(), StoreError>)>,
}

impl<W> Drop for Round<'_, W> {
    fn drop(&mut self) {
        {
            let mut queue = lock(&self.of.0);
            match queue.waiting.first() {
                Some((_, next)) => next.tell(Told::Lead),
                None => queue.led = false,
            }
        }
        for (member, outcome) in self.members.drain(..) {
            member.tell(Told::Done(outcome));
        }
    }
}

impl<W> Rounds<W> {
    /// Has `work` written, by `together` if this is who writes for the round.
    /// `path`: the database, for what is said where that panics.
    pub(super) fn write(
        &self,
        work: W,
        path: &Path,
        together: impl Fn(&[W]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let own = Arc::new(Member::default());
        let leads = {
            let mut queue = lock(&self.0);
            queue.waiting.push((work, Arc::clone(&own)));
            !std::mem::replace(&mut queue.led, true)
        };
        if !leads && let Told::Done(outcome) = own.wait() {
            return outcome;
        }
        let (works, members): (Vec<W>, Vec<Arc<Member>>) =
            std::mem::take(&mut lock(&self.0).waiting).into_iter().unzip();
        let unfinished = |member| (member, Err(StoreError::unfinished(path)));
        let mut round = Round { of: self, members: members.into_iter().map(unfinished).collect() };
        if together(&works).is_ok() {
            round.members.iter_mut().for_each(|(_, outcome)| *outcome = Ok(()));
        } else {
            // One that can't be written, or is too large for what room there is,
            // is not the others' affair.
            for (work, (_, outcome)) in works.iter().zip(&mut round.members) {
                *outcome = together(std::slice::from_ref(work));
            }
        }
        drop(round);
        match own.wait() {
            Told::Done(outcome) => outcome,
            Told::Lead => Err(StoreError::unfinished(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::{Duration, Instant};

    use super::*;

    const DB: &str = "/db";

    /// Begins a round that lasts until something is sent, and lets `count` others come meanwhile.
    fn with_others<R: Send>(
        rounds: &Rounds<u32>,
        count: u32,
        together: impl Fn(&[u32]) -> Result<(), StoreError> + Sync,
        then: impl FnOnce() -> R,
    ) -> Vec<std::thread::Result<Result<(), StoreError>>> {
        std::thread::scope(|scope| {
            let (go, wait): (_, Receiver<()>) = channel();
            let first = scope.spawn(move || {
                rounds.write(1000, Path::new(DB), |works| {
                    assert_eq!(works, [1000]);
                    wait.recv().unwrap();
                    Ok(())
                })
            });
            let until = Instant::now() + Duration::from_secs(20);
            let wait_for = |done: &dyn Fn(&Queue<u32>) -> bool| {
                while !done(&lock(&rounds.0)) {
                    assert!(Instant::now() < until, "waited in vain");
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            wait_for(&|queue| queue.led && queue.waiting.is_empty());
            let mut others = Vec::new();
            for number in 0..count {
                let together = &together;
                others.push(scope.spawn(move || rounds.write(number, Path::new(DB), together)));
                wait_for(&|queue| queue.waiting.len() == number as usize + 1);
            }
            then();
            go.send(()).unwrap();
            first.join().unwrap().unwrap();
            others.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        })
    }

    #[test]
    fn who_comes_while_one_writes_is_written_with_all_others_that_came() {
        let (rounds, written) = (Rounds::default(), Mutex::new(Vec::new()));
        let together = |works: &[u32]| {
            lock(&written).push(works.to_vec());
            Ok(())
        };
        let ends = with_others(&rounds, 5, together, || ());
        assert!(ends.into_iter().all(|end| end.unwrap().is_ok()));
        assert_eq!(*lock(&written), [[0, 1, 2, 3, 4]]);
        rounds.write(7, Path::new(DB), together).unwrap();
        assert_eq!(*lock(&written), [vec![0, 1, 2, 3, 4], vec![7]], "and then anew");
    }

    #[test]
    fn what_fails_together_is_written_one_by_one_and_fails_for_nobody_else() {
        let (rounds, written) = (Rounds::default(), Mutex::new(Vec::new()));
        let full = |works: &[u32]| {
            if works.contains(&1) {
                let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
                return Err(StoreError::io("write", Path::new(DB), source));
            }
            lock(&written).extend_from_slice(works);
            Ok(())
        };
        let ends: Vec<_> = with_others(&rounds, 3, full, || ()).into_iter().map(Result::unwrap).collect();
        assert!(ends[0].is_ok() && ends[2].is_ok(), "{ends:?}");
        assert!(ends[1].as_ref().unwrap_err().is_no_space());
        assert_eq!(*lock(&written), [0, 2]);
        rounds.write(7, Path::new(DB), |_| Ok(())).unwrap();
    }

    #[test]
    fn nobody_waits_for_ever_for_one_who_panics() {
        let rounds = Rounds::default();
        let ends = with_others(&rounds, 3, |_: &[u32]| panic!("in vain"), || ());
        let panicked = ends.iter().filter(|end| end.is_err()).count();
        assert_eq!(panicked, 1, "{ends:?}");
        assert!(ends.into_iter().flatten().all(|end| end.is_err()));
        rounds.write(7, Path::new(DB), |_| Ok(())).unwrap();
    }

    #[test]
    fn many_writers_lose_nothing() {
        let (rounds, written) = (Rounds::default(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for thread in 0..16_u32 {
                let (rounds, written) = (&rounds, &written);
                scope.spawn(move || {
                    for number in 0..200 {
                        let work = thread * 1000 + number;
                        let together = |works: &[u32]| {
                            lock(written).extend_from_slice(works);
                            Ok(())
                        };
                        rounds.write(work, Path::new(DB), together).unwrap();
                        assert!(lock(written).contains(&work), "it was told that it is done");
                    }
                });
            }
        });
        let mut all = written.into_inner().unwrap();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3200);
    }
}
