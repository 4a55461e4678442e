//! guardian's own files, to be left alone wherever they lie.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use walkdir::WalkDir;

use crate::sweep::root::OwnFiles;
use crate::sys::private_dir::PRIVATE_NAME;

/// Where they are.
#[derive(Debug, Clone, Default)]
pub struct OwnPlaces {
    /// The state directory, with everything in it.
    pub state_dir: Option<PathBuf>,
    /// Single files: socket, configuration, log. A link counts with what it leads to.
    pub files: Vec<PathBuf>,
    /// The roots, for their private directories.
    pub roots: Vec<PathBuf>,
}

/// The copy of the registry, which is replaced every hour: the inode of the one
/// before is free then for anybody's file, which would pass for guardian's. Its
/// name in the state directory is out of reach with the directory itself.
const REPLACED: &str = "ledger.bak";

impl OwnPlaces {
    /// Collects device and inode of all of them as they are now; to be asked
    /// again after files were made. What is not there is left out.
    ///
    /// Of a private directory only what guardian wrote itself: what lies deeper
    /// (trash) is other people's, can have other names in the root, and is
    /// reached by no walk.
    pub fn collect(&self) -> OwnFiles {
        let mut found = HashSet::new();
        let state = self.state_dir.iter().map(|dir| WalkDir::new(dir).follow_root_links(true));
        let state = state.map(|walk| walk.into_iter().filter_entry(|entry| entry.file_name() != REPLACED));
        let private = self.roots.iter().map(|root| WalkDir::new(root.join(PRIVATE_NAME)).max_depth(1));
        for entry in state.flatten().chain(private.flatten()).flatten() {
            if let Ok(seen) = entry.metadata() {
                found.insert((seen.dev(), seen.ino()));
            }
        }
        for path in &self.files {
            let looks = [path.symlink_metadata(), path.metadata()];
            found.extend(looks.into_iter().flatten().map(|seen| (seen.dev(), seen.ino())));
        }
        OwnFiles(Arc::new(found))
    }
}
