//! What a root comes with and leaves: earlier rows, own files, no watches, an end.

use super::*;

#[test]
fn after_a_restart_the_rows_serve_at_once_and_what_changed_meanwhile_is_found() {
    let Setup { tree, state, index, ingest, task } = Setup::new(|tree| plant(tree, 10, 10));
    assert!(ingest.join());
    drop(index);
    fs::remove_dir_all(tree.path().join("d1")).unwrap();
    fs::write(tree.path().join("d2/e/f3"), b"longer than before").unwrap();
    fs::rename(tree.path().join("d3"), tree.path().join("d4/e/d3")).unwrap();
    fs::create_dir(tree.path().join("fresh")).unwrap();
    let index = open_index(state.path());
    let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
    ingest.handle().add_root(task.clone()).unwrap();
    let setup = Setup { tree, state, index, ingest, task };
    wait_for("compared", || setup.status().confidence == Confidence::Exact && setup.status().directories > 1);
    setup.assert_equal();
    assert!(setup.status().drift > 0 && setup.status().last_reconcile.is_some());
    assert_eq!(setup.status().state, RootState::Ready);
    fs::write(setup.path("fresh/f"), b"x").unwrap();
    setup.assert_equal();
    drop(setup.state);
}

#[test]
fn rows_of_other_settings_are_built_anew() {
    let Setup { tree, state, index, ingest, mut task } = Setup::new(|tree| plant(tree, 2, 2));
    assert!(ingest.join());
    task.fingerprint = 8;
    let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
    ingest.handle().add_root(task.clone()).unwrap();
    let setup = Setup { tree, state, index, ingest, task };
    setup.assert_equal();
    assert_eq!(setup.index.snapshot().unwrap().root(KEY).unwrap().unwrap().fingerprint, 8);
    drop(setup.state);
}

#[test]
fn guardians_own_files_never_get_in() {
    let prepare = |tree: &Path| {
        plant(tree, 2, 2);
        fs::create_dir_all(tree.join(".guardian/trash")).unwrap();
        fs::write(tree.join("own.log"), b"x").unwrap();
    };
    let setup = Setup::with(settings(), prepare, |task| {
        let path = task.dir.path();
        let own = ["own.log", "d1"].map(|own| fs::metadata(path.join(own)).unwrap());
        task.exclusions = Arc::new(own.iter().map(|meta| (meta.dev(), meta.ino())).collect());
    });
    setup.settle();
    fs::write(setup.path(".guardian/secret"), b"x").unwrap();
    fs::write(setup.path("own.log"), b"more").unwrap();
    fs::write(setup.path("d1/e/new"), b"more").unwrap();
    fs::rename(setup.path("own.log"), setup.path("d0/own.log")).unwrap();
    setup.settle();
    let own = [&b".guardian"[..], b"own.log", b"d1/", b"d0/own.log"];
    let leaked: Vec<_> =
        setup.indexed().into_keys().filter(|path| own.iter().any(|own| path.starts_with(own))).collect();
    assert_eq!(leaked, Vec::<Vec<u8>>::new());
    assert_eq!(setup.indexed().len(), 4);
}

#[test]
fn what_the_sweep_removed_is_gone_from_the_index_before_any_event() {
    let setup = Setup::with(settings(), |tree| plant(tree, 1, 3), |task| task.watch = false);
    setup.settle();
    let dir = fs::metadata(setup.path("d0/e")).unwrap().ino();
    fs::remove_file(setup.path("d0/e/f1")).unwrap();
    setup.ingest.handle().look_at(KEY, vec![(dir, b"f1"[..].into())]).unwrap();
    setup.assert_equal();
    assert_eq!(setup.status().state, RootState::Unwatched);
}

#[test]
fn unwatched_directories_are_listed_again_and_again() {
    let settings = Settings { unwatched_interval: Duration::from_millis(30), ..settings() };
    let setup = Setup::with(settings, |tree| plant(tree, 3, 3), |task| task.watch = false);
    setup.settle();
    fs::write(setup.path("d0/e/new"), b"x").unwrap();
    fs::create_dir_all(setup.path("x/y/z")).unwrap();
    fs::remove_dir_all(setup.path("d1")).unwrap();
    wait_for("index equals disk", || setup.indexed() == on_disk(setup.tree.path()));
}

#[test]
fn a_file_being_written_counts_as_it_grows() {
    let setup = Setup::with(settings(), |_| (), |task| task.kinds.writes = true);
    let mut file = File::create(setup.path("growing")).unwrap();
    let handle = setup.ingest.handle();
    for _ in 0..5 {
        file.write_all(&[1; 100_000]).unwrap();
        let allocated = fs::metadata(setup.path("growing")).unwrap().blocks() * 512;
        assert_eq!(handle.allocated_now(KEY, later()).unwrap(), allocated);
    }
    drop(file);
    fs::remove_file(setup.path("growing")).unwrap();
    assert_eq!(handle.allocated_now(KEY, later()).unwrap(), 0);
}

#[test]
fn a_root_that_was_taken_away_is_left_alone() {
    let setup = Setup::new(|tree| plant(tree, 2, 2));
    let handle = setup.ingest.handle();
    handle.remove_root(KEY).unwrap();
    assert!(matches!(handle.settle(KEY, later()), Err(IngestError::UnknownRoot(KEY))));
    assert_eq!(handle.status(KEY), None);
    handle.add_root(setup.task.clone()).unwrap();
    setup.assert_equal();
}

#[test]
fn a_stop_makes_the_index_durable() {
    let setup = Setup::new(|tree| plant(tree, 2, 2));
    fs::write(setup.path("last"), b"x").unwrap();
    setup.settle();
    let Setup { tree, state, index, ingest, task } = setup;
    let handle = ingest.handle();
    assert!(ingest.join());
    assert!(matches!(handle.settle(KEY, later()), Err(IngestError::Stopped)));
    drop(index);
    assert_same(&indexed(&open_index(state.path()), task.dir.ino()), &on_disk(tree.path()));
}

#[test]
fn raising_the_token_stops_it() {
    let state = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ingest = Ingest::start(open_index(state.path()), settings(), Arc::clone(&stop)).unwrap();
    assert!(!ingest.has_ended());
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(ingest.join());
}
