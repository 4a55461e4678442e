//! Behaviour on real directories.

mod limits;
mod measures;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;

const FILES: Kinds = Kinds { writes: false, attributes: false };

fn watcher() -> Watcher {
    Watcher::start(Settings::default(), || ())
}

fn id(dir: &Path) -> DirId {
    DirId { root: 1, ino: fs::metadata(dir).unwrap().ino() }
}

fn add(watcher: &Watcher, dir: &Path, kinds: Kinds) -> DirId {
    let open = File::open(dir).unwrap();
    let added = watcher.add(id(dir), open.as_fd(), kinds);
    assert!(matches!(added, Added::Watched), "{added:?}");
    id(dir)
}

fn names(batch: &Batch) -> Vec<(DirId, String, What)> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    batch.seen.iter().map(|seen| (seen.dir, text(&seen.name), seen.what)).collect()
}

fn heard(watcher: &Watcher) -> Vec<(DirId, String, What)> {
    watcher.drain();
    names(&watcher.take())
}

#[test]
fn what_happens_to_names_is_heard_in_order() {
    let tree = tempfile::tempdir().unwrap();
    let watcher = watcher();
    let dir = add(&watcher, tree.path(), FILES);
    let mut file = File::create(tree.path().join("a")).unwrap();
    file.write_all(b"x").unwrap();
    drop(file);
    fs::create_dir(tree.path().join("sub")).unwrap();
    fs::rename(tree.path().join("a"), tree.path().join("b")).unwrap();
    File::open(tree.path().join("b")).unwrap();
    fs::remove_file(tree.path().join("b")).unwrap();

    let heard = heard(&watcher);
    let [created, closed, folder, from, to, removed] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(*created, (dir, "a".into(), What::Created));
    assert_eq!(*closed, (dir, "a".into(), What::Closed));
    assert_eq!(*folder, (dir, "sub".into(), What::Created));
    let (What::MovedFrom { cookie }, What::MovedTo { cookie: same }) = (from.2, to.2) else {
        panic!("{heard:?}")
    };
    assert_eq!((cookie, from.1.as_str(), to.1.as_str()), (same, "a", "b"));
    assert_eq!(*removed, (dir, "b".into(), What::Removed));
}

#[test]
fn writes_and_attributes_are_heard_only_where_asked_for() {
    let tree = tempfile::tempdir().unwrap();
    let (quiet, loud) = (tree.path().join("quiet"), tree.path().join("loud"));
    let watcher = watcher();
    for (dir, kinds) in [(&quiet, FILES), (&loud, Kinds { writes: true, attributes: true })] {
        fs::create_dir(dir).unwrap();
        File::create(dir.join("f")).unwrap();
        add(&watcher, dir, kinds);
    }
    let keep_open: Vec<File> = [&quiet, &loud]
        .map(|dir| {
            let mut file = File::options().append(true).open(dir.join("f")).unwrap();
            file.write_all(b"x").unwrap();
            fs::set_permissions(dir.join("f"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            file
        })
        .into();
    let heard = heard(&watcher);
    assert!(heard.iter().all(|(dir, ..)| *dir == id(&loud)), "{heard:?}");
    let whats: HashSet<What> = heard.iter().map(|(_, _, what)| *what).collect();
    assert_eq!(whats, HashSet::from([What::Written, What::Attributes]));
    drop(keep_open);
}

#[test]
fn names_are_bytes_of_any_kind() {
    let tree = tempfile::tempdir().unwrap();
    let watcher = watcher();
    let dir = add(&watcher, tree.path(), FILES);
    let hostile: Vec<Vec<u8>> = vec![
        b"..".repeat(3),
        b"new\nline".to_vec(),
        b"\xff\xfe".to_vec(),
        b"fd".to_vec(),
        b"\x1b[2J".to_vec(),
        vec![b'x'; 255],
        b" ".to_vec(),
        "\u{202e}".into(),
        b"5".to_vec(),
    ];
    for name in &hostile {
        fs::create_dir(tree.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }
    watcher.drain();
    let batch = watcher.take();
    let heard: Vec<Vec<u8>> = batch.seen.iter().map(|seen| seen.name.to_vec()).collect();
    assert_eq!(heard, hostile);
    assert!(batch.seen.iter().all(|seen| seen.dir == dir && seen.is_dir == Some(true)));
}

#[test]
fn a_renamed_directory_stays_watched_with_all_beneath_it() {
    let tree = tempfile::tempdir().unwrap();
    let deep = tree.path().join("a/b/c");
    fs::create_dir_all(&deep).unwrap();
    let watcher = watcher();
    let ids = ["", "a", "a/b", "a/b/c"].map(|sub| add(&watcher, &tree.path().join(sub), FILES));
    fs::create_dir(tree.path().join("else")).unwrap();
    fs::rename(tree.path().join("a"), tree.path().join("else/z")).unwrap();
    // A new directory takes the old name: its watch must be its own.
    fs::create_dir(tree.path().join("a")).unwrap();
    let new = add(&watcher, &tree.path().join("a"), FILES);
    watcher.take();
    for sub in ["else/z/1", "else/z/b/2", "else/z/b/c/3", "a/4"] {
        fs::create_dir(tree.path().join(sub)).unwrap();
    }
    let heard: HashSet<_> = heard(&watcher).into_iter().filter(|(_, name, _)| name.len() == 1).collect();
    let expected = [(ids[1], "1"), (ids[2], "2"), (ids[3], "3"), (new, "4")];
    let expected: HashSet<_> =
        expected.into_iter().map(|(dir, name)| (dir, name.to_owned(), What::Created)).collect();
    assert!(expected.is_subset(&heard), "{heard:?}");
    assert_eq!(watcher.status().directories, 5);
}

#[test]
fn a_removed_directory_gives_its_watch_back() {
    let tree = tempfile::tempdir().unwrap();
    let watcher = Watcher::start(Settings { shard_size: 10, max_shards: 4, ..Settings::default() }, || ());
    let root = add(&watcher, tree.path(), FILES);
    for round in 0..5 {
        let dirs: Vec<_> = (0..100).map(|n| tree.path().join(format!("{round}-{n}"))).collect();
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
            add(&watcher, dir, FILES);
        }
        assert_eq!(watcher.status().directories, 101);
        // Half of them are removed by others, half are given up first.
        for dir in &dirs[50..] {
            watcher.remove(id(dir));
        }
        let gone: HashSet<DirId> = dirs[..50].iter().map(|dir| id(dir)).collect();
        for dir in &dirs {
            fs::remove_dir(dir).unwrap();
        }
        let ended = heard(&watcher)
            .into_iter()
            .filter(|(_, _, what)| *what == What::DirectoryGone)
            .map(|(dir, ..)| dir)
            .collect::<HashSet<_>>();
        assert_eq!(ended, gone);
        assert_eq!(watcher.status().directories, 1);
        assert_eq!(watcher.status().instances, 4);
    }
    File::create(tree.path().join("last")).unwrap();
    assert!(heard(&watcher).contains(&(root, "last".into(), What::Created)));
}

#[test]
fn a_directory_added_again_is_watched_once() {
    let tree = tempfile::tempdir().unwrap();
    let watcher = Watcher::start(Settings { shard_size: 1, max_shards: 3, ..Settings::default() }, || ());
    for _ in 0..7 {
        add(&watcher, tree.path(), FILES);
    }
    fs::create_dir(tree.path().join("d")).unwrap();
    assert_eq!(heard(&watcher), [(id(tree.path()), "d".into(), What::Created)]);
    watcher.remove(id(tree.path()));
    fs::create_dir(tree.path().join("e")).unwrap();
    assert_eq!(heard(&watcher), []);
    assert_eq!(watcher.status().directories, 0);
}

#[test]
fn adding_and_removing_from_many_threads_never_crosses_two_directories() {
    let tree = tempfile::tempdir().unwrap();
    let watcher = Watcher::start(Settings { shard_size: 8, max_shards: 3, ..Settings::default() }, || ());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (watcher, base) = (&watcher, tree.path().join(format!("t{thread}")));
            scope.spawn(move || {
                fs::create_dir(&base).unwrap();
                for n in 0..150 {
                    let dir = base.join(n.to_string());
                    fs::create_dir(&dir).unwrap();
                    let known = add(watcher, &dir, FILES);
                    if n % 3 == 0 {
                        watcher.remove(known);
                    }
                    if n % 3 < 2 {
                        fs::remove_dir(&dir).unwrap();
                    }
                }
            });
        }
    });
    watcher.drain();
    watcher.take();
    let mut expected = HashSet::new();
    for thread in 0..4 {
        for n in (2..150).step_by(3) {
            let dir = tree.path().join(format!("t{thread}/{n}"));
            let name = format!("f{thread}-{n}");
            fs::create_dir(dir.join(&name)).unwrap();
            expected.insert((id(&dir), name, What::Created));
        }
    }
    assert_eq!(heard(&watcher).into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(watcher.status().directories, expected.len());
}

#[test]
fn an_overflow_of_the_kernel_queue_names_every_directory_of_the_shard() {
    let tree = tempfile::tempdir().unwrap();
    let (busy, calm) = (tree.path().join("busy"), tree.path().join("calm"));
    let stopped = Arc::new(Mutex::new(()));
    let gate = Arc::clone(&stopped);
    let watcher = Watcher::start(Settings::default(), move || drop(gate.lock().unwrap()));
    for dir in [&busy, &calm] {
        fs::create_dir(dir).unwrap();
        add(&watcher, dir, FILES);
    }
    let hold = stopped.lock().unwrap();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for n in 0..limit.trim().parse::<usize>().unwrap() / 2 + 1_000 {
        File::create(busy.join(n.to_string())).unwrap();
    }
    drop(hold);
    watcher.drain();
    let lost: HashSet<DirId> = watcher.take().lost.into_iter().collect();
    assert_eq!(lost, HashSet::from([id(&busy), id(&calm)]));
    assert_eq!(watcher.status().overflows, 1);
    File::create(calm.join("after")).unwrap();
    assert!(heard(&watcher).contains(&(id(&calm), "after".into(), What::Created)));
}

#[test]
fn the_reader_is_woken_without_asking() {
    let tree = tempfile::tempdir().unwrap();
    let reader = std::thread::current();
    let watcher = Watcher::start(Settings::default(), move || reader.unpark());
    add(&watcher, tree.path(), FILES);
    File::create(tree.path().join("f")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while watcher.take().is_empty() {
        std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        assert!(Instant::now() < deadline, "nobody woke the reader");
    }
}
