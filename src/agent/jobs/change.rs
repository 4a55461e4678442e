//! What a request makes of a job's record: pure, with time as an argument.

use super::{Caller, JobChange, JobError};
use crate::model::{Covers, JobId, JobRecord, JobState, ProcessId, Timestamp};

/// Refuses what somebody else registered; administrators may change any job.
pub(super) fn permit(record: &JobRecord, by: Caller) -> Result<(), JobError> {
    if by.admin || record.uid == by.uid {
        return Ok(());
    }
    Err(JobError::Forbidden { id: record.id.clone(), uid: by.uid, owner: record.uid })
}

/// The record after the change. `process` is what the change's pid stands for.
///
/// - A job that is new, or ended and starts again, is as the request says: the
///   deadline and process of an earlier life mean nothing for the next one. It
///   stays its owner's, and covers anew what its owner may cover; only an
///   administrator who starts somebody's job leaves that as it was.
/// - For a living job absent fields stay.
/// - What ended stays as it ended, but a *presumed* failure gives way to what
///   its owner reports.
pub(super) fn apply(
    id: &JobId,
    known: Option<JobRecord>,
    change: &JobChange,
    process: Option<ProcessId>,
    by: Caller,
    now: Timestamp,
) -> Result<JobRecord, JobError> {
    let Some(mut record) = known else {
        let state = change.state.unwrap_or(JobState::Active);
        return Ok(JobRecord {
            id: id.clone(),
            state,
            presumed: false,
            root: change.root.clone(),
            ttl: change.ttl,
            process,
            uid: by.uid,
            covers: covers(by),
            created_at: now,
            last_heartbeat: None,
            ended_at: (!state.is_alive()).then_some(now),
            results_removed_at: None,
        });
    };
    let state = change.state.unwrap_or(record.state);
    match (record.state.is_alive(), state.is_alive()) {
        (true, _) => {
            record.ttl = change.ttl.or(record.ttl);
            record.process = process.or(record.process);
            record.root = change.root.clone().or(record.root);
            record.last_heartbeat = Some(now);
            record.ended_at = (!state.is_alive()).then_some(now);
        }
        (false, true) => {
            record.ttl = change.ttl;
            record.process = process;
            record.root.clone_from(&change.root);
            record.last_heartbeat = Some(now);
            record.ended_at = None;
            record.results_removed_at = None;
            if record.uid == by.uid {
                record.covers = covers(by);
            }
        }
        (false, false) if change.state.is_some() && record.presumed => record.ended_at = Some(now),
        (false, false) if state == record.state && is_only_state(change) => return Ok(record),
        (false, false) => return Err(JobError::Conflict { id: record.id, state: record.state }),
    }
    record.state = state;
    record.presumed = false;
    Ok(record)
}

const fn is_only_state(change: &JobChange) -> bool {
    change.ttl.is_none() && change.pid.is_none() && change.root.is_none()
}

const fn covers(by: Caller) -> Covers {
    if by.admin { Covers::AnyOwner } else { Covers::Owner(by.uid) }
}
