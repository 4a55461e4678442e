//! Directories that somebody holds by `flock`: the way of `systemd-tmpfiles`
//! to say that a tree is in use.
//!
//! Read from `/proc/locks` once per batch, never probed. In an emergency only
//! locks of root or of the file's owner count: otherwise any user could stop
//! cleaning.

use std::collections::HashMap;

use crate::model::RelPath;
use crate::sys::lock::directory_locks;

use super::root::GuardedRoot;

/// Locks on directories of one root's device.
#[derive(Debug, Default)]
pub struct DirectoryLocks {
    /// Holders by inode; an unknown holder counts as root.
    holders: HashMap<u64, Vec<u32>>,
}

impl DirectoryLocks {
    /// Reads them now. Where `/proc/locks` can't be read there are none to
    /// respect: cleaning must not depend on it.
    pub fn read(root: &GuardedRoot) -> Self {
        let mut holders: HashMap<u64, Vec<u32>> = HashMap::new();
        for held in directory_locks().unwrap_or_default() {
            // Our own lock is on the root itself, never on what lies beneath.
            if held.dev == root.dev() && held.ino != root.dir.ino() && held.pid != std::process::id() {
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
    fn in_an_emergency_only_root_and_the_owner_can_hold() {
        assert!(!keep(&[], 1000, false));
        assert!(keep(&[1001], 1000, false));
        assert!(!keep(&[1001], 1000, true));
        assert!(keep(&[1001, 0], 1000, true));
        assert!(keep(&[1000], 1000, true));
    }
}
