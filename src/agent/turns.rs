//! One run at a time on a volume, and emergencies first.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::RootName;
use crate::sweep::root::GuardedRoot;

/// Which volume a root lies on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VolumeId {
    /// A device.
    Device(u64),
    /// A root with a capacity of its own.
    Root(PathBuf),
}

impl VolumeId {
    /// The volume of `root`.
    pub fn of(root: &GuardedRoot) -> Self {
        if root.probe.is_capacity() { Self::Root(root.path().to_owned()) } else { Self::Device(root.dev()) }
    }
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// Emergencies that wait.
    urgent: u32,
}

/// The turn on one volume.
#[derive(Debug, Default)]
struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

impl Turn {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, urgent: bool) {
        let mut state = self.state();
        if urgent {
            state.urgent += 1;
        }
        while state.taken || (!urgent && state.urgent > 0) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.taken = true;
        if urgent {
            state.urgent -= 1;
        }
    }

    fn give_back(&self) {
        self.state().taken = false;
        self.changed.notify_all();
    }

    /// Lets emergencies that wait go first.
    fn yield_to_emergencies(&self) {
        if self.state().urgent > 0 {
            self.give_back();
            self.take(false);
        }
    }
}

/// Gives the turn back, also when the run panics.
struct Held<'a>(&'a Turn);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// The turns on all volumes.
#[derive(Debug, Default)]
pub struct Turns {
    volumes: Mutex<HashMap<VolumeId, Arc<Turn>>>,
    /// How many runs, one within another's pauses, are at work on a root.
    roots: Mutex<HashMap<RootName, u32>>,
}

/// Roots that are being swept, until this is dropped.
pub struct AtWork<'a> {
    of: &'a Turns,
    roots: Vec<RootName>,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut all = self.of.roots();
        for root in &self.roots {
            if let Some(runs) = all.get_mut(root) {
                *runs = runs.saturating_sub(1);
            }
        }
        all.retain(|_, runs| *runs > 0);
    }
}

impl Turns {
    /// Waits for the turn on `volume` and works. `work` is to call what it gets
    /// between its batches: there emergencies go first.
    pub fn with<T>(&self, volume: VolumeId, urgent: bool, work: impl FnOnce(&(dyn Fn() + Sync)) -> T) -> T {
        let turn = {
            let mut turns = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(volume).or_default())
        };
        turn.take(urgent);
        let _held = Held(&turn);
        if urgent { work(&|| {}) } else { work(&|| turn.yield_to_emergencies()) }
    }

    fn roots(&self) -> MutexGuard<'_, HashMap<RootName, u32>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks roots as being swept.
    pub fn at_work(&self, roots: impl Iterator<Item = RootName>) -> AtWork<'_> {
        let roots: Vec<RootName> = roots.collect();
        let mut all = self.roots();
        for root in &roots {
            *all.entry(root.clone()).or_default() += 1;
        }
        drop(all);
        AtWork { of: self, roots }
    }

    /// Whether a run is at work on `root`.
    pub fn is_swept(&self, root: &RootName) -> bool {
        self.roots().contains_key(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    #[test]
    fn an_emergency_goes_between_two_batches_of_another_run() {
        let turns = Turns::default();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            turns.with(VolumeId::Device(1), false, |between| {
                scope.spawn(|| turns.with(VolumeId::Device(1), true, |_| done.store(true, Ordering::SeqCst)));
                let limit = Instant::now() + Duration::from_secs(10);
                while !done.load(Ordering::SeqCst) && Instant::now() < limit {
                    between();
                }
                assert!(
                    done.load(Ordering::SeqCst),
                    "the emergency had its turn while this run was not over"
                );
            });
        });
    }

    #[test]
    fn volumes_do_not_wait_for_each_other() {
        let turns = Turns::default();
        turns.with(VolumeId::Device(1), false, |_| turns.with(VolumeId::Device(2), false, |_| ()));
    }

    #[test]
    fn a_root_is_swept_as_long_as_any_run_is_at_work_on_it() {
        let turns = Turns::default();
        let (a, b) = (RootName::parse("a").unwrap(), RootName::parse("b").unwrap());
        let quiet = turns.at_work([a.clone()].into_iter());
        drop(turns.at_work([a.clone(), b.clone()].into_iter()));
        assert!(turns.is_swept(&a) && !turns.is_swept(&b));
        drop(quiet);
        assert!(!turns.is_swept(&a));
    }
}
