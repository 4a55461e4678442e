//! What becomes of files that change, or that a sweep finds, between the
//! record and the move.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, RwLock};

use super::*;
use crate::agent::engine::{Engine, Target};
use crate::api::PathText;
use crate::model::{FileTimes, RelPath, Requester, Timestamp};
use crate::policy::{ClockGuard, FileAt, JobsView};
use crate::store::ledger::Ledger;
use crate::sweep::tests::guarded::guarded;
use crate::sweep::vault::RootVault;
use crate::sys::private_dir::PrivateDir;
use crate::sys::{RootDir, clock};
use crate::usage::Probe;

struct Place {
    dir: tempfile::TempDir,
    _state: tempfile::TempDir,
    ledger: Arc<Ledger>,
    target: Target,
}

fn place() -> Place {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = Arc::new(Ledger::open(state.path(), clock::now()).unwrap().0);
    let root = Arc::new(RootDir::open(dir.path()).unwrap());
    let mut one = guarded("scratch", &root, Probe::Volume(Arc::clone(&root)));
    let private = Arc::new(PrivateDir::open_or_create(&root).unwrap());
    one.vault = Some(Arc::new(RootVault::new(private, Arc::clone(&ledger), Turn::default())));
    Place { dir, _state: state, ledger, target: Target { root: Arc::new(one), key: None } }
}

impl Place {
    fn file(&self, name: &str) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, name).unwrap();
        path
    }

    fn engine(&self) -> Engine {
        let jobs = JobsView { jobs: Default::default(), began_at: Timestamp::EPOCH, known: true };
        let clock = ClockGuard::at_start(clock::now(), clock::since_boot(), None, true);
        Engine::new(None, None, Arc::new(RwLock::new(jobs)), Arc::default(), clock)
    }

    fn keeper<'a>(&'a self, engine: &'a Engine) -> Keeper<'a> {
        Keeper { ledger: &self.ledger, engine, targets: vec![self.target.clone()] }
    }

    /// Whether a file waits, for whoever asks with a view as it is now.
    fn waits(&self, engine: &Engine, name: &str) -> bool {
        let root = &self.target.root;
        let facts = root.dir.handle().stat(name.as_bytes(), FileTimes::default()).unwrap();
        let dir = RelPath::default();
        let at =
            FileAt { root: &root.name, dir: &dir, name: name.as_bytes(), facts: Some(&facts), above: &[] };
        engine.references.read().unwrap().waits(&at)
    }
}

fn asker() -> Asker {
    Asker { by: Requester { uid: 0, gid: 0, pid: 1 }, admin: true }
}

fn told(path: &Path) -> PathText {
    PathText::from_bytes(path.as_os_str().as_bytes())
}

#[test]
fn what_was_changed_before_it_could_be_moved_is_refused_and_not_called_moved() {
    let place = place();
    let engine = place.engine();
    let keeper = place.keeper(&engine);
    let (changed, untouched) = (place.file("changed"), place.file("untouched"));
    for purpose in [Purpose::Delete { client_id: None }, Purpose::Trash] {
        fs::write(&untouched, "untouched").unwrap();
        let paths = [told(&changed), told(&untouched)];
        let (mut given, handed) = keeper.take(&paths, &purpose, &asker()).unwrap();
        assert_eq!(given.items.len(), 2);
        fs::write(&changed, "another content").unwrap();
        keeper.move_in(&handed, None).unwrap().tell(&mut given);
        assert_eq!(given.items.len(), 1, "{given:?}");
        assert_eq!(
            (given.items[0].path.file_path.clone(), given.items[0].moved),
            (untouched.display().to_string(), Some(true))
        );
        assert!(given.refused[0].reason.contains("let be"), "{given:?}");
        assert!(changed.exists() && !untouched.exists());
        assert!(!place.waits(&engine, "changed"), "nobody gives it up any more");
    }
    assert_eq!(
        (
            place.ledger.queue_stats(None).unwrap().total_pending,
            place.ledger.trash_page(None, 10).unwrap().len()
        ),
        (1, 1)
    );
}

#[test]
fn what_waits_in_its_place_is_kept_from_sweeps_before_ledger_and_directory_are_compared() {
    let place = place();
    let (waiting, moved) = (place.file("waiting"), place.file("moved"));
    let before = place.engine();
    let keeper = place.keeper(&before);
    let paths = [told(&waiting), told(&moved)];
    let (_, handed) = keeper.take(&paths, &Purpose::Trash, &asker()).unwrap();
    keeper.move_in(&handed[1..], None).unwrap();
    // Another process with the same ledger: as after a kill.
    let after = place.engine();
    let keeper = place.keeper(&after);
    assert!(!place.waits(&after, "waiting"));
    keeper.guard(&place.target.root).unwrap();
    assert!(place.waits(&after, "waiting"));
    // A later file of that name is nobody's business.
    place.file("moved");
    assert!(!place.waits(&after, "moved"));
    let replayed = keeper.replay(&place.target).unwrap();
    assert_eq!((replayed.in_place.len(), replayed.elsewhere.len()), (1, 1));
    assert!(place.waits(&after, "waiting"));
}
