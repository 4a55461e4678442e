//! Where the kernel lets no more be watched.

use super::*;

/// Runs `test` of this binary in a user namespace of its own with a kernel
/// limit set; false (and a line that says so) where that is not permitted.
fn in_namespace_with(limit: &str, value: u32, test: &str) -> bool {
    let script = format!("echo {value} > /proc/sys/user/{limit} && exec \"$0\" --exact {test} --nocapture");
    let run = Command::new("unshare")
        .args(["-Ur", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("GUARDIAN_TEST_LIMIT", value.to_string())
        .output();
    match run {
        Ok(run) if run.status.success() => {
            assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"), "the inner test did not run");
            true
        }
        Ok(run) if String::from_utf8_lossy(&run.stdout).contains("running 1 test") => {
            panic!("{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
        }
        other => {
            eprintln!("skipped: no user namespace with {limit} to be had here: {other:?}");
            false
        }
    }
}

fn add_subdirectories(watcher: &Watcher, tree: &Path, count: usize) -> Vec<Added> {
    (0..count)
        .map(|n| {
            let dir = tree.join(n.to_string());
            fs::create_dir(&dir).unwrap();
            watcher.add(id(&dir), File::open(&dir).unwrap().as_fd(), FILES)
        })
        .collect()
}

#[test]
fn past_the_limit_of_watches_the_rest_is_told_to_be_unwatched() {
    if std::env::var_os("GUARDIAN_TEST_LIMIT").is_none() {
        let test = "watch::tests::limits::past_the_limit_of_watches_the_rest_is_told_to_be_unwatched";
        in_namespace_with("max_inotify_watches", 5, test);
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let watcher = watcher();
    let added = add_subdirectories(&watcher, tree.path(), 8);
    assert!(added[..5].iter().all(|added| matches!(added, Added::Watched)), "{added:?}");
    assert!(added[5..].iter().all(|added| matches!(added, Added::LimitReached(Limit::Watches))), "{added:?}");
    assert_eq!(watcher.status().directories, 5);
    assert!(Limit::Watches.help().contains("fs.inotify.max_user_watches"));
    // Room again: the next one is watched.
    watcher.remove(id(&tree.path().join("0")));
    add(&watcher, &tree.path().join("7"), FILES);
}

#[test]
fn past_the_limit_of_instances_the_shards_grow() {
    if std::env::var_os("GUARDIAN_TEST_LIMIT").is_none() {
        let test = "watch::tests::limits::past_the_limit_of_instances_the_shards_grow";
        if in_namespace_with("max_inotify_instances", 2, test) {
            in_namespace_with("max_inotify_instances", 0, test);
        }
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let watcher = Watcher::start(Settings { shard_size: 3, ..Settings::default() }, || ());
    let added = add_subdirectories(&watcher, tree.path(), 30);
    if std::env::var("GUARDIAN_TEST_LIMIT").unwrap() == "0" {
        assert!(
            added.iter().all(|added| matches!(added, Added::LimitReached(Limit::Instances))),
            "{added:?}"
        );
    } else {
        assert!(added.iter().all(|added| matches!(added, Added::Watched)), "{added:?}");
        assert_eq!(watcher.status().instances, 2);
    }
}
