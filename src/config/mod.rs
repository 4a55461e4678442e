//! Configuration: from text to validated settings.
//!
//! Files, environment and flags become layers of raw values that know their
//! place ([`Origin`]), the layers are merged, and the merged values are
//! checked once into [`Settings`]. All problems are reported together, each
//! with its place, its key, what was found and what is allowed.
//!
//! Promises: one table of keys (`key.rs`) drives names, defaults, the
//! environment and the texts; no input makes it panic; nothing is guessed: a
//! value is right, or it is refused. Only the loader touches the disk.
//! Must not know: the store, the watcher, what a policy does with a setting.

mod check;
mod check_hook;
mod check_root;
mod fields;
mod key;
mod loader;
mod merge;
mod origin;
mod outside;
mod paths;
mod pattern;
mod raw;
mod settings;
mod show;
#[cfg(test)]
mod tests;
pub mod tmpfiles;
mod typed;

pub use loader::{Disk, load, read_file, read_stream};
pub use origin::{ConfigError, Origin, Problem, Warning};
pub use paths::{SocketCandidate, checkout_mark, is_system_path, socket_candidates};
pub use pattern::check_pattern;
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
    /// `-q` and `-v`.
    pub verbosity: Verbosity,
}

/// Which lines reach the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What happens, too.
    #[default]
    Normal,
    /// Each removal, too.
    Verbose,
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
    /// Whether the path itself is a symbolic link, wherever it leads.
    fn is_link(&self, _path: &Path) -> bool {
        false
    }
    /// The device that holds this path; `None` where that can't be told.
    fn device(&self, _path: &Path) -> Option<u64> {
        None
    }
    /// Whether a program can be called, links followed.
    fn program(&self, _path: &Path) -> Program {
        Program::Fine
    }
}

/// What can be told of a program before it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// It can be called.
    Fine,
    /// Nothing is there.
    Missing,
    /// It is no file, or none that may be executed.
    NotExecutable,
    /// Somebody else than its owner may write it.
    WritableByOthers,
}

/// Everything that decides the settings.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The files, in the order in which they apply.
    pub files: Vec<SourceFile>,
    /// The environment; its keys win over files.
    pub environment: &'a Environment,
    /// The flags; they win over everything.
    pub overrides: &'a Overrides,
    /// Where relative paths of flags begin: the working directory, links resolved.
    pub cwd: &'a Path,
}

/// The settings that follow from the inputs; the disk is asked only through `probe`.
///
/// # Errors
/// [`ConfigError::Invalid`] with everything that is wrong.
pub fn settle(inputs: &Inputs<'_>, probe: &dyn Probe) -> Result<Settings, ConfigError> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut merged = merge::Merged::default();
    for file in &inputs.files {
        let layer = raw::read(&file.path, &file.bytes, &mut problems);
        merged.add(layer, &mut problems);
    }
    let layer = outside::environment(inputs.environment, &merged, &mut problems, &mut warnings);
    merged.add(layer, &mut problems);
    let layer = outside::flags(inputs.overrides, inputs.cwd, &merged, &mut problems);
    merged.add(layer, &mut problems);
    let mut settings = check::check(&merged, inputs.environment, probe, warnings, &mut problems);
    settings.files = inputs.files.iter().map(|file| inputs.cwd.join(&file.path)).collect();
    settings.verbosity = inputs.overrides.verbosity;
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Invalid(problems)) }
}
