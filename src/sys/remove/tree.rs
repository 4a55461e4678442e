//! Removal of a whole tree that was given up, by handles.
//!
//! Promises: no link is followed, no other mount or device entered, and no more
//! than a few descriptors are open however deep the tree is; each file goes by
//! the same looks as a single one. Whoever holds a file of it keeps that file
//! and the directories above. For trees in guardian's private directory, and
//! for those that could not be moved there.

use std::collections::HashSet;
use std::io;

use rustix::fs::{Mode, OFlags, openat};

use crate::model::{FileFacts, FileKind, FileTimes, Skip};

use super::{Held, Refusal, Verified, hold_by_path, look_at_name, remove_empty_dir, skip, verify};
use crate::sys::dir::EntryBuffer;
use crate::sys::open_check::OpenCheck;
use crate::sys::xattr::Mark;
use crate::sys::{DirHandle, SysError};

/// Names of one directory that are held in memory at once.
const CHUNK: usize = 4096;

/// What went with a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemovedTree {
    /// Names of files, and of anything else but directories.
    pub files: u64,
    /// Allocated bytes of those whose last link went.
    pub freed: u64,
}

/// How the removal of a tree ended.
#[derive(Debug)]
pub struct TreeEnd {
    /// What went.
    pub removed: RemovedTree,
    /// Why some of it stayed, if it did: the first reason.
    pub stayed: Option<Refusal>,
}

/// Says of a file as it is found whether it may go, and of a directory before
/// anything in it does whether it is looked into; not asked of the top.
pub type MayGo<'a> = &'a dyn Fn(&FileFacts) -> bool;

/// One directory on the way down.
struct Level {
    dev: u64,
    ino: u64,
    /// Its name in the one above.
    name: Box<[u8]>,
    /// Its own directories that are still to be entered.
    below: Vec<Box<[u8]>>,
}

struct Removal<'h> {
    how: &'h OpenCheck,
    may_go: MayGo<'h>,
    buffer: EntryBuffer,
    end: TreeEnd,
}

/// Removes the directory `name` in `parent`, whose inode is `ino`, with all in it that may go.
///
/// # Errors
/// When nothing was removed: another directory is there, or it can't be entered.
pub fn remove_tree(
    parent: &DirHandle,
    name: &[u8],
    ino: u64,
    how: &OpenCheck,
    may_go: MayGo<'_>,
) -> Result<TreeEnd, Refusal> {
    let top = enter(parent, name)?;
    if top.ino() != ino {
        return skip(Skip::Changed);
    }
    let end = TreeEnd { removed: RemovedTree::default(), stayed: None };
    let mut removal = Removal { how, may_go, buffer: EntryBuffer::default(), end };
    removal.empty(top)?;
    if removal.end.stayed.is_none() {
        removal.take_dir(parent, name, parent.dev(), ino);
    }
    Ok(removal.end)
}

fn enter(parent: &DirHandle, name: &[u8]) -> Result<DirHandle, Refusal> {
    parent.open_child(name).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Refusal::Skip(Skip::Vanished),
        Some(libc::ENOTDIR | libc::ELOOP) => Refusal::Skip(Skip::Changed),
        Some(libc::EXDEV) => Refusal::Skip(Skip::Protected),
        _ => Refusal::Failed(SysError::named("open directory", name, error)),
    })
}

/// The directory above an open one. The caller compares it with the one it came from.
fn above(dir: &DirHandle) -> io::Result<DirHandle> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    DirHandle::from_fd(openat(dir, c"..", flags, Mode::empty())?)
}

impl Removal<'_> {
    fn stays(&mut self, why: Refusal) {
        self.end.stayed.get_or_insert(why);
    }

    /// Removes all that is in `top`. Goes down by handle and up by `..`, which
    /// must lead back to where it came from: a tree that is moved meanwhile is left.
    fn empty(&mut self, top: DirHandle) -> Result<(), Refusal> {
        let mut here = top;
        let below = self.take_files(&mut here)?;
        let mut levels = vec![Level { dev: here.dev(), ino: here.ino(), name: Box::default(), below }];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.below.pop() {
                match enter(&here, &name) {
                    Ok(mut deeper) => {
                        let below = self.take_files(&mut deeper)?;
                        levels.push(Level { dev: deeper.dev(), ino: deeper.ino(), name, below });
                        here = deeper;
                    }
                    Err(Refusal::Skip(Skip::Vanished)) => {}
                    Err(why) => self.stays(why),
                }
                continue;
            }
            let Some(done) = levels.pop() else { break };
            let Some(parent) = levels.last() else { break };
            let up = above(&here)
                .map_err(|e| Refusal::Failed(SysError::named("leave directory", &done.name, e)))?;
            if (up.dev(), up.ino()) != (parent.dev, parent.ino) {
                return skip(Skip::Changed);
            }
            here = up;
            self.take_dir(&here, &done.name, done.dev, done.ino);
        }
        Ok(())
    }

    fn take_dir(&mut self, parent: &DirHandle, name: &[u8], dev: u64, ino: u64) {
        match remove_empty_dir(parent, name, dev, ino) {
            Ok(true) | Err(Refusal::Skip(Skip::Vanished)) => {}
            // Something in it stayed and was named, or came meanwhile.
            Ok(false) => self.stays(Refusal::Skip(Skip::Changed)),
            Err(why) => self.stays(why),
        }
    }

    /// Removes everything in `dir` but directories, whose names it returns.
    fn take_files(&mut self, dir: &mut DirHandle) -> Result<Vec<Box<[u8]>>, Refusal> {
        let mut below = Vec::new();
        let mut seen: HashSet<Box<[u8]>> = HashSet::new();
        loop {
            let names = names(dir, &mut self.buffer, &seen)
                .map_err(|e| Refusal::Failed(SysError::io("read directory", dir.proc_path(), e)))?;
            let whole = names.len() < CHUNK;
            for name in names {
                match self.take(dir, &name) {
                    Ok(true) => {}
                    Ok(false) => {
                        below.push(name.clone());
                        seen.insert(name);
                    }
                    Err(Refusal::Skip(Skip::Vanished)) => {}
                    Err(why) => {
                        self.stays(why);
                        seen.insert(name);
                    }
                }
            }
            if whole {
                return Ok(below);
            }
        }
    }

    /// Removes one name; `false`: it is a directory.
    fn take(&mut self, dir: &DirHandle, name: &[u8]) -> Result<bool, Refusal> {
        let verified = match hold_any(dir, name, self.how, self.may_go)? {
            Some(verified) => verified,
            None => return Ok(false),
        };
        let removed = verified.remove()?;
        self.end.removed.files += 1;
        self.end.removed.freed = self.end.removed.freed.saturating_add(removed.freed_if_last);
        Ok(true)
    }
}

/// Up to [`CHUNK`] names of a directory, without those that are known already.
fn names(
    dir: &mut DirHandle,
    buffer: &mut EntryBuffer,
    seen: &HashSet<Box<[u8]>>,
) -> io::Result<Vec<Box<[u8]>>> {
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let full = || io::Error::from(io::ErrorKind::OutOfMemory);
    let read = dir.entries(buffer, |_, entry| {
        let name = entry.name.to_bytes();
        if seen.contains(name) {
            return Ok(());
        }
        found.push(name.into());
        if found.len() < CHUNK { Ok(()) } else { Err(full()) }
    });
    match read {
        Err(error) if found.len() < CHUNK => Err(error),
        _ => Ok(found),
    }
}

/// Holds whatever `name` is, as it is now, ready to go; `None` for a directory.
/// FIFOs, sockets and devices are held without being opened.
fn hold_any<'d>(
    dir: &'d DirHandle,
    name: &[u8],
    how: &OpenCheck,
    may_go: MayGo<'_>,
) -> Result<Option<Verified<'d>>, Refusal> {
    let seen = super::super::stat::look_at(dir, name, FileTimes::default())
        .map_err(|e| Refusal::failed("look at file", name, e))?;
    let id = seen.facts.id;
    if !may_go(&seen.facts) {
        return skip(Skip::Changed);
    }
    match id.kind {
        FileKind::Directory => Ok(None),
        FileKind::Regular | FileKind::Symlink => verify(dir, name, &id, how).map(Some),
        FileKind::Special => {
            look_at_name(dir, name, &id)?;
            let held: Held = hold_by_path(dir, name, &id, Mark::Absent)?;
            Ok(Some(Verified { dir, name: name.into(), held }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::trees::{deep, mount_tmpfs, tree, with_private_mounts};

    fn remove(tree: &crate::sys::trees::Tree, name: &str) -> Result<TreeEnd, Refusal> {
        let ino = tree.identity(name.as_bytes()).ino;
        remove_tree(tree.dir(), name.as_bytes(), ino, &OpenCheck::Lease, &|_| true)
    }

    #[test]
    fn a_tree_goes_whole_and_what_its_links_lead_to_stays() {
        let tree = tree();
        fs::create_dir_all(tree.path.join("t/a/b")).unwrap();
        fs::create_dir(tree.path.join("outside")).unwrap();
        for name in ["t/1", "t/a/2", "t/a/b/3", "outside/safe"] {
            tree.file(name.as_bytes());
        }
        symlink("../outside", tree.path.join("t/link")).unwrap();
        rustix::fs::mknodat(tree.dir(), "t/fifo", rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let end = remove(&tree, "t").unwrap();
        assert!(end.stayed.is_none(), "{:?}", end.stayed);
        assert_eq!(end.removed.files, 5);
        assert!(!tree.path.join("t").exists() && tree.path.join("outside/safe").exists());
    }

    #[test]
    fn directories_with_very_many_names_and_trees_of_any_depth_go() {
        let tree = tree();
        fs::create_dir(tree.path.join("wide")).unwrap();
        for number in 0..CHUNK + 10 {
            File::create(tree.path.join(format!("wide/{number}"))).unwrap();
        }
        assert_eq!(remove(&tree, "wide").unwrap().removed.files, CHUNK as u64 + 10);
        // Deeper than there are descriptors, and than a path can be long.
        let (last, _) = deep(&tree, 3000, "deep");
        rustix::fs::mknodat(&last, "f", rustix::fs::FileType::RegularFile, Mode::RWXU, 0).unwrap();
        drop(last);
        let end = remove(&tree, "deep").unwrap();
        assert!(end.stayed.is_none() && end.removed.files == 1, "{end:?}");
        assert_eq!(fs::read_dir(&tree.path).unwrap().count(), 0);
    }

    #[test]
    fn an_open_file_stays_with_the_directories_above_it() {
        let tree = tree();
        fs::create_dir_all(tree.path.join("t/a")).unwrap();
        fs::create_dir(tree.path.join("t/b")).unwrap();
        let open = File::open(tree.file(b"t/a/open")).unwrap();
        tree.file(b"t/b/closed");
        let end = remove(&tree, "t").unwrap();
        assert!(matches!(end.stayed, Some(Refusal::Skip(Skip::InUse))), "{:?}", end.stayed);
        assert_eq!(end.removed.files, 1);
        assert!(tree.path.join("t/a/open").exists() && !tree.path.join("t/b").exists());
        drop(open);
        assert!(remove(&tree, "t").unwrap().stayed.is_none());
    }

    #[test]
    fn another_directory_under_the_name_is_left_alone() {
        let tree = tree();
        fs::create_dir(tree.path.join("t")).unwrap();
        tree.file(b"t/f");
        let end = remove_tree(tree.dir(), b"t", 1, &OpenCheck::Lease, &|_| true);
        assert!(matches!(end, Err(Refusal::Skip(Skip::Changed))));
        assert!(tree.path.join("t/f").exists());
    }

    #[test]
    fn what_is_mounted_in_a_tree_is_never_entered() {
        with_private_mounts(|| {
            let tree = tree();
            fs::create_dir_all(tree.path.join("t/mounted")).unwrap();
            mount_tmpfs(&tree.path.join("t/mounted"));
            fs::write(tree.path.join("t/mounted/safe"), b"").unwrap();
            let end = remove(&tree, "t").unwrap();
            assert!(matches!(end.stayed, Some(Refusal::Skip(Skip::Protected))), "{:?}", end.stayed);
            assert!(tree.path.join("t/mounted/safe").exists());
        });
    }
}
