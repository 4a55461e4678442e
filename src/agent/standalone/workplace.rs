//! The ledger, as a command that works alone has it: under its lock to change
//! it, or read beside whoever holds it.
//!
//! Promises: one guardian at a time changes a ledger; reading writes nothing,
//! not even a lock. Must not know: roots, and what the work is.

use std::sync::Arc;

use crate::agent::engine::Engine;
use crate::agent::jobs::{JobBook, JobRegistry, Now, view_for_reading};
use crate::agent::problems;
use crate::agent::references::{References, view_of};
use crate::agent::state_dir::StateDir;
use crate::api::ApiError;
use crate::model::Timestamp;
use crate::policy::{ClockGuard, JobsView, ReferenceView};
use crate::store::StoreError;
use crate::store::audit::AuditLog;
use crate::store::ledger::{Ledger, LedgerOrigin, LedgerReader, Pause};
use crate::sys::clock;

use super::Alone;

/// The ledger under the state directory's lock.
pub(super) struct Workplace {
    pub(super) state: StateDir,
    pub(super) ledger: Arc<Ledger>,
    pub(super) origin: LedgerOrigin,
    pub(super) registry: JobRegistry,
    pub(super) references: Arc<References>,
}

impl Workplace {
    /// The record of removals. Opened before guardian's own files are gathered:
    /// its segments are some of them.
    pub(super) fn audit(&self) -> Option<AuditLog> {
        AuditLog::open(&self.state.path().join("audit"))
            .inspect_err(|error| {
                tracing::warn!(reason = %crate::agent::chain(error), "removals go to the log: there is no audit log");
            })
            .ok()
    }

    /// The machinery of a run.
    pub(super) fn engine(&self, audit: Option<AuditLog>) -> Engine {
        let mut engine = Engine::new(
            Some(Arc::clone(&self.ledger)),
            audit.map(Arc::new),
            Arc::clone(self.registry.view()),
            Arc::clone(self.references.view()),
            clock_guard(self.ledger.clock_mark().ok().flatten().map(|mark| mark.wall)),
        );
        engine.recorded = Some(Arc::clone(&self.references));
        engine
    }
}

impl Alone {
    pub(super) fn workplace(&self) -> Result<Workplace, ApiError> {
        let state = StateDir::open(self.state_dir()).map_err(|error| problems::state_dir(&error))?;
        let (ledger, origin) =
            Ledger::open(state.path(), clock::now()).map_err(|error| problems::store(&error))?;
        if let LedgerOrigin::Lost { reason } = &origin {
            tracing::error!(
                reason,
                "the ledger was lost: files that name jobs stay until `guardian registry trust`"
            );
        }
        let ledger = Arc::new(ledger);
        let book: Arc<dyn JobBook> = Arc::clone(&ledger) as Arc<dyn JobBook>;
        let registry =
            JobRegistry::open(book, true, Now::read()).map_err(|error| problems::registry(&error))?;
        registry.tick(Now::read()).map_err(|error| problems::registry(&error))?;
        let references = References::open(Arc::clone(&ledger)).map_err(|error| problems::store(&error))?;
        Ok(Workplace { state, ledger, origin, registry, references: Arc::new(references) })
    }

    pub(super) fn reader(&self) -> Result<Reader, ApiError> {
        match LedgerReader::open(self.state_dir()) {
            Ok(ledger) => Ok(Reader { ledger: ledger.map(Arc::new), lost: false }),
            // A sweep would set it aside and begin one that is not trusted.
            Err(StoreError::Damaged { path, detail }) => {
                tracing::warn!(path = %path.display(), detail, "the ledger can't be read");
                Ok(Reader { ledger: None, lost: true })
            }
            Err(error) => Err(problems::store(&error)),
        }
    }
}

/// The ledger as a dry run sees it.
pub(super) struct Reader {
    pub(super) ledger: Option<Arc<LedgerReader>>,
    pub(super) lost: bool,
}

impl Reader {
    pub(super) fn view(&self) -> Result<JobsView, ApiError> {
        let view = view_for_reading(self.ledger.as_deref(), Now::read());
        let view = view.map_err(|error| problems::registry(&error))?;
        Ok(JobsView { known: view.known && !self.lost, ..view })
    }

    pub(super) fn references(&self) -> Result<ReferenceView, ApiError> {
        view_of(self.ledger.as_deref()).map_err(|error| problems::store(&error))
    }

    pub(super) fn clock(&self) -> ClockGuard {
        let mark = self.ledger.as_ref().and_then(|ledger| ledger.clock_mark().ok().flatten());
        clock_guard(mark.map(|mark| mark.wall))
    }
}

/// The judgement of the clock, with the last time on record.
pub(super) fn clock_guard(last: Option<Timestamp>) -> ClockGuard {
    ClockGuard::at_start(clock::now(), clock::since_boot(), last, clock::time_is_synchronised())
}

/// The pause in force, if any.
pub(super) fn pause_at(pause: Result<Option<Pause>, StoreError>, now: Timestamp) -> Option<Pause> {
    // A pause that can't be read must not stop cleaning for good: the agent holds the same.
    pause.ok().flatten().filter(|pause| pause.until.is_none_or(|until| now < until))
}
