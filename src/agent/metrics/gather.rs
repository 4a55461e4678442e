//! What is known at a scrape, without asking a volume or reading a tree.
//!
//! Everything here was found out before by those whose work it is: the guard's
//! last look, ingest's status, the counters of index and ledger. What they
//! don't know has no sample.

use std::path::Path;
use std::sync::PoisonError;

use crate::agent::commands;
use crate::agent::state::{Agent, Slot};
use crate::api::RootState;
use crate::api::metrics::{Figures, catalogue as c};
use crate::model::{Level, Resource};
use crate::policy::level;
use crate::sys::{clock, memory};

use super::meters::in_unix_time;

/// Where the kernel keeps its limit of watches.
const WATCHES_LIMIT: &str = "/proc/sys/fs/inotify/max_user_watches";

/// All figures of this moment.
pub(super) fn figures(agent: &Agent) -> Figures {
    let mut out = Figures::default();
    of_agent(agent, &mut out);
    for slot in agent.slots() {
        of_root(agent, &slot, &mut out);
    }
    out
}

fn of_agent(agent: &Agent, out: &mut Figures) {
    let settings = agent.settings();
    let keys = &settings.agent;
    out.count(&c::BUILD, &[env!("CARGO_PKG_VERSION")], Some(1));
    out.add(&c::START_TIME, &[], Some(in_unix_time(agent.started_at)));
    let own = memory::own_footprint();
    out.count(&c::RESIDENT_MEMORY, &[], own.map(|own| own.resident));
    out.add(&c::CPU, &[], own.map(|own| own.cpu_millis as f64 / 1e3));
    out.flag(&c::AUTOMATIC, &[], keys.automatic);
    out.flag(&c::DRY_RUN, &[], keys.dry_run);
    let pause = agent.pause_at(clock::now());
    out.flag(&c::PAUSED, &[], pause.is_some());
    out.flag(&c::EMERGENCIES_PAUSED, &[], pause.is_some_and(|pause| pause.emergencies));
    let doubt = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt();
    out.flag(&c::CLOCK_TRUSTED, &[], doubt.is_none());
    let known = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner).known;
    out.flag(&c::REGISTRY_TRUSTED, &[], known);
    for (part, bytes) in [
        ("ledger", size(&keys.state_dir.join("ledger.redb"))),
        ("index", size(&keys.state_dir.join("index.redb"))),
        ("audit", size_of_files(&keys.state_dir.join("audit"))),
    ] {
        out.count(&c::STATE_SIZE, &[part], bytes);
    }
    let (queued, running) = agent.runs.counts();
    out.count(&c::SWEEPS, &["queued"], Some(queued));
    out.count(&c::SWEEPS, &["running"], Some(running));
    out.add(&c::FORECAST_WARNING, &[], Some(keys.forecast_warning.as_secs_f64()));
    let limit = std::fs::read_to_string(WATCHES_LIMIT).ok().and_then(|text| text.trim().parse().ok());
    out.count(&c::WATCHES_LIMIT, &[], limit);
    let oldest = agent.ledger.queue_stats(None).ok().and_then(|stats| stats.oldest_queued);
    out.add(&c::QUEUE_OLDEST, &[], oldest.map(in_unix_time));
}

/// Allocated bytes of a file, as `du` counts; `None` where it can't be looked at.
fn size(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().ok().map(|seen| seen.blocks() * 512)
}

fn size_of_files(dir: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(dir).ok()?;
    Some(entries.flatten().filter_map(|entry| size(&entry.path())).sum())
}

fn of_root(agent: &Agent, slot: &Slot, out: &mut Figures) {
    let name = slot.name().as_str();
    agent.engine.meters.know(slot.name());
    let (state, _) = commands::state(agent, slot);
    for one in [RootState::Ready, RootState::Scanning, RootState::Suspended, RootState::Unwatched] {
        out.flag(&c::ROOT_STATE, &[name, one.as_str()], one == state);
    }
    of_volume(slot, name, out);
    of_index(agent, slot, name, out);
    out.add(&c::DRAIN, &[name], agent.engine.meters.drain_rate(std::iter::once(slot.name())));
    for phase in agent.engine.breakers.suspensions(slot.name(), clock::since_boot()) {
        out.flag(&c::SUSPENDED_POLICY, &[name, phase.as_str()], true);
    }
    let root = slot.name();
    let queue = agent.ledger.queue_stats(Some(root)).ok();
    out.count(&c::QUEUE_ENTRIES, &[name], queue.map(|queue| queue.total_pending));
    let trash = agent.ledger.trash_totals(root).ok();
    out.count(&c::TRASH_ENTRIES, &[name], trash.map(|trash| trash.files));
    out.count(&c::TRASH_BYTES, &[name], trash.map(|trash| trash.bytes));
    out.count(&c::PRIVATE_BYTES, &[name], agent.ledger.moved_bytes(root).ok());
}

/// By the guard's last look, and the marks in force.
fn of_volume(slot: &Slot, name: &str, out: &mut Figures) {
    let Some(ready) = slot.ready() else { return };
    let marks = &ready.guarded.marks;
    let seen = slot.seen();
    let resources = [(Resource::Bytes, "bytes"), (Resource::Inodes, "inodes")];
    for (resource, of) in resources {
        if seen.is_some_and(|seen| resource == Resource::Inodes && !seen.usage.counts_inodes()) {
            continue;
        }
        let (warning, high, low) = marks.of(resource);
        for (mark, percent) in [("warning", warning), ("high", high), ("low", low)] {
            out.add(&c::MARK, &[name, of, mark], Some(percent / 100.0));
        }
        out.add(&c::VOLUME_USED_RATIO, &[name, of], seen.map(|seen| seen.usage.percent(resource) / 100.0));
        let number = |level| match level {
            Level::Healthy => 0,
            Level::Warning => 1,
            Level::Critical => 2,
        };
        out.count(&c::LEVEL, &[name, of], seen.map(|seen| number(level(&seen.usage, resource, marks))));
    }
    let Some(seen) = seen else { return };
    let usage = &seen.usage;
    out.count(&c::VOLUME_SIZE, &[name], Some(usage.total));
    out.count(&c::VOLUME_USED, &[name], Some(usage.used));
    out.count(&c::VOLUME_AVAILABLE, &[name], Some(usage.available));
    let inodes = |count| Some(count).filter(|_| usage.counts_inodes());
    out.count(&c::VOLUME_INODES, &[name], inodes(usage.inodes_total));
    out.count(&c::VOLUME_INODES_USED, &[name], inodes(usage.inodes_used));
    out.add(&c::GROWTH, &[name], seen.rate);
    out.add(&c::TIME_TO_FULL, &[name], seen.outlook.time_to_full().map(|time| time.as_secs_f64()));
    let age = clock::since_boot().saturating_sub(seen.looked_at);
    out.add(&c::SAMPLE_AGE, &[name], Some(age.as_secs_f64()));
}

fn of_index(agent: &Agent, slot: &Slot, name: &str, out: &mut Figures) {
    let Some(key) = slot.ready().and_then(|root| root.key) else { return };
    let counters = agent.engine.index.as_ref().and_then(|index| {
        let snapshot = index.snapshot().ok()?;
        Some(snapshot.root(key).ok().flatten()?.counters)
    });
    out.count(&c::INDEXED_FILES, &[name], counters.map(|counters| counters.files));
    out.count(&c::INDEXED_BYTES, &[name], counters.map(|counters| counters.allocated_bytes));
    let Some(status) = agent.ingest.status(key) else { return };
    out.count(&c::DIRECTORIES, &[name], Some(status.directories));
    out.count(&c::WATCHES, &[name], Some(status.watched));
    out.count(&c::UNWATCHED, &[name], Some(status.unwatched));
    out.count(&c::STALE, &[name], Some(status.stale));
    out.count(&c::EVENTS, &[name], Some(status.events));
    out.count(&c::OVERFLOWS, &[name], Some(status.overflows));
    out.count(&c::DRIFT, &[name], Some(status.drift));
    out.add(&c::LAST_RECONCILE, &[name], status.last_reconcile.map(in_unix_time));
}
