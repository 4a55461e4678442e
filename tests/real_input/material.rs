//! Real files to try a volume with: what lies on this machine already, copied
//! with its names and sizes, and made as old as a story needs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::harness::aged;

/// Larger files would make a small volume one of few files.
const LARGEST: u64 = 64 << 10;
/// What a file takes on a tmpfs is a multiple of this.
const PAGE: u64 = 4 << 10;

/// A part of a volume.
pub(crate) struct Share {
    /// The directory that holds it.
    pub(crate) dir: &'static str,
    /// Percent of the volume.
    pub(crate) percent: u64,
    /// How old its files are, in seconds: from, to.
    pub(crate) ages: (u64, u64),
}

/// Each copied file, with the time it was last written by its own account.
pub(crate) type Copied = BTreeMap<PathBuf, SystemTime>;

/// The crates' sources and the documentation that this machine has.
pub(crate) fn sources() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = cargo.map(|home| home.join("registry/src"));
    let places = registry.into_iter().chain([PathBuf::from("/usr/share/doc")]);
    let mut found: Vec<PathBuf> = places
        .flat_map(|place| walkdir::WalkDir::new(place).into_iter().filter_map(Result::ok))
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() <= LARGEST))
        .map(walkdir::DirEntry::into_path)
        .collect();
    found.sort();
    found
}

/// Copies one after the other into the shares by turns until each is full;
/// from the beginning again, into another directory, where there are too few.
pub(crate) fn spread(volume: &Path, size: u64, sources: &[PathBuf], shares: &[Share]) -> Copied {
    let mut left: Vec<u64> = shares.iter().map(|share| size / 100 * share.percent).collect();
    let mut copied = Copied::new();
    for round in 0.. {
        for (number, source) in sources.iter().enumerate() {
            // Neighbours go to different shares, in each round to others.
            let open: Vec<usize> = (0..shares.len()).filter(|one| left[*one] > 0).collect();
            let Some(one) = open.get((number + round) % open.len().max(1)).copied() else { return copied };
            let Ok(content) = fs::read(source) else { continue };
            let share = &shares[one];
            let below = source.strip_prefix("/").unwrap();
            let to = volume.join(share.dir).join(format!("r{round}")).join(below);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, &content).unwrap();
            let (from, until) = share.ages;
            aged(&to, from + number as u64 * 7919 % (until - from));
            left[one] = left[one].saturating_sub((content.len() as u64).next_multiple_of(PAGE));
            let written = fs::metadata(&to).unwrap().modified().unwrap();
            copied.insert(to, written);
        }
    }
    copied
}
