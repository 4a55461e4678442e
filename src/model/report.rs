//! What a run did. One shape everywhere: socket, `--json`, history, log.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JobId, Phase, Policy, Resource, RootName, RunId, Timestamp, Trigger, WirePath};

/// The report of one run over one root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Name of the run; sorts by time.
    pub id: RunId,
    /// In common to all roots of one volume that one run went over.
    pub volume_run: RunId,
    /// What was asked for.
    pub policy: Policy,
    /// What set it off.
    pub trigger: Trigger,
    /// The root.
    pub root: RootName,
    /// Whether nothing was to be removed; then the counts are what would go.
    pub dry_run: bool,
    /// What the run was to free.
    pub resource: Resource,
    /// Begin.
    pub start_time: Timestamp,
    /// End.
    pub end_time: Timestamp,
    /// Seconds between them, by the boot-time clock.
    pub duration_seconds: f64,
    /// Files looked at.
    pub files_scanned: u64,
    /// Names removed.
    pub files_deleted: u64,
    /// Allocated bytes of removed files, each inode once, on its last link.
    pub bytes_freed: u64,
    /// Usage before; absent when the volume could not be asked.
    pub storage_before_percent: Option<f64>,
    /// Usage after.
    pub storage_after_percent: Option<f64>,
    /// Inodes before; absent where the file system has no fixed number.
    pub inodes_before_percent: Option<f64>,
    /// Inodes after.
    pub inodes_after_percent: Option<f64>,
    /// Where it was to end; absent when the run has no volume target.
    pub target_percent: Option<f64>,
    /// Whether it ended there; absent when the run has no target.
    pub target_reached: Option<bool>,
    /// The parts, in the order they ran.
    pub phases: Vec<PhaseReport>,
    /// Planned files that stayed, by [`super::Skip`].
    pub skipped: BTreeMap<String, u64>,
    /// What was unlinked against what came free.
    pub reclaim: Reclaim,
    /// What holds the space, when the target was not reached.
    pub shortfall: Option<Shortfall>,
    /// The first 100 failures.
    pub errors: Vec<PathFailure>,
    /// All failures.
    pub errors_total: u64,
    /// Who asked; absent for runs that guardian began.
    pub requested_by: Option<Requester>,
    /// Removals in order; only with a dry run or `--list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::PlanAction>>")]
    pub actions: Option<Vec<serde_json::Value>>,
    /// How open files were told from closed ones: `lease`, `proc`, or `partial`
    /// where that could not be found out for all; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_check: Option<String>,
    /// Of an emergency: who filled the root in the minutes before it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<super::Grown>,
    /// Remarks for people: why it ended where it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseReport {
    /// Which part.
    pub policy: Phase,
    /// Names removed.
    pub files_deleted: u64,
    /// Bytes freed, as in [`Report::bytes_freed`].
    pub bytes_freed: u64,
    /// Planned files that stayed.
    pub skipped: BTreeMap<String, u64>,
    /// Failures.
    pub errors_count: u64,
    /// Files at or before this time were due.
    pub cutoff: Option<Timestamp>,
}

/// What was unlinked against what the volume shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reclaim {
    /// Allocated bytes of what was unlinked.
    pub unlinked_bytes: u64,
    /// What came free on the volume; absent in a dry run or when it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_delta_bytes: Option<i64>,
    /// Why the two differ: bytes by cause (`written_meanwhile`, `not_yet_visible`, `deleted_open`).
    #[serde(default)]
    pub gap: BTreeMap<String, u64>,
}

/// What holds the space when a target was not reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shortfall {
    /// What is missing, in bytes (or inodes, by the report's resource).
    pub bytes: u64,
    /// Allocated bytes of files that may not go.
    pub protected_bytes: u64,
    /// Jobs whose files may not go.
    pub active_jobs: Vec<JobId>,
    /// Largest owners.
    pub users: Vec<UserHold>,
    /// Largest directories.
    pub directories: Vec<DirectoryHold>,
    /// Files without a name that processes still hold.
    pub deleted_open: Vec<DeletedOpen>,
}

/// What one owner holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserHold {
    /// Owner.
    pub uid: u32,
    /// Allocated bytes.
    pub bytes: u64,
}

/// What one directory holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectoryHold {
    /// The directory.
    #[serde(flatten)]
    pub path: WirePath,
    /// Allocated bytes of the files directly in it.
    pub bytes: u64,
}

/// A process that holds deleted files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedOpen {
    /// Process.
    pub pid: u32,
    /// Its command name.
    pub comm: String,
    /// Its user.
    pub uid: u32,
    /// Allocated bytes it keeps from coming free.
    pub bytes: u64,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathFailure {
    /// What it concerns.
    #[serde(flatten)]
    pub path: WirePath,
    /// What went wrong.
    pub error: String,
}

/// Who asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requester {
    /// User.
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Process.
    pub pid: u32,
}

/// The most failures that a report lists.
const MAX_LISTED_ERRORS: usize = 100;

impl Report {
    /// Records a failure: counted always, listed while there is room.
    pub fn add_error(&mut self, path: WirePath, error: String) {
        self.errors_total += 1;
        if self.errors.len() < MAX_LISTED_ERRORS {
            self.errors.push(PathFailure { path, error });
        }
    }
}
