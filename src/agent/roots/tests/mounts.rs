//! Roots on mounts of their own: unmounted, mounted anew, full, bound.
//!
//! Each test runs itself again in a mount namespace of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Guardian, now, place, root_at, settings};
use crate::agent::roots::{Adoption, Claim, Refusal, RootError, RootPresence, Suspension, check_nesting};
use crate::sweep::root::OwnFiles;
use crate::sys::process::own_ids;

const INSIDE: &str = "GUARDIAN_TEST_OWN_MOUNTS";

/// Runs `test` in a process of its own whose mounts are nobody else's.
fn with_private_mounts(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    if own_ids().0 != 0 {
        eprintln!("skipped: mounting needs root");
        return;
    }
    let unshared = |command: &mut Command| command.env(INSIDE, "1").output();
    let trial = unshared(Command::new("unshare").args(["-m", "--propagation", "private", "true"]));
    if !trial.is_ok_and(|trial| trial.status.success()) {
        eprintln!("skipped: no mount namespace to be had");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let full = format!("agent::roots::tests::mounts::{name}");
    let mut again = Command::new("unshare");
    again.args(["-m", "--propagation", "private"]).arg(own).args(["--exact", &full, "--nocapture"]);
    let outcome = unshared(&mut again).unwrap();
    let said =
        String::from_utf8_lossy(&outcome.stdout).into_owned() + &String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the test was not found: {said}");
}

fn mount(args: &[&str], at: &Path) {
    assert!(Command::new("mount").args(args).arg(at).status().unwrap().success());
}

fn unmount(at: &Path) {
    assert!(Command::new("umount").arg("-l").arg(at).status().unwrap().success());
}

const TMPFS: [&str; 5] = ["-t", "tmpfs", "-o", "size=1m,nr_inodes=20", "none"];

#[test]
fn an_unmounted_root_is_suspended_and_resumes_with_its_file_system() {
    with_private_mounts("an_unmounted_root_is_suspended_and_resumes_with_its_file_system", || {
        let (dir, path) = place();
        let volume = dir.path().join("volume");
        fs::create_dir(&volume).unwrap();
        mount(&TMPFS, &volume);
        mount(&["--bind", volume.to_str().unwrap()], &path);
        let guardian = Guardian::at(&dir.path().join("state"));
        let root = guardian.open(&root_at(&path));
        unmount(&path);
        assert_eq!(root.still_there(), RootPresence::Suspended(Suspension::Replaced));
        drop(root);
        assert_eq!(guardian.suspended(&root_at(&path)), Suspension::Replaced);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is made underneath");
        mount(&["--bind", volume.to_str().unwrap()], &path);
        assert_eq!(guardian.open(&root_at(&path)).still_there(), RootPresence::Ready);
    });
}

#[test]
fn a_fresh_file_system_at_the_path_is_not_the_known_root() {
    with_private_mounts("a_fresh_file_system_at_the_path_is_not_the_known_root", || {
        let (dir, path) = place();
        mount(&TMPFS, &path);
        let guardian = Guardian::at(&dir.path().join("state"));
        let mounted = settings(&[&path], "require_mount = true").remove(0);
        drop(guardian.open(&mounted));
        unmount(&path);
        assert_eq!(guardian.suspended(&mounted), Suspension::NotMounted);
        mount(&["-t", "ramfs", "none"], &path);
        assert_eq!(guardian.suspended(&mounted), Suspension::Replaced);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert!(guardian.open_with(&mounted, Claim::Accept).new_until().is_some());
    });
}

#[test]
fn a_fresh_tmpfs_in_the_place_of_a_known_one_is_a_new_root() {
    with_private_mounts("a_fresh_tmpfs_in_the_place_of_a_known_one_is_a_new_root", || {
        let (dir, path) = place();
        mount(&TMPFS, &path);
        let guardian = Guardian::at(&dir.path().join("state"));
        drop(guardian.open(&root_at(&path)));
        unmount(&path);
        assert_eq!(guardian.suspended(&root_at(&path)), Suspension::Replaced, "nothing is mounted there");
        mount(&TMPFS, &path);
        assert!(guardian.open(&root_at(&path)).new_until().is_some());
    });
}

#[test]
fn a_root_too_full_to_be_adopted_is_guarded_and_adopted_when_there_is_room() {
    with_private_mounts("a_root_too_full_to_be_adopted_is_guarded_and_adopted_when_there_is_room", || {
        let (dir, path) = place();
        mount(&TMPFS, &path);
        let mut files = 0;
        while fs::write(path.join(files.to_string()), "").is_ok() {
            files += 1;
        }
        let guardian = Guardian::at(&dir.path().join("state"));
        let mut root = guardian.open(&root_at(&path));
        assert!(root.awaits_adoption() && root.private().is_none() && root.new_until().is_some());
        root.guarded(&OwnFiles::default(), None, 1).unwrap();
        assert_eq!(root.still_there(), RootPresence::Ready);
        // The directory's own lock keeps other guardians away meanwhile.
        assert!(
            matches!(guardian.refused(&root_at(&path)), Refusal::Held(holder) if holder.pid == Some(std::process::id()))
        );
        assert_eq!(root.try_adopt_later(&guardian.opener(), now()).unwrap(), Adoption::Waits);
        for number in 0..8 {
            fs::remove_file(path.join(number.to_string())).unwrap();
        }
        assert!(
            matches!(guardian.refused(&root_at(&path)), Refusal::Held(_)),
            "also when there is room for a file"
        );
        assert_eq!(root.try_adopt_later(&guardian.opener(), now()).unwrap(), Adoption::Complete);
        assert!(root.private().is_some());
        assert!(
            matches!(guardian.refused(&root_at(&path)), Refusal::Held(holder) if holder.ledger.is_some())
        );
    });
}

#[test]
fn a_bind_mount_of_a_part_of_another_root_is_nested() {
    with_private_mounts("a_bind_mount_of_a_part_of_another_root_is_nested", || {
        let (dir, path) = place();
        let (part, elsewhere) = (path.join("a/b"), dir.path().join("else where"));
        fs::create_dir_all(&part).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        assert!(check_nesting(&settings(&[&path, &elsewhere], "")).is_ok());
        mount(&["--bind", part.to_str().unwrap()], &elsewhere);
        let nested = check_nesting(&settings(&[&path, &elsewhere], "")).unwrap_err();
        assert!(matches!(nested, RootError::Nested { inner, .. } if inner.as_str() == "r1"));
    });
}
