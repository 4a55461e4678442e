//! Why the store could not do what it was asked to.

use std::io;
use std::path::{Path, PathBuf};

/// What lies beneath a [`StoreError`]; `redb`'s own types stay in the room.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the index, the ledger or the audit log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The volume that holds the state directory is full. Nothing was recorded;
    /// the call can be repeated once there is room.
    #[error("failed to {action} {}: no space left on its volume", path.display())]
    NoSpace {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// Any other failure of the system or the database.
    #[error("failed to {action} {}", path.display())]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The file holds something that cannot have been written by us. Nothing
    /// from it was believed.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// There is no usable index at the moment; the next call tries again.
    #[error("the index {} is not available: {reason}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// Why it could not be opened or made.
        reason: String,
    },
    /// Another process has the file open.
    #[error("{} is in use by another process: is another guardian running on this state directory?", .0.display())]
    Busy(PathBuf),
    /// Every root key was given out (they are never used twice).
    #[error("root keys are used up: {0} roots were registered in this ledger")]
    NoRootKey(u32),
}

impl StoreError {
    /// Whether the cause is a full volume.
    pub const fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// Whoever wrote for others, too, did not come to an end.
    pub(in crate::store) fn unfinished(path: &Path) -> Self {
        let source = Cause::from("the thread that wrote it together with others ended unexpectedly");
        Self::Failed { action: "write", path: path.to_owned(), source }
    }

    /// An I/O failure, told apart by whether the volume is full.
    pub(in crate::store) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::NoSpace { action, path, source: Box::new(source) }
        } else {
            Self::Failed { action, path, source: Box::new(source) }
        }
    }
}

/// Whether an I/O error means that the volume or the quota is full.
pub(in crate::store) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What can go wrong inside a database call, before it is known on which file.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    /// The database or the system beneath it.
    Database(redb::Error),
    /// A row that was never written by us.
    Damaged(String),
    /// The database panicked (a damaged file can make it).
    Panicked(String),
}

impl Fault {
    /// Whether the open database can no longer be used: after one I/O error
    /// redb answers `PreviousIo` to everything until it is opened again.
    pub(in crate::store) const fn needs_reopening(&self) -> bool {
        matches!(
            self,
            Self::Panicked(_)
                | Self::Database(
                    redb::Error::Io(_)
                        | redb::Error::PreviousIo
                        | redb::Error::LockPoisoned(_)
                        | redb::Error::DatabaseClosed
                        | redb::Error::TransactionPoisoned
                )
        )
    }

    /// Whether the file itself can no longer be believed.
    pub(in crate::store) const fn means_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Panicked(_) => true,
            Self::Database(error) => matches!(
                error,
                redb::Error::Corrupted(_)
                    | redb::Error::UpgradeRequired(_)
                    | redb::Error::TableTypeMismatch { .. }
                    | redb::Error::TableIsMultimap(_)
                    | redb::Error::TypeDefinitionChanged { .. }
                    | redb::Error::TableDoesNotExist(_)
            ),
        }
    }

    /// With the file it happened on.
    pub(in crate::store) fn on(self, action: &'static str, path: &Path) -> StoreError {
        match self {
            Self::Database(redb::Error::Io(source)) => StoreError::io(action, path, source),
            Self::Database(redb::Error::Corrupted(detail)) | Self::Damaged(detail) => {
                StoreError::Damaged { path: path.to_owned(), detail }
            }
            Self::Database(redb::Error::DatabaseAlreadyOpen) => StoreError::Busy(path.to_owned()),
            Self::Panicked(detail) => StoreError::Damaged {
                path: path.to_owned(),
                detail: format!("reading it made the database panic: {detail}"),
            },
            Self::Database(source) => {
                StoreError::Failed { action, path: path.to_owned(), source: Box::new(source) }
            }
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}

from_redb!(
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError,
    redb::CursorError
);
