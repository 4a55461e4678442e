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

/// Whether `uid` may make names in the directory `parent` below the root, and
/// come there from above.
///
/// # Errors
/// When a directory can't be looked at.
pub(super) fn may_put_into(root: &GuardedRoot, parent: &RelPath, uid: u32) -> Result<bool, SysError> {
    // His own way there, also where links in the root's path lead.
    let failed = |e| SysError::io("resolve root", root.path(), e);
    let real = root.path().canonicalize().map_err(failed)?;
    for above in root.path().ancestors().skip(1).chain(real.ancestors().skip(1)) {
        if !may(&DirHandle::open_absolute(above)?, uid, SEARCH)? {
            return Ok(false);
        }
    }
    let mut below = Some(parent.clone());
    let mut wanted = MAKE_NAMES;
    while let Some(path) = below {
        if !may(&root.dir.open_dir(&path)?, uid, wanted)? {
            return Ok(false);
        }
        wanted = SEARCH;
        below = path.parent();
    }
    Ok(true)
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
