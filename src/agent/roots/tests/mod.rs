//! Roots on real directories and mounts, with a real ledger.

mod adopting;
mod mounts;
mod parts;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::{Claim, LockedRoot, Opened, Opener, Refusal, RootBook, RootError, Suspension, open_root};
use crate::config::{self, Environment, Inputs, Overrides, RootSettings, SourceFile};
use crate::model::{LedgerId, RootName, Timestamp};
use crate::store::ledger::{Ledger, LedgerOrigin, RootRecord};
use crate::store::{RootKey, StoreError};

/// A real ledger whose writes can be made to fail.
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) full: Cell<bool>,
}

impl Book {
    fn room(&self) -> Result<(), StoreError> {
        if self.full.get() {
            let source = std::io::Error::from_raw_os_error(libc::ENOSPC);
            return Err(StoreError::NoSpace {
                action: "write",
                path: "/ledger".into(),
                source: source.into(),
            });
        }
        Ok(())
    }
}

impl RootBook for Book {
    fn id(&self) -> LedgerId {
        self.ledger.id()
    }
    fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError> {
        self.ledger.root(name)
    }
    fn put_root(&self, root: &RootRecord) -> Result<(), StoreError> {
        self.room()?;
        self.ledger.put_root(root)
    }
    fn new_root_key(&self) -> Result<RootKey, StoreError> {
        self.room()?;
        self.ledger.new_root_key()
    }
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        self.room()?;
        self.ledger.set_trusted(trusted)
    }
}

/// One guardian: a state directory with its ledger.
pub(super) struct Guardian {
    pub(super) state: PathBuf,
    pub(super) book: Book,
    pub(super) origin: LedgerOrigin,
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix(1_000_000, 0)
}

impl Guardian {
    pub(super) fn at(state: &Path) -> Self {
        std::fs::create_dir_all(state).unwrap();
        let (ledger, origin) = Ledger::open(state, now()).unwrap();
        Self { state: state.to_owned(), book: Book { ledger, full: Cell::new(false) }, origin }
    }

    pub(super) fn opener(&self) -> Opener<'_> {
        Opener {
            book: &self.book,
            origin: &self.origin,
            state_dir: &self.state,
            socket: Some(Path::new("/run/g.sock")),
        }
    }

    pub(super) fn try_open(&self, settings: &RootSettings, claim: Claim) -> Result<Opened, RootError> {
        open_root(settings, claim, &self.opener(), now())
    }

    pub(super) fn open(&self, settings: &RootSettings) -> Box<LockedRoot> {
        self.open_with(settings, Claim::Usual)
    }

    pub(super) fn open_with(&self, settings: &RootSettings, claim: Claim) -> Box<LockedRoot> {
        // A child that another test has forked and not yet executed holds our
        // locks for that moment, also those that were just given back.
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            match self.try_open(settings, claim).unwrap() {
                Opened::Ready(root) => return root,
                Opened::Refused(Refusal::Held(holder))
                    if holder.pid == Some(std::process::id()) && std::time::Instant::now() < limit =>
                {
                    std::thread::yield_now();
                }
                Opened::Refused(why) => panic!("refused: {why:?}"),
            }
        }
    }

    pub(super) fn refused(&self, settings: &RootSettings) -> Refusal {
        match self.try_open(settings, Claim::Usual).unwrap() {
            Opened::Ready(_) => panic!("opened"),
            Opened::Refused(why) => why,
        }
    }

    pub(super) fn suspended(&self, settings: &RootSettings) -> Suspension {
        match self.refused(settings) {
            Refusal::Suspended(why) => why,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn record(&self, settings: &RootSettings) -> Option<RootRecord> {
        self.book.ledger.root(&settings.name).unwrap()
    }
}

struct NoDisk;

impl config::Probe for NoDisk {
    fn exists(&self, _: &Path) -> bool {
        false
    }
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// The settings of roots at these paths; `more` are further lines of each.
pub(super) fn settings(paths: &[&Path], more: &str) -> Vec<RootSettings> {
    let one = |(number, path): (usize, &&Path)| {
        format!("[[root]]\nname = \"r{number}\"\npath = {:?}\n{more}\n", path.to_str().unwrap())
    };
    let text: String = paths.iter().enumerate().map(one).collect();
    let file = SourceFile { path: "/test.toml".into(), bytes: text.into_bytes() };
    let inputs = Inputs {
        files: vec![file],
        environment: &Environment { is_root: true, ..Environment::default() },
        overrides: &Overrides::default(),
        cwd: Path::new("/"),
    };
    config::settle(&inputs, &NoDisk).unwrap().roots
}

pub(super) fn root_at(path: &Path) -> RootSettings {
    settings(&[path], "").remove(0)
}

/// A directory with `root` (a root to be) and room for state directories.
pub(super) fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    (dir, root)
}

/// Everything in a tree, with its times: to show that nothing was touched.
pub(super) fn snapshot(path: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let entries = walkdir::WalkDir::new(path).sort_by_file_name().into_iter();
    entries
        .map(|e| e.unwrap())
        .map(|e| (e.path().to_owned(), e.metadata().unwrap().modified().unwrap()))
        .collect()
}
