//! Chunks of a job that were reported complete.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ChunkId, JobId, RelPath, RootName, Timestamp, WirePath};

/// A chunk whose files its job has processed and given up.
///
/// It speaks of the files as they were when it was reported: whatever was
/// written, renamed or changed since belongs to work that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedChunk {
    /// The job.
    pub job: JobId,
    /// The chunk.
    pub chunk: ChunkId,
    /// When it was reported.
    pub at: Timestamp,
    /// The files that were named; all of the chunk's, if `None`.
    pub files: Option<ChunkFiles>,
}

/// Files named one by one, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ChunkFile>", into = "Vec<ChunkFile>")]
pub struct ChunkFiles(BTreeSet<(RootName, RelPath)>);

#[derive(Serialize, Deserialize)]
struct ChunkFile {
    root: RootName,
    #[serde(flatten)]
    path: WirePath,
}

impl ChunkFiles {
    /// Takes them in any order.
    pub fn new(files: impl IntoIterator<Item = (RootName, RelPath)>) -> Self {
        Self(files.into_iter().collect())
    }

    /// Whether this file is one of them.
    pub fn contains(&self, root: &RootName, path: RelPath) -> bool {
        self.0.contains(&(root.clone(), path))
    }

    /// Those of one root, in order.
    pub fn of_root<'a>(&'a self, root: &'a RootName) -> impl Iterator<Item = &'a RelPath> {
        let from = (root.clone(), RelPath::root());
        self.0.range(from..).take_while(move |(name, _)| name == root).map(|(_, path)| path)
    }

    /// Whether none was named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<ChunkFile>> for ChunkFiles {
    type Error = super::PathError;

    fn try_from(files: Vec<ChunkFile>) -> Result<Self, Self::Error> {
        let read = |file: ChunkFile| Ok((file.root, RelPath::from_bytes(file.path.to_bytes()?)?));
        files.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl From<ChunkFiles> for Vec<ChunkFile> {
    fn from(files: ChunkFiles) -> Self {
        let write = |(root, path): (RootName, RelPath)| ChunkFile {
            root,
            path: WirePath::from_bytes(path.as_bytes()),
        };
        files.0.into_iter().map(write).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_files_read_back_as_they_were_written_and_are_found_by_root() {
        let root = |name: &str| RootName::parse(name).unwrap();
        let path = |bytes: &[u8]| RelPath::from_bytes(bytes).unwrap();
        let files =
            ChunkFiles::new([(root("b"), path(b"x/\xff")), (root("a"), path(b"z")), (root("b"), path(b"a"))]);
        let text = serde_json::to_string(&files).unwrap();
        assert_eq!(serde_json::from_str::<ChunkFiles>(&text).unwrap(), files);
        let b = root("b");
        assert_eq!(files.of_root(&b).collect::<Vec<_>>(), [&path(b"a"), &path(b"x/\xff")]);
        assert!(files.contains(&b, path(b"a")) && !files.contains(&root("a"), path(b"a")));
    }
}
