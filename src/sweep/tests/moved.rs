//! What is moved while a run is at work.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::model::Policy;

use super::{HOUR, Observer, World};

/// Runs with `from` renamed after its directory was opened for the first
/// removal and before the last look at the file: between the two the run waits
/// for the jobs, which are kept from it until the directory has moved.
fn moved_meanwhile(world: &World, from: &str, to: PathBuf) -> crate::model::Report {
    let (begins, begun) = channel::<()>();
    let (locks, locked) = channel::<()>();
    let observer = Observer::default();
    let mut first = Some(begins);
    *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
        if let Some(begins) = first.take() {
            begins.send(()).unwrap();
            locked.recv().unwrap();
        }
    }));
    let from = world.path(from);
    let is_open = |from: &PathBuf| {
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|path| path.starts_with(from))
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            begun.recv().unwrap();
            let jobs = world.jobs.write().unwrap();
            locks.send(()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !is_open(&from) {
                assert!(Instant::now() < deadline, "the run opened no directory");
                std::thread::yield_now();
            }
            fs::rename(&from, &to).unwrap();
            drop(jobs);
        });
        world.run_with(&world.orders(Policy::Orphans), &observer)
    })
}

#[test]
fn a_tree_that_is_moved_out_of_the_root_during_a_batch_is_left_alone() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    for n in 0..5 {
        world.file(&format!("d/e/f{n}"), 10, 50 * HOUR);
    }
    let first = world.file("d/e/linked", 10, 50 * HOUR);
    fs::hard_link(&first, world.path("d/e/again")).unwrap();
    let report = moved_meanwhile(&world, "d", outside.path().join("rescued"));
    assert_eq!(report.files_deleted, 0);
    assert_eq!(fs::read_dir(outside.path().join("rescued/e")).unwrap().count(), 7);
}

#[test]
fn a_tree_that_is_moved_to_where_it_is_protected_during_a_batch_is_left_alone() {
    let world = World::new();
    for n in 0..5 {
        world.file(&format!("d/f{n}"), 10, 50 * HOUR);
    }
    let report = moved_meanwhile(&world, "d", world.path("d.keep"));
    assert_eq!(report.files_deleted, 0);
    assert_eq!(report.skipped["changed"], 5);
    assert_eq!(fs::read_dir(world.path("d.keep")).unwrap().count(), 5);
}

#[test]
fn a_run_ends_when_its_root_is_moved_away() {
    let world = World::new();
    for n in 0..30 {
        world.file(&format!("d/f{n}"), 10, 50 * HOUR);
    }
    let (root, away) = (world.path(""), world.path("").with_extension("kept"));
    let observer = Observer::default();
    let (from, to) = (root.clone(), away.clone());
    *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
        if from.exists() {
            fs::rename(&from, &to).unwrap();
        }
    }));
    let report = world.run_with(&world.orders(Policy::Orphans), &observer);
    let left = fs::read_dir(away.join("d")).unwrap().count();
    fs::rename(&away, &root).unwrap();
    assert_eq!(left, 30);
    assert!(report.notes.iter().any(|note| note.contains("no longer at its path")), "{:?}", report.notes);
}

#[test]
fn a_directory_that_its_owner_emptied_during_the_run_stays() {
    let world = World::new();
    let file = world.file("d/e/f", 10, 60 * HOUR);
    let other = world.file("other", 10, 50 * HOUR);
    world.age(&world.path("d/e"), 60 * HOUR);
    // In use when the run comes to it; then whoever uses it removes it and goes on in its directory.
    let mut open = Some(fs::File::open(&file).unwrap());
    let mut batches = 0;
    let observer = Observer::default();
    *observer.before_removal.lock().unwrap() = Some(Box::new(move || {
        batches += 1;
        if batches == 2 {
            drop(open.take());
            fs::remove_file(&file).unwrap();
        }
    }));
    let orders = super::super::run::Orders { batch: Some(1), ..world.orders(Policy::Orphans) };
    let report = world.run_with(&orders, &observer);
    assert_eq!((report.skipped["in_use"], other.exists()), (1, false));
    assert!(world.path("d/e").exists());
}
