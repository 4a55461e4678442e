//! guardian's own files, to be left alone wherever they lie.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use walkdir::WalkDir;

use crate::sweep::root::OwnFiles;
use crate::sys::own_file::identities;
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

impl OwnPlaces {
    /// Collects device and inode of all of them as they are now. What is not
    /// there is left out.
    ///
    /// Of the state directory and the private ones only the directories: what
    /// lies in one is guardian's by that alone. Single files there come and go
    /// (segments, copies), and the inode of one that is gone is soon anybody's.
    /// Of a private directory not what lies deeper (trash): that is other
    /// people's, can have other names in the root, and is reached by no walk.
    pub fn collect(&self) -> OwnFiles {
        let mut found = identities(&self.files);
        let state = self.state_dir.iter().map(|dir| WalkDir::new(dir).follow_root_links(true));
        let private = self.roots.iter().map(|root| WalkDir::new(root.join(PRIVATE_NAME)).max_depth(0));
        for entry in state.chain(private).flatten().flatten().filter(|entry| entry.file_type().is_dir()) {
            if let Ok(seen) = entry.metadata() {
                found.insert((seen.dev(), seen.ino()));
            }
        }
        OwnFiles { known: Arc::new(found), files: self.files.clone().into() }
    }
}
