//! The directory of the demonstration and what lies in it.
//!
//! Promises: everything is beneath one new directory that only its owner can
//! enter, and goes with it; nothing else is ever touched.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::DemoError;

/// Bytes that the root counts as.
pub(super) const CAPACITY: u64 = 64 << 20;
/// What must be available where the directory is made: the root full, and guardian's own files.
const ROOM: u64 = CAPACITY + (32 << 20);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Files of one kind.
pub(super) struct Kind {
    /// Their names, with a number for `{}`.
    pub(super) name: &'static str,
    /// How many.
    pub(super) count: u32,
    /// Bytes of each.
    pub(super) size: u64,
    /// Seconds since they were written.
    pub(super) age: u64,
    /// What they are, in words.
    pub(super) what: &'static str,
}

/// The job that is active: none of its files may go.
pub(super) const ACTIVE_JOB: &str = "render42";
/// The job that has failed.
pub(super) const FAILED_JOB: &str = "encode17";

/// Files of the active job.
pub(super) const ACTIVE: Kind = Kind {
    name: "job_render42_frame{}.raw",
    count: 12,
    size: 1 << 20,
    age: 4 * DAY,
    what: "old, but their job is active",
};
/// A file that this process holds open.
pub(super) const OPEN: Kind =
    Kind { name: "session{}.log", count: 1, size: 1 << 20, age: 3 * DAY, what: "nobody's, but open" };
/// A file that the configuration protects.
pub(super) const PROTECTED: Kind =
    Kind { name: "accounts{}.db", count: 2, size: 1 << 20, age: 30 * DAY, what: "nobody's, but protected" };
/// Everything that lies there before the writer begins.
pub(super) const KINDS: [Kind; 7] = [
    ACTIVE,
    Kind {
        name: "job_import03_part{}.csv",
        count: 6,
        size: 1 << 20,
        age: 3 * DAY,
        what: "forgotten: nobody registered their job",
    },
    Kind { name: "download{}.tmp", count: 4, size: 1 << 20, age: 5 * HOUR, what: "nobody's" },
    Kind {
        name: "job_encode17_pass{}.tmp",
        count: 8,
        size: 1 << 20,
        age: 40 * MINUTE,
        what: "left by a job that has failed",
    },
    Kind { name: "report{}.pdf", count: 16, size: 1 << 19, age: 20 * MINUTE, what: "nobody's, but young" },
    PROTECTED,
    OPEN,
];
/// What the writer adds.
pub(super) const UPLOAD: Kind =
    Kind { name: "upload{}.part", count: u32::MAX, size: 1 << 18, age: 0, what: "being written now" };

impl Kind {
    /// The name of one of them.
    pub(super) fn file(&self, number: u32) -> String {
        self.name.replace("{}", &format!("{number:03}"))
    }

    /// The names as a pattern for people.
    pub(super) fn pattern(&self) -> String {
        self.name.replace("{}", "*")
    }

    /// Whether a file of this name is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        let digits =
            self.name.split_once("{}").and_then(|(front, back)| name.strip_prefix(front)?.strip_suffix(back));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Bytes that no file system makes smaller: compressed zeros would fill nothing.
    fn content(&self, number: u32) -> Vec<u8> {
        let seed = self
            .name
            .bytes()
            .fold(u64::from(number) + 1, |seed, byte| seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        let mut state = seed | 1;
        let words = usize::try_from(self.size / 8).unwrap_or(0);
        let mut bytes = Vec::with_capacity(words * 8);
        for _ in 0..words {
            // Marsaglia's xorshift64 (2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes
    }
}

/// The directory; goes when it is dropped, unless it is to stay.
pub(super) struct Stage {
    dir: PathBuf,
    keep: bool,
}

impl Stage {
    /// Makes the directory in the system's place for temporary files.
    pub(super) fn set(keep: bool) -> Result<Self, DemoError> {
        let place = std::env::temp_dir();
        let failed = |path: &Path, source| DemoError::Stage { path: path.to_owned(), source };
        let place = place.canonicalize().map_err(|source| failed(&place, source))?;
        let available = fs2::available_space(&place).map_err(|source| failed(&place, source))?;
        if available < ROOM {
            return Err(DemoError::NoRoom { path: place, needed: ROOM >> 20, available: available >> 20 });
        }
        let dir = place.join(format!("guardian-demo-{}", uuid::Uuid::new_v4().simple()));
        // Fails when something of that name is there: what is taken away at the end is what is made here.
        std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|source| failed(&dir, source))?;
        let stage = Self { dir, keep };
        let root = stage.root();
        std::fs::create_dir(&root).map_err(|source| failed(&root, source))?;
        Ok(stage)
    }

    /// Where everything lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The guarded directory.
    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("guardian.toml")
    }

    /// Writes the configuration: short ages where waiting would make the story long.
    pub(super) fn write_config(&self) -> Result<(), DemoError> {
        let path = self.config();
        let dir = toml::Value::String(self.dir.to_string_lossy().into_owned());
        let quoted =
            |name: &str| toml::Value::String(self.dir.join(name).to_string_lossy().into_owned()).to_string();
        let text = format!(
            "# The configuration of the demonstration in {dir}.\n\
             [agent]\n\
             state_dir = {}\n\
             socket = {}\n\
             admin_group = \"\"\n\
             sample_interval = \"1s\"\n\n\
             [[root]]\n\
             name = \"scratch\"\n\
             path = {}\n\
             # The directory counts as a volume of its own.\n\
             capacity = \"{}MiB\"\n\
             warning = 75\n\
             high_water = 90\n\
             low_water = 60\n\
             min_free = \"0\"\n\
             protect = [\"*.db\"]\n\
             # Its files were made just now and only look old; else the newer of mtime and ctime counts.\n\
             age_by = [\"mtime\"]\n\
             # The registry of jobs is as young as the files; else those of unknown jobs are spared at first.\n\
             registry_grace = \"0s\"\n",
            quoted("state"),
            quoted("guardian.sock"),
            quoted("scratch"),
            CAPACITY >> 20,
        );
        std::fs::write(&path, text).map_err(|source| DemoError::Stage { path, source })
    }

    /// Writes one file and gives it its age.
    pub(super) fn write(&self, kind: &Kind, number: u32) -> Result<(), DemoError> {
        let path = self.root().join(kind.file(number));
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&path)?;
            file.write_all(&kind.content(number))?;
            if kind.age > 0 {
                file.set_modified(SystemTime::now() - Duration::from_secs(kind.age))?;
            }
            Ok(())
        };
        write().map_err(|source| DemoError::Stage { path: path.clone(), source })
    }

    /// Opens one file, as a program that is at work on it.
    pub(super) fn open(&self, kind: &Kind, number: u32) -> Result<File, DemoError> {
        let path = self.root().join(kind.file(number));
        File::open(&path).map_err(|source| DemoError::Stage { path, source })
    }

    /// How many files of a kind are there, byte for byte as they were written.
    pub(super) fn intact(&self, kind: &Kind) -> u32 {
        let whole = |number: &u32| {
            let mut bytes = Vec::new();
            let read = File::open(self.root().join(kind.file(*number)))
                .and_then(|mut file| file.read_to_end(&mut bytes));
            read.is_ok() && bytes == kind.content(*number)
        };
        let count = (1..=kind.count).filter(whole).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The first file of a kind that is there.
    pub(super) fn one_left(&self, kind: &Kind) -> Option<PathBuf> {
        (1..=kind.count)
            .map(|number| self.root().join(kind.file(number)))
            .take(1000)
            .find(|path| path.symlink_metadata().is_ok())
    }

    /// Takes everything away, or leaves it.
    pub(super) fn strike(mut self) -> Result<(), DemoError> {
        if self.keep {
            return Ok(());
        }
        self.keep = true;
        let path = self.dir.clone();
        std::fs::remove_dir_all(&path).map_err(|source| DemoError::Strike { path, source })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep {
            // An error is under way that says more than this one could.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_owners_alone_and_goes_with_the_stage() {
        use std::os::unix::fs::PermissionsExt;
        let stage = Stage::set(false).unwrap();
        let dir = stage.dir().to_owned();
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        stage.write(&UPLOAD, 1).unwrap();
        drop(stage);
        assert!(!dir.exists());

        let stage = Stage::set(true).unwrap();
        let dir = stage.dir().to_owned();
        stage.strike().unwrap();
        assert!(dir.join("scratch").is_dir());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_is_gone_or_changed_is_not_intact() {
        let stage = Stage::set(false).unwrap();
        let kind = Kind { count: 3, ..PROTECTED };
        for number in 1..=3 {
            stage.write(&kind, number).unwrap();
        }
        assert_eq!(stage.intact(&kind), 3);
        std::fs::remove_file(stage.root().join(kind.file(1))).unwrap();
        std::fs::write(stage.root().join(kind.file(3)), "other").unwrap();
        assert_eq!(stage.intact(&kind), 1);
        assert_eq!(stage.one_left(&kind), Some(stage.root().join(kind.file(2))));
    }

    #[test]
    fn the_start_is_below_the_warning_and_what_may_go_reaches_the_low_mark() {
        let all: u64 = KINDS.iter().map(|kind| u64::from(kind.count) * kind.size).sum();
        assert!(all * 100 < CAPACITY * 75, "{all} bytes");
        let stays: u64 = [ACTIVE, PROTECTED, OPEN].iter().map(|kind| u64::from(kind.count) * kind.size).sum();
        let uploads = CAPACITY * 92 / 100 - all;
        assert!((stays + uploads) * 100 < CAPACITY * 60, "{stays} bytes stay");
        for kind in KINDS {
            assert_eq!(KINDS.iter().filter(|other| other.has(&kind.file(7))).count(), 1, "{}", kind.name);
        }
    }
}
