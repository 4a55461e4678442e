//! `.guardian/ledger-id`: what guardian leaves in a root to know it again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::{LedgerId, Timestamp, WirePath};
use crate::sys::SysError;
use crate::sys::private_dir::PrivateDir;

/// Its name in the private directory.
pub(super) const MARKER: &str = "ledger-id";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The ledger that adopted the root.
    pub(super) ledger_id: LedgerId,
    /// Drawn for this adoption; the ledger's record has the same.
    pub(super) marker: String,
    /// When it was adopted.
    pub(super) adopted_at: Timestamp,
    /// The state directory of that ledger, and the host's name: when the ledger
    /// is gone, they tell whether it was ours.
    #[serde(default)]
    pub(super) state_dir: Option<WirePath>,
    /// See `state_dir`.
    #[serde(default)]
    pub(super) host: Option<String>,
}

impl Marker {
    pub(super) fn new(ledger_id: LedgerId, marker: String, state_dir: &Path, now: Timestamp) -> Self {
        Self {
            ledger_id,
            marker,
            adopted_at: now,
            state_dir: Some(WirePath::from_path(state_dir)),
            host: Some(host()),
        }
    }

    /// Whether a ledger in this very state directory wrote it. `ledger_lost`:
    /// one was found damaged there; then the host may have another name by now.
    pub(super) fn is_from(&self, state_dir: &Path, ledger_lost: bool) -> bool {
        self.state_dir.as_ref() == Some(&WirePath::from_path(state_dir))
            && (ledger_lost || self.host.as_ref() == Some(&host()))
    }

    /// Reads it. A text that makes no sense is that of no known ledger.
    pub(super) fn read(private: &PrivateDir) -> Result<Option<Self>, SysError> {
        let bytes = private.read_file(MARKER)?;
        Ok(bytes.map(|bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Self {
                ledger_id: LedgerId::new("unreadable"),
                marker: String::new(),
                adopted_at: Timestamp::default(),
                state_dir: None,
                host: None,
            })
        }))
    }

    pub(super) fn write(&self, private: &PrivateDir) -> Result<(), SysError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        private.write_file_atomic(MARKER, &text)
    }
}

/// The host's name (`/proc/sys/kernel/hostname`): containers with the same
/// state directory path have different ones.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
