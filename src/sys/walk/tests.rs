use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::sys::trees::{Tree, deep, mount_tmpfs, rel, tree, with_private_mounts};

fn listings(walk: Walk<'_>) -> (Vec<Listing>, Vec<RelPath>) {
    let found = Mutex::new((Vec::new(), Vec::new()));
    walk.run(|what| {
        let mut found = found.lock().unwrap();
        match what {
            Found::Directory(listing) => found.0.push(listing),
            Found::Unread { path, .. } => found.1.push(path),
        }
    })
    .unwrap();
    found.into_inner().unwrap()
}

fn paths(listings: &[Listing]) -> BTreeSet<RelPath> {
    listings.iter().flat_map(|l| l.entries.iter().map(|e| l.path.join(&e.name))).collect()
}

fn walked(tree: &Tree, threads: usize) -> BTreeSet<RelPath> {
    paths(&listings(Walk::new(&tree.root).threads(NonZeroUsize::new(threads).unwrap())).0)
}

#[test]
fn every_entry_is_found_once_by_any_number_of_threads() {
    let tree = tree();
    let mut expected = BTreeSet::new();
    for outer in 0..20 {
        expected.insert(rel(&format!("d{outer}")));
        for inner in 0..10 {
            let path = format!("d{outer}/e{inner}");
            fs::create_dir_all(tree.path.join(&path)).unwrap();
            fs::write(tree.path.join(&path).join("f"), b"x").unwrap();
            expected.extend([rel(&path), rel(&format!("{path}/f"))]);
        }
    }
    for threads in [1, 2, 7] {
        let (found, unread) = listings(Walk::new(&tree.root).threads(NonZeroUsize::new(threads).unwrap()));
        assert_eq!(found.len(), 221);
        assert_eq!(found.iter().map(|l| l.entries.len()).sum::<usize>(), expected.len());
        assert_eq!(paths(&found), expected);
        assert!(unread.is_empty());
    }
}

#[test]
fn any_name_that_the_kernel_takes_is_listed() {
    let tree = tree();
    let names: [&[u8]; 4] = [b"line\nbreak", b"not\xff\xfeutf8", &[b'n'; 255], b" "];
    names.iter().for_each(|name| drop(tree.file(name)));
    let found = walked(&tree, 1);
    assert_eq!(found, names.iter().map(|n| RelPath::root().join(n)).collect());
}

#[test]
fn trees_deeper_than_path_max_and_than_the_descriptor_bound_are_walked() {
    let tree = tree();
    // Two directories on each level, so that handles of parents are kept.
    let mut dir = tree.dir().reopen().unwrap();
    let name = "d".repeat(40);
    for _ in 0..400 {
        rustix::fs::mkdirat(&dir, "side", rustix::fs::Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&dir, &name, rustix::fs::Mode::RWXU).unwrap();
        dir = dir.open_child(name.as_bytes()).unwrap();
    }
    assert_eq!(walked(&tree, 2).len(), 800);
    let (_, bottom) = deep(&tree, 3, "other");
    let (found, _) = listings(Walk::new(&tree.root).start(bottom.clone()));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, bottom);
    assert_eq!(found[0].parent_ino, tree.root.open_dir(&rel("other/other")).unwrap().ino());
}

#[test]
fn links_are_listed_and_not_followed() {
    let tree = tree();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("theirs"), b"").unwrap();
    symlink(outside.path(), tree.path.join("link")).unwrap();
    assert_eq!(walked(&tree, 2), BTreeSet::from([rel("link")]));
}

#[test]
fn the_private_directory_and_excluded_inodes_are_not_seen() {
    let tree = tree();
    fs::create_dir(tree.path.join(".guardian")).unwrap();
    fs::write(tree.path.join(".guardian/ledger-id"), b"").unwrap();
    fs::create_dir_all(tree.path.join("a/.guardian")).unwrap();
    tree.file(b"socket");
    let id = tree.identity(b"socket");
    let own = HashSet::from([(id.dev, id.ino)]);
    let (found, _) = listings(Walk::new(&tree.root).exclude(&own));
    // Only directly below the root is the name guardian's.
    assert_eq!(paths(&found), BTreeSet::from([rel("a"), rel("a/.guardian")]));
}

#[test]
fn mounts_below_are_told_and_never_entered() {
    with_private_mounts(|| {
        let tree = tree();
        fs::create_dir(tree.path.join("mounted")).unwrap();
        tree.file(b"covered");
        let other = tree.file(b"other");
        mount_tmpfs(&tree.path.join("mounted"));
        fs::write(tree.path.join("mounted/theirs"), b"").unwrap();
        rustix::mount::mount_bind(&other, tree.path.join("covered")).unwrap();
        // Threads inherit the namespace of the one that starts them.
        let (found, _) = listings(Walk::new(&tree.root).threads(NonZeroUsize::new(2).unwrap()));
        assert_eq!(paths(&found), BTreeSet::from([rel("other")]));
        let problems: BTreeSet<_> = found[0].problems.iter().map(|p| p.name.clone().unwrap()).collect();
        assert_eq!(problems, BTreeSet::from([b"covered"[..].into(), b"mounted"[..].into()]));
        assert!(found[0].problems.iter().all(|p| matches!(p.kind, ProblemKind::OtherMount)));
    });
}

#[test]
fn the_hook_sees_each_directory_before_it_is_read() {
    let tree = tree();
    fs::create_dir(tree.path.join("a")).unwrap();
    // What comes into being in the hook must be in the listing: that is how no file is lost.
    let hook = |dir: &DirHandle, _: &RelPath| {
        rustix::fs::mknodat(dir, "late", rustix::fs::FileType::RegularFile, rustix::fs::Mode::RUSR, 0)
            .unwrap();
    };
    let (found, _) = listings(Walk::new(&tree.root).before(&hook));
    assert_eq!(paths(&found), BTreeSet::from([rel("a"), rel("late"), rel("a/late")]));
}

#[test]
fn a_directory_that_vanishes_is_unread_and_not_empty() {
    let tree = tree();
    fs::create_dir(tree.path.join("a")).unwrap();
    let gone = tree.path.join("a");
    let unread = Mutex::new(Vec::new());
    let end = Walk::new(&tree.root)
        .run(|found| match found {
            Found::Directory(_) => fs::remove_dir(&gone).unwrap(),
            Found::Unread { path, problem } => unread.lock().unwrap().push((path, problem)),
        })
        .unwrap();
    let unread = unread.into_inner().unwrap();
    assert!(matches!(&unread[..], [(path, ProblemKind::Vanished)] if *path == rel("a")));
    assert_eq!((end.directories, end.unread), (1, 1));
}

#[test]
fn a_raised_flag_ends_the_walk() {
    let tree = tree();
    (0..50).for_each(|n| fs::create_dir(tree.path.join(n.to_string())).unwrap());
    let stop = AtomicBool::new(false);
    let end = Walk::new(&tree.root)
        .threads(NonZeroUsize::new(2).unwrap())
        .stop_on(&stop)
        .run(|_| stop.store(true, Ordering::Relaxed))
        .unwrap();
    assert!(end.stopped);
    assert!(end.directories < 50);
}

#[test]
fn a_panic_in_a_callback_ends_the_walk_instead_of_hanging_it() {
    let tree = tree();
    (0..50).for_each(|n| fs::create_dir(tree.path.join(n.to_string())).unwrap());
    let walk = std::panic::catch_unwind(|| {
        Walk::new(&tree.root).threads(NonZeroUsize::new(3).unwrap()).run(|_| panic!("as planned"))
    });
    assert!(walk.is_err());
}

/// 200,000 files in 2,000 directories on two threads; `cargo test --release -- --ignored --nocapture measure`.
#[test]
#[ignore = "a measurement, not a statement"]
fn measure() {
    let base = std::env::var_os("GUARDIAN_MEASURE_IN").unwrap_or_else(|| "/dev/shm".into());
    let temp = tempfile::tempdir_in(base).unwrap();
    for d in 0..2000 {
        let dir = temp.path().join(format!("job_{d:05}"));
        fs::create_dir(&dir).unwrap();
        (0..100).for_each(|f| drop(fs::File::create(dir.join(format!("chunk_{f:04}.tmp"))).unwrap()));
    }
    let root = RootDir::open(temp.path()).unwrap();
    for round in 0..4 {
        let begin = std::time::Instant::now();
        let end = Walk::new(&root).threads(NonZeroUsize::new(2).unwrap()).run(|_| ()).unwrap();
        eprintln!("round {round}: {} entries in {:?}", end.entries, begin.elapsed());
    }
}
