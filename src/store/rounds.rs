//! Several writers, one sync.
//!
//! Promises: a write that returned is on disk, as if each had a transaction of
//! its own to itself; those that come while the disk is busy follow it in one
//! round, of which only the last write syncs. A write that fails by itself takes
//! none of its round along; where the database had to be given up, all of them
//! are told that they failed. Each writes on its own thread, one at a time.
//!
//! A sync takes a disk milliseconds, the transaction itself a fraction of one:
//! with a hundred writers at once each would else wait for a hundred syncs. What
//! is written and not synced yet can be read; nobody has been told that it is done.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use redb::WriteTransaction;

use super::StoreError;
use super::database::{Commit, Holder};
use super::error::Fault;

/// Writes that are synced together.
#[derive(Debug, Default)]
struct Round {
    /// Whether what its members wrote is on disk; for those who are not the last.
    outcome: OnceLock<Result<(), StoreError>>,
}

#[derive(Debug, Default)]
struct State {
    /// Writes now.
    now: Arc<Round>,
    /// Its members who have not written yet.
    left: usize,
    /// How often the database had been given up when it began.
    losses: u64,
    /// Begins when it has ended.
    next: Arc<Round>,
    waiting: usize,
}

/// The writers of one database.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    state: Mutex<State>,
    /// A round has ended, and the next begun.
    changed: Condvar,
    /// Held by the member that writes.
    turn: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rounds {
    /// Runs `change` in a transaction that is on disk when this returns. Nothing
    /// of it remains if it fails.
    pub(super) fn write<T>(
        &self,
        holder: &Holder,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let error = |fault| holder.error("write", fault);
        let round = self.join(holder);
        let turn = lock(&self.turn);
        // Everybody before has written: none writes but with the turn.
        if lock(&self.state).left > 1 {
            let written = holder.write(Commit::Later, change).map_err(error);
            lock(&self.state).left -= 1;
            drop(turn);
            let value = written?;
            return self.outcome_of(&round).map(|()| value);
        }
        let written = holder.write(Commit::Durable, change).map_err(error);
        let lasting = match &written {
            Ok(_) => Ok(()),
            // What was wrong with this one is not the others' affair.
            Err(_) => holder.write(Commit::Durable, |_| Ok(())).map_err(error),
        };
        self.end(holder, &round, lasting, written.as_ref().err());
        written
    }

    /// Becomes a member of the round that begins next: now, if nobody writes.
    fn join(&self, holder: &Holder) -> Arc<Round> {
        let mut state = lock(&self.state);
        if state.left == 0 {
            state.now = Arc::default();
            state.left = 1;
            state.losses = holder.losses();
            return Arc::clone(&state.now);
        }
        state.waiting += 1;
        let round = Arc::clone(&state.next);
        let begun = |state: &mut State| !Arc::ptr_eq(&state.now, &round);
        drop(self.changed.wait_while(state, begun).unwrap_or_else(PoisonError::into_inner));
        round
    }

    fn outcome_of(&self, round: &Round) -> Result<(), StoreError> {
        let ended = |_: &mut State| round.outcome.get().is_none();
        drop(self.changed.wait_while(lock(&self.state), ended).unwrap_or_else(PoisonError::into_inner));
        match round.outcome.get() {
            Some(Err(error)) => Err(error.told_again()),
            _ => Ok(()),
        }
    }

    fn end(
        &self,
        holder: &Holder,
        round: &Round,
        lasting: Result<(), StoreError>,
        last: Option<&StoreError>,
    ) {
        let mut state = lock(&self.state);
        // A database that was given up meanwhile has forgotten what was not synced.
        let outcome = match lasting {
            Ok(()) if holder.losses() != state.losses => {
                Err(last.map_or_else(|| StoreError::lost(holder.path()), StoreError::told_again))
            }
            other => other,
        };
        // Set once: only the last member comes here.
        let _ = round.outcome.set(outcome);
        state.now = std::mem::take(&mut state.next);
        state.left = std::mem::take(&mut state.waiting);
        state.losses = holder.losses();
        drop(state);
        self.changed.notify_all();
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        lock(&self.state).waiting
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use redb::{ReadableDatabase, TableDefinition};

    use super::*;

    type Change<'a> = Box<dyn FnOnce(&WriteTransaction) -> Result<(), Fault> + Send + 'a>;

    const TABLE: TableDefinition<'_, u32, u32> = TableDefinition::new("t");

    fn holder(dir: &Path) -> Holder {
        Holder::new(&dir.join("db"), 1 << 20, |t| {
            t.open_table(TABLE)?;
            Ok(())
        })
    }

    fn put(t: &WriteTransaction, key: u32) -> Result<(), Fault> {
        t.open_table(TABLE)?.insert(key, key)?;
        Ok(())
    }

    /// What a copy of the file has, as a power cut would leave it.
    fn on_disk(holder: &Holder) -> Vec<u32> {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        std::fs::copy(holder.path(), &copy).unwrap();
        let database = redb::Database::open(copy).unwrap();
        let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
        table.range(0..).unwrap().map(|row| row.unwrap().0.value()).collect()
    }

    /// Runs `members` as one round: they come while a first write is under way.
    fn one_round<'s>(
        rounds: &'s Rounds,
        holder: &'s Holder,
        members: Vec<Change<'s>>,
    ) -> Vec<Result<(), StoreError>> {
        let count = members.len();
        std::thread::scope(|scope| {
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let first = scope.spawn(move || {
                rounds.write(holder, |t| {
                    wait.recv().unwrap();
                    put(t, 1000)
                })
            });
            let until = Instant::now() + Duration::from_secs(20);
            let wait_for = |done: &dyn Fn() -> bool| {
                while !done() {
                    assert!(Instant::now() < until, "waited in vain");
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            wait_for(&|| lock(&rounds.state).left == 1);
            let mut others = Vec::new();
            for (place, member) in members.into_iter().enumerate() {
                others.push(scope.spawn(move || rounds.write(holder, member)));
                wait_for(&|| rounds.waiting() == place + 1);
            }
            assert_eq!(rounds.waiting(), count);
            go.send(()).unwrap();
            first.join().unwrap().unwrap();
            others.into_iter().map(|other| other.join().unwrap()).collect()
        })
    }

    #[test]
    fn what_returned_is_on_disk_and_many_writers_share_a_sync() {
        let dir = tempfile::tempdir().unwrap();
        let (holder, rounds) = (holder(dir.path()), Rounds::default());
        holder.open().unwrap();
        let lasting = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..16_u32 {
                let (holder, rounds, lasting) = (&holder, &rounds, &lasting);
                scope.spawn(move || {
                    for number in 0..20 {
                        let key = thread * 100 + number;
                        rounds.write(holder, |t| put(t, key)).unwrap();
                        if number == 10 {
                            assert!(on_disk(holder).contains(&key));
                            lasting.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!((lasting.into_inner(), on_disk(&holder).len()), (16, 320));
    }

    #[test]
    fn a_write_that_fails_takes_none_of_its_round_along() {
        let dir = tempfile::tempdir().unwrap();
        let (holder, rounds) = (holder(dir.path()), Rounds::default());
        let wrong =
            || -> Change<'static> { Box::new(|t| put(t, 7).and(Err(Fault::Damaged("a row".to_owned())))) };
        // Whoever comes to write first, and whoever last.
        let ends = one_round(
            &rounds,
            &holder,
            vec![wrong(), Box::new(|t| put(t, 1)), Box::new(|t| put(t, 2)), wrong()],
        );
        assert_eq!(ends.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(on_disk(&holder), [1, 2, 1000]);
    }

    #[test]
    fn where_the_database_is_given_up_nobody_is_told_that_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let (holder, rounds) = (holder(dir.path()), Rounds::default());
        let panics: Change<'_> = Box::new(|_| panic!("a damaged page"));
        let ends =
            one_round(&rounds, &holder, vec![Box::new(|t| put(t, 1)), panics, Box::new(|t| put(t, 2))]);
        for (end, key) in [(&ends[0], 1), (&ends[2], 2)] {
            assert!(end.is_err() || on_disk(&holder).contains(&key), "{key}: {ends:?}");
        }
        assert!(ends[1].is_err());
        // It goes on with the next.
        rounds.write(&holder, |t| put(t, 3)).unwrap();
        assert!(on_disk(&holder).contains(&3) && on_disk(&holder).contains(&1000));
    }
}
