//! Roots, as a command that works alone opens them: under their locks, or
//! looked at and left as they are.
//!
//! Promises: a root that was asked for by name must be had; of all, those that
//! are suspended are left out and named. Must not know: what is done with them.

use std::sync::Arc;

use crate::agent::engine::Target;
use crate::agent::problems;
use crate::agent::roots::{Claim, LockedRoot, Opened, Opener, Refusal, check_nesting, open_root};
use crate::api::ApiError;
use crate::config::RootSettings;
use crate::model::{RootName, SweepRequest};
use crate::sweep::root::{GuardedRoot, OwnFiles};
use crate::sweep::vault::{RootVault, Turn};
use crate::sys::clock;
use crate::usage::{CapacityCounter, Probe, by_walking};

use super::Alone;
use super::workplace::Workplace;

/// Roots that a sweep goes over, and those that it leaves out.
pub(super) struct Gathered<R> {
    pub(super) roots: Vec<R>,
    pub(super) left_out: Vec<String>,
}

/// Roots under their locks, as runs see them.
pub(super) struct OpenedTargets {
    /// Their locks are ours while these live.
    pub(super) locked: Vec<LockedRoot>,
    pub(super) targets: Vec<Target>,
    pub(super) left_out: Vec<String>,
}

impl Alone {
    /// The settings of the root that is named, or of all.
    pub(super) fn chosen(&self, only: &dyn Fn(&RootName) -> bool) -> Result<Vec<&RootSettings>, ApiError> {
        if self.settings.roots.is_empty() {
            return Err(ApiError::invalid("no root is configured")
                .with_help("name a directory with --root, or configure a [[root]]"));
        }
        check_nesting(&self.settings.roots).map_err(|error| problems::root(&error))?;
        Ok(self.settings.roots.iter().filter(|root| only(&root.name)).collect())
    }

    /// Opens roots under their locks.
    pub(super) fn open_targets(
        &self,
        work: &Workplace,
        request: &SweepRequest,
        claim: Claim,
        wanted: &dyn Fn(&RootName) -> bool,
    ) -> Result<OpenedTargets, ApiError> {
        let (chosen, now) = (self.chosen(wanted)?, clock::now());
        let opener = Opener {
            book: work.ledger.as_ref(),
            origin: &work.origin,
            state_dir: work.state.path(),
            socket: None,
        };
        let gathered = gather(request, chosen, |settings| {
            let opened = open_root(settings, claim, &opener, now).map_err(|error| problems::root(&error))?;
            Ok(match opened {
                Opened::Ready(root) => Ok(root),
                Opened::Refused(refusal) => Err(refusal),
            })
        })?;
        let locked: Vec<LockedRoot> = gathered.roots.into_iter().map(|root: Box<LockedRoot>| *root).collect();
        if locked.iter().any(|root| root.calls_for_distrust())
            && let Err(error) = work.registry.distrust()
        {
            tracing::warn!(reason = %crate::agent::chain(&error), "the loss of the ledger is not on record");
        }
        // Only now: locks, markers and segments have just been made.
        let own = self.own_places().collect();
        let mut targets = Vec::new();
        for root in &locked {
            let visible = by_walking(root.dir(), &own.known);
            let (ledger, name) = (Arc::clone(&work.ledger), root.settings().name.clone());
            // What lies in the private directory is walked by nobody.
            let counter: CapacityCounter = Arc::new(move || {
                visible().map(|bytes| bytes.saturating_add(ledger.moved_bytes(&name).unwrap_or(0)))
            });
            let mut guarded = root
                .guarded(&own, Some(counter), self.settings.agent.workers)
                .map_err(|error| problems::root(&error))?;
            guarded.vault = root.private().map(|private| {
                let (private, ledger) = (Arc::clone(private), Arc::clone(&work.ledger));
                Arc::new(RootVault::new(private, ledger, Turn::default()))
            });
            targets.push(Target { root: Arc::new(guarded), key: None });
        }
        Ok(OpenedTargets { locked, targets, left_out: gathered.left_out })
    }
}

/// Opens each root. One that was asked for by name must be had; of all, those
/// that are suspended are left out.
pub(super) fn gather<R>(
    request: &SweepRequest,
    chosen: Vec<&RootSettings>,
    mut open: impl FnMut(&RootSettings) -> Result<Result<R, Refusal>, ApiError>,
) -> Result<Gathered<R>, ApiError> {
    let mut gathered = Gathered { roots: Vec::new(), left_out: Vec::new() };
    let mut last = None;
    for settings in chosen {
        match open(settings)? {
            Ok(root) => gathered.roots.push(root),
            Err(refusal) => {
                let error = problems::refusal(&settings.name, &refusal);
                if request.root.is_some() || !matches!(refusal, Refusal::Suspended(_)) {
                    return Err(error);
                }
                gathered.left_out.push(format!("left out: {}", error.detail));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if gathered.roots.is_empty() => Err(error),
        _ if gathered.roots.is_empty() => {
            Err(ApiError::invalid("the plan names no root that is configured here"))
        }
        _ => Ok(gathered),
    }
}

/// Has a root of a fixed capacity counted by a walk: nobody keeps its counters.
pub(super) fn count_by_walking(root: &mut GuardedRoot, settings: &RootSettings, own: &OwnFiles) {
    if let Some(size) = settings.capacity {
        let counter = by_walking(&root.dir, &own.known);
        root.probe = Probe::Capacity { root: Arc::clone(&root.dir), size, counter };
    }
}
