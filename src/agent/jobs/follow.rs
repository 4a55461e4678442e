//! The processes of active jobs, by pidfd.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::ProcessId;
use crate::sys::process::{Followed, Waker, is_alive, wait_for_end};

/// How long a job is waited for after its process in the agent: whoever ran it
/// can report how it ended only then, and until that is known nothing is presumed.
pub(super) const REPORT_TIME: Duration = Duration::from_secs(3);

/// The processes that somebody waits for. Each waiter has its own: the
/// descriptors are polled without any lock.
pub(super) struct Following {
    followed: Vec<Followed>,
    /// Never woken: for looks that do not wait.
    at_once: Waker,
    /// How long a job is waited for when its process has ended: it may report yet.
    pub(super) report_time: Duration,
}

impl Following {
    pub(super) fn new(report_time: Duration) -> std::io::Result<Self> {
        Ok(Self { followed: Vec::new(), at_once: Waker::new()?, report_time })
    }

    /// Follows exactly `wanted` from now on. Returns those that have ended.
    pub(super) fn look(&mut self, wanted: HashSet<&ProcessId>) -> HashSet<ProcessId> {
        self.followed.retain(|one| wanted.contains(one.process()));
        let mut ended = HashSet::new();
        let new: Vec<&ProcessId> = {
            let known: HashSet<&ProcessId> = self.followed.iter().map(Followed::process).collect();
            wanted.into_iter().filter(|process| !known.contains(process)).collect()
        };
        for process in new {
            match Followed::open(process) {
                Ok(Some(followed)) => self.followed.push(followed),
                Ok(None) => drop(ended.insert(process.clone())),
                // No descriptors left, for example: it is asked for again at the next look.
                Err(_) if is_alive(process) => {}
                Err(_) => drop(ended.insert(process.clone())),
            }
        }
        // A process that ended and was not collected yet still has its number:
        // only its descriptor tells.
        let mut places =
            wait_for_end(&self.followed, &self.at_once, Some(Duration::ZERO)).unwrap_or_default();
        places.sort_unstable();
        for place in places.into_iter().rev() {
            ended.insert(self.followed.swap_remove(place).process().clone());
        }
        ended
    }

    /// Waits until one of them ends, `waker` is used, or the time is over.
    pub(super) fn wait(&self, waker: &Waker, longest: Duration) -> std::io::Result<()> {
        wait_for_end(&self.followed, waker, Some(longest)).map(drop)
    }
}
