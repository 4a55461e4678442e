//! The names under which `notify` knows our watches.
//!
//! `notify` keys its watches by path: it merges watches of equal paths, keeps
//! the path a directory had when it was added, and drops the watch of
//! `DIR/NAME` when `NAME` is renamed away from a watched `DIR`. Real paths are
//! therefore wrong as soon as anybody renames a directory. Instead each watch
//! is named by the open descriptor of its directory, `/proc/self/fd/N` (the
//! kernel resolves it to exactly that inode). Descriptor numbers repeat, so
//! the slot number of the watch is spelled into the path as detours that lead
//! back to where they began: `/usr/../dev/../proc/self/fd/7`. Such a name is
//! unique in its shard, is never the parent of another, and tells the slot
//! when an event comes. The detours stand in front because `notify` compares
//! all paths of a shard component by component whenever a directory goes away:
//! names that differ early cost half.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const HANDLES: &[u8] = b"proc/self/fd/";

/// Directories (not links) of the file system's root, one for each digit.
/// None of them is a place where a mere look can start an automounter.
fn digits() -> &'static [&'static str] {
    static DIGITS: OnceLock<Vec<&'static str>> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let usable = |name: &&str| {
            std::fs::symlink_metadata(Path::new("/").join(name)).is_ok_and(|found| found.is_dir())
                && std::fs::metadata(Path::new("/").join(name).join("..")).is_ok()
        };
        ["proc", "dev", "usr", "sys", "run", "etc", "var", "tmp"].into_iter().filter(usable).collect()
    })
}

/// The path that leads to the directory open as `fd`, and spells `slot`;
/// `None` where `/proc` is missing or nothing stands beside it.
pub(super) fn path_of(slot: u32, fd: i32) -> Option<PathBuf> {
    let digits = digits();
    if digits.len() < 2 || digits[0] != "proc" {
        return None;
    }
    let mut path = String::with_capacity(48);
    path.push('/');
    let mut rest = slot as usize;
    while rest > 0 {
        path.push_str(digits[rest % digits.len()]);
        path.push_str("/../");
        rest /= digits.len();
    }
    let mut path = path.into_bytes();
    path.extend_from_slice(HANDLES);
    path.extend_from_slice(fd.to_string().as_bytes());
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// The slot spelled by a path of an event, and the name behind it (empty for
/// the directory itself). `None` for a path that [`path_of`] did not make.
pub(super) fn parse(path: &Path) -> Option<(u32, &[u8])> {
    let digits = digits();
    let base = u32::try_from(digits.len()).ok()?;
    let mut rest = path.as_os_str().as_bytes().strip_prefix(b"/")?;
    let (mut slot, mut weight) = (0u32, 1u32);
    loop {
        let end = rest.iter().position(|b| *b == b'/')?;
        let Some(next) = rest[end + 1..].strip_prefix(b"../") else {
            let handle = rest.strip_prefix(HANDLES)?;
            let length = handle.iter().position(|b| !b.is_ascii_digit()).unwrap_or(handle.len());
            let name = &handle[length..];
            return match name.split_first() {
                _ if length == 0 => None,
                None => Some((slot, name)),
                Some((b'/', name)) => Some((slot, name)),
                Some(_) => None,
            };
        };
        let digit = digits.iter().position(|word| word.as_bytes() == &rest[..end])?;
        slot = slot.checked_add(weight.checked_mul(u32::try_from(digit).ok()?)?)?;
        // The last digit may overflow the weight of one that does not come.
        weight = weight.checked_mul(base).unwrap_or(0);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    proptest! {
        #[test]
        fn a_slot_reads_back_with_any_name_behind_it(
            slot in 0u32..1_000_000,
            fd in 0i32..1_000_000,
            name in proptest::collection::vec(1u8..=255, 1..40),
        ) {
            let name: Vec<u8> = name.into_iter().map(|b| if b == b'/' { b'.' } else { b }).collect();
            prop_assume!(name != b"." && name != b"..");
            let key = path_of(slot, fd).unwrap();
            prop_assert_eq!(parse(&key), Some((slot, &b""[..])));
            let event = key.join(OsStr::from_bytes(&name));
            prop_assert_eq!(parse(&event), Some((slot, &name[..])));
        }

        #[test]
        fn different_slots_have_different_paths_and_none_lies_beneath_another(
            a in 0u32..100_000, b in 0u32..100_000, fd in 0i32..64, other in 0i32..64,
        ) {
            prop_assume!(a != b);
            let (a, b) = (path_of(a, fd).unwrap(), path_of(b, other).unwrap());
            prop_assert_ne!(&a, &b);
            prop_assert!(!a.starts_with(&b) && !b.starts_with(&a));
        }

        #[test]
        fn no_path_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(Path::new(OsStr::from_bytes(&bytes)));
            let mut longer = b"/proc/self/fd/".to_vec();
            longer.extend(bytes);
            let _ = parse(Path::new(OsStr::from_bytes(&longer)));
        }
    }

    #[test]
    fn the_path_leads_to_the_open_directory() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let open = std::fs::File::open(dir.path()).unwrap();
        for slot in [0, 1, 2, 3, 27, 1999, 65_535] {
            let reached = std::fs::metadata(path_of(slot, open.as_raw_fd()).unwrap()).unwrap();
            assert_eq!(reached.ino(), open.metadata().unwrap().ino());
        }
    }
}
