//! Orphans, failed jobs and what protects a file.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::model::{JobState, Policy};

use super::{HOUR, World};

#[test]
fn a_dry_run_names_exactly_the_files_that_the_run_then_removes() {
    let world = World::new();
    for n in 0..25 {
        world.file(&format!("d{}/old_{n}", n % 3), 10, 30 * HOUR + n);
        world.file(&format!("d{}/young_{n}", n % 3), 10, HOUR);
    }
    world.job("alive", JobState::Active, 0);
    world.file("job_alive_x", 10, 300 * HOUR);
    let before = world.files();
    let orders = world.orders(Policy::Orphans);
    let planned = world.planned(&orders);
    assert_eq!(world.files(), before, "planning changes nothing");
    assert_eq!(planned.len(), 25);
    let (report, _) = world.run(&orders);
    let gone: HashSet<PathBuf> = before.difference(&world.files()).cloned().collect();
    assert_eq!(gone, planned.iter().cloned().collect());
    assert_eq!(report.files_deleted, 25);
    let listed = report.actions.unwrap();
    assert_eq!(listed.len(), 25);
    assert_eq!(report.errors_total, 0);
}

#[test]
fn the_oldest_goes_first() {
    let world = World::new();
    for n in [3_u64, 1, 2] {
        world.file(&format!("d{n}/f"), 10, (24 + n) * HOUR);
    }
    let planned = world.planned(&world.orders(Policy::Orphans));
    let expected: Vec<PathBuf> = [3, 2, 1].iter().map(|n| world.path(&format!("d{n}/f"))).collect();
    assert_eq!(planned, expected);
}

#[test]
fn a_living_job_keeps_its_files_by_any_reading_of_any_component() {
    let world = World::new();
    world.job("my_job", JobState::Active, 0);
    world.job("waiting", JobState::Pending, 0);
    let kept = [
        world.file("job_my_job_x", 10, 99 * HOUR),
        world.file("deep/job_my_job/any/file", 10, 99 * HOUR),
        world.file("job_waiting_chunk_1_a", 10, 99 * HOUR),
    ];
    let gone = world.file("job_other_x", 10, 99 * HOUR);
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert!(kept.iter().all(|path| path.exists()));
    assert!(!gone.exists());
    assert_eq!(report.skipped["active_job"], 3);
}

#[test]
fn a_job_that_starts_after_the_plan_keeps_its_files() {
    let world = World::new();
    let path = world.file("job_late_x", 10, 99 * HOUR);
    let observer = super::Observer::default();
    // Between the decision and the removal the job is registered.
    std::thread::scope(|scope| {
        let world = &world;
        let (tell, wait) = std::sync::mpsc::channel::<()>();
        let (done, registered) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            if wait.recv().is_ok() {
                world.job("late", JobState::Active, 0);
                done.send(()).unwrap();
            }
        });
        *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
            let _ = tell.send(());
            let _ = registered.recv();
        }));
        let report = world.run_with(&world.orders(Policy::Orphans), &observer);
        assert_eq!(report.skipped["active_job"], 1);
        *observer.before_removal.lock().unwrap() = None;
    });
    assert!(path.exists());
}

#[test]
fn a_file_that_changed_after_the_plan_stays() {
    let world = World::new();
    let written = world.file("written", 10, 99 * HOUR);
    let replaced = world.file("replaced", 10, 99 * HOUR);
    let observer = super::Observer::default();
    let (one, other) = (written.clone(), replaced.clone());
    *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
        fs::write(&one, b"precious").unwrap();
        let beside = other.with_extension("new");
        fs::write(&beside, b"precious").unwrap();
        fs::rename(&beside, &other).unwrap();
    }));
    let report = world.run_with(&world.orders(Policy::Orphans), &observer);
    assert_eq!(report.skipped["changed"], 2);
    assert_eq!(fs::read(written).unwrap(), b"precious");
    assert_eq!(fs::read(replaced).unwrap(), b"precious");
}

#[test]
fn an_open_file_stays_and_the_rest_goes_on() {
    let world = World::new();
    let open = world.file("open", 10, 99 * HOUR);
    let closed = world.file("closed", 10, 99 * HOUR);
    let holder = fs::File::open(&open).unwrap();
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert!(open.exists() && !closed.exists());
    assert_eq!(report.skipped["in_use"], 1);
    drop(holder);
}

#[test]
fn links_of_one_file_go_together_and_its_bytes_count_once() {
    let world = World::new();
    let first = world.file("a/first", 8192, 99 * HOUR);
    fs::create_dir_all(world.path("b")).unwrap();
    fs::hard_link(&first, world.path("b/second")).unwrap();
    fs::hard_link(&first, world.path("b/third")).unwrap();
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert!(world.files().is_empty(), "{:?}", world.files());
    assert_eq!(report.files_deleted, 3);
    assert_eq!(report.bytes_freed, 8192);
}

#[test]
fn a_symbolic_link_goes_as_itself_and_never_what_it_points_to() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, b"x").unwrap();
    symlink(&precious, world.path("link")).unwrap();
    symlink(outside.path(), world.path("dirlink")).unwrap();
    let old = rustix::fs::Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
    for name in ["link", "dirlink"] {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, world.path(name), &times, flags).unwrap();
    }
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert_eq!(report.files_deleted, 2);
    assert!(precious.exists());
}

#[test]
fn hostile_names_are_removed_like_any_other() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let mut names: Vec<Vec<u8>> =
        [&b"new\nline"[..], b"--", b"-rf", b"quote\"'", b"\xff\xfe", b"\x1b[31mred", b" ", b"*", b"tab\t"]
            .iter()
            .map(|name| name.to_vec())
            .collect();
    names.push(vec![b'n'; 255]);
    for name in &names {
        let path = world.path("").join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, b"x").unwrap();
        world.age(&path, 99 * HOUR);
    }
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert_eq!(report.files_deleted, names.len() as u64);
    assert!(world.files().is_empty());
}

#[test]
fn protected_names_and_fifos_stay() {
    let world = World::new();
    let kept = world.file("model.keep", 10, 999 * HOUR);
    let fifo = world.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let report = world.run(&world.orders(Policy::Orphans)).0;
    assert_eq!(report.files_deleted, 0);
    assert!(kept.exists() && fifo.symlink_metadata().is_ok());
    assert_eq!(report.skipped["protected"], 1);
}

#[test]
fn failed_jobs_lose_their_files_after_their_retention_and_completed_results_stay() {
    let world = World::new();
    world.job("broken", JobState::Failed, 2 * HOUR);
    world.job("fresh", JobState::Failed, 60);
    let old = world.file("job_broken/part/data", 10, 3 * HOUR);
    let fresh = world.file("job_fresh_data", 10, 3 * HOUR);
    let (report, _) = world.run(&world.orders(Policy::FailedJobs));
    assert!(!old.exists() && fresh.exists());
    assert_eq!(report.files_deleted, 1);
}

#[test]
fn directories_that_the_run_emptied_go_unless_they_are_young_or_children_of_the_root() {
    let world = World::new();
    let age_dir = |relative: &str, age: u64| {
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        fs::File::open(world.path(relative)).unwrap().set_modified(old).unwrap();
    };
    for path in ["top/old/deep/f", "top/young/f", "job_gone/f"] {
        world.file(path, 10, 99 * HOUR);
    }
    fs::create_dir_all(world.path("top/was_empty")).unwrap();
    for path in ["top/old/deep", "top/old", "top/was_empty", "job_gone", "top"] {
        age_dir(path, 99 * HOUR);
    }
    age_dir("top/young", HOUR);
    world.run(&world.orders(Policy::Orphans));
    assert!(!world.path("top/old").exists(), "emptied by us, old before");
    assert!(world.path("top/young").exists(), "touched within the orphan age");
    assert!(world.path("top/was_empty").exists(), "not emptied by us");
    assert!(world.path("top").exists(), "a child of the root");
    assert!(!world.path("job_gone").exists(), "a child of the root, but a job's");
}

#[test]
fn max_files_ends_a_run_and_the_next_one_goes_on() {
    let world = World::new();
    for n in 0..30 {
        world.file(&format!("f{n}"), 10, 99 * HOUR + n);
    }
    let mut orders = world.orders(Policy::Orphans);
    orders.max_files = Some(12);
    assert_eq!(world.planned(&orders).len(), 12);
    assert_eq!(world.run(&orders).0.files_deleted, 12);
    assert_eq!(world.run(&orders).0.files_deleted, 12);
    assert_eq!(world.run(&orders).0.files_deleted, 6);
}

#[test]
fn a_cancelled_run_ends_after_its_batch() {
    let world = World::new();
    for n in 0..30 {
        world.file(&format!("f{n}"), 10, 99 * HOUR + n);
    }
    let observer = super::Observer::default();
    *observer.cancel_after.lock().unwrap() = Some(2);
    let report = world.run_with(&world.orders(Policy::Orphans), &observer);
    assert_eq!(report.files_deleted, 20);
    assert_eq!(world.files().len(), 10);
}

#[test]
fn a_tree_that_somebody_holds_by_flock_stays() {
    let world = World::new();
    let held = world.file("held/deep/f", 10, 99 * HOUR);
    let free = world.file("free/f", 10, 99 * HOUR);
    let dir = world.path("held");
    // Another process: our own locks on directories are guardian's.
    let mut holder = std::process::Command::new("flock")
        .arg(&dir)
        .args(["sh", "-c", "echo held; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut said)
        .unwrap();
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(held.exists() && !free.exists());
    assert_eq!(report.skipped["held"], 1);
}

#[test]
fn a_file_marked_to_expire_later_is_no_orphan_yet() {
    let world = World::new();
    let mark = |path: &std::path::Path, at: &str| {
        rustix::fs::setxattr(path, "user.guardian.expires", at.as_bytes(), rustix::fs::XattrFlags::empty())
    };
    let later = world.file("later", 10, 50 * HOUR);
    let past = world.file("past", 10, 50 * HOUR);
    if let Err(error) = mark(&later, "2200-01-01T00:00:00Z").and_then(|()| mark(&past, "1000000000")) {
        eprintln!("skipped: this file system has no user marks: {error}");
        return;
    }
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert!(later.exists() && !past.exists());
    assert_eq!(report.skipped["held"], 1);
}

#[test]
fn a_configuration_file_that_was_saved_by_renaming_stays_ours() {
    let mut world = World::new();
    let file = world.file("guardian.toml", 10, 99 * HOUR);
    let other = world.file("other", 10, 99 * HOUR);
    let files: std::sync::Arc<[_]> = vec![file.clone()].into();
    let known = std::sync::Arc::new(crate::sys::own_file::identities(&files));
    world.root.own = super::super::root::OwnFiles { known, files };
    // As editors save: a new file, renamed over the old one.
    fs::rename(world.file("guardian.toml.new", 20, 98 * HOUR), &file).unwrap();
    let orders = world.orders(Policy::Orphans);
    assert_eq!(world.planned(&orders), [other]);
    let (report, _) = world.run(&orders);
    assert_eq!((report.files_deleted, report.skipped["protected"]), (1, 1));
    assert_eq!(world.files().into_iter().collect::<Vec<_>>(), [file]);
}

#[test]
fn no_more_goes_than_was_judged_though_more_became_due() {
    for (files, bytes) in [(3, u64::MAX), (u64::MAX, 3 * 8192), (u64::MAX, 4 * 8192 - 1)] {
        let world = World::new();
        for n in 0..9 {
            world.file(&format!("f{n}"), 8192, 99 * HOUR - n);
        }
        let mut orders = world.orders(Policy::Orphans);
        orders.batch = Some(2);
        orders.at_most.insert(world.root.name.clone(), crate::policy::Amount { files, bytes });
        let (report, _) = world.run(&orders);
        assert_eq!(report.files_deleted, 3, "{files} {bytes}");
        assert!(report.notes.iter().any(|note| note.contains("max_share")), "{:?}", report.notes);
    }
    let world = World::new();
    let links = [world.file("a", 8192, 99 * HOUR), world.path("b")];
    fs::hard_link(&links[0], &links[1]).unwrap();
    let mut orders = world.orders(Policy::Orphans);
    let one = crate::policy::Amount { files: 1, bytes: u64::MAX };
    orders.at_most.insert(world.root.name.clone(), one);
    assert_eq!(world.run(&orders).0.files_deleted, 0, "both links or none");
}
