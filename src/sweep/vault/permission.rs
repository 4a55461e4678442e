//! Whether a user may put a file into a directory, as far as that can be told
//! without becoming him: guardian's service can't, and should not be able to.
//!
//! Promises: never yes where the kernel would say no to him for want of
//! permission. It may be no where the kernel would say yes: groups are not
//! looked up and access lists not read, so that a directory counts only if it
//! is his own, or open to all by the bits of group and others alike and without
//! an access list.

use crate::model::RelPath;
use crate::sweep::root::GuardedRoot;
use crate::sys::{DirHandle, Seen, SysError, xattr};

const SEARCH: u32 = 0o1;
const MAKE_NAMES: u32 = 0o3;

/// Whether `uid` may make names in `dir`, which was opened as `parent` below the
/// root, and come there from above.
///
/// # Errors
/// When a directory can't be looked at.
pub(super) fn may_put_into(
    root: &GuardedRoot,
    dir: &DirHandle,
    parent: &RelPath,
    uid: u32,
) -> Result<bool, SysError> {
    // His own way there, also where links in the root's path lead.
    let failed = |e| SysError::io("resolve root", root.path(), e);
    let real = root.path().canonicalize().map_err(failed)?;
    for above in root.path().ancestors().skip(1).chain(real.ancestors().skip(1)) {
        if !may(&DirHandle::open_absolute(above)?, uid, SEARCH)? {
            return Ok(false);
        }
    }
    // The very directory that is open, whatever has its name by now.
    if !may(dir, uid, MAKE_NAMES)? {
        return Ok(false);
    }
    let mut below = parent.parent();
    while let Some(path) = below {
        if !may(&root.dir.open_dir(&path)?, uid, SEARCH)? {
            return Ok(false);
        }
        below = path.parent();
    }
    Ok(root.dir.leads_to(parent, dir))
}

fn may(dir: &DirHandle, uid: u32, wanted: u32) -> Result<bool, SysError> {
    let seen = dir.look_at_self().map_err(|e| SysError::io("look at directory", dir.proc_path(), e))?;
    Ok(by_bits(&seen, uid, wanted, || xattr::may_have_access_list(dir)))
}

fn by_bits(dir: &Seen, uid: u32, wanted: u32, has_list: impl Fn() -> bool) -> bool {
    // The owner's bits are the owner's, whatever a list says of others.
    if dir.facts.uid == uid {
        return (dir.permissions >> 6) & wanted == wanted;
    }
    let all = (dir.permissions >> 3) & dir.permissions;
    all & wanted == wanted && !has_list()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::sweep::tests::guarded::guarded;
    use crate::sys::RootDir;
    use crate::usage::Probe;

    #[test]
    fn the_directory_that_is_open_is_judged_and_not_one_that_took_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let make = |name: &str, mode| {
            fs::create_dir_all(at(name)).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        make("", 0o755);
        make("closed", 0o755);
        make("open", 0o777);
        let opened = Arc::new(RootDir::open(dir.path()).unwrap());
        let root = guarded("scratch", &opened, Probe::Volume(Arc::clone(&opened)));
        let somebody = rustix::process::geteuid().as_raw() + 1;
        let path = |name: &str| RelPath::from_bytes(name.as_bytes()).unwrap();
        let handle = |name: &str| root.dir.open_dir(&path(name)).unwrap();
        let (closed, open) = (handle("closed"), handle("open"));
        assert!(may_put_into(&root, &open, &path("open"), somebody).unwrap());
        assert!(!may_put_into(&root, &closed, &path("closed"), somebody).unwrap());
        // Whoever may rename them in the root does so between two looks.
        fs::rename(at("closed"), at("away")).unwrap();
        fs::rename(at("open"), at("closed")).unwrap();
        assert!(!may_put_into(&root, &closed, &path("closed"), somebody).unwrap());
    }
}
