//! Reports on their way into the history.
//!
//! Promises: every report given here is in the ledger, or a warning says that
//! it is not, when [`Recorder::finish`] returned. Writing them durably takes as
//! long as the disk does; the volume of an emergency fills meanwhile, so that
//! its guard must not wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::model::Report;
use crate::store::audit::AuditLog;
use crate::store::ledger::Ledger;

use super::references::References;

/// Writes reports, at once or aside.
#[derive(Default)]
pub struct Recorder {
    aside: Mutex<Vec<JoinHandle<()>>>,
}

impl Recorder {
    /// Writes reports before it returns, and takes what was told of files that
    /// went off the record.
    pub fn record(
        ledger: Option<&Ledger>,
        audit: Option<&AuditLog>,
        told: Option<&References>,
        reports: &[Report],
    ) {
        for report in reports {
            if let Some(ledger) = ledger
                && let Err(error) = ledger.append_report(report)
            {
                tracing::warn!(run = %report.id, reason = %super::chain(&error), "the report is not in the history");
            }
        }
        if let Some(audit) = audit
            && let Err(error) = audit.sync()
        {
            tracing::warn!(reason = %super::chain(&error), "the record of removals is not synced");
        }
        if let Some(told) = told {
            told.forget_gone();
        }
    }

    /// Writes reports on a thread of its own.
    pub fn record_aside(
        &self,
        ledger: Option<Arc<Ledger>>,
        audit: Option<Arc<AuditLog>>,
        told: Option<Arc<References>>,
        reports: Vec<Report>,
    ) {
        let given = Arc::new((ledger, audit, told, reports));
        let task = {
            let given = Arc::clone(&given);
            move || Self::record(given.0.as_deref(), given.1.as_deref(), given.2.as_deref(), &given.3)
        };
        match std::thread::Builder::new().name("guardian-record".to_owned()).spawn(task) {
            Ok(handle) => {
                let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
                aside.retain(|one| !one.is_finished());
                aside.push(handle);
            }
            Err(_) => Self::record(given.0.as_deref(), given.1.as_deref(), given.2.as_deref(), &given.3),
        }
    }

    /// Waits for what is still being written.
    pub fn finish(&self) {
        let aside = std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in aside {
            // A panic there was reported by its own message.
            let _ = handle.join();
        }
    }
}
