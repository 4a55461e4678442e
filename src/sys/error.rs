//! What can go wrong when the kernel is asked for something.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::model::escape_control;

/// A system call that failed, with what was tried and where.
///
/// The text ends before the cause, which is the source: printing the chain
/// gives `failed to open directory /scratch/a: Permission denied (os error 13)`.
#[derive(Debug, thiserror::Error)]
pub enum SysError {
    /// The kernel refused.
    #[error("failed to {verb} {}", shown(path))]
    Io {
        /// What was tried, such as `open directory`.
        verb: &'static str,
        /// Where: absolute, or relative to the directory handle it was tried in.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Something that must be guardian's own is not.
    #[error("failed to trust {}: {why}", shown(path))]
    NotOurs {
        /// What was looked at.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn shown(path: &Path) -> String {
    escape_control(&path.to_string_lossy())
}

impl SysError {
    pub(crate) fn io(verb: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { verb, path: path.into(), source: source.into() }
    }

    /// As [`SysError::io`], for a name as a directory lists it.
    pub(crate) fn named(verb: &'static str, name: &[u8], source: impl Into<io::Error>) -> Self {
        Self::io(verb, std::ffi::OsStr::from_bytes(name), source)
    }

    /// The kind of the underlying error; `Other` where there is none.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::NotOurs { .. } => io::ErrorKind::Other,
        }
    }

    /// The kernel's error number, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::NotOurs { .. } => None,
        }
    }
}
