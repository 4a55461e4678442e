//! What failures of the rooms below are to those who asked: refusals with
//! their status and help.

use crate::api::{ApiError, Problem};
use crate::model::with_causes;
use crate::model::{RootName, RunId, Timestamp};
use crate::store::StoreError;
use crate::store::ledger::Pause;

use super::engine::EngineError;
use super::jobs::{JobError, RegistryError};
use super::references::ReferenceError;
use super::roots::{LockHolder, Refusal, RootError};
use super::state_dir::StateDirError;
use super::surroundings::made_at;

/// A failure of index, ledger or audit log.
pub fn store(error: &StoreError) -> ApiError {
    if error.is_no_space() {
        return ApiError::new(Problem::Unavailable, with_causes(error))
            .with_help("free space on the volume of the state directory; cleaning goes on meanwhile");
    }
    match error {
        StoreError::Busy(_) => ApiError::conflict(with_causes(error)),
        StoreError::Unavailable { .. } => ApiError::new(Problem::Unavailable, with_causes(error)),
        _ => ApiError::internal(error),
    }
}

/// A request about a job that was not carried out.
pub fn job(error: &JobError) -> ApiError {
    match error {
        JobError::NotFound(_) => ApiError::not_found(error.to_string()),
        JobError::Forbidden { .. } => ApiError::not_permitted(error.to_string()),
        JobError::Conflict { .. } | JobError::TooMany { .. } => ApiError::conflict(error.to_string()),
        JobError::InvalidPid { .. } | JobError::InvalidTtl(_) => ApiError::invalid(error.to_string()),
        JobError::Store { source, .. } => {
            let inner = store(source);
            ApiError { detail: with_causes(error), ..inner }
        }
        JobError::Process { .. } => ApiError::internal(error),
    }
}

/// A request about holds, files or sessions that was not carried out.
pub fn reference(error: &ReferenceError) -> ApiError {
    match error {
        ReferenceError::NoHold(_) | ReferenceError::NoSession(_) => ApiError::not_found(error.to_string()),
        ReferenceError::TooMany { .. } => ApiError::conflict(error.to_string()),
        ReferenceError::OthersHold { .. }
        | ReferenceError::OthersSession { .. }
        | ReferenceError::OthersFile { .. } => ApiError::not_permitted(error.to_string()),
        ReferenceError::Store(source) => store(source),
    }
}

/// A sweep that this agent, which began at `started`, does not know.
pub fn no_sweep(id: &RunId, started: Timestamp) -> ApiError {
    match made_at(id.as_str()).filter(|made| *made < started) {
        None => ApiError::not_found(format!("sweep {id} is not known (any more)")),
        Some(made) => ApiError::not_found(format!(
            "sweep {id} is not known any more: the agent was started anew at {started:#}, after it was asked for"
        ))
        .with_help(format!(
            "it ended with the agent of then: `guardian history` has its report if it came that far, \
             `guardian audit --since {made}` what was removed"
        )),
    }
}

/// No registry.
pub fn registry(error: &RegistryError) -> ApiError {
    match error {
        RegistryError::Store(source) => ApiError { detail: with_causes(error), ..store(source) },
        _ => ApiError::internal(error),
    }
}

/// A run that could not begin.
pub fn engine(error: &EngineError) -> ApiError {
    match error {
        EngineError::UnknownRoot(_) | EngineError::BadPlan(_) => ApiError::invalid(error.to_string()),
        EngineError::Suspended { .. } | EngineError::NoRoots => ApiError::conflict(error.to_string()),
        EngineError::Plan(_) => ApiError::internal(error),
        EngineError::UsageUnknown(_) => ApiError::new(Problem::Unavailable, error.to_string())
            .with_help("its files are still being counted, or the volume does not answer: try again"),
    }
}

/// A root that cannot be guarded as configured.
pub fn root(error: &RootError) -> ApiError {
    match error {
        RootError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            ApiError::not_permitted(with_causes(error))
        }
        RootError::Refused { .. } | RootError::Volume { .. } | RootError::Unsteady { .. } => {
            ApiError::internal(error)
        }
        RootError::Store { source, .. } => ApiError { detail: with_causes(error), ..store(source) },
        _ => ApiError::invalid(with_causes(error)),
    }
}

/// A root that is refused for now, with what to do about it.
pub fn refusal(name: &RootName, refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Suspended(why) => ApiError::conflict(format!("root {name} is suspended: {why}")),
        Refusal::Held(holder) => {
            ApiError::conflict(format!("root {name} is locked by another guardian{}", who(holder)))
                .with_help("ask that agent (--socket), or stop it")
        }
        Refusal::Claimed(ledger) => {
            ApiError::conflict(format!("root {name} belongs to another ledger, {ledger}"))
                .with_help("if that guardian is gone, take the root over with --adopt")
        }
    }
}

fn who(holder: &LockHolder) -> String {
    let mut said = Vec::new();
    if let Some(pid) = holder.pid {
        said.push(format!("pid {pid}"));
    }
    if let Some(socket) = &holder.socket {
        said.push(format!("socket {}", socket.display()));
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// A state directory that cannot be worked in.
pub fn state_dir(error: &StateDirError) -> ApiError {
    match error {
        StateDirError::Held { .. } => ApiError::conflict(error.to_string())
            .with_help("ask that agent (--socket), or wait until the other command is done"),
        StateDirError::Open { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            ApiError::not_permitted(with_causes(error))
                .with_help("run it as root, or name another directory (GUARDIAN_STATE_DIR)")
        }
        StateDirError::Lock { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            ApiError::not_permitted(with_causes(error))
                .with_help("run it as root, or name another directory (GUARDIAN_STATE_DIR)")
        }
        _ => ApiError::internal(error),
    }
}

/// A sweep that is refused because removals are paused.
pub fn paused(pause: &Pause) -> ApiError {
    let until =
        pause.until.map_or_else(|| "until guardian resume".to_owned(), |until| format!("until {until}"));
    ApiError::conflict(format!("removals are paused {until}"))
        .with_help("`guardian resume` ends the pause; --dry-run works meanwhile")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::surroundings::new_id;
    use crate::sys::clock;

    #[test]
    fn who_asks_for_a_sweep_of_the_agent_before_this_one_is_told_what_became_of_it() {
        let (before, id, now) = (clock::now(), RunId::new(new_id()), clock::now());
        let made = made_at(id.as_str()).unwrap();
        // It tells milliseconds.
        assert!(made >= before.minus(Duration::from_millis(1)) && made <= now, "{made} at {before}");
        let cut_off = no_sweep(&id, now.plus(Duration::from_secs(1)));
        assert_eq!(cut_off.status, 404);
        assert!(cut_off.detail.contains("started anew"), "{cut_off:?}");
        let help = cut_off.help.unwrap();
        assert!(help.contains("guardian history") && help.contains("guardian audit --since 20"), "{help}");
        for id in [id, RunId::new("x"), RunId::new(uuid::Uuid::new_v4().to_string())] {
            let unknown = no_sweep(&id, before.minus(Duration::from_secs(60)));
            assert_eq!(unknown.detail, format!("sweep {id} is not known (any more)"));
        }
    }
}
