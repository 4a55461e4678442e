//! Explaining a path.

use std::sync::PoisonError;

use crate::agent::explain::{Knowledge, below, explain as judge, outside};
use crate::agent::state::{Agent, SlotState};
use crate::api::{ApiError, Explanation};
use crate::sys::clock;

pub(super) fn explain(agent: &Agent, path: &[u8]) -> Result<Explanation, ApiError> {
    let found = agent.slots().into_iter().find_map(|slot| {
        let below = below(&slot.settings.path, path)?;
        Some((slot, below))
    });
    let Some((slot, below)) = found else {
        return Ok(outside(path, None, "lies beneath no root: guardian leaves it alone"));
    };
    let root = match slot.state() {
        SlotState::Ready(root) => root,
        SlotState::Suspended(why) => {
            let why = format!("kept: root {} is suspended: {why}", slot.name());
            return Ok(outside(path, Some(slot.name()), &why));
        }
    };
    let snapshot = agent.engine.index.as_ref().and_then(|index| index.snapshot().ok());
    let clock_trusted = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt().is_none();
    // A copy: looking at the file must not hold up a job that starts.
    let jobs = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner).clone();
    judge(
        &root.guarded,
        &below,
        &Knowledge {
            jobs: &jobs,
            references: &agent.engine.references,
            now: clock::now(),
            clock_trusted,
            index: snapshot.as_ref().zip(root.key),
            kept: Some(&*agent.ledger),
            halts: halts(agent),
        },
    )
}

/// What keeps the agent from removing anything, or from doing so by itself.
fn halts(agent: &Agent) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(pause) = agent.pause_at(clock::now()) {
        let until = pause.until.map_or_else(String::new, |until| format!(" until {until:#}"));
        let which = if pause.emergencies { ", in emergencies too" } else { "; emergencies act" };
        all.push(format!("removals are paused{until}{which} (guardian resume)"));
    }
    let settings = &agent.settings().agent;
    if settings.dry_run {
        all.push("nothing is removed: the configuration says so (dry_run)".to_owned());
    } else if settings.keep_files_for_debugging {
        all.push("only emergencies remove anything (keep_files_for_debugging)".to_owned());
    }
    if !settings.automatic {
        all.push("nothing goes by itself, only on request (automatic = false)".to_owned());
    }
    all
}
