//! The configuration as this process finds it: the one place where the command
//! line reads settings.

use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use super::host::Sources;
use crate::config::{ConfigError, Environment, Overrides, Settings, load, socket_candidates};

/// The environment of this process.
fn environment() -> Environment {
    let uid = rustix::process::geteuid();
    Environment { vars: std::env::vars_os().collect(), is_root: uid.is_root(), uid: uid.as_raw() }
}

/// Reads files, environment and flags.
pub(super) fn read(sources: &Sources, overrides: Overrides) -> Result<Settings, Failure> {
    let overrides = Overrides { socket: sources.socket.clone().or(overrides.socket), ..overrides };
    let cwd = std::env::current_dir()
        .map_err(|why| Failure::new(Exit::Usage, "find the working directory", why.to_string()))?;
    load(sources.config.as_deref(), &environment(), &overrides, &cwd).map_err(|error| match &error {
        ConfigError::Read { path, source } => {
            Failure::usage(format!("read configuration {}", path.display()), source.to_string())
        }
        ConfigError::Invalid(problems) => {
            let each: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            let word = if problems.len() == 1 { "problem" } else { "problems" };
            Failure::usage("accept the configuration", format!("{} {word}{}", problems.len(), each.concat()))
        }
    })
}

/// The sockets to try. A configuration that was named says which agent is
/// meant; without it nothing is read, so that a broken file of the system's
/// does not keep anybody from asking its agent.
pub(super) fn sockets(sources: &Sources) -> Result<Vec<PathBuf>, Failure> {
    let environment = environment();
    let named = match (&sources.socket, &sources.config) {
        (None, Some(_)) => Some(read(sources, Overrides::default())?.agent.socket),
        (socket, _) => socket.clone(),
    };
    let found = socket_candidates(named.as_deref(), &environment);
    Ok(found.into_iter().map(|candidate| candidate.path).collect())
}

/// Whether `--root` names a directory rather than a root.
pub(super) fn is_directory(text: &str) -> bool {
    text.contains('/') || text == "." || text == ".."
}

/// The directory as the overrides want it.
pub(super) fn directory(text: &str) -> PathBuf {
    let path = Path::new(text);
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
