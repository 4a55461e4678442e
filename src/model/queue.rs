//! Deferred deletions as the ledger records them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kept, Timestamp};

/// One deferred deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// What is to go.
    pub kept: Kept,
    /// How the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// Tries so far.
    #[serde(default)]
    pub attempts: u32,
    /// Why the last one was in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is due.
    pub next_try_at: Timestamp,
}

impl QueueEntry {
    /// Whether it left its place; `None` while that was not tried.
    pub const fn moved(&self) -> Option<bool> {
        match self.kept.stage {
            super::Stage::Moved => Some(true),
            super::Stage::InPlace => Some(false),
            super::Stage::Waiting if self.attempts > 0 => Some(false),
            super::Stage::Waiting => None,
        }
    }
}

/// What waits, without looking at each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Entries.
    pub total_pending: u64,
    /// When the oldest was asked for.
    pub oldest_queued: Option<Timestamp>,
    /// When the newest was asked for.
    pub newest_queued: Option<Timestamp>,
    /// How many had so many tries.
    pub by_attempts: BTreeMap<u32, u64>,
}
