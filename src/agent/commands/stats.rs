//! Figures.

use std::sync::PoisonError;

use crate::agent::census::Census;
use crate::agent::state::Slot;
use crate::api::{AgentStats, IndexConfidence, IndexStats, RootStats, Stats};
use crate::ingest::{Confidence, RootState};
use crate::model::{Level, Resource};
use crate::policy::level;
use crate::sys::{clock, memory};

use super::{Served, health};

pub(super) fn stats(served: &Served) -> Stats {
    let agent = &served.agent;
    let now = clock::now();
    let (sweeps_queued, sweeps_running) = agent.runs.counts();
    Stats {
        roots: agent.slots().iter().map(|slot| root(served, slot)).collect(),
        agent: AgentStats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: agent.started_at,
            uptime_seconds: agent.started_at.age_at(now).as_secs(),
            memory_bytes: memory::own_footprint().map(|own| own.resident),
            sweeps_queued,
            sweeps_running,
            paused: agent.pause_at(now).is_some(),
            dry_run: agent.settings().agent.dry_run,
        },
    }
}

fn root(served: &Served, slot: &Slot) -> RootStats {
    let agent = &served.agent;
    let usage = health::usage(slot);
    let (storage_usage_percent, inodes_usage_percent) = health::percents(usage.as_ref());
    let ready = slot.ready();
    let key = ready.as_ref().and_then(|root| root.key);
    let info = key.and_then(|key| {
        let snapshot = agent.engine.index.as_ref()?.snapshot().ok()?;
        snapshot.root(key).ok().flatten()
    });
    let counters = info.as_ref().map(|info| info.counters);
    let counted = Census::of(&served.census, agent, slot.name());
    let (active, failed) = {
        let view = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let here =
            || view.jobs.values().filter(|job| job.root.as_ref().is_none_or(|root| root == slot.name()));
        (
            here().filter(|job| job.state.is_alive()).count() as u64,
            here().filter(|job| job.state.is_failure()).count() as u64,
        )
    };
    let tracked = {
        let view = agent.engine.references.read().unwrap_or_else(PoisonError::into_inner);
        view.tracked_count(slot.name())
    };
    let cleanup_needed = match (&ready, &usage) {
        (Some(root), Some(usage)) => [Resource::Bytes, Resource::Inodes]
            .into_iter()
            .any(|resource| level(usage, resource, &root.guarded.marks) == Level::Critical),
        _ => false,
    };
    let (state, _) = health::state(agent, slot);
    let status = key.and_then(|key| agent.ingest.status(key));
    let confidence = match &status {
        _ if info.is_none() => IndexConfidence::None,
        None => IndexConfidence::None,
        Some(status) if status.state == RootState::Scanning => IndexConfidence::Partial,
        Some(status) => match status.confidence {
            Confidence::Exact if status.stale == 0 => IndexConfidence::Complete,
            Confidence::Exact | Confidence::Reconciling => IndexConfidence::Stale,
            Confidence::Incomplete => IndexConfidence::Partial,
        },
    };
    let trash = agent.ledger.trash_totals(slot.name()).ok();
    RootStats {
        name: slot.name().clone(),
        storage_usage_percent,
        emergency_threshold: slot.settings.marks.high,
        inodes_usage_percent,
        growth_bytes_per_second: slot.seen().and_then(|seen| seen.rate).map(f64::round),
        time_to_full_seconds: slot
            .seen()
            .and_then(|seen| seen.outlook.time_to_full())
            .map(|time| time.as_secs()),
        temp_files_count: counters.map(|counters| counters.files),
        temp_files_size_bytes: counters.map(|counters| counters.allocated_bytes),
        tracked_files_count: Some(tracked),
        active_jobs_count: Some(active),
        failed_jobs_count: Some(failed),
        orphaned_files_count: counted.as_ref().map(|counted| counted.orphans),
        orphaned_files_size_bytes: counted.as_ref().map(|counted| counted.orphan_bytes),
        expired_files_count: counted.as_ref().map(|counted| counted.expired),
        results_past_retention_count: counted.as_ref().map(|counted| counted.old_results),
        trash_files_count: trash.map(|trash| trash.files),
        trash_size_bytes: trash.map(|trash| trash.bytes),
        deferred_pending_count: agent
            .ledger
            .queue_stats(Some(slot.name()))
            .ok()
            .map(|stats| stats.total_pending),
        cleanup_needed,
        index: IndexStats {
            entries: counters.map_or(0, |counters| counters.files),
            state: if info.is_none() && ready.is_some() { "unavailable" } else { state.as_str() }.to_owned(),
            confidence,
        },
        as_of: counted.as_ref().map(|counted| counted.as_of),
        top: counted.map(|counted| counted.top),
    }
}
