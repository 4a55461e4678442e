//! Signs of life of the agent's parts, for the service manager's watchdog.
//!
//! Promises: a sign costs one store, and nobody waits for anybody; the clock
//! stands while the host is suspended. Must not know: what silence leads to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::policy::Promise;
use crate::sys::clock;

/// Nothing was promised yet.
const NEVER: u64 = u64::MAX;

/// One part's last promise.
#[derive(Debug)]
pub struct Beat(AtomicU64);

impl Default for Beat {
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

/// However late, it is not taken for what was never promised.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(NEVER - 1, |nanos| nanos.min(NEVER - 1))
}

impl Beat {
    /// Heard now, and again within `span` at the latest.
    pub fn within(&self, span: Duration) {
        self.0.store(nanos(clock::awake().saturating_add(span)), Ordering::Release);
    }

    /// Heard now, at work.
    pub fn now(&self) {
        self.within(Duration::ZERO);
    }

    /// Heard now from somebody who works for it; what it promised itself holds on.
    pub fn helped(&self) {
        if self.0.load(Ordering::Acquire) != NEVER {
            self.0.fetch_max(nanos(clock::awake()), Ordering::AcqRel);
        }
    }

    /// Waits for it from now on, if it was not heard yet.
    fn begin(&self) {
        let now = nanos(clock::awake());
        // It was heard: what it promised holds.
        let _ = self.0.compare_exchange(NEVER, now, Ordering::AcqRel, Ordering::Acquire);
    }

    fn promise(&self, part: &'static str) -> Promise {
        Promise { part, by: Duration::from_nanos(self.0.load(Ordering::Acquire)) }
    }
}

/// All parts without which the agent guards nothing, or nobody can tell it anything.
#[derive(Debug, Default)]
pub struct Heart {
    /// The guard: volumes are looked at.
    pub sampling: Beat,
    /// The loop that accepts connections, on the socket's runtime.
    pub socket: Beat,
    /// Signals, reloads, housekeeping.
    pub supervision: Beat,
    /// Rounds that the guard has completed.
    pub rounds: AtomicU64,
}

impl Heart {
    /// Waits for all parts from now on.
    pub fn begin(&self) {
        for beat in [&self.sampling, &self.socket, &self.supervision] {
            beat.begin();
        }
    }

    /// What they promised last.
    pub fn promises(&self) -> [Promise; 3] {
        [
            self.sampling.promise("sampling of the volumes"),
            self.socket.promise("the socket"),
            self.supervision.promise("supervision"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_promises_nothing_is_not_taken_for_one_that_was_not_heard_yet() {
        assert_eq!(nanos(Duration::from_nanos(NEVER)), NEVER - 1);
        assert_eq!(nanos(Duration::MAX), NEVER - 1);
        let beat = Beat::default();
        beat.within(Duration::MAX);
        beat.begin();
        assert!(beat.promise("x").by > clock::awake() + Duration::from_secs(1 << 32));
        beat.now();
        assert!(beat.promise("x").by <= clock::awake(), "what it promises next holds");
    }

    #[test]
    fn whoever_works_for_a_part_shortens_none_of_its_promises() {
        let beat = Beat::default();
        beat.helped();
        assert_eq!(beat.promise("x").by, Duration::from_nanos(NEVER), "it has not begun");
        let before = clock::awake();
        beat.begin();
        assert!(beat.promise("x").by >= before);
        beat.within(Duration::from_secs(60));
        let promised = beat.promise("x");
        beat.helped();
        beat.begin();
        assert_eq!(beat.promise("x"), promised);
        beat.now();
        let earlier = beat.promise("x");
        assert!(earlier.by < promised.by);
        beat.helped();
        assert!(beat.promise("x").by >= earlier.by);
    }
}
