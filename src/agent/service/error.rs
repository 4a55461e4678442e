//! Why the agent did not run, or ended, and whether starting it again can help.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent::slots;

/// How long stopping may take before the process exits with an error.
pub(super) const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Why the agent did not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state directory can't be used.
    #[error(transparent)]
    StateDir(#[from] crate::agent::state_dir::StateDirError),
    /// Ledger or index can't be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The registry can't be read.
    #[error(transparent)]
    Registry(#[from] crate::agent::jobs::RegistryError),
    /// A root can't be guarded as configured.
    #[error(transparent)]
    Root(#[from] crate::agent::roots::RootError),
    /// A root can't be opened now.
    #[error(transparent)]
    Slot(#[from] slots::SlotError),
    /// The index can't be followed.
    #[error(transparent)]
    Ingest(#[from] crate::ingest::IngestError),
    /// The socket can't be made.
    #[error("failed to listen on socket {}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The service manager's socket can't be served.
    #[error(transparent)]
    Handed(#[from] crate::agent::socket::HandedError),
    /// A thread or handler can't be set up.
    #[error("failed to start {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A worker ended by itself.
    #[error("failed to go on: {0} ended unexpectedly")]
    WorkerDied(&'static str),
    /// Not everything ended in time.
    #[error("failed to stop within {} s: {still} still ran", STOP_DEADLINE.as_secs())]
    StopTooSlow {
        /// What.
        still: String,
    },
}

impl ServiceError {
    /// Another guardian has the state directory, a root or the socket: starting again does not help.
    pub fn is_held(&self) -> bool {
        match self {
            Self::StateDir(error) => matches!(error, crate::agent::state_dir::StateDirError::Held { .. }),
            Self::Slot(error) => matches!(error, slots::SlotError::Refused { .. }),
            Self::Socket { source, .. } => source.kind() == std::io::ErrorKind::AddrInUse,
            _ => false,
        }
    }

    /// The configuration does not hold: starting again does not help.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Handed(_) => true,
            Self::Root(error) | Self::Slot(slots::SlotError::Root(error)) => error.is_configuration(),
            _ => false,
        }
    }
}
