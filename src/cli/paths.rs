//! Paths as arguments: `PATH...` and `--files0-from`.

use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::model::escape_control;

/// Paths on the command line and in a file.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Paths {
    /// Files
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Read more, each ended by a NUL byte, from FILE or with `-` from standard input
    #[arg(long, value_name = "FILE|-")]
    files0_from: Option<PathBuf>,
}

impl Paths {
    /// All of them as absolute paths; `None` if none were asked for. A list
    /// that was given and is empty is empty: it never stands for everything.
    pub(super) fn read(&self, attempt: &str) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let mut paths = self.paths.clone();
        if let Some(from) = &self.files0_from {
            let shown = escape_control(&from.display().to_string());
            let bytes = contents(from).map_err(|why| {
                Failure::usage(attempt, format!("failed to read the list of files {shown}: {why}"))
            })?;
            let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            paths.extend(names.map(|name| PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()))));
        } else if paths.is_empty() {
            return Ok(None);
        }
        let absolute = |path: &PathBuf| {
            let read = absolute(path).map(|path| path.as_os_str().as_bytes().to_vec());
            read.map_err(|why| {
                let shown = escape_control(&path.display().to_string());
                Failure::usage(attempt, format!("failed to read path {shown:?}: {why}"))
            })
        };
        paths.iter().map(absolute).collect::<Result<_, _>>().map(Some)
    }
}

fn contents(from: &Path) -> std::io::Result<Vec<u8>> {
    if from.as_os_str() != "-" {
        return std::fs::read(from);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The directory is resolved, the last component is not: a symbolic link is meant as itself.
pub(super) fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.canonicalize();
    };
    Ok(parent.canonicalize().map_or_else(|_| path.clone(), |parent| parent.join(name)))
}
