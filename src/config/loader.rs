//! The one place of this room that touches the disk.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ConfigError, Environment, Inputs, Overrides, Probe, Program, Settings, SourceFile, settle};

const SYSTEM_FILE: &str = "/etc/guardian/guardian.toml";

/// Far above any real configuration; keeps a mistaken path from filling memory.
const LARGEST_FILE: u64 = 4 << 20;

/// Reads the configuration and settles it: `config` (`--config`), else
/// `GUARDIAN_CONFIG`, else `/etc/guardian/guardian.toml`, which alone may be
/// missing; then `guardian.d/*.toml` beside it in name order.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong at once.
pub fn load(
    config: Option<&Path>,
    environment: &Environment,
    overrides: &Overrides,
    cwd: &Path,
) -> Result<Settings, ConfigError> {
    let files = read_files(config, environment)?;
    settle(&Inputs { files, environment, overrides, cwd }, &Disk)
}

fn read_files(config: Option<&Path>, environment: &Environment) -> Result<Vec<SourceFile>, ConfigError> {
    let variable = environment.vars.get(OsStr::new("GUARDIAN_CONFIG")).filter(|path| !path.is_empty());
    let asked = config.map(Path::to_owned).or_else(|| variable.map(PathBuf::from));
    let main = asked.clone().unwrap_or_else(|| PathBuf::from(SYSTEM_FILE));
    let mut files = Vec::new();
    match read_file(&main) {
        Ok(bytes) => files.push(SourceFile { path: main.clone(), bytes }),
        Err(error) if asked.is_none() && error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ConfigError::Read { path: main, source }),
    }
    let directory = main.with_file_name("guardian.d");
    for path in fragments(&directory).map_err(|source| ConfigError::Read { path: directory, source })? {
        let bytes = read_file(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        files.push(SourceFile { path, bytes });
    }
    Ok(files)
}

/// The `*.toml` of a directory in name order; none if there is no directory.
/// Names with a leading dot are left out: editors make them.
fn fragments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            paths.push(directory.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// The bytes of a configuration file.
///
/// # Errors
/// It cannot be read, or is too large to be one.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_stream(File::open(path)?)
}

/// The same of what comes from elsewhere, such as standard input.
///
/// # Errors
/// As [`read_file`].
pub fn read_stream(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
    }
    Ok(bytes)
}

/// The real disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Probe for Disk {
    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn device(&self, path: &Path) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        path.metadata().ok().map(|found| found.dev())
    }

    fn program(&self, path: &Path) -> Program {
        use std::os::unix::fs::PermissionsExt;
        let Ok(found) = path.metadata() else { return Program::Missing };
        let mode = found.permissions().mode();
        match (found.is_file() && mode & 0o111 != 0, mode & 0o022 != 0) {
            (false, _) => Program::NotExecutable,
            (true, true) => Program::WritableByOthers,
            (true, false) => Program::Fine,
        }
    }
}
