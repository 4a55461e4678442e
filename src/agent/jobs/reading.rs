//! The jobs as a dry run without an agent sees them.

use std::collections::HashSet;

use super::follow::Following;
use super::{Now, RegistryError};
use crate::model::{JobRecord, JobState, ProcessId};
use crate::policy::{JobsView, presume};
use crate::store::ledger::LedgerReader;
use crate::sys::clock;

/// The registered jobs for a dry run without an agent: failures are presumed
/// as a sweep in its own process would presume them, and nothing is written.
/// `None`: there is no ledger yet; a sweep would begin one now.
pub fn view_for_reading(ledger: Option<&LedgerReader>, now: Now) -> Result<JobsView, RegistryError> {
    let Some(ledger) = ledger else {
        return Ok(JobsView { began_at: now.wall, known: true, ..JobsView::default() });
    };
    let boot = clock::boot_id().map_err(RegistryError::Boot)?;
    let mut records = ledger.all_jobs().map_err(RegistryError::Store)?;
    let ended = {
        let active = records.iter().filter(|job| job.state == JobState::Active);
        let wanted: HashSet<&ProcessId> =
            active.filter_map(|job| job.process.as_ref()).filter(|process| process.boot_id == boot).collect();
        Following::new(std::time::Duration::ZERO).map_err(RegistryError::Follow)?.look(wanted)
    };
    for record in &mut records {
        let lives = record.process.as_ref().map(|process| !ended.contains(process));
        // No deadline: heartbeats could not have been received.
        if presume(record.state, None, record.process.as_ref(), lives, &boot, now.since_boot).is_some() {
            fail(record, now);
        }
    }
    Ok(JobsView {
        jobs: super::chunks::with_chunks(&records, ledger.chunks().map_err(RegistryError::Store)?),
        began_at: ledger.began_at(),
        known: ledger.trusted().map_err(RegistryError::Store)?,
    })
}

/// Makes a record that of a presumed failure.
pub(super) fn fail(record: &mut JobRecord, now: Now) {
    record.state = JobState::Failed;
    record.presumed = true;
    record.ended_at = Some(now.wall);
}
