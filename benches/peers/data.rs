//! The trees that everything is measured on.

use std::fs::{File, FileTimes};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

/// Files in one directory.
pub(crate) const PER_DIRECTORY: usize = 100;

/// How old directories look: tools that spare young ones shall not.
const DIRECTORY_AGE: Duration = Duration::from_secs(3 * 24 * 3600);

/// tmpreaper counts in whole seconds: a file has to be this old for its shortest age.
const SETTLE: Duration = Duration::from_secs(2);

/// A directory of the bench's own. All that it makes lies beneath, and goes with it.
pub(crate) struct Place {
    own: TempDir,
    /// What the tools work on.
    pub(crate) tree: PathBuf,
}

impl Place {
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        let own = TempDir::with_prefix_in("guardian-bench-", parent)?;
        let tree = own.path().join("tree");
        Ok(Self { own, tree })
    }

    /// A path beside the tree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.own.path().join(name)
    }

    /// Builds the tree anew and waits until it is on the disk and two seconds
    /// old, so that no tool pays for what building left behind.
    pub(crate) fn build(&self, files: usize, size: usize) -> io::Result<()> {
        self.clear()?;
        let directories: Vec<PathBuf> = (0..files.div_ceil(PER_DIRECTORY))
            .map(|number| self.tree.join(format!("{:03}/{:02}", number / 100, number % 100)))
            .collect();
        let content = vec![b'x'; size];
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let share = directories.len().div_ceil(workers);
            let builders: Vec<_> = directories
                .chunks(share)
                .enumerate()
                .map(|(part, directories)| {
                    let first = part * share * PER_DIRECTORY;
                    let content = &content;
                    scope.spawn(move || fill(directories, first, files, content))
                })
                .collect();
            builders
                .into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| Err(io::Error::other("a builder died"))))
        })?;
        let begun = Instant::now();
        let old = FileTimes::new().set_modified(SystemTime::now() - DIRECTORY_AGE);
        for directory in self.directories()? {
            File::open(directory)?.set_times(old)?;
        }
        rustix::fs::syncfs(File::open(&self.tree)?)?;
        std::thread::sleep(SETTLE.saturating_sub(begun.elapsed()));
        Ok(())
    }

    fn directories(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for group in std::fs::read_dir(&self.tree)? {
            let group = group?.path();
            for directory in std::fs::read_dir(&group)? {
                found.push(directory?.path());
            }
            found.push(group);
        }
        Ok(found)
    }

    /// Files that are left in the tree, guardian's own directory not counted.
    pub(crate) fn files_left(&self) -> usize {
        walkdir::WalkDir::new(&self.tree)
            .into_iter()
            .filter_entry(|entry| entry.file_name() != ".guardian")
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
            .count()
    }

    /// Takes away what an earlier run left: the tree, and guardian's mark in it.
    pub(crate) fn clear(&self) -> io::Result<()> {
        remove_tree(&self.tree)
    }

    /// Forgets that guardian has been here, so that the next run is a first one.
    pub(crate) fn forget(&self) -> io::Result<()> {
        remove_tree(&self.tree.join(".guardian"))?;
        remove_tree(&self.beside("state"))
    }
}

fn fill(directories: &[PathBuf], first: usize, files: usize, content: &[u8]) -> io::Result<()> {
    for (place, directory) in directories.iter().enumerate() {
        std::fs::create_dir_all(directory)?;
        let first = first + place * PER_DIRECTORY;
        for number in first..(first + PER_DIRECTORY).min(files) {
            File::create(directory.join(format!("part-{number:08}.tmp")))?.write_all(content)?;
        }
    }
    Ok(())
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
