//! No room for watches, none for the index.

use super::*;

const LIMITED: &str = "GUARDIAN_TEST_LIMIT";

#[test]
fn past_the_limit_of_watches_the_rest_is_listed_periodically() {
    if std::env::var_os(LIMITED).is_none() {
        let test = "ingest::tests::limits::past_the_limit_of_watches_the_rest_is_listed_periodically";
        let script = format!("echo 8 > /proc/sys/user/max_inotify_watches && exec \"$0\" --exact {test}");
        let exe = std::env::current_exe().unwrap();
        let run =
            Command::new("unshare").args(["-Ur", "sh", "-c", &script]).arg(exe).env(LIMITED, "1").output();
        match run {
            Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
                assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
            }
            other => eprintln!("skipped: no user namespace with a watch limit to be had here: {other:?}"),
        }
        return;
    }
    let settings = Settings { unwatched_interval: Duration::from_millis(50), ..settings() };
    let setup = Setup::with(settings, |tree| plant(tree, 10, 3), |_| ());
    setup.settle();
    let status = setup.status();
    assert_eq!((status.state, status.watched, status.unwatched), (RootState::Unwatched, 8, 13));
    assert_eq!(status.limit, Some(crate::watch::Limit::Watches));
    assert!(!status.unwatched_examples.is_empty());
    for dir in 0..10 {
        fs::write(setup.path(&format!("d{dir}/e/new")), b"x").unwrap();
        fs::create_dir_all(setup.path(&format!("d{dir}/more/deep"))).unwrap();
    }
    wait_for("index equals disk", || setup.indexed() == on_disk(setup.tree.path()));
    // When there is room again, they are watched.
    for dir in 1..10 {
        fs::remove_dir_all(setup.path(&format!("d{dir}"))).unwrap();
    }
    wait_for("all is watched", || setup.status().state == RootState::Ready);
    setup.assert_equal();
}

const SMALL_VOLUME: &str = "GUARDIAN_TEST_SMALL_VOLUME";

#[test]
fn while_the_index_has_no_room_changes_wait_and_then_go_in() {
    let Some(volume) = std::env::var_os(SMALL_VOLUME).map(PathBuf::from) else {
        let test = "ingest::tests::limits::while_the_index_has_no_room_changes_wait_and_then_go_in";
        let script =
            format!("mount -t tmpfs -o size=12m tmpfs ${SMALL_VOLUME} && exec \"$0\" --exact {test}");
        let volume = tempfile::tempdir().unwrap();
        let run = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env(SMALL_VOLUME, volume.path())
            .output();
        match run {
            Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
                assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
            }
            other => eprintln!("skipped: no small volume to be had here: {other:?}"),
        }
        return;
    };
    let tree = tempfile::tempdir().unwrap();
    plant(tree.path(), 5, 5);
    let index = open_index(&volume);
    let settings = Settings { flush_interval: Duration::from_millis(50), ..settings() };
    let ingest = Ingest::start(index.clone(), settings, Arc::default()).unwrap();
    let (handle, task) = (ingest.handle(), task(tree.path()));
    handle.add_root(task.clone()).unwrap();
    handle.settle(KEY, later()).unwrap();
    let mut ballast = File::create(volume.join("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
    for n in 0.. {
        let dir = tree.path().join(format!("more{n}"));
        fs::create_dir(&dir).unwrap();
        (0..500)
            .for_each(|file| drop(File::create(dir.join(format!("a-rather-long-name-of-a-file-{file}")))));
        let _ = handle.settle(KEY, Instant::now() + Duration::from_secs(1));
        if handle.status(KEY).unwrap().trouble.is_some() {
            break;
        }
        assert!(n < 100, "the volume never filled up");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(tree.path().join("d1")).unwrap();
    drop(ballast);
    fs::remove_file(volume.join("ballast")).unwrap();
    wait_for("the index takes changes again", || handle.status(KEY).unwrap().trouble.is_none());
    wait_for("index equals disk", || indexed(&index, task.dir.ino()) == on_disk(tree.path()));
    assert!(ingest.join());
}
