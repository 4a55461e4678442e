//! Every metric: its name, unit, kind, labels, and what it says.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the agent's start.
    Counter,
    /// What is now.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
    /// Facts as labels.
    Info,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Without unit and without the suffix of its kind.
    pub name: &'static str,
    /// The last part of the name but for the suffix; empty for bare counts.
    pub unit: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels, in their order.
    pub labels: &'static [&'static str],
    /// What it says, without a full stop.
    pub help: &'static str,
}

impl Metric {
    /// The name that queries use (of a histogram without `_bucket`, `_sum`, `_count`).
    pub fn full_name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }
}

macro_rules! metrics {
    ($($kind:ident $constant:ident = $name:literal [$unit:literal] {$($label:literal),*} $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                unit: $unit,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order in which they are written.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    Info BUILD = "guardian_build" [""] {"version"} "The program that runs";
    Gauge START_TIME = "guardian_start_time" ["seconds"] {} "When the agent started, in Unix time";
    Gauge RESIDENT_MEMORY = "guardian_resident_memory" ["bytes"] {} "Memory that the agent holds";
    Counter CPU = "guardian_cpu" ["seconds"] {} "Processor time that the agent took";
    Gauge AUTOMATIC = "guardian_automatic" [""] {} "1: sweeps begin by themselves";
    Gauge DRY_RUN = "guardian_dry_run" [""] {} "1: nothing is ever removed";
    Gauge PAUSED = "guardian_paused" [""] {} "1: removals are paused";
    Gauge EMERGENCIES_PAUSED = "guardian_emergencies_paused" [""] {} "1: emergencies are paused too";
    Gauge CLOCK_TRUSTED = "guardian_clock_trusted" [""] {} "0: ages count in emergencies only, because the clock jumped";
    Gauge REGISTRY_TRUSTED = "guardian_registry_trusted" [""] {} "0: the ledger was lost, and files that name jobs are spared";
    Gauge STATE_SIZE = "guardian_state_size" ["bytes"] {"part"} "Size on disk of the ledger, the index and the audit log";
    Gauge SWEEPS = "guardian_sweeps" [""] {"state"} "Sweeps that were asked for, queued or running";
    Counter ALERTS = "guardian_alerts" [""] {"root", "kind", "level"} "Alerts raised; the root is empty where they concern the agent";
    Gauge WATCHES_LIMIT = "guardian_watches_limit" [""] {} "Directories that the kernel lets one user watch";

    Gauge ROOT_STATE = "guardian_root_state" [""] {"root", "state"} "1 for the state that the root is in: ready, scanning, suspended or unwatched";
    Gauge VOLUME_SIZE = "guardian_volume_size" ["bytes"] {"root"} "Size of the root's volume";
    Gauge VOLUME_USED = "guardian_volume_used" ["bytes"] {"root"} "Bytes in use";
    Gauge VOLUME_AVAILABLE = "guardian_volume_available" ["bytes"] {"root"} "Bytes that ordinary users can still write";
    Gauge VOLUME_USED_RATIO = "guardian_volume_used" ["ratio"] {"root", "resource"} "Share in use of bytes or inodes, as df counts";
    Gauge VOLUME_INODES = "guardian_volume_inodes" [""] {"root"} "Inodes of the volume; absent where it makes them as needed";
    Gauge VOLUME_INODES_USED = "guardian_volume_inodes_used" [""] {"root"} "Inodes in use";
    Gauge MARK = "guardian_mark" ["ratio"] {"root", "resource", "mark"} "The marks in force: warning, high and low";
    Gauge LEVEL = "guardian_level" [""] {"root", "resource"} "By the marks: 0 healthy, 1 warning, 2 critical";
    Gauge GROWTH = "guardian_volume_growth" ["bytes_per_second"] {"root"} "How fast the volume fills, lasting; negative while it empties, absent while unknown";
    Gauge TIME_TO_FULL = "guardian_volume_time_to_full" ["seconds"] {"root"} "When the volume is full if it goes on like that; absent while that is unknown or it doesn't fill";
    Gauge FORECAST_WARNING = "guardian_forecast_warning" ["seconds"] {} "A volume that is full within this time is warned of; 0: never";
    Gauge SAMPLE_AGE = "guardian_sample_age" ["seconds"] {"root"} "Since the volume was last looked at";

    Gauge INDEXED_FILES = "guardian_indexed_files" [""] {"root"} "Files in the index";
    Gauge INDEXED_BYTES = "guardian_indexed" ["bytes"] {"root"} "Their allocated bytes, each inode once";
    Gauge DIRECTORIES = "guardian_directories" [""] {"root"} "Directories known";
    Gauge WATCHES = "guardian_watches" [""] {"root"} "Directories whose changes are reported: watches used";
    Gauge UNWATCHED = "guardian_unwatched_directories" [""] {"root"} "Directories that are only listed at intervals";
    Gauge STALE = "guardian_stale_directories" [""] {"root"} "Directories of which something was missed, waiting to be listed again";
    Counter EVENTS = "guardian_events" [""] {"root"} "Changes that the kernel reported";
    Counter OVERFLOWS = "guardian_overflows" [""] {"root"} "Directories that were reported as lost";
    Counter DRIFT = "guardian_drift_entries" [""] {"root"} "Entries of the index that comparisons with the disk set right";
    Gauge LAST_RECONCILE = "guardian_last_reconcile_timestamp" ["seconds"] {"root"} "When the last comparison of everything ended, in Unix time";

    Counter RUNS = "guardian_runs" [""] {"root", "policy", "trigger", "result"} "Runs that ended: done, short of their target, or with errors";
    Counter REMOVED = "guardian_removed_files" [""] {"root", "policy", "phase"} "Names removed, counted when a run ends";
    Counter FREED = "guardian_freed" ["bytes"] {"root", "policy", "phase"} "Allocated bytes that this freed, each inode once";
    Counter UNLINKED = "guardian_unlinked" ["bytes"] {"root"} "Allocated bytes of files whose names were removed, counted with each batch";
    Counter SKIPPED = "guardian_skipped_files" [""] {"root", "reason"} "Planned files that stayed";
    Counter ERRORS = "guardian_errors" [""] {"root", "policy"} "Removals that failed";
    Histogram RUN_DURATION = "guardian_run_duration" ["seconds"] {"root", "policy"} "How long runs took";
    Histogram PHASE_DURATION = "guardian_phase_duration" ["seconds"] {"root", "phase"} "How long their phases took, choosing and removing";
    Gauge DRAIN = "guardian_drain" ["bytes_per_second"] {"root"} "How fast the last runs that freed something did so; absent before the first";
    Gauge LAST_RUN = "guardian_last_run_timestamp" ["seconds"] {"root", "policy"} "When the last run ended, in Unix time; absent before the first since the start";
    Gauge LAST_SUCCESS = "guardian_last_success_timestamp" ["seconds"] {"root", "policy"} "The same of the last one without errors that reached its target, if it had one";
    Gauge SHORTFALL = "guardian_shortfall" [""] {"root", "resource"} "What the last emergency missed of its target, in bytes or inodes; absent before the first";
    Counter FUTILE = "guardian_futile_emergencies" [""] {"root"} "Emergencies that freed less than a tenth of what was needed";
    Gauge SUSPENDED_POLICY = "guardian_policy_suspended" [""] {"root", "phase"} "1: the policy is left alone for a while because its removals fail";

    Gauge QUEUE_ENTRIES = "guardian_queue_entries" [""] {"root"} "Deferred deletions that wait";
    Gauge QUEUE_OLDEST = "guardian_queue_oldest_timestamp" ["seconds"] {} "When the oldest of them was asked for, in Unix time; absent while none waits";
    Gauge TRASH_ENTRIES = "guardian_trash_entries" [""] {"root"} "Soft-deleted files and directories";
    Gauge TRASH_BYTES = "guardian_trash" ["bytes"] {"root"} "Their allocated bytes";
    Gauge PRIVATE_BYTES = "guardian_private_directory" ["bytes"] {"root"} "Allocated bytes that queue and trash hold in the root's private directory";
}
