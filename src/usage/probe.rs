//! Asking one volume how full it is.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::VolumeUsage;
use crate::sys::dir::RootDir;
use crate::sys::volume;

/// Why a volume could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The system call failed.
    #[error("failed to read the usage of the volume of {path}")]
    Volume {
        /// The root that was asked.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// It has not answered yet.
    #[error("failed to read the usage of the volume of {path}: it does not answer")]
    NoAnswer {
        /// The root that was asked.
        path: PathBuf,
    },
    /// The counters of a root with a capacity are not there yet.
    #[error("failed to read the usage of {path}: its files are not counted yet")]
    NotCounted {
        /// The root that was asked.
        path: PathBuf,
    },
}

/// Counts the allocated bytes of a root's files, each inode once; `None` while
/// they are not counted.
pub type CapacityCounter = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// One way to ask how full a volume is.
#[derive(Clone)]
pub enum Probe {
    /// The file system beneath the root.
    Volume(Arc<RootDir>),
    /// A root with a `capacity` of its own: its files count, not its file system.
    Capacity {
        /// The root.
        root: Arc<RootDir>,
        /// Its size in bytes.
        size: u64,
        /// Bytes in use.
        counter: CapacityCounter,
    },
}

impl Probe {
    /// Asks now.
    pub fn look(&self) -> Result<VolumeUsage, UsageError> {
        match self {
            Self::Volume(root) => volume::usage(root).map_err(|source| self.failed(source)),
            Self::Capacity { root, size, counter } => {
                let used =
                    counter().ok_or_else(|| UsageError::NotCounted { path: root.path().to_owned() })?;
                Ok(VolumeUsage {
                    total: *size,
                    used,
                    available: size.saturating_sub(used),
                    inodes_total: 0,
                    inodes_used: 0,
                    inodes_available: 0,
                })
            }
        }
    }

    fn path(&self) -> PathBuf {
        let (Self::Volume(root) | Self::Capacity { root, .. }) = self;
        root.path().to_owned()
    }

    pub(super) fn failed(&self, source: std::io::Error) -> UsageError {
        UsageError::Volume { path: self.path(), source }
    }

    pub(super) fn no_answer(&self) -> UsageError {
        UsageError::NoAnswer { path: self.path() }
    }

    /// Makes the file system show what was freed (`syncfs`). Can take seconds:
    /// only ever called on a side thread.
    pub fn settle(&self) -> std::io::Result<()> {
        match self {
            Self::Volume(root) => volume::syncfs(root),
            Self::Capacity { .. } => Ok(()),
        }
    }

    /// Whether the root is its own volume by a `capacity`.
    pub const fn is_capacity(&self) -> bool {
        matches!(self, Self::Capacity { .. })
    }
}
