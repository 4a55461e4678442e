//! Whether one root lies in another.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::RootError;
use crate::config::RootSettings;

/// Refuses roots of which one lies in another or is the same: by the device
/// and inode of every directory above it, links resolved, and by its place in
/// its file system, so that a bind mount of a part of another root is found
/// too. Roots that are not there now are compared by their text.
///
/// # Errors
/// [`RootError::Nested`] for the first pair.
pub fn check_nesting(roots: &[RootSettings]) -> Result<(), RootError> {
    let mounts = mounts();
    let places: Vec<Place> = roots.iter().map(|root| Place::of(&root.path, &mounts)).collect();
    for (inner, place) in places.iter().enumerate() {
        let outer = (0..roots.len()).find(|outer| *outer != inner && place.lies_in(&places[*outer]));
        if let Some(outer) = outer {
            return Err(RootError::Nested {
                inner: roots[inner].name.clone(),
                inner_path: roots[inner].path.clone(),
                outer: roots[outer].name.clone(),
                outer_path: roots[outer].path.clone(),
            });
        }
    }
    Ok(())
}

struct Place {
    path: PathBuf,
    /// Device and inode of the directory and of all above it; empty if it is not there.
    ancestors: Vec<(u64, u64)>,
    /// Device and path within its file system.
    within: Option<(Vec<u8>, PathBuf)>,
}

impl Place {
    fn of(path: &Path, mounts: &[MountPlace]) -> Self {
        let Ok(real) = path.canonicalize() else {
            return Self { path: path.to_owned(), ancestors: Vec::new(), within: None };
        };
        let ancestors = real.ancestors().filter_map(|dir| dir.metadata().ok()).map(|m| (m.dev(), m.ino()));
        let within = mounts
            .iter()
            .filter_map(|mount| Some((mount, real.strip_prefix(&mount.at).ok()?)))
            // The last mounted of those at the same place hides the others.
            .max_by_key(|(mount, _)| mount.at.components().count())
            .map(|(mount, rest)| (mount.device.clone(), mount.root.join(rest)));
        Self { ancestors: ancestors.collect(), within, path: real }
    }

    fn lies_in(&self, outer: &Self) -> bool {
        if self.path.starts_with(&outer.path) {
            return true;
        }
        let by_identity = outer.ancestors.first().is_some_and(|own| self.ancestors.contains(own));
        let by_place = self
            .within
            .as_ref()
            .zip(outer.within.as_ref())
            .is_some_and(|((device, path), (other, above))| device == other && path.starts_with(above));
        by_identity || by_place
    }
}

/// A mount with the part of its file system that it shows (proc_pid_mountinfo(5), field 4).
struct MountPlace {
    device: Vec<u8>,
    root: PathBuf,
    at: PathBuf,
}

/// All mounts, in the order of mounting; none where the kernel does not tell.
fn mounts() -> Vec<MountPlace> {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<MountPlace> {
    let mut fields = line.split(|byte| *byte == b' ').skip(2);
    let device = fields.next()?.to_vec();
    Some(MountPlace { device, root: path(fields.next()?), at: path(fields.next()?) })
}

/// A path with its octal escapes (`\040`) undone.
fn path(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| byte == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
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
    PathBuf::from(OsString::from_vec(plain))
}
