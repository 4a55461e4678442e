//! PATH... wherever it stands on the command line, and `--files0-from`.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::failure::{Exit, Failure};
use crate::api::PathText;

#[derive(Debug, clap::Args)]
pub(super) struct Paths {
    /// Files and directories
    #[arg(value_name = "PATH", required_unless_present = "files0_from", conflicts_with = "files0_from")]
    pub(super) paths: Vec<OsString>,
    /// Read the paths from FILE (`-`: standard input), each ended by a NUL byte
    #[arg(long, value_name = "FILE")]
    pub(super) files0_from: Option<PathBuf>,
}

impl Paths {
    /// All of them, absolute.
    pub(super) fn read(&self, attempt: &str) -> Result<Vec<PathText>, Failure> {
        let failed = |what: &Path, why: std::io::Error| {
            Failure::usage(attempt, format!("failed to read {}: {why}", what.display()))
        };
        let given: Vec<OsString> = match &self.files0_from {
            None => self.paths.clone(),
            Some(file) => {
                let mut bytes = Vec::new();
                let read = if file.as_os_str() == "-" {
                    std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
                } else {
                    std::fs::read(file).map(|content| bytes = content)
                };
                read.map_err(|why| failed(file, why))?;
                let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                names.map(|name| OsString::from_vec(name.to_vec())).collect()
            }
        };
        if given.is_empty() {
            return Err(Failure::usage(attempt, "no path is named"));
        }
        let here = std::env::current_dir()
            .map_err(|why| Failure::new(Exit::Failures, attempt, format!("no current directory: {why}")))?;
        let absolute = |path: &OsString| {
            let path = absolute(&here, Path::new(path)).map_err(|why| failed(Path::new(path), why))?;
            Ok(PathText::from_bytes(path.as_os_str().as_bytes()))
        };
        given.iter().map(absolute).collect()
    }
}

/// A path of ours as an absolute one. Links are left to whoever looks at it; but
/// what stands before a `..` has to be followed to know where that leads.
pub(super) fn absolute(here: &Path, path: &Path) -> std::io::Result<PathBuf> {
    let path = here.join(path);
    let whole = path.components().collect::<PathBuf>();
    if !whole.components().any(|part| part == Component::ParentDir) {
        return Ok(whole);
    }
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => whole.canonicalize(),
    }
}

/// One path, absolute, as a request carries it.
pub(super) fn one(path: &OsStr, attempt: &str) -> Result<PathText, Failure> {
    let found = std::env::current_dir().and_then(|here| absolute(&here, Path::new(path)));
    let path =
        found.map_err(|why| Failure::usage(attempt, format!("{}: {why}", Path::new(path).display())))?;
    Ok(PathText::from_bytes(path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_absolute_without_its_last_link_being_followed() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        std::fs::create_dir(here.join("d")).unwrap();
        std::os::unix::fs::symlink("/", here.join("link")).unwrap();
        let shown = |path: &str| absolute(&here, Path::new(path)).unwrap();
        assert_eq!(shown("a//./b/"), here.join("a/b"));
        assert_eq!(shown("link"), here.join("link"));
        assert_eq!(shown("d/../link"), here.join("link"));
        assert_eq!(shown("/x"), Path::new("/x"));
    }
}
