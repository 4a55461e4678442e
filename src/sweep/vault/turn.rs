//! The turn at one root's queue and trash.
//!
//! Promises: one at a time; an emergency that waits goes before all others who
//! wait, and who has the turn can see that he is waited for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Between two looks whether it is free.
const LOOK: Duration = Duration::from_millis(1);

/// The turn at one root. It outlives a root that is opened anew.
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<()>,
    /// Emergencies that wait.
    urgent: AtomicU32,
}

/// Given back when it is dropped.
pub type Held<'a> = MutexGuard<'a, ()>;

/// One emergency that waits, for as long as this lives.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(urgent: &'a AtomicU32) -> Self {
        urgent.fetch_add(1, Ordering::AcqRel);
        Self(urgent)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Turn {
    /// Waits for it; emergencies go first.
    pub fn take(&self) -> Held<'_> {
        loop {
            while self.is_wanted() {
                std::thread::sleep(LOOK);
            }
            let held = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.is_wanted() {
                return held;
            }
            drop(held);
        }
    }

    /// The same, for as long as `limit`.
    pub fn take_within(&self, limit: Duration, urgent: bool) -> Option<Held<'_>> {
        let until = Instant::now() + limit;
        let _waiting = urgent.then(|| Waiting::begin(&self.0.urgent));
        loop {
            if urgent || !self.is_wanted() {
                match self.0.taken.try_lock() {
                    Ok(held) => return Some(held),
                    Err(TryLockError::Poisoned(held)) => return Some(held.into_inner()),
                    Err(TryLockError::WouldBlock) => {}
                }
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether an emergency waits.
    pub fn is_wanted(&self) -> bool {
        self.0.urgent.load(Ordering::Acquire) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emergency_goes_before_whoever_takes_turn_after_turn() {
        let turn = Turn::default();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mover = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let _held = turn.take();
                    let limit = Instant::now() + Duration::from_secs(20);
                    while !turn.is_wanted() && !done.load(Ordering::SeqCst) && Instant::now() < limit {
                        std::thread::yield_now();
                    }
                }
            });
            for _ in 0..20 {
                assert!(turn.take_within(Duration::from_secs(20), true).is_some());
            }
            done.store(true, Ordering::SeqCst);
            mover.join().unwrap();
        });
    }

    #[test]
    fn who_waits_for_a_time_goes_without_it_when_that_is_over() {
        let turn = Turn::default();
        let held = turn.take();
        for urgent in [false, true] {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| turn.take_within(Duration::from_millis(20), urgent).is_none());
                assert!(other.join().unwrap());
            });
        }
        drop(held);
        assert!(!turn.is_wanted() && turn.take_within(Duration::ZERO, false).is_some());
    }
}
