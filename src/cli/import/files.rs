//! The files that systemd-tmpfiles would read, in the order in which it does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Exit, Failure};
use crate::config::{SourceFile, read_file, read_stream};

#[derive(Debug, clap::Args)]
pub(super) struct TmpfilesArgs {
    /// Read these only; `-` is standard input, and a name without a slash is looked for in the directories
    /// of tmpfiles.d [default: all that systemd-tmpfiles reads]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A file hides those of the same name in later directories; so where `/lib` leads
/// to `/usr/lib`, nothing is read twice.
const DIRECTORIES: [&str; 5] = [
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
    "/lib/tmpfiles.d",
];

const ATTEMPT: &str = "import tmpfiles";

impl TmpfilesArgs {
    /// The files, and what is odd about them.
    pub(super) fn read(&self) -> Result<(Vec<SourceFile>, Vec<String>), Failure> {
        if self.files.is_empty() {
            let directories: Vec<&Path> = DIRECTORIES.iter().map(Path::new).collect();
            return read_all(&directories);
        }
        let read = self.files.iter().map(|file| named(file));
        Ok((read.collect::<Result<_, _>>()?, Vec::new()))
    }
}

fn failed(path: &Path, why: &io::Error) -> Failure {
    Failure::new(Exit::Usage, ATTEMPT, format!("failed to read {}: {why}", path.display()))
}

/// A file of the command line.
fn named(file: &Path) -> Result<SourceFile, Failure> {
    if file.as_os_str() == "-" {
        let path = PathBuf::from("<stdin>");
        let bytes = read_stream(io::stdin().lock()).map_err(|why| failed(&path, &why))?;
        return Ok(SourceFile { path, bytes });
    }
    let is_bare = file.parent() == Some(Path::new(""));
    let path = if is_bare {
        let found = DIRECTORIES.iter().map(|dir| Path::new(dir).join(file)).find(|path| path.exists());
        found.ok_or_else(|| {
            let cause = format!("{} is in none of {}", file.display(), DIRECTORIES.join(", "));
            Failure::usage(ATTEMPT, cause).with_help("for a file of the working directory write ./NAME")
        })?
    } else {
        file.to_owned()
    };
    let bytes = read_file(&path).map_err(|why| failed(&path, &why))?;
    Ok(SourceFile { path, bytes })
}

/// All `*.conf`, by name. One that is empty or a link to `/dev/null` hides
/// others of its name by saying nothing.
fn read_all(directories: &[&Path]) -> Result<(Vec<SourceFile>, Vec<String>), Failure> {
    let mut paths: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => return Err(failed(directory, &why)),
        };
        for entry in entries {
            let name = entry.map_err(|why| failed(directory, &why))?.file_name();
            let bytes = name.as_encoded_bytes();
            if bytes.ends_with(b".conf") && !bytes.starts_with(b".") {
                let path = directory.join(&name);
                paths.entry(name).or_insert(path);
            }
        }
    }
    let (mut files, mut notes) = (Vec::new(), Vec::new());
    for path in paths.into_values() {
        let hides = std::fs::canonicalize(&path).is_ok_and(|real| real == Path::new("/dev/null"));
        match std::fs::metadata(&path) {
            _ if hides => {}
            Ok(found) if found.is_file() => {
                let bytes = read_file(&path).map_err(|why| failed(&path, &why))?;
                files.push(SourceFile { path, bytes });
            }
            Ok(_) => notes.push(format!("{} is no file: left out", path.display())),
            Err(why) => notes.push(format!("{}: {why}: left out", path.display())),
        }
    }
    Ok((files, notes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_earlier_directory_hides_files_of_the_same_name_and_names_decide_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, lib, none) = (dir.path().join("etc"), dir.path().join("lib"), dir.path().join("none"));
        for (path, text) in [
            (lib.join("b.conf"), "of lib"),
            (lib.join("a.conf"), "a"),
            (lib.join("masked.conf"), "masked"),
            (lib.join("other.txt"), "no"),
            (lib.join(".hidden.conf"), "no"),
            (etc.join("b.conf"), "of etc"),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("/dev/null", etc.join("masked.conf")).unwrap();
        symlink("nowhere", lib.join("dangling.conf")).unwrap();
        fs::create_dir(lib.join("dir.conf")).unwrap();
        // /lib is a link to /usr/lib on most hosts.
        let same = dir.path().join("same");
        symlink(&lib, &same).unwrap();
        let (files, notes) = read_all(&[&etc, &none, &lib, &same]).unwrap();
        let read: Vec<_> = files.iter().map(|file| String::from_utf8_lossy(&file.bytes)).collect();
        assert_eq!(read, ["a", "of etc"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn the_directories_are_those_of_systemd_tmpfiles_in_its_order() {
        let asked = std::process::Command::new("systemd-tmpfiles")
            .args(["--clean", "--prefix=/nothing"])
            .env("SYSTEMD_LOG_LEVEL", "debug")
            .env("SYSTEMD_LOG_TARGET", "console")
            .output();
        let Ok(output) = asked else {
            eprintln!("skipped: there is no systemd-tmpfiles here");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let listed = said.lines().skip_while(|line| !line.starts_with("Looking for configuration files"));
        let listed: Vec<_> = listed.skip(1).map_while(|line| line.strip_prefix('\t')).collect();
        // One that was built for a host where /lib is a link does not list it.
        let expected: Vec<_> =
            DIRECTORIES.into_iter().filter(|dir| *dir != "/lib/tmpfiles.d" || listed.contains(dir)).collect();
        assert_eq!(listed, expected);
    }
}
