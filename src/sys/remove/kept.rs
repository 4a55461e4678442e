//! Removal of what lies in guardian's private directory under its ID.
//!
//! It is known there by name, inode and size; our own rename changed its ctime,
//! so the identity is taken anew. Nobody else can enter that directory, but
//! whoever had the file open before may have it open still.

use crate::model::{FileFacts, FileKind, FileTimes, Skip};

use super::tree::{MayGo, RemovedTree, TreeEnd, remove_tree};
use super::{Refusal, skip, verify};
use crate::sys::DirHandle;
use crate::sys::open_check::OpenCheck;
use crate::sys::stat::look_at;

/// Removes the entry `name` from `dir`; `expected` is what it was when it was given up.
/// Of a tree goes only what `may_go` says: somebody may stand in it still.
///
/// # Errors
/// [`Skip::Vanished`] when it is gone, [`Skip::Changed`] when something else is
/// there, [`Skip::InUse`] while somebody has it open.
pub fn remove_kept(
    dir: &DirHandle,
    name: &[u8],
    expected: &FileFacts,
    how: &OpenCheck,
    may_go: MayGo<'_>,
) -> Result<TreeEnd, Refusal> {
    let seen =
        look_at(dir, name, FileTimes::default()).map_err(|e| Refusal::failed("look at entry", name, e))?;
    if seen.mount_point {
        return skip(Skip::Protected);
    }
    if seen.facts.id.dev != dir.dev() || !expected.is_same_elsewhere(&seen.facts) {
        return skip(Skip::Changed);
    }
    if expected.id.kind == FileKind::Directory {
        return remove_tree(dir, name, seen.facts.id.ino, how, may_go);
    }
    let gone = verify(dir, name, &seen.facts.id, how)?.remove()?;
    let removed = RemovedTree { files: 1, freed: gone.freed_if_last };
    Ok(TreeEnd { removed, stayed: None })
}
