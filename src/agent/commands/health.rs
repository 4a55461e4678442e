//! How the roots are.

use std::sync::PoisonError;

use crate::agent::state::{Agent, Slot, SlotState};
use crate::api::{Health, OpenCheck, RootHealth, RootResource, RootState};
use crate::ingest;
use crate::model::{Level, Resource, VolumeUsage, WirePath};
use crate::policy::level;
use crate::sys::clock;
use crate::sys::open_check::OpenCheckKind;

/// What the volume of a slot shows now, or showed last.
pub(super) fn usage(slot: &Slot) -> Option<VolumeUsage> {
    let now = slot.ready().and_then(|root| root.guarded.probe.look().ok());
    now.or_else(|| slot.seen().map(|seen| seen.usage))
}

pub(super) fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

/// Percent of bytes and of inodes.
pub(super) fn percents(usage: Option<&VolumeUsage>) -> (Option<f64>, Option<f64>) {
    (
        usage.map(|usage| rounded(usage.percent(Resource::Bytes))),
        usage.filter(|usage| usage.counts_inodes()).map(|usage| rounded(usage.percent(Resource::Inodes))),
    )
}

/// What guardian can do with a root, and why no more.
pub(in crate::agent) fn state(agent: &Agent, slot: &Slot) -> (RootState, Option<String>) {
    let root = match slot.state() {
        SlotState::Ready(root) => root,
        SlotState::Suspended(why) => return (RootState::Suspended, Some(why)),
    };
    let Some(key) = root.key else {
        return (
            RootState::Unwatched,
            Some("the ledger has no room for its key: it is walked instead".to_owned()),
        );
    };
    let Some(status) = agent.ingest.status(key) else { return (RootState::Scanning, None) };
    match status.state {
        ingest::RootState::Scanning => (RootState::Scanning, status.trouble),
        ingest::RootState::Ready => (RootState::Ready, status.trouble),
        ingest::RootState::Unwatched => {
            let why = match status.limit {
                Some(limit) => format!("{} directories are not watched: {}", status.unwatched, limit.help()),
                None => format!("{} directories are listed periodically", status.unwatched),
            };
            (RootState::Unwatched, Some(why))
        }
    }
}

/// One root of `GET /v1/roots`.
pub(super) fn root(agent: &Agent, slot: &Slot) -> RootResource {
    let (state, reason) = state(agent, slot);
    let record = agent.ledger.root(slot.name()).ok().flatten();
    let now = clock::now();
    RootResource {
        name: slot.name().clone(),
        path: WirePath::from_path(&slot.settings.path),
        state,
        reason,
        patterns: slot.settings.patterns.clone(),
        adopted_at: record.as_ref().and_then(|record| record.adopted_at),
        adoption_grace_until: record.and_then(|record| record.new_until).filter(|until| now < *until),
    }
}

fn root_health(agent: &Agent, slot: &Slot) -> RootHealth {
    let usage = usage(slot);
    let (state, reason) = state(agent, slot);
    let (usage_percent, inodes_percent) = percents(usage.as_ref());
    let ready = slot.ready();
    let suspended = agent.engine.breakers.remarks(slot.name(), clock::since_boot());
    let status = match (&ready, &usage) {
        (Some(root), Some(usage)) => [Resource::Bytes, Resource::Inodes]
            .into_iter()
            .map(|resource| level(usage, resource, &root.guarded.marks))
            .max()
            .unwrap_or(Level::Healthy),
        (Some(_), None) => Level::Warning,
        (None, _) => Level::Critical,
    };
    let status = if suspended.is_empty() { status } else { status.max(Level::Warning) };
    let mut notes: Vec<String> = reason.into_iter().chain(suspended).collect();
    if ready.is_some() && usage.is_none() {
        notes.push("the volume can't be asked".to_owned());
    }
    let remarks = agent.remarks.lock().unwrap_or_else(PoisonError::into_inner);
    notes.extend(remarks.get(slot.name()).cloned().unwrap_or_default());
    RootHealth {
        name: slot.name().clone(),
        path: WirePath::from_path(&slot.settings.path),
        status,
        usage_percent,
        inodes_percent,
        state,
        open_check: match ready.map(|root| root.guarded.open_check_now()) {
            Some(OpenCheckKind::Lease) => OpenCheck::Lease,
            Some(OpenCheckKind::Proc | OpenCheckKind::Untried) => OpenCheck::Proc,
            Some(OpenCheckKind::Partial) | None => OpenCheck::Partial,
        },
        time_to_full_seconds: slot
            .seen()
            .and_then(|seen| seen.outlook.time_to_full())
            .map(|span| span.as_secs()),
        notes,
    }
}

pub(super) fn health(agent: &Agent) -> Health {
    let roots: Vec<RootHealth> = agent.slots().iter().map(|slot| root_health(agent, slot)).collect();
    let mut status = roots.iter().map(|root| root.status).max().unwrap_or(Level::Healthy);
    let mut notes = Vec::new();
    if !agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner).known {
        status = Level::Critical;
        notes.push(
            "the ledger was lost: files that name jobs stay until `guardian registry trust`".to_owned(),
        );
    }
    if agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt().is_some() {
        status = status.max(Level::Warning);
        notes.push(
            "the clock is not trusted: ages count in emergencies only, until time is synchronised or \
             `guardian clock trust`"
                .to_owned(),
        );
    }
    if agent.engine.audit.is_none() {
        status = status.max(Level::Warning);
        notes.push("there is no audit log: removals go to the log".to_owned());
    }
    Health { status, paused: agent.pause_at(clock::now()).is_some(), roots, notes }
}
