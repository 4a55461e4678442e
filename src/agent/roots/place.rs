//! What lies at the path of a root, and whether that may be a root.

use std::path::{Path, PathBuf};

use super::{RootError, Suspension};
use crate::config::{self, RootSettings, checkout_mark, is_system_path};
use crate::sys::dir::RootDir;
use crate::sys::mounts;

struct Disk;

impl config::Probe for Disk {
    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// Looks whether a root can be guarded by these settings, and touches nothing.
/// `known`: the ledger has adopted it before; then it may be missing for now.
///
/// # Errors
/// What would end the start, and what can't be looked at.
pub fn check_place(settings: &RootSettings, known: bool) -> Result<(), RootError> {
    match find(settings, known)? {
        Ok(dir) => super::rules::hold_for(settings, &dir),
        Err(_) => super::rules::check(settings),
    }
}

/// Opens the directory of a root. `known`: the ledger has adopted it before;
/// then what is missing suspends it, and a checkout's mark that appeared since
/// is ignored (in a world-writable directory anybody can make one).
pub(super) fn find(settings: &RootSettings, known: bool) -> Result<Result<RootDir, Suspension>, RootError> {
    let (name, path) = (&settings.name, &settings.path);
    let origin = || settings.path_origin.clone();
    let dir = match RootDir::open(path) {
        Ok(dir) => dir,
        Err(error) => match error.kind() {
            std::io::ErrorKind::NotFound if known => return Ok(Err(Suspension::Gone)),
            std::io::ErrorKind::NotADirectory if known => return Ok(Err(Suspension::Replaced)),
            std::io::ErrorKind::NotFound => {
                return Err(RootError::Missing { name: name.clone(), path: path.clone(), origin: origin() });
            }
            std::io::ErrorKind::NotADirectory => {
                return Err(RootError::NotADirectory {
                    name: name.clone(),
                    path: path.clone(),
                    origin: origin(),
                });
            }
            _ => return Err(RootError::sys(name)(error)),
        },
    };
    let real = path.canonicalize().map_err(|source| RootError::Volume {
        name: name.clone(),
        path: path.clone(),
        source,
    })?;
    if !settings.allow_system_root {
        if is_system_path(&real) {
            return Err(RootError::System { name: name.clone(), path: real, origin: origin() });
        }
        if let Some(mark) = checkout_mark(&real, &Disk).filter(|_| !known) {
            return Err(RootError::Checkout { name: name.clone(), path: real, mark, origin: origin() });
        }
    }
    if settings.require_mount && !mounts::is_mount_point(path).map_err(RootError::sys(name))? {
        return Ok(Err(Suspension::NotMounted));
    }
    Ok(Ok(dir))
}
