//! Configuration: from text to validated settings.
//!
//! Files, environment and flags become layers of raw values that know their
//! place ([`Origin`]), the layers are merged, and the merged values are
//! checked once into [`Settings`]. All problems are reported together, each
//! with its place, its key, what was found and what is allowed.
//!
//! Promises: one table of keys ([`key`](self)) drives names, defaults, the
//! environment and the texts; no input makes it panic; nothing is guessed: a
//! value is right, or it is refused. Only the loader touches the disk.
//! Must not know: the store, the watcher, what a policy does with a setting.

mod origin;
mod settings;
mod show;

pub use origin::{ConfigError, Origin, Problem, Warning};
pub use settings::{
    AgentSettings, AlertHook, Futile, Limits, LogFormat, Marks, MinFree, MinFreeError, RateLimit, Retain,
    RootSettings, Settings, Unit, UserMarks, Watch,
};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::ByteSize;

/// What the process was started with, taken once at the edge.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Environment variables (`std::env::vars_os`).
    pub vars: BTreeMap<OsString, OsString>,
    /// Whether the process has root privileges: decides the default directories.
    pub is_root: bool,
    /// The effective uid.
    pub uid: u32,
}

/// Flags of the command line; they win over everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--root DIR`: selects the configured root at that path, otherwise adds a
    /// root with default settings. Roots configured elsewhere stay.
    pub roots: Vec<PathBuf>,
    /// `--capacity SIZE`: for the roots of `--root`, or for the only configured root.
    pub capacity: Option<ByteSize>,
    /// `--state-dir DIR`.
    pub state_dir: Option<PathBuf>,
    /// `--socket PATH`.
    pub socket: Option<PathBuf>,
    /// `--dry-run`.
    pub dry_run: bool,
}

/// A configuration file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its path, for messages.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What the checks ask about the disk. [`load`] answers from the real one.
pub trait Probe {
    /// Whether something is at this path.
    fn exists(&self, path: &Path) -> bool;
    /// The path with symbolic links resolved; unchanged where that fails.
    fn resolve(&self, path: &Path) -> PathBuf;
}
