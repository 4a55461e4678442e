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
        },
    )
}
