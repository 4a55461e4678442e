//! Whether one root lies in another.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::RootError;
use crate::config::RootSettings;
use crate::sys::mounts::{self, Mount};

/// Refuses roots of which one lies in another or is the same: by the device
/// and inode of every directory above it, links resolved, and by its place in
/// its file system, so that a bind mount of a part of another root is found
/// too. Roots that are not there now are compared by their text.
///
/// # Errors
/// [`RootError::Nested`] for the first pair.
pub fn check_nesting(roots: &[RootSettings]) -> Result<(), RootError> {
    // Where the kernel does not tell, inodes and paths alone decide.
    let mounts = mounts::list().unwrap_or_default();
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
    within: Option<(u64, PathBuf)>,
}

impl Place {
    fn of(path: &Path, mounts: &[Mount]) -> Self {
        let Ok(real) = path.canonicalize() else {
            return Self { path: path.to_owned(), ancestors: Vec::new(), within: None };
        };
        let ancestors = real.ancestors().filter_map(|dir| dir.metadata().ok()).map(|m| (m.dev(), m.ino()));
        let within = mounts
            .iter()
            .filter_map(|mount| Some((mount, real.strip_prefix(&mount.path).ok()?)))
            // The last mounted of those at the same place hides the others.
            .max_by_key(|(mount, _)| mount.path.components().count())
            .map(|(mount, rest)| (mount.dev, mount.shows.join(rest)));
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
