//! What is done once an hour: the registry is copied, old records go.
//!
//! Promises: nothing goes by a clock that is in doubt; a failure is logged and
//! tried again an hour later. Must not know: how files are removed.

use std::sync::PoisonError;
use std::time::Duration;

use crate::agent::chain;
use crate::agent::jobs::Now;
use crate::agent::state::Agent;
use crate::config::RootSettings;
use crate::model::{JobId, RelPath};
use crate::sweep::named::look;
use crate::sys::clock;

/// So much longer than its results a job's record stays, for sweeps that come late.
const RESULTS_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The hourly copy of the registry to `ledger.bak`, and what is past its retention.
pub(super) fn keep_house(agent: &Agent) {
    let settings = agent.settings();
    let copy = settings.agent.state_dir.join("ledger.bak");
    if let Err(error) = agent.ledger.backup(&copy) {
        tracing::warn!(reason = %chain(&error), "the registry is not copied");
    }
    // To a clock that jumped all records look old, and with a job's record
    // goes what is known of its files.
    let (now, trusted) = agent.engine.look_at_clock();
    let keep = settings.roots.iter().map(records_kept).max().filter(|_| trusted);
    if let Some(keep) = keep {
        let pruned = agent
            .registry
            .prune(keep, Now::read())
            .and_then(|_| agent.ledger.prune_history(now.minus(keep)))
            .and_then(|_| agent.ledger.prune_requests(now.minus(keep)))
            .and_then(|_| agent.references.prune(keep, now));
        if let Err(error) = pruned {
            tracing::warn!(reason = %chain(&error), "old records are kept");
        }
    }
    if trusted {
        forget_spent(agent);
    }
    if trusted
        && let Some(audit) = &agent.engine.audit
        && let Err(error) = audit.prune(now.minus(settings.agent.audit_retention))
    {
        tracing::warn!(reason = %chain(&error), "old audit segments are kept");
    }
}

/// Forgets what was told of files that are gone, where it guards nothing any more.
fn forget_spent(agent: &Agent) {
    for target in agent.targets(None) {
        let name = &target.root.name;
        let began = clock::now();
        let spent = {
            let jobs = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
            let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
            let lives = |id: &JobId| jobs.jobs.get(id).is_some_and(|job| job.state.is_alive());
            view.spent(name, clock::now(), lives)
        };
        let is_gone = |path: &&RelPath| match look(target.root.dir.handle(), path) {
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            Ok(facts) => {
                let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
                view.told_of(name, path).is_some_and(|told| !told.recorded.is(&facts))
            }
        };
        // A root that is moved away meanwhile has lost nothing.
        let gone: Vec<&RelPath> = spent.iter().filter(is_gone).collect();
        let gone: Vec<(&RelPath, u64)> = {
            let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
            let ino = |path: &RelPath| view.told_of(name, path).map(|told| told.recorded.ino);
            gone.into_iter().filter_map(|path| Some((path, ino(path)?))).collect()
        };
        if target.root.dir.is_in_place() {
            agent.references.gone(name, gone.into_iter(), began);
        }
    }
    agent.references.forget_gone();
}

/// How long a root needs the records of ended jobs: without one its results
/// would be those of an unknown job, which are never old.
fn records_kept(root: &RootSettings) -> Duration {
    let results = if root.results.is_empty() { Duration::ZERO } else { root.retain.results + RESULTS_MARGIN };
    root.retain.records.max(results)
}
