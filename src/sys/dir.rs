//! Directories by handle, so that no path is resolved twice.
//!
//! Promises: opening below a root follows no symbolic link, leaves neither the
//! root nor its mount nor its device (a btrfs subvolume is another device
//! without being another mount), and works for paths longer than `PATH_MAX`.

use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, openat, openat2, seek};
use rustix::io::Errno;

use crate::model::{FileFacts, FileTimes, RelPath};

use super::stat::{Seen, look_at, look_at_fd};
use super::{SysError, mounts};

/// How many bytes of a path one call is given; `PATH_MAX` is 4096 with the NUL.
const STEP: usize = 4000;

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

/// An open directory: everything that is done in it is done by this descriptor.
#[derive(Debug)]
pub struct DirHandle {
    fd: OwnedFd,
    dev: u64,
    ino: u64,
    mount_id: u64,
}

/// A directory entry as `getdents64` gives it, without `.` and `..`.
#[derive(Debug, Clone, Copy)]
pub struct RawName<'a> {
    /// The name.
    pub name: &'a CStr,
    /// The kind, or unknown where the file system does not tell.
    pub file_type: FileType,
    /// The inode number; that of the directory beneath for a mount point.
    pub ino: u64,
}

/// Room for directory entries, to be used again for one directory after another.
#[derive(Debug)]
pub struct EntryBuffer(Vec<u8>);

impl Default for EntryBuffer {
    fn default() -> Self {
        Self(Vec::with_capacity(64 * 1024))
    }
}

fn open_beneath(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_XDEV
        | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: the tree was renamed while the kernel looked (openat2(2)); a few
    // more tries are enough unless somebody does nothing else.
    let mut tries = 0;
    loop {
        match openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < 16 => tries += 1,
            other => return other,
        }
    }
}

/// Opens with `O_NOATIME` where that is permitted (owner or `CAP_FOWNER`, open(2)), without it elsewhere.
fn preferring_noatime<T>(open: impl Fn(OFlags) -> Result<T, Errno>) -> Result<T, Errno> {
    match open(OPEN | OFlags::NOATIME) {
        Err(Errno::PERM) => open(OPEN),
        other => other,
    }
}

impl DirHandle {
    /// Takes a descriptor of a directory.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let seen = look_at_fd(&fd, FileTimes::default())?;
        let mount_id = match seen.mount_id {
            Some(id) => id,
            None => mounts::mount_id_of_fd(fd.as_raw_fd())?,
        };
        Ok(Self { dev: seen.facts.id.dev, ino: seen.facts.id.ino, mount_id, fd })
    }

    /// Opens a directory by absolute path, following links as any program
    /// would. Only for directories that the administrator named.
    pub fn open_absolute(path: &Path) -> Result<Self, SysError> {
        let flags = OPEN.difference(OFlags::NOFOLLOW);
        openat(CWD, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(Self::from_fd)
            .map_err(|e| SysError::io("open directory", path, e))
    }

    /// Opens the directory `name` in this one.
    ///
    /// Errors: `EXDEV` for another mount or device, `ELOOP` or `ENOTDIR` for a
    /// link, `ENOENT` when it is gone, `EACCES`.
    pub fn open_child(&self, name: &[u8]) -> io::Result<Self> {
        if name.is_empty() || name.contains(&b'/') || matches!(name, b"." | b"..") {
            return Err(Errno::INVAL.into());
        }
        self.open_step(name)
    }

    /// Opens `path`, at most `STEP` bytes of plain components, beneath this directory.
    fn open_step(&self, path: &[u8]) -> io::Result<Self> {
        match preferring_noatime(|flags| open_beneath(self.fd.as_fd(), path, flags)) {
            Ok(fd) => self.same_volume(fd),
            // ENOSYS before Linux 5.6; EPERM from sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_components(path),
            Err(error) => Err(error.into()),
        }
    }

    /// What `openat2` does in one call, a component at a time.
    fn open_by_components(&self, path: &[u8]) -> io::Result<Self> {
        let mut here: Option<Self> = None;
        for name in path.split(|b| *b == b'/') {
            let dir = here.as_ref().unwrap_or(self);
            let fd = preferring_noatime(|flags| openat(&dir.fd, name, flags, Mode::empty()))?;
            here = Some(dir.same_volume(fd)?);
        }
        here.ok_or_else(|| Errno::INVAL.into())
    }

    fn same_volume(&self, fd: OwnedFd) -> io::Result<Self> {
        let below = Self::from_fd(fd)?;
        if (below.dev, below.mount_id) == (self.dev, self.mount_id) {
            Ok(below)
        } else {
            Err(Errno::XDEV.into())
        }
    }

    /// Opens the directory at `path` beneath this one; the path may be longer than `PATH_MAX`.
    pub fn open_below(&self, path: &RelPath) -> io::Result<Self> {
        let mut rest = path.as_bytes();
        let mut here: Option<Self> = None;
        loop {
            let cut = if rest.len() <= STEP {
                rest.len()
            } else {
                // A component longer than a step is longer than any name may be.
                rest[..=STEP].iter().rposition(|b| *b == b'/').ok_or(Errno::NAMETOOLONG)?
            };
            let dir = here.as_ref().unwrap_or(self);
            let next = if cut == 0 { dir.reopen()? } else { dir.open_step(&rest[..cut])? };
            if cut == rest.len() {
                return Ok(next);
            }
            here = Some(next);
            rest = &rest[cut + 1..];
        }
    }

    /// A second, independent descriptor of this directory.
    pub fn reopen(&self) -> io::Result<Self> {
        Self::from_fd(preferring_noatime(|flags| openat(&self.fd, c".", flags, Mode::empty()))?)
    }

    /// Looks at `name` in this directory: itself, not where it leads.
    pub fn look(&self, name: &[u8], times: FileTimes) -> io::Result<Seen> {
        Ok(look_at(&self.fd, name, times)?)
    }

    /// The facts of `name` in this directory.
    pub fn stat(&self, name: &[u8], times: FileTimes) -> io::Result<FileFacts> {
        Ok(self.look(name, times)?.facts)
    }

    /// The facts of this directory itself.
    pub fn facts(&self) -> io::Result<FileFacts> {
        Ok(self.look_at_self()?.facts)
    }

    /// All that one look at this directory shows.
    pub fn look_at_self(&self) -> io::Result<Seen> {
        Ok(look_at_fd(&self.fd, FileTimes::default())?)
    }

    /// Calls `each` with this handle and every entry, from the first, in the file system's
    /// order, until it returns an error. Needs the handle for itself: the place
    /// in the directory belongs to the descriptor.
    pub fn entries(
        &mut self,
        buffer: &mut EntryBuffer,
        mut each: impl FnMut(&Self, RawName<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        seek(&self.fd, SeekFrom::Start(0))?;
        buffer.0.clear();
        let mut entries = RawDir::new(self.fd.as_fd(), buffer.0.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                each(self, RawName { name, file_type: entry.file_type(), ino: entry.ino() })?;
            }
        }
        Ok(())
    }

    /// Device number.
    pub const fn dev(&self) -> u64 {
        self.dev
    }

    /// Inode number.
    pub const fn ino(&self) -> u64 {
        self.ino
    }

    /// The mount it was reached through.
    pub const fn mount_id(&self) -> u64 {
        self.mount_id
    }

    /// A path by which this very directory can be given to an interface that
    /// takes only paths; valid while the handle lives.
    pub fn proc_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }
}

impl AsFd for DirHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A directory that guardian watches, held open from configuration to end.
#[derive(Debug)]
pub struct RootDir {
    dir: DirHandle,
    path: PathBuf,
}

impl RootDir {
    /// Opens the root at an absolute path. Links in that path are resolved now
    /// and never again.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        if !path.is_absolute() {
            return Err(SysError::io("open root", path, Errno::INVAL));
        }
        Ok(Self { dir: DirHandle::open_absolute(path)?, path: path.to_owned() })
    }

    /// The root's own handle.
    pub const fn handle(&self) -> &DirHandle {
        &self.dir
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device number.
    pub const fn dev(&self) -> u64 {
        self.dir.dev
    }

    /// Inode number.
    pub const fn ino(&self) -> u64 {
        self.dir.ino
    }

    /// The mount it lies on.
    pub const fn mount_id(&self) -> u64 {
        self.dir.mount_id
    }

    /// Whether the path still leads to this very directory on this very mount.
    pub fn is_in_place(&self) -> bool {
        DirHandle::open_absolute(&self.path)
            .is_ok_and(|now| (now.dev, now.ino, now.mount_id) == (self.dev(), self.ino(), self.mount_id()))
    }

    /// Whether `path` below the root still leads to this very directory. The
    /// root itself is asked by [`Self::is_in_place`].
    pub fn leads_to(&self, path: &RelPath, dir: &DirHandle) -> bool {
        path.is_root()
            || self
                .dir
                .open_below(path)
                .is_ok_and(|now| (now.dev, now.ino, now.mount_id) == (dir.dev, dir.ino, dir.mount_id))
    }

    /// Opens a directory below the root (or the root again).
    pub fn open_dir(&self, path: &RelPath) -> Result<DirHandle, SysError> {
        self.dir.open_below(path).map_err(|e| SysError::io("open directory", path.under(&self.path), e))
    }

    /// Opens the directory in which `path` is a name. `None` for the root itself.
    pub fn open_parent(&self, path: &RelPath) -> Option<Result<DirHandle, SysError>> {
        path.parent().map(|parent| self.open_dir(&parent))
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::trees::{deep, mount_tmpfs, rel, tree, with_private_mounts};

    #[test]
    fn a_link_anywhere_in_a_path_is_refused() {
        let tree = tree();
        fs::create_dir_all(tree.path.join("a/b/c")).unwrap();
        assert!(tree.root.open_dir(&rel("a/b/c")).is_ok());
        fs::rename(tree.path.join("a/b"), tree.path.join("kept")).unwrap();
        symlink("../kept", tree.path.join("a/b")).unwrap();
        for path in ["a/b/c", "a/b"] {
            assert!(tree.root.open_dir(&rel(path)).is_err(), "openat2 followed {path}");
            assert!(tree.dir().open_by_components(path.as_bytes()).is_err(), "openat followed {path}");
        }
    }

    #[test]
    fn another_mount_below_is_never_opened() {
        with_private_mounts(|| {
            let tree = tree();
            fs::create_dir_all(tree.path.join("a/mounted")).unwrap();
            mount_tmpfs(&tree.path.join("a/mounted"));
            fs::create_dir(tree.path.join("a/mounted/inside")).unwrap();
            for path in ["a/mounted", "a/mounted/inside"] {
                let error = tree.root.open_dir(&rel(path)).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::CrossesDevices, "{path}");
                assert!(tree.dir().open_by_components(path.as_bytes()).is_err(), "{path}");
            }
            let above = tree.root.open_dir(&rel("a")).unwrap();
            assert!(above.look(b"mounted", FileTimes::default()).unwrap().mount_point);
        });
    }

    #[test]
    fn a_bind_mount_of_the_same_device_is_another_mount() {
        with_private_mounts(|| {
            let tree = tree();
            fs::create_dir_all(tree.path.join("here")).unwrap();
            fs::create_dir_all(tree.path.join("there")).unwrap();
            rustix::mount::mount_bind(tree.path.join("there"), tree.path.join("here")).unwrap();
            assert!(tree.root.open_dir(&rel("here")).is_err());
            assert!(tree.dir().open_by_components(b"here").is_err());
        });
    }

    #[test]
    fn paths_longer_than_path_max_are_opened() {
        let tree = tree();
        let (last, path) = deep(&tree, 60, &"x".repeat(255));
        assert!(path.as_bytes().len() > 3 * 4096);
        let opened = tree.root.open_dir(&path).unwrap();
        assert_eq!((opened.dev(), opened.ino()), (last.dev(), last.ino()));
    }

    #[test]
    fn names_that_are_no_names_are_refused() {
        let tree = tree();
        for name in [&b""[..], b".", b"..", b"a/b", b"/"] {
            assert!(tree.dir().open_child(name).is_err());
        }
        assert!(tree.dir().open_child(&[b'x'; 5000]).is_err());
    }

    #[test]
    fn a_root_that_was_replaced_is_not_in_place() {
        let tree = tree();
        assert!(tree.root.is_in_place());
        fs::rename(&tree.path, tree.path.with_extension("old")).unwrap();
        fs::create_dir(&tree.path).unwrap();
        assert!(!tree.root.is_in_place());
    }
}
