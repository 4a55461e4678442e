//! New, known, lost, foreign and suspended roots.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::{Guardian, now, place, root_at, settings, snapshot};
use crate::agent::roots::{
    Adoption, Claim, Looked, Reading, Refusal, RootError, RootPresence, Suspension, look_root,
};
use crate::store::ledger::LedgerReader;
use crate::sweep::root::OwnFiles;

#[test]
fn a_new_root_is_adopted_with_its_grace_and_known_from_then_on() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let root = guardian.open(&root_at(&path));
    assert_eq!(root.new_until(), Some(now().plus(Duration::from_secs(86_400))));
    assert!(!root.awaits_adoption() && !root.calls_for_distrust());
    assert_eq!(root.still_there(), RootPresence::Ready);
    let (key, text) = (root.key(), fs::read(path.join(".guardian/ledger-id")).unwrap());
    assert!(String::from_utf8(text.clone()).unwrap().contains(guardian.book.ledger.id().as_str()));
    drop(root);
    let again = guardian.open(&root_at(&path));
    assert_eq!((again.key(), again.new_until()), (key, Some(now().plus(Duration::from_secs(86_400)))));
    assert_eq!(fs::read(path.join(".guardian/ledger-id")).unwrap(), text);
}

#[test]
fn a_root_that_another_guardian_works_on_is_held_and_says_by_whom() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let first = guardian.open(&root_at(&path));
    let Refusal::Held(holder) = guardian.refused(&root_at(&path)) else { panic!("not held") };
    assert_eq!(holder.ledger, Some(guardian.book.ledger.id()));
    assert_eq!(holder.pid, Some(std::process::id()));
    assert_eq!(holder.socket.unwrap(), std::path::Path::new("/run/g.sock"));
    drop(first);
    guardian.open(&root_at(&path));
}

#[test]
fn a_root_of_another_ledger_is_refused_until_it_is_adopted() {
    let (dir, path) = place();
    let one = Guardian::at(&dir.path().join("one"));
    drop(one.open(&root_at(&path)));
    let other = Guardian::at(&dir.path().join("other"));
    let before = snapshot(&path);
    assert_eq!(other.refused(&root_at(&path)), Refusal::Claimed(one.book.ledger.id()));
    assert_eq!(snapshot(&path), before);
    let taken = other.open_with(&root_at(&path), Claim::Adopt);
    assert!(taken.calls_for_distrust() && taken.new_until().is_some());
    assert!(!other.book.ledger.trusted().unwrap());
    drop(taken);
    assert_eq!(one.refused(&root_at(&path)), Refusal::Claimed(other.book.ledger.id()));
    assert!(!other.open(&root_at(&path)).calls_for_distrust());
}

#[test]
fn a_ledger_lost_in_this_state_directory_is_told_from_a_foreign_one() {
    let (dir, path) = place();
    let state = dir.path().join("state");
    let first = Guardian::at(&state);
    drop(first.open(&root_at(&path)));
    drop(first);
    fs::remove_dir_all(&state).unwrap();
    let next = Guardian::at(&state);
    assert!(next.book.ledger.trusted().unwrap(), "an emptied directory looks new");
    next.book.full.set(true);
    let mut root = next.open(&root_at(&path));
    assert!(root.calls_for_distrust() && root.awaits_adoption());
    assert_eq!(root.new_until(), None, "it is not new: what names no job goes as usual");
    let marker = fs::read_to_string(path.join(".guardian/ledger-id")).unwrap();
    assert!(
        !marker.contains(next.book.ledger.id().as_str()),
        "the evidence stays until the loss is on record"
    );
    next.book.full.set(false);
    assert_eq!(root.try_adopt_later(&next.opener(), now()).unwrap(), Adoption::Complete);
    assert!(!next.book.ledger.trusted().unwrap());
    drop(root);
    assert!(!next.open(&root_at(&path)).calls_for_distrust());
}

#[test]
fn a_root_without_its_marker_is_suspended_and_nothing_is_made_in_it() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let root = guardian.open(&root_at(&path));
    let key = root.key();
    fs::rename(path.join(".guardian"), dir.path().join("away")).unwrap();
    assert!(matches!(root.still_there(), RootPresence::PrivateLost(_)));
    drop(root);
    let before = snapshot(&path);
    assert_eq!(guardian.suspended(&root_at(&path)), Suspension::MarkerGone);
    assert_eq!(snapshot(&path), before);
    assert!(guardian.record(&root_at(&path)).unwrap().suspended.unwrap().contains("marker"));
    fs::rename(dir.path().join("away"), path.join(".guardian")).unwrap();
    assert_eq!(guardian.open(&root_at(&path)).key(), key, "resumed by itself");
    assert_eq!(guardian.record(&root_at(&path)).unwrap().suspended, None);
}

#[test]
fn another_directory_at_the_path_suspends_the_root_until_it_is_accepted() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let root = guardian.open(&root_at(&path));
    let key = root.key();
    fs::rename(&path, dir.path().join("old")).unwrap();
    assert_eq!(root.still_there(), RootPresence::Vanished);
    assert_eq!(guardian.suspended(&root_at(&path)), Suspension::Gone);
    fs::create_dir(&path).unwrap();
    assert_eq!(root.still_there(), RootPresence::Suspended(Suspension::Replaced));
    drop(root);
    assert_eq!(guardian.suspended(&root_at(&path)), Suspension::Replaced);
    let accepted = guardian.open_with(&root_at(&path), Claim::Accept);
    assert!(accepted.new_until().is_some());
    assert_ne!(accepted.key(), key, "no row of the old directory is its own");
}

#[test]
fn a_ledger_that_cannot_be_written_does_not_stop_guarding() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    guardian.book.full.set(true);
    let mut root = guardian.open(&root_at(&path));
    assert!(root.awaits_adoption() && root.key().is_none());
    root.guarded(&OwnFiles::default(), None, 1).unwrap();
    assert_eq!(root.try_adopt_later(&guardian.opener(), now()).unwrap(), Adoption::Waits);
    guardian.book.full.set(false);
    assert_eq!(root.try_adopt_later(&guardian.opener(), now()).unwrap(), Adoption::Complete);
    assert_eq!(guardian.record(&root_at(&path)).unwrap().key, root.key().unwrap());
}

#[test]
fn an_adoption_that_ended_between_ledger_and_marker_goes_on_by_itself() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    fs::create_dir(path.join(".guardian")).unwrap();
    fs::set_permissions(path.join(".guardian"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    // Nothing can be written under this name: the step behind the ledger fails.
    let obstacle = path.join(".guardian/.ledger-id.new");
    fs::create_dir(&obstacle).unwrap();
    assert!(guardian.try_open(&root_at(&path), Claim::Usual).is_err());
    let announced = guardian.record(&root_at(&path)).expect("the ledger knows before the root does");
    assert!(announced.unmarked && announced.marker.is_some());
    assert!(!path.join(".guardian/ledger-id").exists());
    fs::remove_dir(&obstacle).unwrap();
    let root = guardian.open(&root_at(&path));
    assert_eq!(root.key(), Some(announced.key), "the key that the ledger gave out");
    assert_eq!(root.new_until(), announced.new_until);
    assert!(!root.awaits_adoption() && !root.calls_for_distrust());
    let record = guardian.record(&root_at(&path)).unwrap();
    assert!(!record.unmarked);
    drop(root);
    // Ended behind the marker, before the ledger heard of it.
    guardian
        .book
        .ledger
        .put_root(&crate::store::ledger::RootRecord { unmarked: true, ..record.clone() })
        .unwrap();
    assert_eq!(guardian.open(&root_at(&path)).key(), Some(record.key));
    assert_eq!(guardian.record(&root_at(&path)).unwrap(), record);
}

#[test]
fn a_finished_adoption_without_its_marker_is_no_unfinished_one() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    drop(guardian.open(&root_at(&path)));
    fs::remove_file(path.join(".guardian/ledger-id")).unwrap();
    assert_eq!(guardian.suspended(&root_at(&path)), Suspension::MarkerGone);
}

#[test]
fn what_may_not_be_a_root_is_refused_with_its_place_and_a_way_out() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let error = |path: &std::path::Path, more: &str| {
        guardian.try_open(&settings(&[path], more)[0], Claim::Usual).err()
    };
    assert!(matches!(error(&path.join("absent"), ""), Some(RootError::Missing { .. })));
    fs::write(path.join("file"), "").unwrap();
    assert!(matches!(error(&path.join("file"), ""), Some(RootError::NotADirectory { .. })));
    std::os::unix::fs::symlink("/usr/share", path.join("link")).unwrap();
    let system = error(&path.join("link"), "").unwrap();
    assert!(matches!(system, RootError::System { .. }));
    assert!(system.to_string().contains("allow_system_root"), "{system}");
    fs::create_dir_all(path.join("repo/.git")).unwrap();
    assert!(matches!(error(&path.join("repo"), ""), Some(RootError::Checkout { .. })));
    assert!(error(&path.join("repo"), "allow_system_root = true").is_none());
    assert!(error(&path, "").is_none());
    fs::create_dir(path.join(".git")).unwrap();
    assert!(error(&path, "").is_none(), "a mark that appears later must not stop a known root");
    let unmounted = settings(&[&path], "require_mount = true").remove(0);
    assert_eq!(guardian.suspended(&unmounted), Suspension::NotMounted);
}

#[test]
fn looking_writes_nothing_and_minds_no_lock() {
    let (dir, path) = place();
    let state = dir.path().join("state");
    let own = OwnFiles::default();
    let look = |claim| {
        let ledger = LedgerReader::open(&state).unwrap().map(Arc::new);
        let reading = Reading { ledger: ledger.as_ref(), state_dir: &state, own: &own, workers: 1 };
        look_root(&root_at(&path), claim, &reading, now()).unwrap()
    };
    let Looked::Ready { root, distrust } = look(Claim::Usual) else { panic!("refused") };
    assert!(root.new_until.is_some() && !distrust);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    let guardian = Guardian::at(&state);
    let _held = guardian.open(&root_at(&path));
    let before = snapshot(dir.path());
    assert!(matches!(look(Claim::Usual), Looked::Ready { distrust: false, .. }));
    assert_eq!(snapshot(dir.path()), before);
}
