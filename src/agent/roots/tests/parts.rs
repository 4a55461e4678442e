//! Nesting, guardian's own files, and what a run is given.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::{Guardian, place, root_at, settings};
use crate::agent::roots::{OwnPlaces, RootError, check_nesting, fingerprint};
use crate::model::{FileKind, Identity, Timestamp};
use crate::sweep::root::OwnFiles;

#[test]
fn roots_that_lie_in_each_other_by_any_path_are_refused() {
    let (dir, path) = place();
    let below = path.join("a/b");
    fs::create_dir_all(&below).unwrap();
    let link = dir.path().join("link");
    symlink(&below, &link).unwrap();
    let same = dir.path().join("same");
    symlink(&path, &same).unwrap();
    let beside = dir.path().join("root2");
    fs::create_dir(&beside).unwrap();
    for inner in [&link, &same] {
        let found = check_nesting(&settings(&[&path, inner], ""));
        assert!(matches!(found, Err(RootError::Nested { .. })), "{}", inner.display());
    }
    check_nesting(&settings(&[&path, &beside], "")).unwrap();
    let absent = dir.path().join("gone");
    check_nesting(&settings(&[&path, &absent], "")).unwrap();
}

fn identity(path: &std::path::Path) -> Identity {
    let seen = fs::symlink_metadata(path).unwrap();
    let none = Timestamp::default();
    Identity { dev: seen.dev(), ino: seen.ino(), kind: FileKind::Regular, size: 0, mtime: none, ctime: none }
}

#[test]
fn own_files_are_all_that_guardian_wrote_and_no_more() {
    let (dir, path) = place();
    let state = dir.path().join("state");
    let guardian = Guardian::at(&state);
    let _root = guardian.open(&root_at(&path));
    fs::create_dir_all(path.join(".guardian/trash")).unwrap();
    fs::write(path.join(".guardian/trash/theirs"), "").unwrap();
    let config = dir.path().join("guardian.toml");
    fs::write(&config, "").unwrap();
    let link = dir.path().join("etc.toml");
    symlink(&config, &link).unwrap();
    let places = OwnPlaces {
        state_dir: Some(state.clone()),
        files: vec![link.clone(), dir.path().join("no.sock")],
        roots: vec![path.clone()],
    };
    let private = path.join(".guardian");
    fs::create_dir(state.join("audit")).unwrap();
    let own = places.collect();
    for ours in [&state, &state.join("audit"), &link, &config, &private] {
        assert!(own.contains(&identity(ours)), "{}", ours.display());
    }
    // Files in its directories are guardian's by where they lie: the inode of
    // one that is replaced or pruned is soon anybody's.
    for theirs in [&path, &private.join("trash/theirs"), &state.join("ledger.redb"), &private.join("lock")] {
        assert!(!own.contains(&identity(theirs)), "{}", theirs.display());
    }
}

#[test]
fn a_run_gets_what_is_configured() {
    let (dir, path) = place();
    let guardian = Guardian::at(&dir.path().join("state"));
    let text = "capacity = \"100MiB\"\nlow_water = 80\nhigh_water = 90\nprotect = [\"*.db\"]\nuser_marks = \"none\"\nemergency_futile = \"continue\"";
    let root = guardian.open(&settings(&[&path], text)[0]);
    let run = root.guarded(&OwnFiles::default(), None, 0).unwrap();
    assert_eq!(run.marks.min_free, 10 << 20, "the default counts by the capacity");
    assert!((run.marks.low - 80.0).abs() < f64::EPSILON);
    assert!(run.workers >= 1 && run.probe.is_capacity());
    assert!(run.probe.look().is_err(), "not counted yet is not empty");
    assert_eq!(run.futile, crate::sweep::root::Futile::Continue);
    assert!(!run.user_marks.bind(1000, false));
    let counted = root.guarded(&OwnFiles::default(), Some(std::sync::Arc::new(|| Some(5))), 3).unwrap();
    assert_eq!((counted.probe.look().unwrap().used, counted.workers), (5, 3));
    drop(root);
    let large = settings(&[&path], "min_free = \"1000TiB\"");
    let root = guardian.open(&large[0]);
    assert!(matches!(root.guarded(&OwnFiles::default(), None, 1), Err(RootError::MinFree { .. })));
}

#[test]
fn the_fingerprint_tells_what_rows_depend_on_and_nothing_else() {
    let (_dir, path) = place();
    let of = |more: &str| fingerprint(&settings(&[&path], more)[0]);
    assert_eq!(of(""), of("protect = [\"x\"]\nhigh_water = 96"));
    assert_ne!(of(""), of("patterns = [\"x_{job}\"]"));
    assert_ne!(of(""), of("age_by = [\"mtime\"]"));
    assert_ne!(of(""), of("xattr_expiry = false"));
    // Written down in every index: it may change only together with the row format.
    assert_eq!(of(""), 2_678_105_418_320_902_551);
}
