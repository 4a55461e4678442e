//! Behaviour on real trees: whatever happens on disk, the index comes to equal it.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::model::{FileTimes, RelPath};
use crate::store::index::{Index, OpenOptions};
use crate::watch::Kinds;

const KEY: RootKey = RootKey(3);

/// Path below the root to inode and size (0 for directories).
type Entries = BTreeMap<Vec<u8>, (u64, u64)>;

struct Setup {
    tree: TempDir,
    state: TempDir,
    index: Index,
    ingest: Ingest,
    task: RootTask,
}

fn open_index(state: &Path) -> Index {
    let readings = Arc::new(|_| -> crate::store::index::Readings { Arc::new(|_: &[u8], _: &mut Vec<_>| ()) });
    Index::open(&state.join("index.redb"), OpenOptions { cache_bytes: 16 << 20, readings }).unwrap().0
}

fn task(tree: &Path) -> RootTask {
    RootTask {
        key: KEY,
        name: "scratch".parse().unwrap(),
        dir: Arc::new(RootDir::open(tree).unwrap()),
        exclusions: Arc::default(),
        watch: true,
        kinds: Kinds::default(),
        marks: true,
        age_by: FileTimes::default(),
        fingerprint: 7,
    }
}

fn settings() -> Settings {
    Settings { scan_threads: NonZeroUsize::new(2).unwrap(), ..Settings::default() }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

impl Setup {
    fn with(settings: Settings, prepare: impl FnOnce(&Path), adapt: impl FnOnce(&mut RootTask)) -> Self {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        prepare(tree.path());
        let mut task = task(tree.path());
        adapt(&mut task);
        let index = open_index(state.path());
        let ingest = Ingest::start(index.clone(), settings, Arc::default()).unwrap();
        ingest.handle().add_root(task.clone()).unwrap();
        Self { tree, state, index, ingest, task }
    }

    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let setup = Self::with(settings(), prepare, |_| ());
        setup.settle();
        setup
    }

    fn settle(&self) {
        self.ingest.handle().settle(KEY, later()).unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.tree.path().join(below)
    }

    fn indexed(&self) -> Entries {
        indexed(&self.index, self.task.dir.ino())
    }

    fn status(&self) -> RootStatus {
        self.ingest.handle().status(KEY).unwrap()
    }

    /// As [`Self::assert_equal`], but a moment later: a file that was written
    /// through a link that nobody looked at is found only by comparing everything.
    fn assert_equal_soon(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.indexed() != on_disk(self.tree.path()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.assert_equal();
    }

    /// Settles, then compares; each path that differs is named.
    fn assert_equal(&self) {
        self.settle();
        assert_same(&self.indexed(), &on_disk(self.tree.path()));
        let mut seen = HashSet::new();
        let allocated: u64 = walkdir::WalkDir::new(self.tree.path())
            .into_iter()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(|meta| !meta.is_dir() && seen.insert(meta.ino()))
            .map(|meta| meta.blocks() * 512)
            .sum();
        // The other names of a file that was linked are found a moment later.
        wait_for("bytes in the index equal those on disk", || {
            let counters = self.index.snapshot().unwrap().counters(KEY).unwrap();
            counters.allocated_bytes == allocated
        });
    }
}

fn assert_same(indexed: &Entries, disk: &Entries) {
    let show = |entries: &Entries, other: &Entries| -> Vec<String> {
        let differing = entries.iter().filter(|(path, facts)| other.get(*path) != Some(facts));
        differing
            .take(10)
            .map(|(path, facts)| format!("{:?} {facts:?}", String::from_utf8_lossy(path)))
            .collect()
    };
    assert!(
        indexed == disk,
        "{} indexed, {} on disk; only indexed: {:#?}; only on disk: {:#?}",
        indexed.len(),
        disk.len(),
        show(indexed, disk),
        show(disk, indexed)
    );
}

fn indexed(index: &Index, root: u64) -> Entries {
    let mut entries = Entries::new();
    let mut visit = |sub: crate::store::index::SubtreeDir| {
        if !sub.path.is_root() {
            entries.insert(sub.path.as_bytes().to_vec(), (sub.dir.ino, 0));
        }
        for file in sub.files {
            entries.insert(sub.path.join(&file.name).as_bytes().to_vec(), (file.ino, file.size));
        }
        ControlFlow::Continue(())
    };
    index.snapshot().unwrap().subtree(KEY, root, &mut visit).unwrap();
    entries
}

fn on_disk(tree: &Path) -> Entries {
    let mut entries = Entries::new();
    for entry in walkdir::WalkDir::new(tree).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let path = entry.path().strip_prefix(tree).unwrap().as_os_str().as_bytes().to_vec();
        entries.insert(path, (meta.ino(), if meta.is_dir() { 0 } else { meta.len() }));
    }
    entries
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = later();
    while !done() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Some files in some directories.
fn plant(tree: &Path, dirs: usize, files: usize) {
    for dir in 0..dirs {
        let dir = tree.join(format!("d{dir}/e"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..files {
            fs::write(dir.join(format!("f{file}")), vec![b'x'; file]).unwrap();
        }
    }
}

#[test]
fn the_first_scan_finds_everything() {
    let setup = Setup::new(|tree| plant(tree, 30, 20));
    setup.assert_equal();
    let status = setup.status();
    assert_eq!((status.state, status.confidence), (RootState::Ready, Confidence::Exact));
    assert_eq!((status.entries, status.directories, status.watched), (600, 61, 61));
}

#[test]
fn changes_are_followed_without_being_asked_for() {
    let setup = Setup::new(|tree| plant(tree, 2, 2));
    fs::create_dir_all(setup.path("new/deep/er")).unwrap();
    fs::write(setup.path("new/deep/er/f"), b"four").unwrap();
    fs::remove_dir_all(setup.path("d0")).unwrap();
    fs::rename(setup.path("d1/e/f1"), setup.path("new/f1")).unwrap();
    std::os::unix::fs::symlink("nowhere", setup.path("new/link")).unwrap();
    wait_for("index equals disk", || setup.indexed() == on_disk(setup.tree.path()));
    setup.assert_equal();
}

#[test]
fn a_renamed_directory_keeps_its_rows_and_is_followed_at_its_new_place() {
    let setup = Setup::new(|tree| plant(tree, 3, 50));
    fs::rename(setup.path("d0"), setup.path("d1/e/moved")).unwrap();
    fs::write(setup.path("d1/e/moved/e/later"), b"x").unwrap();
    setup.assert_equal();
    fs::rename(setup.path("d1"), setup.path("z")).unwrap();
    fs::remove_file(setup.path("z/e/moved/e/later")).unwrap();
    fs::create_dir(setup.path("d1")).unwrap();
    fs::write(setup.path("d1/f"), b"x").unwrap();
    setup.assert_equal();
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
fn trees_moved_in_and_out_come_and_go() {
    let setup = Setup::new(|tree| plant(tree, 2, 3));
    let outside = tempfile::tempdir_in(setup.tree.path().parent().unwrap()).unwrap();
    plant(outside.path(), 20, 5);
    fs::rename(outside.path(), setup.path("in")).unwrap();
    setup.assert_equal();
    fs::rename(setup.path("in"), outside.path()).unwrap();
    setup.assert_equal();
    let status = setup.status();
    assert_eq!((status.directories, status.watched), (5, 5));
    // What happens there is none of ours.
    fs::write(outside.path().join("d0/e/more"), b"x").unwrap();
    setup.assert_equal();
}

#[test]
fn names_swapped_and_replaced_end_where_they_are() {
    let setup = Setup::new(|tree| plant(tree, 4, 5));
    for _ in 0..20 {
        fs::rename(setup.path("d0"), setup.path("tmp")).unwrap();
        fs::rename(setup.path("d1"), setup.path("d0")).unwrap();
        fs::rename(setup.path("tmp"), setup.path("d1")).unwrap();
        fs::remove_dir_all(setup.path("d2")).unwrap();
        fs::write(setup.path("d2"), b"a file now").unwrap();
        fs::remove_file(setup.path("d2")).unwrap();
        fs::create_dir(setup.path("d2")).unwrap();
        fs::rename(setup.path("d3/e"), setup.path("d2/e")).unwrap();
        fs::remove_dir(setup.path("d3")).unwrap();
        fs::rename(setup.path("d2"), setup.path("d3")).unwrap();
        fs::create_dir_all(setup.path("d2/e")).unwrap();
        setup.assert_equal();
    }
}

#[test]
fn names_of_any_bytes_are_indexed() {
    let names: Vec<Vec<u8>> = vec![
        b"new\nline".to_vec(),
        b"\xff\xfe".to_vec(),
        b"...".to_vec(),
        b"\x1b[2J".to_vec(),
        vec![b'n'; 255],
        b" ".to_vec(),
        "\u{202e}".into(),
    ];
    let make = |tree: &Path, prefix: &[u8]| {
        for name in &names {
            let name = [prefix, name].concat();
            let name = std::ffi::OsStr::from_bytes(&name[..name.len().min(255)]);
            fs::create_dir(tree.join(name)).unwrap();
            fs::write(tree.join(name).join(name), b"x").unwrap();
        }
    };
    let setup = Setup::new(|tree| make(tree, b""));
    make(setup.tree.path(), b"b");
    setup.assert_equal();
}

#[test]
fn a_link_elsewhere_changes_what_is_known_of_the_other_names() {
    let setup = Setup::new(|tree| {
        fs::create_dir(tree.join("a")).unwrap();
        fs::create_dir(tree.join("b")).unwrap();
        fs::write(tree.join("a/f"), b"data").unwrap();
    });
    let nlink = |below: &str| {
        let path = RelPath::from_bytes(below.as_bytes()).unwrap();
        match setup.index.snapshot().unwrap().lookup(KEY, &path).unwrap() {
            Some(crate::store::index::Found::File(file)) => (file.entry.nlink, file.entry.ctime),
            other => panic!("{other:?}"),
        }
    };
    let is = |below: &str| {
        let meta = fs::metadata(setup.path(below)).unwrap();
        (meta.nlink() as u32, crate::model::Timestamp::from_unix(meta.ctime(), meta.ctime_nsec() as u32))
    };
    fs::hard_link(setup.path("a/f"), setup.path("b/g")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 2));
    assert_eq!(nlink("a/f"), is("a/f"));
    fs::hard_link(setup.path("a/f"), setup.path("b/h")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 3));
    fs::remove_file(setup.path("b/h")).unwrap();
    fs::remove_file(setup.path("a/f")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 1));
}

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

/// A small random number generator (xorshift), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Random changes below `tree`; those that cannot be done now are no matter.
fn storm(tree: &Path, seed: u64, actions: usize, links: bool) {
    let mut dice = Dice(seed * 7919 + 1);
    let dir = |dice: &mut Dice, least: u64| {
        let depth = least + dice.throw(4 - least);
        (0..depth).fold(tree.to_owned(), |path, _| path.join(format!("d{}", dice.throw(6))))
    };
    for n in 0..actions {
        // The root itself stays.
        let (here, there) = (dir(&mut dice, 0), dir(&mut dice, 0));
        let below = dir(&mut dice, 1);
        let file = here.join(format!("f{}", dice.throw(40)));
        let other = there.join(format!("f{}", dice.throw(40)));
        let _ = match dice.throw(20) {
            0..=7 => fs::write(&file, vec![b'x'; n % 5000]),
            8..=11 => fs::remove_file(&file),
            12..=13 => fs::rename(&file, &other),
            14 if links => fs::hard_link(&file, &other),
            15..=17 => fs::create_dir_all(&here),
            18 => fs::rename(&below, there.join(format!("d{}", dice.throw(6)))),
            _ if dice.throw(4) == 0 => fs::remove_dir_all(&below),
            _ => fs::remove_dir(&below),
        };
    }
}

const STORM: &str = "GUARDIAN_TEST_STORM";

/// Four processes at once, each of them this test again.
fn storm_by_processes(test: &str, tree: &Path, actions: usize, links: bool) {
    let workers: Vec<_> = (1..=4)
        .map(|seed| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--include-ignored"])
                .env(STORM, format!("{seed} {actions} {} {}", u8::from(links), tree.display()))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
}

fn is_part_of_storm() -> bool {
    let Ok(part) = std::env::var(STORM) else { return false };
    let mut words = part.splitn(4, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (seed, actions, links) = (number(), number(), number());
    storm(Path::new(words.next().unwrap()), seed, actions as usize, links == 1);
    true
}

#[test]
fn after_a_storm_by_four_processes_the_index_equals_the_disk() {
    if is_part_of_storm() {
        return;
    }
    let setup = Setup::new(|_| ());
    let test = "ingest::tests::after_a_storm_by_four_processes_the_index_equals_the_disk";
    for _ in 0..2 {
        storm_by_processes(test, setup.tree.path(), 2_000, false);
        setup.assert_equal();
    }
    storm_by_processes(test, setup.tree.path(), 2_000, true);
    setup.assert_equal_soon();
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_a_storm_of_100_000_changes() {
    if is_part_of_storm() {
        return;
    }
    let setup = Setup::new(|_| ());
    let start = Instant::now();
    storm_by_processes("ingest::tests::measure_a_storm_of_100_000_changes", setup.tree.path(), 25_000, true);
    let (stormed, end) = (start.elapsed(), Instant::now());
    let disk = on_disk(setup.tree.path());
    while setup.indexed() != disk {
        if end.elapsed() > Duration::from_secs(20) {
            assert_same(&setup.indexed(), &disk);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("stormed {stormed:?}, equal {:?} after the end: {:?}", end.elapsed(), setup.status());
    assert!(end.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_tree_that_changes_while_it_is_scanned_is_indexed_as_it_is_in_the_end() {
    let setup = Setup::with(settings(), |tree| plant(tree, 200, 5), |_| ());
    storm(setup.tree.path(), 99, 3_000, false);
    setup.assert_equal();
}

#[test]
fn a_full_inbox_costs_listings_and_nothing_else() {
    let small = crate::watch::Settings { inbox_capacity: 20, ..crate::watch::Settings::default() };
    let setup = Setup::with(Settings { watch: small, ..settings() }, |_| (), |_| ());
    setup.settle();
    storm(setup.tree.path(), 5, 6_000, false);
    setup.assert_equal();
    assert!(setup.status().overflows > 0);
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
fn nested_directories_made_at_full_speed_are_all_found() {
    let setup = Setup::new(|_| ());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let base = setup.path(&format!("t{thread}"));
            scope.spawn(move || {
                for n in 0..150 {
                    let dir = base.join(format!("a{n}/b/c/d"));
                    fs::create_dir_all(&dir).unwrap();
                    for file in 0..3 {
                        File::create(dir.join(file.to_string())).unwrap();
                    }
                }
            });
        }
    });
    setup.assert_equal();
    assert_eq!(setup.status().entries, 3 * 150 * 3);
}

const LIMITED: &str = "GUARDIAN_TEST_LIMIT";

#[test]
fn past_the_limit_of_watches_the_rest_is_listed_periodically() {
    if std::env::var_os(LIMITED).is_none() {
        let test = "ingest::tests::past_the_limit_of_watches_the_rest_is_listed_periodically";
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

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_the_first_index_of_a_million_files() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    for dir in 0..10_000 {
        let dir = tree.path().join(format!("{}/{dir}", dir % 100));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..100 {
            File::create(dir.join(format!("job_{file}_x"))).unwrap();
        }
    }
    for _ in 0..2 {
        let start = Instant::now();
        assert!(Command::new("du").arg("-s").arg(tree.path()).status().unwrap().success());
        println!("du -s {:?}", start.elapsed());
        let state = tempfile::tempdir().unwrap();
        let index = open_index(state.path());
        let before = cpu();
        let start = Instant::now();
        let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
        ingest.handle().add_root(task(tree.path())).unwrap();
        ingest.handle().settle(KEY, later()).unwrap();
        println!("first index {:?}, {:?} CPU", start.elapsed(), cpu() - before);
        println!("{:?}", ingest.handle().status(KEY).unwrap());
        let start = Instant::now();
        ingest.handle().request_rescan(KEY).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        wait_for("compared", || ingest.handle().status(KEY).unwrap().confidence == Confidence::Exact);
        println!("compared in {:?}", start.elapsed());
        assert!(ingest.join());
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_a_writer_at_full_speed() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    let script = "import os,sys\nfor n in range(300000):\n p='%s/%d'%(sys.argv[1],n)\n f=os.open(p,65)\n os.write(f,b'x')\n os.close(f)\n if n%2: os.unlink(p)";
    let write = || {
        let start = Instant::now();
        let status = Command::new("python3").args(["-c", script]).arg(tree.path()).status().unwrap();
        assert!(status.success());
        start.elapsed()
    };
    let alone = write();
    fs::remove_dir_all(tree.path()).unwrap();
    fs::create_dir(tree.path()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let index = open_index(state.path());
    let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
    let task = task(tree.path());
    ingest.handle().add_root(task.clone()).unwrap();
    ingest.handle().settle(KEY, later()).unwrap();
    let before = cpu();
    let followed = write();
    let end = Instant::now();
    ingest.handle().settle(KEY, later()).unwrap();
    let (after, spent) = (end.elapsed(), cpu() - before);
    println!("writer alone {alone:?}, followed {followed:?}; equal after {after:?}; {spent:?} CPU");
    assert_same(&indexed(&index, task.dir.ino()), &on_disk(tree.path()));
    println!("{:?}", ingest.handle().status(KEY).unwrap());
}

const SMALL_VOLUME: &str = "GUARDIAN_TEST_SMALL_VOLUME";

#[test]
fn while_the_index_has_no_room_changes_wait_and_then_go_in() {
    let Some(volume) = std::env::var_os(SMALL_VOLUME).map(PathBuf::from) else {
        let test = "ingest::tests::while_the_index_has_no_room_changes_wait_and_then_go_in";
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
