//! Directories that somebody holds by `flock`: the way of `systemd-tmpfiles`
//! to say that a tree is in use.
//!
//! Read from `/proc/locks` once per batch, never probed. In an emergency only
//! locks of root or of the file's owner count: otherwise any user could stop
//! cleaning.

use std::collections::HashMap;

use crate::model::RelPath;
use crate::sys::lock::{HeldLock, directory_locks};

use super::root::GuardedRoot;

/// Locks on directories that may lie in one root.
#[derive(Debug, Default)]
pub struct DirectoryLocks {
    /// Holders by inode; an unknown holder counts as root.
    holders: HashMap<u64, Vec<u32>>,
}

impl DirectoryLocks {
    /// Reads them now. Where `/proc/locks` can't be read there are none to
    /// respect: cleaning must not depend on it.
    pub fn read(root: &GuardedRoot) -> Self {
        Self::of(directory_locks().unwrap_or_default(), root)
    }

    /// By inode number alone: on btrfs the device in `/proc/locks` is another
    /// than `stat` shows. At worst a directory counts as held that only shares
    /// its number with one that is.
    fn of(locks: Vec<HeldLock>, root: &GuardedRoot) -> Self {
        let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
        for held in locks {
            // Our own lock is on the root itself, never on what lies beneath.
            if held.ino != root.dir.ino() && held.pid != std::process::id() {
                holders.entry(held.ino).or_default().push(held.uid.unwrap_or(0));
            }
        }
        Self { holders }
    }

    /// Who holds `dir` or a directory above it, below the root. Costs nothing
    /// while nobody holds any.
    pub fn holders_of(&self, root: &GuardedRoot, dir: &RelPath) -> Vec<u32> {
        let mut found = Vec::new();
        if self.holders.is_empty() {
            return found;
        }
        let mut path = dir.clone();
        while !path.is_root() {
            if let Ok(handle) = root.dir.open_dir(&path)
                && let Some(uids) = self.holders.get(&handle.ino())
            {
                found.extend(uids);
            }
            path = path.parent().unwrap_or_default();
        }
        found
    }
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
        use std::os::unix::fs::MetadataExt;
        let world = crate::sweep::tests::World::new();
        world.file("d/e/f", 10, 0);
        let ino = std::fs::metadata(world.path("d")).unwrap().ino();
        // As seen on btrfs: stat shows 0:40, /proc/locks 00:27, which is 0:39.
        let held = HeldLock { dev: world.root.dev() + 1, ino, pid: 1, uid: Some(1000) };
        let locks = DirectoryLocks::of(vec![held], &world.root);
        let below = RelPath::from_bytes(*b"d/e").unwrap();
        assert_eq!(locks.holders_of(&world.root, &below), [1000]);
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
