//! Which directories may be roots, and where things are by default.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::{Environment, Probe};

/// Directories that are never a root unless allowed, with everything beneath them.
const SYSTEM_TREES: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/gnu",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/lost+found",
    "/nix",
    "/proc",
    "/run/dbus",
    "/run/lock",
    "/run/systemd",
    "/run/udev",
    "/sbin",
    "/snap",
    "/sys",
    "/sysroot",
    "/usr",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/pacman",
    "/var/lib/rpm",
    "/var/lib/systemd",
];

/// Directories that are never a root themselves unless allowed.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/run/user",
    "/srv",
    "/var",
    "/var/cache",
    "/var/db",
    "/var/lib",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/run",
    "/var/spool",
];

/// What marks the top of a version-controlled checkout.
const CHECKOUT_MARKS: &[&str] = &[".git", ".hg", ".svn", ".jj"];

/// Whether `path` is a directory that is no place for temporary files: system
/// directories and home directories (the Filesystem Hierarchy Standard 3.0
/// names them). By name only: the agent asks again for the path with its links
/// resolved. `/tmp`, `/var/tmp`, `/dev/shm` and `/run/user/UID` are none.
pub fn is_system_path(path: &Path) -> bool {
    if path.starts_with("/dev/shm") {
        return false;
    }
    SYSTEM_DIRECTORIES.iter().any(|one| path == Path::new(one))
        || SYSTEM_TREES.iter().any(|tree| path.starts_with(tree))
        || path.parent() == Some(Path::new("/home"))
}

/// What marks `path` as a version-controlled checkout (`.git` …), if anything does.
pub fn checkout_mark(path: &Path, probe: &dyn Probe) -> Option<&'static str> {
    CHECKOUT_MARKS.iter().copied().find(|mark| probe.exists(&path.join(mark)))
}

/// The path without doubled slashes and `.`; `None` if it is relative or has `..` or NUL.
pub(super) fn plain_absolute(path: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let plain = path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && !path.as_os_str().as_bytes().contains(&0);
    plain.then(|| path.components().collect())
}

/// A path of a flag made absolute. A `..` is followed as long as it climbs from
/// `cwd`, which has no links in it; after a name it is left to be refused,
/// because the name could be a link.
pub(super) fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let mut base = cwd.to_owned();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next_if(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
        if part == Component::ParentDir {
            base.pop();
        }
    }
    base.extend(parts);
    base
}

fn directory(environment: &Environment, variable: &str) -> Option<PathBuf> {
    // Relative XDG paths are to be ignored (XDG Base Directory Specification 0.8).
    environment.vars.get(OsStr::new(variable)).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where the state is by default; `None` for a user without a home.
pub(super) fn default_state_dir(environment: &Environment) -> Option<PathBuf> {
    if environment.is_root {
        return Some(PathBuf::from("/var/lib/guardian"));
    }
    directory(environment, "XDG_STATE_HOME")
        .or_else(|| Some(directory(environment, "HOME")?.join(".local/state")))
        .map(|base| base.join("guardian"))
}

/// Where the socket is by default.
pub(super) fn default_socket(environment: &Environment, state_dir: &Path, probe: &dyn Probe) -> PathBuf {
    if environment.is_root {
        return PathBuf::from(SYSTEM_SOCKET);
    }
    let runtime = PathBuf::from(format!("/run/user/{}", environment.uid));
    match directory(environment, "XDG_RUNTIME_DIR") {
        Some(base) => base.join("guardian/guardian.sock"),
        None if probe.exists(&runtime) => runtime.join("guardian/guardian.sock"),
        None => state_dir.join("guardian.sock"),
    }
}

const SYSTEM_SOCKET: &str = "/run/guardian/guardian.sock";

/// A socket that a client may try, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketCandidate {
    /// Its path.
    pub path: PathBuf,
    /// What led to it, for the message when nobody answers.
    pub because: &'static str,
}

/// The sockets that a client tries, in this order: `--socket`,
/// `GUARDIAN_SOCKET`, the user's, the system's. One that was asked for stands
/// alone: a command meant for one agent must not reach another.
pub fn socket_candidates(flag: Option<&Path>, environment: &Environment) -> Vec<SocketCandidate> {
    let one = |path: PathBuf, because| SocketCandidate { path, because };
    if let Some(path) = flag {
        return vec![one(path.to_owned(), "--socket")];
    }
    if let Some(path) = environment.vars.get(OsStr::new("GUARDIAN_SOCKET")).filter(|path| !path.is_empty()) {
        return vec![one(PathBuf::from(path), "GUARDIAN_SOCKET")];
    }
    let mut candidates = Vec::new();
    if !environment.is_root {
        let runtime = directory(environment, "XDG_RUNTIME_DIR")
            .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", environment.uid)));
        candidates.push(one(runtime.join("guardian/guardian.sock"), "the user's agent"));
        if let Some(state) = default_state_dir(environment) {
            candidates.push(one(state.join("guardian.sock"), "the user's agent without a runtime directory"));
        }
    }
    candidates.push(one(PathBuf::from(SYSTEM_SOCKET), "the system's agent"));
    candidates
}
