//! What is mounted where, from `/proc/self/mountinfo`: the one reader of it.
//!
//! A snapshot for questions that people ask (is this a mount point, is anything
//! mounted beneath, do two places show the same part of a file system). Removal never relies on it: there the kernel is asked for
//! the very name.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::SysError;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number in this mount namespace.
    pub id: u64,
    /// Device number as `stat` gives it, except for btrfs subvolumes.
    pub dev: u64,
    /// The directory of its file system that it shows: `/`, unless only a part is mounted.
    pub shows: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// File system type.
    pub fs_type: String,
    /// What is mounted, such as a device.
    pub source: String,
}

/// Undoes the octal escapes of space, tab, newline, backslash and `#` (proc_pid_mountinfo(5)).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| after.get(..3)).flatten().and_then(|digits| {
            digits
                .iter()
                .try_fold(0_u32, |value, d| matches!(d, b'0'..=b'7').then(|| value * 8 + u32::from(d - b'0')))
        });
        match code.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                plain.push(value);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// Reads the text of a mountinfo file; lines that make no sense are left out.
fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let as_text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
    let id = as_text(fields.next()?)?.parse().ok()?;
    let device = as_text(fields.nth(1)?)?;
    let (major, minor) = device.split_once(':')?;
    let as_path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
    let (shows, path) = (as_path(fields.next()?), as_path(fields.next()?));
    // Any number of optional fields ends with a lone dash.
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        id,
        dev: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
        shows,
        path,
        fs_type: String::from_utf8_lossy(after.next()?).into_owned(),
        source: String::from_utf8_lossy(&unescape(after.next()?)).into_owned(),
    })
}

/// All mounts of this process's namespace, in the order of mounting.
pub fn list() -> Result<Vec<Mount>, SysError> {
    let path = "/proc/self/mountinfo";
    fs::read(path).map(|text| parse(&text)).map_err(|e| SysError::io("read mounts from", path, e))
}

/// Whether something is mounted exactly at `path` (absolute, links resolved).
pub fn is_mount_point(path: &Path) -> Result<bool, SysError> {
    let real = path.canonicalize().map_err(|e| SysError::io("resolve", path, e))?;
    Ok(list()?.iter().any(|mount| mount.path == real))
}

/// Where something is mounted beneath `path` (not at it).
pub fn beneath(path: &Path) -> Result<Vec<PathBuf>, SysError> {
    let real = path.canonicalize().map_err(|e| SysError::io("resolve", path, e))?;
    let below = |mount: &Mount| mount.path != real && mount.path.starts_with(&real);
    Ok(list()?.into_iter().filter(below).map(|mount| mount.path).collect())
}

/// The mount of an open descriptor, for kernels whose `statx` does not tell (before 5.8).
pub(super) fn mount_id_of_fd(fd: RawFd) -> io::Result<u64> {
    fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Disks as people know them, `name at path (type)`, for messages only: tmpfs
/// and network mounts are missing.
pub fn describe_disks() -> Vec<String> {
    sysinfo::Disks::new_with_refreshed_list()
        .iter()
        .flat_map(|disks| disks.iter())
        .map(|disk| {
            let (name, at) = (disk.name().to_string_lossy(), disk.mount_point().display());
            format!("{name} at {at} ({})", disk.file_system().to_string_lossy())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_optional_fields_are_understood() {
        let text = b"36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/root rw\n\
            37 35 0:44 / /plain rw - tmpfs none rw\nnonsense\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].path, Path::new("/a b\\c"));
        assert_eq!(
            (mounts[0].shows.as_path(), mounts[1].shows.as_path()),
            (Path::new("/mnt1"), Path::new("/"))
        );
        assert_eq!((mounts[0].id, mounts[0].dev), (36, rustix::fs::makedev(98, 0)));
        assert_eq!((mounts[0].fs_type.as_str(), mounts[0].source.as_str()), ("ext3", "/dev/root"));
        assert_eq!((mounts[1].path.as_path(), mounts[1].fs_type.as_str()), (Path::new("/plain"), "tmpfs"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text: Vec<u8>) {
            let _ = parse(&text);
            let _ = unescape(&text);
        }
    }

    #[test]
    fn this_host_has_mounts_and_a_root() {
        assert!(is_mount_point(Path::new("/")).unwrap());
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(!is_mount_point(Path::new("/proc/self/task")).unwrap());
        assert!(beneath(Path::new("/")).unwrap().contains(&PathBuf::from("/proc")));
    }

    #[test]
    fn both_sources_of_a_mount_number_agree() {
        use std::os::fd::AsRawFd;
        let tree = crate::sys::trees::tree();
        let fd = std::fs::File::open(&tree.path).unwrap();
        assert_eq!(mount_id_of_fd(fd.as_raw_fd()).unwrap(), tree.root.mount_id());
    }
}
