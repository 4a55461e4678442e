//! Where a job that is run keeps its files: a directory of its own below a root.
//!
//! Promises: the directory is the caller's alone (0700, its own, no link) and
//! one command's at a time; nobody's directory is taken for it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::super::failure::{Exit, Failure};
use crate::api::{RootResource, RootState};
use crate::model::{JobId, RootName, WirePath};
use crate::policy::Patterns;
use crate::sys::private_dir::PRIVATE_NAME;
use crate::sys::{DirHandle, own_file};

/// A job's directory, locked while this lives.
pub(super) struct Place {
    root: PathBuf,
    pub(super) path: PathBuf,
    /// The lock (flock) on the directory.
    dir: File,
    made: bool,
}

/// The root that is meant: the one that is named, or the only one.
pub(super) fn choose<'a>(
    roots: &'a [RootResource],
    named: Option<&RootName>,
    attempt: &str,
) -> Result<&'a RootResource, Failure> {
    let names: Vec<_> = roots.iter().map(|root| root.name.as_str()).collect();
    let names = names.join(", ");
    let root = match (named, roots) {
        (Some(name), _) => roots.iter().find(|root| root.name == *name).ok_or_else(|| {
            Failure::usage(attempt, format!("{name} is not a root of the agent; its roots: {names}"))
        })?,
        (None, [only]) => only,
        (None, []) => return Err(Failure::usage(attempt, "the agent has no roots")),
        (None, _) => {
            return Err(Failure::usage(attempt, "the agent has several roots")
                .with_help(format!("say which with --root: {names}")));
        }
    };
    if root.state == RootState::Suspended {
        let why = root.reason.as_deref().unwrap_or("it is not what it was");
        return Err(Failure::new(Exit::Refused, attempt, format!("root {} is suspended: {why}", root.name)));
    }
    Ok(root)
}

/// What the job's directory is called.
pub(super) fn name_of(root: &RootResource, id: &JobId, attempt: &str) -> Result<Vec<u8>, Failure> {
    let patterns = Patterns::compile(&root.patterns)
        .map_err(|why| Failure::new(Exit::Failures, attempt, format!("the agent's patterns: {why}")))?;
    let name = patterns.plain_name(id).ok_or_else(|| {
        Failure::usage(attempt, format!("no pattern of root {} can name a directory of a job", root.name))
            .with_help("add one without {chunk} and * to its `patterns`, such as \"job_{job}\"")
    })?;
    if matches!(&*name, b"." | b"..") || name == PRIVATE_NAME.as_bytes() {
        let shown = String::from_utf8_lossy(&name);
        return Err(Failure::usage(attempt, format!("the directory of job {id} would be {shown}")));
    }
    Ok(name)
}

impl Place {
    /// Makes the directory, or takes one that an earlier command of this caller left.
    pub(super) fn make(root: &RootResource, id: &JobId, attempt: &str) -> Result<Self, Failure> {
        let name = name_of(root, id, attempt)?;
        let root = path_of(&root.path, attempt)?;
        let path = root.join(OsStr::from_bytes(&name));
        let failed = |what: &str, why: std::io::Error| {
            let help = "the root must be writable for whoever runs the command, as /tmp is (mode 1777)";
            Failure::new(Exit::Failures, attempt, format!("failed to {what} {}: {why}", path.display()))
                .with_help(help)
        };
        refuse_unsafe(&root, attempt)?;
        let made = match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => true,
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(why) => return Err(failed("make directory", why)),
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let dir = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&path)
            .map_err(|why| failed("open directory", why))?;
        let seen = dir.metadata().map_err(|why| failed("look at directory", why))?;
        if seen.uid() != rustix::process::geteuid().as_raw() || seen.mode() & 0o077 != 0 {
            let why = format!("{} is there already, and not this user's alone (mode 0700)", path.display());
            return Err(Failure::new(Exit::Refused, attempt, why).with_help("choose another --id"));
        }
        match dir.try_lock() {
            Ok(()) => Ok(Self { root, path, dir, made }),
            Err(TryLockError::WouldBlock) => {
                let why = format!("another command runs as job {id} in {}", path.display());
                Err(Failure::new(Exit::Refused, attempt, why).with_help("choose another --id"))
            }
            Err(TryLockError::Error(why)) => Err(failed("lock directory", why)),
        }
    }

    /// Takes the directory away again if this has made it and nothing is left in it.
    pub(super) fn leave(self) {
        let (Some(name), Ok(seen)) = (self.path.file_name(), self.dir.metadata()) else { return };
        if !self.made {
            return;
        }
        let gone = DirHandle::open_absolute(&self.root)
            .and_then(|root| own_file::discard_empty_dir(&root, name.as_bytes(), (seen.dev(), seen.ino())));
        if let Err(error) = gone {
            tracing::debug!(%error, "an empty directory stays");
        }
    }
}

/// Where anybody may rename anything, somebody could put a link in the directory's
/// place, and the command would write wherever it leads.
fn refuse_unsafe(root: &Path, attempt: &str) -> Result<(), Failure> {
    const ANYBODY: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let seen = root.metadata().map_err(|why| {
        let why = format!("failed to look at directory {}: {why}", root.display());
        Failure::new(Exit::Failures, attempt, why)
    })?;
    if seen.mode() & ANYBODY == 0 || seen.mode() & STICKY != 0 {
        return Ok(());
    }
    let why = format!("others may replace what is made in {}", root.display());
    let help = format!("make it like /tmp (mode 1777): chmod +t {}", root.display());
    Err(Failure::new(Exit::Refused, attempt, why).with_help(help))
}

fn path_of(path: &WirePath, attempt: &str) -> Result<PathBuf, Failure> {
    let bytes = path
        .to_bytes()
        .map_err(|why| Failure::new(Exit::Failures, attempt, format!("the path of the root: {why}")))?;
    Ok(Path::new(&std::ffi::OsString::from_vec(bytes)).to_owned())
}
