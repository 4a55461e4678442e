//! What the agent counts: runs, removals, alerts.
//!
//! Promises: a run is counted once, when it has ended; counting takes locks
//! for as long as adding numbers takes, and no scrape holds them longer than
//! it takes to copy them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Registered, Registry};

use crate::api::metrics::catalogue;
use crate::api::metrics::{Labels, Metric};
use crate::model::{Level, Phase, Policy, Report, Resource, RootName, Timestamp};

use crate::model::AlertKind;

/// Upper bounds in seconds: from a batch on tmpfs to a sweep of hours.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// An emergency that frees less than this share of what was needed was in vain.
const FUTILE_SHARE: f64 = 0.1;

/// How fast a volume is emptied is taken from so many runs that freed at least this.
const DRAIN_RUNS: usize = 8;
const DRAIN_BYTES: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;
type Histograms = Family<Labels, Histogram, Buckets>;

/// All that is counted.
pub struct Meters {
    registry: Registry,
    runs: Counters,
    removed: Counters,
    freed: Counters,
    unlinked: Counters,
    skipped: Counters,
    errors: Counters,
    run_duration: Histograms,
    phase_duration: Histograms,
    last_run: Gauges,
    last_success: Gauges,
    shortfall: Gauges,
    futile: Counters,
    alerts: Counters,
    /// Bytes unlinked by root, for the forecast.
    by_root: Mutex<HashMap<RootName, u64>>,
    /// What the last runs freed, and in how many seconds.
    drained: Mutex<HashMap<RootName, VecDeque<(u64, f64)>>>,
}

fn register<M: Registered + Clone>(registry: &mut Registry, metric: &Metric, registered: &M) {
    match metric.registered_unit() {
        Some(unit) => registry.register_with_unit(metric.name, metric.help, unit, registered.clone()),
        None => registry.register(metric.name, metric.help, registered.clone()),
    }
}

impl Default for Meters {
    fn default() -> Self {
        let mut registry = Registry::default();
        let counters = |registry: &mut Registry, metric: &Metric| {
            let family = Counters::default();
            register(registry, metric, &family);
            family
        };
        let gauges = |registry: &mut Registry, metric: &Metric| {
            let family = Gauges::default();
            register(registry, metric, &family);
            family
        };
        let histograms = |registry: &mut Registry, metric: &Metric| {
            let family = Histograms::new_with_constructor(Buckets);
            register(registry, metric, &family);
            family
        };
        Self {
            runs: counters(&mut registry, &catalogue::RUNS),
            removed: counters(&mut registry, &catalogue::REMOVED),
            freed: counters(&mut registry, &catalogue::FREED),
            unlinked: counters(&mut registry, &catalogue::UNLINKED),
            skipped: counters(&mut registry, &catalogue::SKIPPED),
            errors: counters(&mut registry, &catalogue::ERRORS),
            run_duration: histograms(&mut registry, &catalogue::RUN_DURATION),
            phase_duration: histograms(&mut registry, &catalogue::PHASE_DURATION),
            last_run: gauges(&mut registry, &catalogue::LAST_RUN),
            last_success: gauges(&mut registry, &catalogue::LAST_SUCCESS),
            shortfall: gauges(&mut registry, &catalogue::SHORTFALL),
            futile: counters(&mut registry, &catalogue::FUTILE),
            alerts: counters(&mut registry, &catalogue::ALERTS),
            by_root: Mutex::default(),
            drained: Mutex::default(),
            registry,
        }
    }
}

impl Meters {
    /// What was counted, to be written down.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A root is guarded: what is counted of it begins at 0, so that the first
    /// increase is seen as one.
    pub fn know(&self, root: &RootName) {
        drop(self.futile.get_or_create(&catalogue::FUTILE.labelled(&[root.as_str()])));
        drop(self.unlinked.get_or_create(&catalogue::UNLINKED.labelled(&[root.as_str()])));
    }

    /// An alert was raised.
    pub fn alert(&self, kind: AlertKind, level: Level, root: Option<&RootName>) {
        let root = root.map_or("", RootName::as_str);
        let labels = catalogue::ALERTS.labelled(&[root, kind.as_str(), level.as_str()]);
        self.alerts.get_or_create(&labels).inc();
    }

    /// A batch of so many allocated bytes was unlinked.
    pub fn unlinked(&self, root: &RootName, bytes: u64) {
        self.unlinked.get_or_create(&catalogue::UNLINKED.labelled(&[root.as_str()])).inc_by(bytes);
        let mut all = self.by_root.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(root) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => drop(all.insert(root.clone(), bytes)),
        }
    }

    /// Bytes unlinked beneath roots since the start.
    pub fn unlinked_in<'a>(&self, roots: impl Iterator<Item = &'a RootName>) -> u64 {
        let all = self.by_root.lock().unwrap_or_else(PoisonError::into_inner);
        roots.filter_map(|root| all.get(root)).sum()
    }

    /// How fast the last runs over roots of one volume freed bytes, per second.
    pub fn drain_rate<'a>(&self, roots: impl Iterator<Item = &'a RootName>) -> Option<f64> {
        let all = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut bytes, mut seconds) = (0.0, 0.0);
        for (freed, took) in roots.filter_map(|root| all.get(root)).flatten() {
            bytes += *freed as f64;
            seconds += took;
        }
        (seconds > 0.0).then(|| bytes / seconds)
    }

    fn note_drain(&self, report: &Report) {
        if report.bytes_freed >= DRAIN_BYTES && report.duration_seconds > 0.0 {
            let mut all = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
            let last = all.entry(report.root.clone()).or_default();
            last.push_back((report.bytes_freed, report.duration_seconds));
            if last.len() > DRAIN_RUNS {
                last.pop_front();
            }
        }
    }

    /// A run over one root has ended.
    pub fn ran(&self, report: &Report) {
        if report.dry_run {
            return;
        }
        let (root, policy) = (report.root.as_str(), report.policy.as_str());
        let result = match (report.errors_total, report.target_reached) {
            (_, Some(false)) => "short",
            (0, _) => "done",
            _ => "errors",
        };
        let labels = catalogue::RUNS.labelled(&[root, policy, report.trigger.as_str(), result]);
        self.runs.get_or_create(&labels).inc();
        for phase in &report.phases {
            let named = [root, policy, phase.policy.as_str()];
            self.removed.get_or_create(&catalogue::REMOVED.labelled(&named)).inc_by(phase.files_deleted);
            self.freed.get_or_create(&catalogue::FREED.labelled(&named)).inc_by(phase.bytes_freed);
        }
        for (reason, count) in report.skipped.iter().filter(|(_, count)| **count > 0) {
            self.skipped.get_or_create(&catalogue::SKIPPED.labelled(&[root, reason])).inc_by(*count);
        }
        self.errors.get_or_create(&catalogue::ERRORS.labelled(&[root, policy])).inc_by(report.errors_total);
        let of_policy = catalogue::RUN_DURATION.labelled(&[root, policy]);
        self.run_duration.get_or_create(&of_policy).observe(report.duration_seconds);
        let ended = in_unix_time(report.end_time);
        self.last_run.get_or_create(&catalogue::LAST_RUN.labelled(&[root, policy])).set(ended);
        if result == "done" {
            self.last_success.get_or_create(&catalogue::LAST_SUCCESS.labelled(&[root, policy])).set(ended);
        }
        self.note_drain(report);
        if report.policy == Policy::Emergency {
            self.emergency(report);
        }
    }

    fn emergency(&self, report: &Report) {
        let root = report.root.as_str();
        let (resource, freed) = match report.resource {
            Resource::Bytes => ("bytes", report.bytes_freed),
            Resource::Inodes => ("inodes", report.files_deleted),
        };
        let labels = catalogue::SHORTFALL.labelled(&[root, resource]);
        match (report.target_reached, &report.shortfall) {
            (Some(true), _) => {
                self.shortfall.get_or_create(&labels).set(0.0);
            }
            (Some(false), Some(shortfall)) => {
                self.shortfall.get_or_create(&labels).set(shortfall.bytes as f64);
                let needed = freed.saturating_add(shortfall.bytes) as f64;
                if (freed as f64) < needed * FUTILE_SHARE {
                    self.futile.get_or_create(&catalogue::FUTILE.labelled(&[root])).inc();
                }
            }
            _ => {}
        }
    }

    /// How long the phases of a run over one root took.
    pub fn phases_took(&self, took: &BTreeMap<(RootName, Phase), Duration>) {
        for ((root, phase), time) in took {
            let labels = catalogue::PHASE_DURATION.labelled(&[root.as_str(), phase.as_str()]);
            self.phase_duration.get_or_create(&labels).observe(time.as_secs_f64());
        }
    }
}

/// Seconds since 1970.
pub(super) fn in_unix_time(at: Timestamp) -> f64 {
    at.as_nanos() as f64 / 1e9
}
