//! More time from the service manager, for a start or a stop that takes long.
//!
//! Promises: it is asked for only while threads of this process really work (a
//! large index is checked, a ledger repaired), not while they wait for what
//! never comes, and not for ever: then the manager's own time limit holds. Must
//! not know: what the work is.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::agent::state::{Bell, StopToken};
use crate::sys::notify_service;
use crate::sys::work::{self, Whose, Work};

/// Between two looks at the work.
const TICK: Duration = Duration::from_secs(2);

/// What is asked for with each sign of work: a disk that stands still for less
/// than this ends nothing.
const EXTENSION: Duration = Duration::from_secs(60);

/// The longest that a start can be drawn out.
pub(super) const START_LIMIT: Duration = Duration::from_secs(3600);

/// The longest that a stop can be drawn out: its own deadline comes long before.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(300);

/// Asks for more time as long as it lives.
pub(super) struct Patience {
    stop: StopToken,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

fn deserves(before: Work, now: Work, since: Duration, limit: Duration) -> bool {
    now.is_more_than(&before) && since < limit
}

impl Patience {
    /// While these threads work, for `limit` at most. Without a manager nothing happens.
    pub(super) fn with(whose: Whose, limit: Duration) -> Self {
        let (stop, bell) = (StopToken::default(), Arc::new(Bell::default()));
        let (its, rung) = (stop.clone(), Arc::clone(&bell));
        let ask = move || {
            let begun = Instant::now();
            let mut before = work::done(whose);
            loop {
                rung.wait(TICK);
                if its.is_raised() {
                    return;
                }
                let now = work::done(whose);
                if deserves(before, now, begun.elapsed(), limit) {
                    notify_service::extend_timeout(EXTENSION);
                }
                before = now;
            }
        };
        let thread = std::thread::Builder::new().name("guardian-patience".to_owned());
        // Without it the usual time limit holds.
        let thread = notify_service::is_there().then(|| thread.spawn(ask).ok()).flatten();
        Self { stop, bell, thread }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.stop.raise();
        self.bell.ring();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that asks for time panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_asked_for_only_by_who_works_and_not_for_ever() {
        let (idle, busy) = (Work::of(10, 1 << 20), Work::of(14, 1 << 20));
        let (soon, limit) = (Duration::from_secs(5), Duration::from_secs(60));
        assert!(deserves(idle, busy, soon, limit));
        assert!(deserves(idle, Work::of(10, 2 << 20), soon, limit));
        assert!(!deserves(busy, busy, soon, limit), "nothing was done");
        assert!(!deserves(idle, Work::of(11, (1 << 20) + 100), soon, limit), "somebody only woke up");
        assert!(!deserves(idle, busy, limit, limit), "it is over");
    }
}
