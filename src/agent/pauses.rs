//! Pauses of removals.
//!
//! Promises: a pause holds from the moment it is asked for, whatever becomes of
//! its record; nobody who asks whether removals are paused waits for a disk; two
//! requests end in one order in memory and on record.

use std::sync::{Mutex, PoisonError, RwLock};

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::ledger::Pause;

/// The pause in force.
#[derive(Debug, Default)]
pub struct Pauses {
    held: RwLock<Option<Pause>>,
    /// Taken by whoever changes it, over the write to the ledger.
    order: Mutex<()>,
}

impl Pauses {
    /// As the ledger has it.
    pub fn new(held: Option<Pause>) -> Self {
        Self { held: RwLock::new(held), order: Mutex::default() }
    }

    /// The pause in force at `now`.
    pub fn at(&self, now: Timestamp) -> Option<Pause> {
        let pause = self.held.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        if pause.until.is_some_and(|until| until <= now) { None } else { Some(pause) }
    }

    fn hold(&self, pause: Option<Pause>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = pause;
    }

    /// Pauses at once, then puts it on record.
    ///
    /// # Errors
    /// It is not on record: it holds, but only until a restart.
    pub fn begin(
        &self,
        pause: &Pause,
        record: impl FnOnce(Option<&Pause>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.hold(Some(pause.clone()));
        record(Some(pause))
    }

    /// Ends the pause once that is on record, so that nothing goes that a
    /// restart would have spared; or at once where the ledger waits for the very
    /// space that only removals can free.
    ///
    /// # Errors
    /// The end can't be put on record: removals stay paused.
    pub fn end(
        &self,
        record: impl FnOnce(Option<&Pause>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match record(None) {
            Err(error) if error.is_no_space() => {
                tracing::error!(reason = %super::chain(&error), "the end of the pause is not on record: a restart would pause again");
            }
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        self.hold(None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn failed(_: Option<&Pause>) -> Result<(), StoreError> {
        Err(StoreError::Damaged { path: "/ledger".into(), detail: "a test".to_owned() })
    }

    #[test]
    fn a_pause_holds_though_it_can_not_be_put_on_record_and_its_end_must_be() {
        let pauses = Pauses::default();
        let pause = Pause { until: None, emergencies: true };
        assert!(pauses.begin(&pause, failed).is_err());
        assert_eq!(pauses.at(NOW), Some(pause.clone()));
        assert!(pauses.end(failed).is_err());
        assert_eq!(pauses.at(NOW), Some(pause));
        pauses.end(|_| Ok(())).unwrap();
        assert_eq!(pauses.at(NOW), None);
    }

    #[test]
    fn a_pause_is_seen_while_it_is_still_being_recorded() {
        let pauses = Pauses::default();
        let pause = Pause { until: None, emergencies: false };
        // Asked from within the write: it would wait for ever if that kept others out.
        let seen = pauses.begin(&pause, |_| {
            assert_eq!(pauses.at(NOW).as_ref(), Some(&pause));
            Ok(())
        });
        seen.unwrap();
    }
}
