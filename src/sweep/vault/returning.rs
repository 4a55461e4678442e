//! Out of the private directory, back to its owner.
//!
//! Promises: never over anything that is there; owner, mode, times and
//! attributes are those it had, because a rename is all that happens to it.

use crate::model::{FileTimes, RelPath, Stage};
use crate::sweep::root::GuardedRoot;
use crate::sys::remove::move_entry;
use crate::sys::{DirHandle, SysError, own_file};

use super::Rooms;
use super::info::{Entry, discard};
use super::moving::lies_in;
use super::permission::may_put_into;

/// Why something is not back.
#[derive(Debug, thiserror::Error)]
pub enum NotBack {
    /// Something is there.
    #[error("{0} exists already")]
    NameTaken(RelPath),
    /// Its directory is not there.
    #[error("the directory of {0} does not exist")]
    NoDirectory(RelPath),
    /// The place is guardian's, or the root itself.
    #[error("{0} is no place for it")]
    NoPlace(RelPath),
    /// Who asks may not put files there.
    #[error(
        "uid {uid} may not put files into the directory of {path}, as far as owner and permissions of it \
         and of those above tell: it must be his own or open to all"
    )]
    NotPermitted {
        /// Who.
        uid: u32,
        /// Where.
        path: RelPath,
    },
    /// It is not in the private directory.
    #[error("it is gone from the private directory")]
    Gone,
    /// The kernel refused.
    #[error(transparent)]
    Failed(#[from] SysError),
}

/// Puts an entry back to `to`. `only`: the user who asks, where he may put
/// things only into directories of his own or open to all. The caller has the
/// turn, and takes the entry off the record after this.
///
/// # Errors
/// Then it is where it was.
pub fn put_back(
    root: &GuardedRoot,
    rooms: &Rooms,
    entry: &Entry,
    to: &RelPath,
    only: Option<u32>,
) -> Result<(), NotBack> {
    let kept = entry.kept();
    if kept.stage != Stage::Moved && lies_in(rooms, entry.room(), kept).is_none() {
        // It never left. Its description goes first: one that outlived the record
        // would tell of a deletion that was called off.
        discard(rooms, entry.room(), &kept.id)?;
        own_file::sync_names(rooms.of(entry.room()))?;
        return Ok(());
    }
    if lies_in(rooms, entry.room(), kept).is_none() {
        return Err(NotBack::Gone);
    }
    let dir = open(root, to, only)?;
    let name = kept.id.as_str().as_bytes();
    move_entry(rooms.of(entry.room()), name, &dir, to.name()).map_err(|error| match error.errno() {
        Some(libc::EEXIST) => NotBack::NameTaken(to.clone()),
        _ => NotBack::Failed(error),
    })?;
    if let Err(error) = own_file::sync_names(&dir).and_then(|()| own_file::sync_names(rooms.of(entry.room())))
    {
        tracing::warn!(root = %root.name, reason = %crate::model::with_causes(&error), "what was put back may be in the private directory after a power cut");
    }
    // Without its description the rest is only a little untidy.
    if let Err(error) = discard(rooms, entry.room(), &kept.id) {
        tracing::warn!(root = %root.name, reason = %crate::model::with_causes(&error), "a description stays behind");
    }
    Ok(())
}

/// Opens the directory in which `to` will be a name.
fn open(root: &GuardedRoot, to: &RelPath, only: Option<u32>) -> Result<DirHandle, NotBack> {
    let Some(parent) = to.parent() else { return Err(NotBack::NoPlace(to.clone())) };
    if to.components().next() == Some(crate::sys::private_dir::PRIVATE_NAME.as_bytes()) {
        return Err(NotBack::NoPlace(to.clone()));
    }
    let dir = root.dir.open_dir(&parent).map_err(|error| match error.errno() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV) => NotBack::NoDirectory(to.clone()),
        _ => NotBack::Failed(error),
    })?;
    if root.own.contains_dir(dir.dev(), dir.ino()) {
        return Err(NotBack::NoPlace(to.clone()));
    }
    if let Some(uid) = only
        && !may_put_into(root, &dir, &parent, uid)?
    {
        return Err(NotBack::NotPermitted { uid, path: to.clone() });
    }
    match dir.look(to.name(), FileTimes::default()) {
        Ok(_) => Err(NotBack::NameTaken(to.clone())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(dir),
        Err(error) => Err(SysError::named("look at", to.name(), error).into()),
    }
}
