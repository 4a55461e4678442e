//! What the ledger records besides jobs and reports.
//!
//! Values are JSON: there are few of them, they must still be read by later
//! versions that know more fields, and a person with a damaged ledger can read them.

use serde::{Deserialize, Serialize};

use crate::model::{RootName, Timestamp, WirePath};
use crate::store::RootKey;

/// A root that has been adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// Its name in the configuration.
    pub name: RootName,
    /// Where it was last found.
    pub path: WirePath,
    /// The number of its rows in the index; never used for another root.
    pub key: RootKey,
    /// Identity of its file system (as `sys` reads it).
    pub fs_id: String,
    /// Inode number of its directory.
    pub dir_ino: u64,
    /// The marker written into its `.guardian`.
    pub marker: Option<String>,
    /// The marker is on record, but perhaps not in the root yet: the adoption is not finished.
    #[serde(default)]
    pub unmarked: bool,
    /// When it was adopted.
    pub adopted_at: Option<Timestamp>,
    /// Until when scheduled policies only plan.
    pub new_until: Option<Timestamp>,
    /// Why it is suspended, if it is.
    pub suspended: Option<String>,
}

/// Removals are stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when; until resumed, if `None`.
    pub until: Option<Timestamp>,
    /// Emergencies are stopped too.
    pub emergencies: bool,
}

/// The clocks as they were last seen, to notice a wall clock that jumped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// Wall clock.
    pub wall: Timestamp,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub boottime_nanos: u64,
}

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// When.
    pub at: Timestamp,
    /// User of the peer.
    pub uid: u32,
    /// Group of the peer.
    pub gid: u32,
    /// Process of the peer.
    pub pid: u32,
    /// The request.
    pub what: serde_json::Value,
}
