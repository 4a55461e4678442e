//! Soft-deleted files as the ledger records them.

use serde::{Deserialize, Serialize};

use super::{Kept, Timestamp};

/// One soft-deleted file or tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    /// What was deleted.
    pub kept: Kept,
    /// When; its retention counts from here.
    pub deleted_at: Timestamp,
    /// Why it could not be removed, where it came from the queue after its last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl TrashEntry {
    /// Whether it left its place; `None` while that was not tried.
    pub const fn moved(&self) -> Option<bool> {
        match self.kept.stage {
            super::Stage::Moved => Some(true),
            super::Stage::InPlace => Some(false),
            super::Stage::Waiting => None,
        }
    }
}

/// How much lies in the trash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashTotals {
    /// Files, those in trees among them.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
}
