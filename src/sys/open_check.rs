//! Is a file open or mapped by anybody?
//!
//! A write lease (`F_SETLEASE`, fcntl(2)) answers for one file in 2 µs:
//! the kernel grants it only when ours is the only open description, mappings
//! included. Where it cannot be asked, the descriptors and mappings of all
//! processes are read from `/proc`, once per batch.

#![expect(unsafe_code, reason = "rustix offers neither F_SETLEASE nor the disposition of SIGIO")]

use std::collections::HashSet;
use std::sync::{Arc, Once};

use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::{DirHandle, SysError, volume};

mod processes;

pub use processes::deleted_open;

/// How to find out.
#[derive(Debug, Clone)]
pub enum OpenCheck {
    /// Ask the kernel for a lease on each file.
    Lease,
    /// Look the file up among all open files.
    Proc(Arc<OpenFiles>),
    /// The same, where it cannot tell the whole truth: other hosts or other
    /// layers may have the file open without this kernel knowing.
    Partial(Arc<OpenFiles>),
}

/// Which way works on a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenCheckKind {
    /// Leases.
    Lease,
    /// Reading `/proc`.
    Proc,
    /// Reading `/proc`, without certainty.
    Partial,
    /// Reading `/proc` for a dry run, where nothing may be written and leases
    /// could not be tried: what it can't tell is taken for closed.
    Untried,
}

/// What to do with a file that may be open in a process that could not be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It counts as open.
    Keep,
    /// It counts as closed: waiting for certainty would cost more.
    Accept,
}

impl OpenCheckKind {
    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Proc | Self::Untried => "proc",
            Self::Partial => "partial",
        }
    }

    /// What one batch needs: reads the open files now unless leases work.
    pub fn prepare(self, doubt: Doubt) -> OpenCheck {
        let snapshot = |doubt| Arc::new(OpenFiles { doubt, ..OpenFiles::snapshot() });
        match self {
            Self::Lease => OpenCheck::Lease,
            Self::Proc => OpenCheck::Proc(snapshot(doubt)),
            // That it can't be certain is known of the root, and said.
            Self::Partial => OpenCheck::Partial(snapshot(Doubt::Accept)),
            Self::Untried => OpenCheck::Proc(snapshot(Doubt::Accept)),
        }
    }
}

impl OpenCheck {
    /// Whether every process could be looked into, where that matters.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Lease => true,
            Self::Proc(open) | Self::Partial(open) => open.is_complete(),
        }
    }
}

/// All files that processes had open or mapped at one moment, as far as they
/// could be looked into.
///
/// A process of another user can be looked into with `CAP_SYS_PTRACE` only, and
/// with `hidepid` (proc(5)) it may not even be seen. A file that is not among
/// the open ones is then closed only if all processes of its *owner* could be
/// looked into; otherwise it is in doubt, and [`Doubt`] says what that means.
/// Where processes are hidden, or their owner can't be told, every file is in
/// doubt. A process of a third user (root's too) that could not be looked into
/// casts no doubt: without privileges there always are some, and nothing would
/// ever be closed.
#[derive(Debug)]
pub struct OpenFiles {
    files: HashSet<(u64, u64)>,
    /// Inodes of mappings whose device could not be told: any file with that number counts as open.
    inodes: HashSet<u64>,
    /// Users with a process that could not be looked into.
    unread: HashSet<u32>,
    /// Processes are hidden, or one's user could not be told.
    blind: bool,
    doubt: Doubt,
}

impl OpenFiles {
    /// Reads them now. Costs about a microsecond for each descriptor on the
    /// host. Descriptors that only some threads of a process share
    /// (`unshare(CLONE_FILES)`) are not seen.
    pub fn snapshot() -> Self {
        processes::snapshot()
    }

    /// Whether somebody has this file open or mapped.
    pub fn contains(&self, dev: u64, ino: u64) -> bool {
        self.files.contains(&(dev, ino)) || self.inodes.contains(&ino)
    }

    /// Whether a file of `uid` that is not among the open ones must be treated as if it were.
    pub fn may_contain(&self, uid: u32) -> bool {
        self.doubt == Doubt::Keep && (self.blind || self.unread.contains(&uid))
    }

    /// Nothing is open, but the processes of `user` (`None`: all) could not be looked into.
    #[cfg(test)]
    pub(super) fn unread(user: Option<u32>, doubt: Doubt) -> Self {
        let unread = user.into_iter().collect();
        Self { files: HashSet::new(), inodes: HashSet::new(), unread, blind: user.is_none(), doubt }
    }

    /// Whether every process could be looked into; needs `CAP_SYS_PTRACE`.
    pub fn is_complete(&self) -> bool {
        !self.blind && self.unread.is_empty()
    }
}

/// Why there is no lease.
#[derive(Debug)]
pub(super) enum LeaseError {
    /// Somebody else has the file open or mapped.
    InUse,
    /// The question was refused.
    Refused(Errno),
}

/// A write lease on an open file. It ends with the descriptor, which its holder
/// keeps beside it: closing gives it back.
#[derive(Debug)]
pub(super) struct Lease {
    fd: i32,
}

/// When a lease is broken the kernel sends SIGIO, whose default ends the process.
fn ignore_sigio() {
    static DONE: Once = Once::new();
    // SAFETY: signal(2) with SIG_IGN installs no handler, so no code of ours can run in one.
    DONE.call_once(|| unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
    });
}

fn lease_call(fd: i32, command: i32, argument: i32) -> Result<i32, Errno> {
    // SAFETY: both lease commands of fcntl(2) take an integer and touch no memory of ours.
    let answer = unsafe { libc::fcntl(fd, command, argument) };
    if answer >= 0 {
        return Ok(answer);
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(code))
}

impl Lease {
    /// Asks for the lease. The descriptor must stay open while the lease lives.
    pub(super) fn take(fd: &impl AsFd) -> Result<Self, LeaseError> {
        ignore_sigio();
        let fd = fd.as_fd().as_raw_fd();
        match lease_call(fd, libc::F_SETLEASE, libc::F_WRLCK) {
            Ok(_) => Ok(Self { fd }),
            Err(Errno::AGAIN) => Err(LeaseError::InUse),
            Err(error) => Err(LeaseError::Refused(error)),
        }
    }

    /// Whether nobody has come to open the file since: a lease that is being
    /// broken reads as what the opener wants it to become (fcntl(2)).
    pub(super) fn is_whole(&self, fd: &impl AsFd) -> bool {
        debug_assert_eq!(fd.as_fd().as_raw_fd(), self.fd, "a lease belongs to its descriptor");
        lease_call(self.fd, libc::F_GETLEASE, 0) == Ok(libc::F_WRLCK)
    }
}

/// Finds out which way works, by trying it on a file of our own in `dir`
/// (guardian's private directory): a file that nobody else has open must grant
/// the lease, a second opener must make it refused.
///
/// # Errors
/// When the trial file cannot be made, for example on a full volume; whoever
/// cannot wait then uses [`OpenCheckKind::Proc`].
pub fn self_test(dir: &DirHandle) -> Result<OpenCheckKind, SysError> {
    let kind =
        volume::fs_kind(dir).map_err(|e| SysError::io("identify the file system of", dir.proc_path(), e))?;
    if kind.is_network || kind.name == "overlay" {
        return Ok(OpenCheckKind::Partial);
    }
    let name = format!(".open-check-{}", uuid::Uuid::new_v4());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let failed = |verb, e: Errno| SysError::named(verb, name.as_bytes(), e);
    drop(openat(dir, &name, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed("create trial file", e))?);
    let works = try_leases(dir, &name);
    unlinkat(dir, &name, AtFlags::empty()).map_err(|e| failed("remove trial file", e))?;
    Ok(if works.map_err(|e| failed("open trial file", e))? {
        OpenCheckKind::Lease
    } else {
        OpenCheckKind::Proc
    })
}

fn try_leases(dir: &DirHandle, name: &str) -> Result<bool, Errno> {
    let open = || openat(dir, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let alone = open()?;
    if Lease::take(&alone).is_err() {
        return Ok(false);
    }
    lease_call(alone.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK)?;
    let _second = open()?;
    Ok(matches!(Lease::take(&alone), Err(LeaseError::InUse)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::sys::trees::tree;

    #[test]
    fn the_self_test_finds_a_way_and_leaves_nothing_behind() {
        let tree = tree();
        let found = self_test(tree.dir()).unwrap();
        let fs = volume::fs_kind(tree.dir()).unwrap();
        if matches!(fs.name, "ext4" | "tmpfs" | "xfs" | "btrfs") {
            assert_eq!(found, OpenCheckKind::Lease);
        } else if fs.name == "overlay" {
            assert_eq!(found, OpenCheckKind::Partial);
        }
        assert_eq!(std::fs::read_dir(&tree.path).unwrap().count(), 0);
    }

    #[test]
    fn the_snapshot_knows_open_files_and_only_those() {
        let tree = tree();
        tree.file(b"closed");
        let open = File::open(tree.file(b"open")).unwrap();
        let snapshot = OpenFiles::snapshot();
        let meta = open.metadata().unwrap();
        assert!(snapshot.contains(meta.dev(), meta.ino()));
        let closed = tree.identity(b"closed");
        assert!(!snapshot.contains(closed.dev, closed.ino));
    }

    #[test]
    fn files_of_a_user_whose_processes_cannot_be_looked_into_are_in_doubt() {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        use std::os::unix::process::CommandExt;
        const SOMEBODY: u32 = 54_321;
        if !crate::sys::trees::is_root() {
            eprintln!("skipped: starting a process of another user needs root");
            return;
        }
        let _alone = crate::sys::trees::tree_alone();
        let mut process = std::process::Command::new("sleep").arg("60").uid(SOMEBODY).spawn().unwrap();
        let looked = std::thread::scope(|scope| {
            let unprivileged = scope.spawn(|| {
                let mut sets = capabilities(None).unwrap();
                sets.effective -= CapabilitySet::SYS_PTRACE;
                // Capabilities belong to the thread, which ends here.
                set_capabilities(None, sets).unwrap();
                OpenFiles::snapshot()
            });
            unprivileged.join().unwrap()
        });
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(!looked.is_complete());
        assert!(looked.may_contain(SOMEBODY), "{:?}", looked.unread);
        assert!(!looked.may_contain(SOMEBODY + 1), "nobody hides anything of theirs");
        let accepting = OpenFiles { doubt: Doubt::Accept, ..looked };
        assert!(!accepting.may_contain(SOMEBODY) && !accepting.is_complete());
    }

    #[test]
    fn removed_files_that_are_still_open_are_told_with_their_holder() {
        let tree = tree();
        let path = tree.at(b"f");
        std::fs::write(&path, vec![1_u8; 1 << 20]).unwrap();
        let open = File::open(&path).unwrap();
        open.sync_all().unwrap();
        std::fs::remove_file(&path).unwrap();
        let own = |found: Vec<crate::model::DeletedOpen>| {
            found.into_iter().find(|held| held.pid == std::process::id())
        };
        let held = own(deleted_open(tree.root.dev())).unwrap();
        assert!(held.bytes >= 1 << 20);
        assert_eq!(held.uid, rustix::process::geteuid().as_raw());
        assert!(!held.comm.is_empty());
    }
}
