//! What the processes of this host have open, from `/proc`.
//!
//! Processes come and go while this reads: one that is gone has nothing open.
//! One that may not be looked into makes the answer incomplete, not wrong: its
//! user is remembered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use crate::model::{DeletedOpen, FileFacts, FileKind};
use crate::sys::stat::look_through;

use super::{Doubt, OpenFiles};

/// The numbers of all processes.
fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Calls `each` with the facts of every open descriptor. `Err` only for "no permission".
fn descriptors(process: &Path, mut each: impl FnMut(&FileFacts)) -> io::Result<()> {
    let entries = match fs::read_dir(process.join("fd")) {
        Ok(entries) => entries,
        Err(error) if is_denied(&error) => return Err(error),
        Err(_) => return Ok(()),
    };
    for entry in entries.flatten() {
        match look_through(CWD, entry.path()).map_err(io::Error::from) {
            Ok(seen) => each(&seen.facts),
            Err(error) if is_denied(&error) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

/// The mappings of one process, each file once: `(address range, inode)`.
fn mappings(maps: &str) -> HashMap<(&str, u64), &str> {
    let mut found = HashMap::new();
    for line in maps.lines() {
        // address perms offset dev inode path (proc_pid_maps(5))
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(dev), Some(inode)) = (fields.next(), fields.nth(2), fields.next()) else {
            continue;
        };
        if let Some(inode) = inode.parse::<u64>().ok().filter(|inode| *inode != 0) {
            found.entry((dev, inode)).or_insert(range);
        }
    }
    found
}

enum Mapped<'a> {
    File(&'a FileFacts),
    /// The device that `maps` prints is not the one `stat` shows on btrfs and
    /// overlayfs, so only the number is worth anything.
    Inode(u64),
}

fn mapped(process: &Path, mut each: impl FnMut(Mapped<'_>)) -> io::Result<()> {
    let maps = match fs::read(process.join("maps")) {
        Ok(maps) => maps,
        Err(error) if is_denied(&error) => return Err(error),
        Err(_) => return Ok(()),
    };
    let directory = process.join("map_files");
    for ((_, inode), range) in mappings(&String::from_utf8_lossy(&maps)) {
        // Following these needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN (proc_pid_map_files(5)).
        match look_through(CWD, directory.join(range)) {
            Ok(seen) => each(Mapped::File(&seen.facts)),
            Err(_) => each(Mapped::Inode(inode)),
        }
    }
    Ok(())
}

fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// The users that a process acts as: real, effective, saved and for files. Not
/// the owner of its directory, which is root for one that may not be dumped.
fn users(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.into_iter().flat_map(str::split_ascii_whitespace).filter_map(|uid| uid.parse().ok()).collect()
}

pub(super) fn snapshot() -> OpenFiles {
    let mut open = OpenFiles {
        files: HashSet::new(),
        inodes: HashSet::new(),
        unread: HashSet::new(),
        blind: false,
        doubt: Doubt::Keep,
    };
    let pids = pids();
    // The first process is always there: where it can't be seen, others are hidden too.
    open.blind = !pids.contains(&1);
    for pid in pids {
        let process = directory(pid);
        let files = descriptors(&process, |facts| {
            open.files.insert((facts.id.dev, facts.id.ino));
        });
        let maps = mapped(&process, |found| match found {
            Mapped::File(facts) => {
                open.files.insert((facts.id.dev, facts.id.ino));
            }
            Mapped::Inode(ino) => {
                open.inodes.insert(ino);
            }
        });
        if files.is_ok() && maps.is_ok() {
            continue;
        }
        match fs::read_to_string(process.join("status")).map(|status| users(&status)) {
            Ok(users) if !users.is_empty() => open.unread.extend(users),
            // One that ended while it was read looks as if it denied us.
            Err(error) if is_gone(&error) => {}
            _ => open.blind = true,
        }
    }
    open
}

/// Which processes keep removed files of a device from coming free, largest
/// first. Each file counts for one process, the one with the lowest number;
/// processes that may not be looked into are missing.
pub fn deleted_open(dev: u64) -> Vec<DeletedOpen> {
    let mut counted = HashSet::new();
    let mut bytes: BTreeMap<u32, u64> = BTreeMap::new();
    let mut pids = pids();
    pids.sort_unstable();
    for pid in pids {
        let mut held = |facts: &FileFacts| {
            let id = facts.id;
            if id.dev == dev && facts.nlink == 0 && id.kind == FileKind::Regular && counted.insert(id.ino) {
                *bytes.entry(pid).or_default() += facts.allocated;
            }
        };
        // No permission leaves the process out, as documented.
        let _ = descriptors(&directory(pid), &mut held);
        let _ = mapped(&directory(pid), |found| {
            if let Mapped::File(facts) = found {
                held(facts);
            }
        });
    }
    let mut found: Vec<_> = bytes
        .into_iter()
        .filter_map(|(pid, bytes)| {
            let uid = fs::metadata(directory(pid)).ok()?.uid();
            let comm = fs::read(directory(pid).join("comm")).unwrap_or_default();
            Some(DeletedOpen { pid, comm: String::from_utf8_lossy(&comm).trim_end().to_owned(), uid, bytes })
        })
        .collect();
    found.sort_by_key(|held| std::cmp::Reverse(held.bytes));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_acts_as_all_of_its_users() {
        let status = "Name:\tsleep\nUid:\t1000\t0\t0\t7\nGid:\t5\t5\t5\t5\n";
        assert_eq!(users(status), [1000, 0, 0, 7]);
        assert!(users("Name:\tsleep\n").is_empty());
    }
}
