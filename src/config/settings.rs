//! The checked settings that the other rooms read.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{FileTimes, Level, RootName};

use super::show::ShownTable;
use super::{Origin, Verbosity, Warning};

/// Everything the agent needs to know, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Keys of `[agent]`.
    pub agent: AgentSettings,
    /// The roots, in the order in which they were first named. May be empty.
    pub roots: Vec<RootSettings>,
    /// The `[[alert_hook]]` tables.
    pub alert_hooks: Vec<AlertHook>,
    /// The files that were read, by absolute path.
    pub files: Vec<PathBuf>,
    /// Which lines reach the log; no key, only a flag.
    pub verbosity: Verbosity,
    /// Odd things to log at the start.
    pub warnings: Vec<Warning>,
    /// Every value in effect with its origin, for `config show`.
    pub(super) shown: Vec<ShownTable>,
}

/// Keys of `[agent]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// Directory of index, ledger and audit; absolute.
    pub state_dir: PathBuf,
    /// The admin socket; absolute.
    pub socket: PathBuf,
    /// Group whose members are administrators; `None` for none besides root and the agent's uid.
    pub admin_group: Option<String>,
    /// Whether sweeps start by themselves, emergencies included.
    pub automatic: bool,
    /// Plan and log, remove nothing; wins over requests.
    pub dry_run: bool,
    /// The same for all policies but emergencies.
    pub keep_files_for_debugging: bool,
    /// The longest pause between two looks at a volume; at least 1 s.
    pub sample_interval: Duration,
    /// Pause between scheduled sweeps; at least 1 s.
    pub sweep_interval: Duration,
    /// Pause between scheduled sweeps for orphans; at least 1 s.
    pub orphan_sweep_interval: Duration,
    /// Pause between full comparisons of index and disk; at least 1 s.
    pub reconcile_interval: Duration,
    /// Sweeps, plans, deletions and trash per uid.
    pub rate_limit: RateLimit,
    /// Removal and scan threads; 0 for as many as there are cores.
    pub workers: usize,
    /// How long audit segments are kept.
    pub audit_retention: Duration,
    /// Bytes in reserve on the state volume.
    pub ballast: u64,
    /// Warn when a volume is forecast to be full within this span; zero: never.
    pub forecast_warning: Duration,
    /// Where metrics are written for the node exporter; absolute, beneath no root.
    pub metrics_textfile: Option<PathBuf>,
    /// Where metrics are served without the socket.
    pub metrics_listen: Option<SocketAddr>,
    /// Where and how to log.
    pub log_format: LogFormat,
}

/// One `[[root]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RootSettings {
    /// Its name, unique.
    pub name: RootName,
    /// Its directory; absolute, without `.`, `..` or doubled slashes; symbolic links not resolved.
    pub path: PathBuf,
    /// Where the path was given, for messages of the agent's own checks.
    pub path_origin: Origin,
    /// Refuse the root while its path is not a mount point.
    pub require_mount: bool,
    /// The administrator said that a system directory or a checkout may be a root.
    pub allow_system_root: bool,
    /// Treat the root as a volume of its own of this many bytes; never 0.
    pub capacity: Option<u64>,
    /// Marks for bytes.
    pub marks: Marks,
    /// Marks for inodes.
    pub inode_marks: Marks,
    /// Available bytes below which an emergency starts.
    pub min_free: MinFree,
    /// Name patterns with exactly one `{job}`; checked for syntax, see [`check_pattern`](super::check_pattern).
    pub patterns: Vec<String>,
    /// Globs of result files; they compile.
    pub results: Vec<String>,
    /// Globs never removed; they compile.
    pub protect: Vec<String>,
    /// Which times a file's age counts from.
    pub age_by: FileTimes,
    /// How long after the registry began files of unknown jobs are spared; `None`: the orphan age in force.
    pub registry_grace: Option<Duration>,
    /// On a new root scheduled policies only plan for this long.
    pub adoption_grace: Duration,
    /// What is neither tracked nor named by a job is an orphan by age even under `results`.
    pub orphans_untracked: bool,
    /// Whether a job's directory goes all or not at all.
    pub unit: Unit,
    /// How changes are learnt.
    pub watch: Watch,
    /// Whether `keep` marks of ordinary users bind.
    pub user_marks: UserMarks,
    /// Honour expiry in extended attributes.
    pub xattr_expiry: bool,
    /// Remove directories that guardian emptied.
    pub remove_empty_dirs: bool,
    /// What an emergency does when its target cannot be reached.
    pub emergency_futile: Futile,
    /// Keys of `[root.retain]`.
    pub retain: Retain,
    /// Keys of `[root.limits]`.
    pub limits: Limits,
}

/// Watermarks of one resource, in percent used as `df` counts:
/// `0 < low < high ≤ 100` and `warning ≤ high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marks {
    /// Warn at or above.
    pub warning: f64,
    /// An emergency starts at or above.
    pub high: f64,
    /// An emergency ends at or below.
    pub low: f64,
}

/// Keys of `[root.retain]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retain {
    /// Age at which a file of nobody is an orphan.
    pub orphans: Duration,
    /// The same in an emergency.
    pub emergency_orphans: Duration,
    /// After a failure, cancellation or error.
    pub failed_jobs: Duration,
    /// Temporary files of completed jobs, after completion.
    pub completed_jobs: Duration,
    /// Results, after the job ended.
    pub results: Duration,
    /// A session without activity for this long ends.
    pub sessions: Duration,
    /// Soft-deleted files.
    pub trash: Duration,
    /// Ended jobs, sessions and runs in the ledger.
    pub records: Duration,
    /// Everything older goes at the scheduled sweep; `None`: nothing.
    pub max_age: Option<Duration>,
    /// Youngest age that phase 4 of an emergency takes.
    pub min_age: Duration,
}

/// Keys of `[root.limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Files in one batch; at least 1.
    pub batch: u64,
    /// Files in one sweep; at least 1.
    pub max_files: u64,
    /// Percent of a root's files or bytes that a scheduled plan may take unasked.
    pub max_share: f64,
    /// Attempts at a deferred deletion; at least 1.
    pub max_attempts: u64,
}

/// One `[[alert_hook]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertHook {
    /// Program (absolute) and arguments; no shell.
    pub command: Vec<String>,
    /// Levels that call it.
    pub levels: Vec<Level>,
    /// When to give it up.
    pub timeout: Duration,
}

/// So many requests in each span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub count: u64,
    /// The span: a second, minute, hour or day.
    pub per: Duration,
}

/// `min_free`: below this many available bytes an emergency starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinFree {
    /// The smaller of 1 GiB and (100 - `low_water`) / 2 percent of the volume.
    Default,
    /// As configured; 0 turns it off.
    Bytes(u64),
}

/// `min_free` is not below what is free at the low mark, so an emergency could never end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "min_free of {min_free} bytes is not possible on a volume of {total} bytes with low_water at {low_water}%: it must be below {limit} bytes"
)]
pub struct MinFreeError {
    /// As configured.
    pub min_free: u64,
    /// Size of the volume in bytes.
    pub total: u64,
    /// The low mark in percent.
    pub low_water: f64,
    /// (100 - `low_water`) percent of the volume in bytes.
    pub limit: u64,
}

impl MinFree {
    /// The bytes for a volume of `total` bytes whose low mark is `low_water` percent.
    ///
    /// # Errors
    /// A configured value at or above (100 - `low_water`)% of the volume.
    pub fn resolve(self, total: u64, low_water: f64) -> Result<u64, MinFreeError> {
        const GIB: u64 = 1 << 30;
        let limit = (total as f64 * (100.0 - low_water) / 100.0) as u64;
        match self {
            Self::Default => Ok(GIB.min(limit / 2)),
            Self::Bytes(0) => Ok(0),
            Self::Bytes(min_free) if min_free >= limit => {
                Err(MinFreeError { min_free, total, low_water, limit })
            }
            Self::Bytes(min_free) => Ok(min_free),
        }
    }
}

/// A word of the configuration that stands for one of a few choices.
pub(super) trait Word: Sized + Copy + 'static {
    const CHOICES: &'static [(&'static str, Self)];
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl Word for $name {
            const CHOICES: &'static [(&'static str, Self)] = &[$(($text, Self::$variant)),*];
        }
    };
}

word!(
    /// `log_format`.
    LogFormat {
        /// The journal when started by systemd, text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
        /// Fields to the journal's socket.
        Journald = "journald",
    }
);
word!(
    /// `unit`: what is removed as one.
    Unit {
        /// Each file for itself.
        File = "file",
        /// A job's directory as a whole.
        Tree = "tree",
    }
);
word!(
    /// `watch`: how changes are learnt.
    Watch {
        /// The best that the root's file system offers.
        Auto = "auto",
        /// inotify(7).
        Inotify = "inotify",
        /// fanotify(7).
        Fanotify = "fanotify",
        /// Not at all: by scanning only (network file systems).
        None = "none",
    }
);
word!(
    /// `user_marks`: whether `keep` marks of ordinary users bind.
    UserMarks {
        /// Always.
        All = "all",
        /// Except in an emergency.
        NotInEmergency = "not_in_emergency",
        /// Never; marks of root do.
        None = "none",
    }
);
word!(
    /// `emergency_futile`: what to do when removing everything eligible would not reach the target.
    Futile {
        /// Nothing.
        Stop = "stop",
        /// Take what there is.
        Continue = "continue",
    }
);
