//! Directories that somebody holds by `flock`: the way of `systemd-tmpfiles`
//! to say that a tree is in use.
//!
//! Each directory is asked by trying its lock for a microsecond, as
//! systemd-tmpfiles does for longer. `/proc/locks` tells whose it is, and is
//! read only when there is one: opening it waits for every processor
//! (8 ms, a sixth of a whole sweep when it was read before each batch), and
//! it hides what processes outside of our pid namespace hold. In an emergency
//! only locks of root or of the file's owner count: otherwise any user could
//! stop cleaning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::RelPath;
use crate::sys::DirHandle;
use crate::sys::lock::{HeldLock, directory_locks, is_locked};

use super::root::GuardedRoot;

/// Locks on directories of one root, asked at most once each: make a new one
/// for each batch.
#[derive(Debug, Default)]
pub struct DirectoryLocks {
    /// What is known of a directory and of those above it.
    asked: Mutex<HashMap<RelPath, Above>>,
    /// Holders by inode, as `/proc/locks` showed them last.
    known: Mutex<Option<HashMap<u64, Vec<u32>>>>,
}

/// A directory below the root, and those above it.
#[derive(Debug, Clone, Default)]
pub struct Above {
    /// Who holds one of them by `flock`.
    pub holders: Arc<[u32]>,
    /// Which they are.
    pub inodes: Arc<[u64]>,
}

impl DirectoryLocks {
    /// Who holds `dir`, which is open as `handle`, or a directory above it,
    /// below the root; and which directories these are.
    pub fn above(&self, root: &GuardedRoot, dir: &RelPath, handle: &DirHandle) -> Above {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // The root itself carries our own lock while it is too full for a lock file.
        if dir.is_root() {
            return Above::default();
        }
        let mut path = dir.clone();
        let mut unasked = Vec::new();
        let mut found = Above::default();
        while !path.is_root() {
            if let Some(known) = asked.get(&path) {
                found = known.clone();
                break;
            }
            let above = path.parent().unwrap_or_default();
            unasked.push(std::mem::replace(&mut path, above));
        }
        while let Some(path) = unasked.pop() {
            let opened = if path == *dir { None } else { Some(root.dir.open_dir(&path)) };
            let here = match &opened {
                None => Some(handle),
                Some(opened) => opened.as_ref().ok(),
            };
            if let Some(here) = here {
                found.inodes = found.inodes.iter().copied().chain([here.ino()]).collect();
                let holders = self.holders_here(here);
                if !holders.is_empty() {
                    found.holders = found.holders.iter().copied().chain(holders).collect();
                }
            }
            asked.insert(path, found.clone());
        }
        found
    }

    /// Who holds this very directory.
    fn holders_here(&self, dir: &DirHandle) -> Vec<u32> {
        match is_locked(dir) {
            Some(false) => Vec::new(),
            Some(true) => {
                let known = self.known(dir.ino(), false);
                let known = if known.is_empty() { self.known(dir.ino(), true) } else { known };
                // Somebody whom this host does not show counts as root.
                if known.is_empty() { vec![0] } else { known }
            }
            // Some network file systems can't be asked.
            None => self.known(dir.ino(), false),
        }
    }

    /// The holders that `/proc/locks` names for an inode. By its number alone:
    /// on btrfs the device there is another than `stat` shows. At worst a
    /// directory that is held is thought to have one holder more.
    fn known(&self, ino: u64, again: bool) -> Vec<u32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if again {
            *known = None;
        }
        // Where it can't be read nobody is known: cleaning must not depend on it.
        let known = known.get_or_insert_with(|| by_inode(directory_locks().unwrap_or_default()));
        known.get(&ino).cloned().unwrap_or_default()
    }
}

fn by_inode(locks: Vec<HeldLock>) -> HashMap<u64, Vec<u32>> {
    let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
    for held in locks.into_iter().filter(|held| held.pid != std::process::id()) {
        // A holder that is gone (a child may still have the lock) counts as root.
        holders.entry(held.ino).or_default().push(held.uid.unwrap_or(0));
    }
    holders
}

/// Whether one of `holders` keeps a file of `owner`.
pub fn keep(holders: &[u32], owner: u32, emergency: bool) -> bool {
    holders.iter().any(|uid| !emergency || *uid == 0 || *uid == owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_though_the_kernel_names_another_device_for_it() {
        // As seen on btrfs: stat shows 0:40, /proc/locks 00:27, which is 0:39.
        let held = HeldLock { dev: 39, ino: 7, pid: 1, uid: Some(1000) };
        assert_eq!(by_inode(vec![held]).get(&7), Some(&vec![1000]));
    }

    #[test]
    fn whoever_holds_a_directory_above_holds_what_is_below() {
        let world = crate::sweep::tests::World::new();
        world.file("d/e/f", 10, 0);
        world.file("free/f", 10, 0);
        let open = |path: &str| {
            let path = RelPath::from_bytes(path.as_bytes().to_vec()).unwrap();
            let handle = world.root.dir.open_dir(&path).unwrap();
            (path, handle)
        };
        let (top, handle) = open("d");
        let held = crate::sys::lock::lock_dir(&handle).unwrap().unwrap();
        let locks = DirectoryLocks::default();
        let (below, inside) = open("d/e");
        // A lock of our own process is not listed as anybody's: it counts as root's.
        assert_eq!(locks.above(&world.root, &below, &inside).holders[..], [0]);
        let (free, other) = open("free");
        assert!(locks.above(&world.root, &free, &other).holders.is_empty());
        drop(held);
        assert!(DirectoryLocks::default().above(&world.root, &below, &inside).holders.is_empty());
        assert!(DirectoryLocks::default().above(&world.root, &top, &handle).holders.is_empty());
    }

    #[test]
    fn in_an_emergency_only_root_and_the_owner_can_hold() {
        assert!(!keep(&[], 1000, false));
        assert!(keep(&[1001], 1000, false));
        assert!(!keep(&[1001], 1000, true));
        assert!(keep(&[1001, 0], 1000, true));
        assert!(keep(&[1000], 1000, true));
    }
}
