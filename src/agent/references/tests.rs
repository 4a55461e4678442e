//! What is forgotten of files that went, and what is not.

use std::sync::mpsc::channel;

use super::*;
use crate::model::{FileKind, Identity};
use crate::store::ledger::tests::tiny_volume;

const BEFORE: Timestamp = Timestamp::from_nanos(1_000_000_000_000_000_000);
const BEGAN: Timestamp = Timestamp::from_nanos(1_000_000_010_000_000_000);
const AFTER: Timestamp = Timestamp::from_nanos(1_000_000_020_000_000_000);
const ME: Caller = Caller { uid: 0, admin: true };

fn root() -> RootName {
    RootName::parse("scratch").unwrap()
}

fn path() -> RelPath {
    RelPath::from_bytes(&b"d/f"[..]).unwrap()
}

fn named(ino: u64) -> Named {
    let id = Identity { dev: 1, ino, kind: FileKind::Regular, size: 1, mtime: BEFORE, ctime: BEFORE };
    let facts =
        FileFacts { id, allocated: 4096, nlink: 1, uid: 0, atime: None, btime: None, expires_at: None };
    Named { root: root(), path: path(), facts }
}

fn opened(dir: &std::path::Path) -> References {
    References::open(Arc::new(Ledger::open(dir, BEFORE).unwrap().0)).unwrap()
}

fn told(references: &References, ino: u64, now: Timestamp) {
    let telling = Telling { expires_at: Some(AFTER), ..Telling::default() };
    references.track(vec![named(ino)], &telling, ME, now).unwrap();
}

fn known(references: &References) -> Option<u64> {
    references.view().read().unwrap().told_of(&root(), &path()).map(|told| told.recorded.ino)
}

#[test]
fn what_is_told_of_the_next_file_of_a_name_outlives_the_removal_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    // Also where the next file got the inode number of the one before.
    for next in [8, 7] {
        let references = opened(dir.path());
        told(&references, 7, BEFORE);
        told(&references, next, AFTER);
        references.gone(&root(), [(&path(), 7)].into_iter(), BEGAN);
        references.forget_gone();
        assert_eq!(known(&references), Some(next));
        drop(references);
        assert_eq!(known(&opened(dir.path())), Some(next), "in the ledger too");
    }
}

#[test]
fn what_is_told_between_a_removal_and_its_record_stays_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let references = opened(dir.path());
    told(&references, 7, BEFORE);
    references.gone(&root(), [(&path(), 7)].into_iter(), BEGAN);
    assert_eq!(known(&references), None, "it speaks of no later file of that name");
    told(&references, 8, AFTER);
    references.forget_gone();
    assert_eq!(known(&references), Some(8));
    drop(references);
    assert_eq!(known(&opened(dir.path())), Some(8));
}

#[test]
fn what_was_told_of_a_file_that_went_is_off_the_record_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let references = opened(dir.path());
    told(&references, 7, BEFORE);
    references.gone(&root(), [(&path(), 7)].into_iter(), BEGAN);
    references.forget_gone();
    drop(references);
    assert_eq!(known(&opened(dir.path())), None);
}

#[test]
fn a_batch_waits_for_no_request_that_is_being_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let references = opened(dir.path());
    told(&references, 7, BEFORE);
    let recording = references.changes();
    let (done, is_done) = channel();
    std::thread::scope(|scope| {
        let references = &references;
        scope.spawn(move || {
            references.gone(&root(), [(&path(), 7)].into_iter(), BEGAN);
            done.send(()).unwrap();
        });
        let came = is_done.recv_timeout(Duration::from_secs(10));
        drop(recording);
        assert!(came.is_ok(), "the batch waited for the request");
    });
}

#[test]
fn a_path_that_is_named_often_is_held_once() {
    let dir = tempfile::tempdir().unwrap();
    let references = opened(dir.path());
    let held = references.hold((0..1000).map(|_| named(7)).collect(), None, Some("r"), ME, BEFORE).unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(references.holds(None, 2000).unwrap(), held);
}

#[test]
fn a_hold_that_could_not_be_recorded_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    if let Err(why) = tiny_volume(dir.path()) {
        eprintln!("skipped: no tmpfs can be mounted: {why}");
        return;
    }
    let fill = dir.path().join("fill");
    let _ = std::fs::write(&fill, vec![1; 1 << 17]).unwrap_err();
    let references = opened(dir.path());
    let is_held = || {
        let file = named(7);
        let dir = file.path.parent().unwrap();
        let (name, facts) = (file.path.name(), Some(&file.facts));
        let at = crate::policy::FileAt { root: &file.root, dir: &dir, name, facts, above: &[] };
        references.view().read().unwrap().is_held(&at, BEFORE)
    };
    let refused = references.hold(vec![named(7)], None, None, ME, BEFORE);
    std::fs::remove_file(&fill).unwrap();
    assert!(refused.is_err() && !is_held(), "{refused:?}");
    references.hold(vec![named(7)], None, None, ME, BEFORE).unwrap();
    assert!(is_held());
    drop(references);
    let _ = std::process::Command::new("umount").arg(dir.path()).status();
}

#[test]
fn of_two_who_release_one_hold_at_once_one_is_told_that_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let references = opened(dir.path());
    let ann = Caller { uid: 1000, admin: false };
    for ino in 0..50 {
        let hold = references.hold(vec![named(ino)], None, None, ann, BEFORE).unwrap().remove(0);
        let barrier = std::sync::Barrier::new(2);
        let release = || {
            barrier.wait();
            references.release(&hold.id, ann)
        };
        let ends = std::thread::scope(|scope| {
            let threads = [scope.spawn(release), scope.spawn(release)];
            threads.map(|thread| thread.join().unwrap())
        });
        let released = ends.iter().filter(|end| end.is_ok()).count();
        let unknown = ends.iter().filter(|end| matches!(end, Err(ReferenceError::NoHold(_)))).count();
        assert_eq!((released, unknown), (1, 1), "{ends:?}");
    }
}

#[test]
fn one_user_cannot_fill_the_memory_with_holds_and_ended_ones_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let ann = Caller { uid: 1000, admin: false };
    let references = opened(dir.path());
    let many = |count: u64| -> Vec<Named> {
        (0..count)
            .map(|ino| Named {
                path: RelPath::from_bytes(ino.to_string().into_bytes()).unwrap(),
                ..named(ino)
            })
            .collect()
    };
    let held = references.hold(many(counts::MOST as u64), None, None, ann, BEFORE).unwrap();
    let more = |references: &References, by| references.hold(many(1), None, None, by, BEFORE);
    assert!(matches!(more(&references, ann), Err(ReferenceError::TooMany { has: counts::MOST, .. })));
    assert!(more(&references, Caller { uid: 1001, ..ann }).is_ok() && more(&references, ME).is_ok());
    references.release(&held[0].id, ann).unwrap();
    assert!(more(&references, ann).is_ok());
    drop(references);
    assert!(more(&opened(dir.path()), ann).is_err(), "they count after a restart, too");
}

/// References of which nobody may have more than three.
fn few(dir: &std::path::Path) -> References {
    let mut references = opened(dir);
    references.counts.most = 3;
    references
}

fn at(path: &str) -> Named {
    Named { path: RelPath::from_bytes(path.as_bytes()).unwrap(), ..named(7) }
}

#[test]
fn one_user_cannot_fill_the_memory_with_tracked_files() {
    let dir = tempfile::tempdir().unwrap();
    let (ann, bob) = (Caller { uid: 1000, admin: false }, Caller { uid: 1001, admin: false });
    let references = few(dir.path());
    let telling = Telling { expires_at: Some(AFTER), ..Telling::default() };
    let track = |references: &References, paths: &[&str], by| {
        let files = paths.iter().map(|path| at(path)).collect();
        references.track(files, &telling, by, BEFORE).map(|told| told.len())
    };
    let is_refused = |end| matches!(end, Err(ReferenceError::TooMany { uid: 1000, .. }));
    // Told twice it is one file.
    track(&references, &["a", "b", "b"], ann).unwrap();
    assert!(is_refused(track(&references, &["c", "d"], ann)), "all of it or nothing");
    track(&references, &["a", "c"], ann).unwrap();
    assert!(is_refused(track(&references, &["d"], ann)));
    track(&references, &["a", "b", "c"], ann).unwrap();
    // Others are not shut out, and what they tell of is theirs from then on.
    track(&references, &["x", "a"], bob).unwrap();
    track(&references, &["1", "2", "3", "4"], ME).unwrap();
    track(&references, &["d"], ann).unwrap();
    assert!(is_refused(track(&references, &["e"], ann)));
    // What is gone does not count.
    let d = RelPath::from_bytes(&b"d"[..]).unwrap();
    references.gone(&root(), [(&d, 7)].into_iter(), BEGAN);
    track(&references, &["e"], ann).unwrap();
    references.forget_gone();
    drop(references);
    let references = few(dir.path());
    assert!(is_refused(track(&references, &["f"], ann)), "they count after a restart, too");
    track(&references, &["y"], bob).unwrap();
}

#[test]
fn one_user_cannot_fill_the_memory_with_sessions_and_ended_ones_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let ann = Caller { uid: 1000, admin: false };
    let references = few(dir.path());
    let id = |name: &str| SessionId::parse(name).unwrap();
    let touch = |references: &References, name: &str, by| references.touch(&id(name), by, BEFORE);
    let is_refused = |end| matches!(end, Err(ReferenceError::TooMany { uid: 1000, .. }));
    for name in ["a", "b", "c", "a"] {
        touch(&references, name, ann).unwrap();
    }
    assert!(is_refused(touch(&references, "d", ann)));
    let into_d = Telling { session: Some(id("d")), ..Telling::default() };
    let mut mine = at("f");
    mine.facts.uid = 1000;
    let tracked = references.track(vec![mine], &into_d, ann, BEFORE);
    assert!(matches!(tracked, Err(ReferenceError::TooMany { uid: 1000, .. })), "nor by what is put into it");
    assert_eq!(references.session(&id("d")).unwrap(), None);
    assert_eq!(references.view().read().unwrap().tracked_count(&root()), 0);
    touch(&references, "x", Caller { uid: 1001, ..ann }).unwrap();
    references.end(&id("a"), ann, BEFORE).unwrap();
    references.end(&id("a"), ann, BEFORE).unwrap();
    touch(&references, "d", ann).unwrap();
    assert!(is_refused(touch(&references, "a", ann)), "one that begins again counts again");
    // An administrator may, and the session stays its owner's.
    touch(&references, "a", ME).unwrap();
    references.end_idle(Duration::ZERO, BEFORE).unwrap();
    for name in ["e", "f", "g"] {
        touch(&references, name, ann).unwrap();
    }
    drop(references);
    assert!(is_refused(touch(&few(dir.path()), "h", ann)), "they count after a restart, too");
}
