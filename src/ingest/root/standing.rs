//! How a root stands: what is still to be done, and what can be said of it.
//!
//! Promises: what is not known for sure is not called exact.

use std::time::Duration;

use super::super::status::{Confidence, RootState, RootStatus};
use super::Root;

/// Up to this time such a comparison is worth waiting for.
const SHORT: Duration = Duration::from_millis(10);
/// So many directories are compared soon, also on a host that is busy.
const FEW: usize = 16;

impl Root {
    /// Whether something waits that the next round can do.
    pub(in crate::ingest) fn has_work(&self) -> bool {
        let waiting = [&self.hints, &self.later].iter().any(|hints| !hints.is_empty());
        waiting
            || !self.linked.is_empty()
            || !(self.urgent.is_empty() && self.stranded.is_empty() && self.limbo.is_empty())
    }

    /// Whether everything known of has been applied.
    pub(in crate::ingest) fn is_settled(&self) -> bool {
        !self.scanning
            && !self.has_work()
            && self.changes.is_empty()
            && self.arrived.is_empty()
            && !self.hunt.is_near()
            && !self.doubts_are_near()
    }

    fn doubts_are_near(&self) -> bool {
        (self.hunt.doubts() || self.reconciling)
            && self.last_reconcile.is_some()
            && (self.reconcile_takes < SHORT || self.tree.len() <= FEW)
    }

    pub(in crate::ingest) fn status(&self, entries: Option<u64>, before: Option<&RootStatus>) -> RootStatus {
        let unwatched: Vec<u64> = if self.scanning {
            Vec::new()
        } else {
            self.tree.inodes().filter(|(_, mark)| !mark.watched).map(|(ino, _)| ino).collect()
        };
        let directories = self.tree.len() as u64;
        let state = match (self.scanning, unwatched.is_empty()) {
            (true, _) => RootState::Scanning,
            (false, true) => RootState::Ready,
            (false, false) => RootState::Unwatched,
        };
        let confidence = if self.scanning || self.trouble.is_some() || self.dropped {
            Confidence::Incomplete
        } else if self.reconciling {
            Confidence::Reconciling
        } else {
            Confidence::Exact
        };
        RootStatus {
            state,
            confidence,
            entries: entries.or(before.map(|before| before.entries)).unwrap_or(0),
            directories,
            watched: directories - unwatched.len() as u64,
            unwatched: unwatched.len() as u64,
            unwatched_examples: unwatched.iter().take(10).filter_map(|ino| self.tree.path(*ino)).collect(),
            limit: self.limit.filter(|_| !unwatched.is_empty()),
            stale: self.urgent.len() as u64,
            events: self.events,
            overflows: self.overflows,
            drift: self.drift,
            last_reconcile: self.last_reconcile,
            trouble: self.trouble.clone(),
        }
    }
}
