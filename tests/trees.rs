//! Directories of jobs that go all or not at all, through the program and its socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what was skipped is told there")]

#[allow(dead_code, reason = "not every file of tests needs all of it")]
mod harness;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Home, PATIENCE, aged, file, in_the_index, on_disk, root, scratch, volumes};
use serde_json::Value;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Keys of a root whose directories go as one.
const TREES: &str = "unit = \"tree\"\nprotect = [\"*.keep\"]\nresults = [\"*.out\"]\n\
                     [root.retain]\nfailed_jobs = \"0s\"\ncompleted_jobs = \"0s\"";

fn home(more: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let path = scratch(&home);
    home.configure("automatic = false", &root(&path, more));
    (home, path)
}

/// With an agent whose index is complete, or in the command's own process.
fn both(test: impl Fn(&Home, &Path)) {
    for served in [true, false] {
        let (mut home, path) = home(TREES);
        if served {
            home.start();
            home.until_root_is("ready");
        }
        test(&home, &path);
        if served {
            follows(&home, &path);
        }
    }
}

/// Waits until the index is what is on the disk.
fn follows(home: &Home, path: &Path) {
    home.until("the index follows", |home| (in_the_index(home) == on_disk(path)).then_some(()));
}

/// A tree of three files, all as old; the index knows them, if there is one.
fn tree(home: &Home, path: &Path, name: &str, age: u64) -> PathBuf {
    let top = path.join(name);
    fs::create_dir_all(top.join("sub/deep")).unwrap();
    for part in ["a", "sub/b", "sub/deep/c"] {
        file(&top.join(part), 9000, age);
    }
    known(home, path);
    top
}

fn known(home: &Home, path: &Path) {
    if home.ask("/v1/health").is_some() {
        follows(home, path);
    }
}

fn sweep(home: &Home, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["sweep"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    let (code, out, err) = home.run(&arguments);
    assert!(code <= 1, "{arguments:?}: {code} {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{err}"))
}

/// The report in what a sweep says, or in a list of one.
fn report(told: &Value) -> &Value {
    let one = told.get("report").unwrap_or(told);
    let one = one.get("reports").unwrap_or(one);
    one.get(0).unwrap_or(one)
}

fn content(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = on_disk(path).into_iter().map(|(path, ..)| PathBuf::from(path)).collect();
    all.sort();
    all.into_iter()
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn queued(path: &Path) -> usize {
    fs::read_dir(path.join(".guardian/queue")).map_or(0, Iterator::count)
}

#[test]
fn a_failed_jobs_directory_goes_whole_and_is_one_line_on_record() {
    both(|home, path| {
        home.done(&["job", "start", "1"]);
        let top = tree(home, path, "job_1", HOUR);
        tree(home, path, "job_2", HOUR);
        file(&path.join("job_1_loose"), 10, HOUR);
        known(home, path);
        assert_eq!(report(&sweep(home, &["failed-jobs"]))["files_deleted"], 0, "its job is at work");
        home.done(&["job", "fail", "1"]);
        let dry = sweep(home, &["failed-jobs", "--dry-run", "--list"]);
        let done = sweep(home, &["failed-jobs", "--list"]);
        assert_eq!(report(&done)["files_deleted"], 4, "{done}");
        assert!(!top.exists() && path.join("job_2/sub/deep/c").exists());
        assert_eq!(queued(path), 0);
        let text = dry.to_string();
        assert!(text.contains("tree of 3 files; job 1 failed"), "{text}");
        if home.ask("/v1/health").is_none() {
            return;
        }
        let audit = home.done(&["audit", "--job", "1", "--jsonl"]);
        let rows: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2, "{audit}");
        let row = rows.iter().find(|row| row["path"] == top.to_str().unwrap()).unwrap();
        assert!(row.to_string().contains("tree of 3 files"), "{row}");
    });
}

#[test]
fn one_file_that_must_stay_keeps_the_whole_directory_untouched() {
    type Prepare = fn(&Home, &Path) -> Option<File>;
    let cases: [(&str, Prepare); 7] = [
        ("active", |home, top| {
            home.done(&["job", "start", "other"]);
            file(&top.join("sub/job_other_x"), 10, 2 * DAY);
            None
        }),
        ("held", |home, top| {
            home.done(&["hold", top.join("sub/b").to_str().unwrap()]);
            None
        }),
        ("protected", |_, top| {
            file(&top.join("sub/x.keep"), 10, 2 * DAY);
            None
        }),
        ("marked", |_, top| {
            let path = top.join("a");
            let set =
                rustix::fs::setxattr(&path, "user.guardian.keep", b"1", rustix::fs::XattrFlags::empty());
            set.unwrap();
            aged(&path, 2 * DAY);
            None
        }),
        ("open", |_, top| Some(File::open(top.join("sub/deep/c")).unwrap())),
        ("young", |_, top| {
            file(&top.join("sub/new"), 10, 10 * HOUR);
            None
        }),
        ("result", |home, top| {
            home.done(&["job", "start", "9"]);
            home.done(&["job", "complete", "9"]);
            file(&top.join("x.out"), 10, 2 * DAY);
            None
        }),
    ];
    both(|home, path| {
        for (what, prepare) in cases {
            let top = tree(home, path, "job_9", 2 * DAY);
            let _open = prepare(home, &top);
            known(home, path);
            let (before, ino) = (content(path), on_disk(path));
            let dry = sweep(home, &["orphans", "--dry-run"]);
            assert_eq!(report(&dry)["files_deleted"], 0, "{what}: {dry}");
            let policy = if what == "result" { "scheduled" } else { "orphans" };
            let done = sweep(home, &[policy]);
            assert_eq!(report(&done)["files_deleted"], 0, "{what}: {done}");
            assert_eq!((content(path), on_disk(path), queued(path)), (before, ino, 0), "{what}");
            fs::remove_dir_all(&top).unwrap();
            known(home, path);
        }
    });
}

#[test]
fn what_is_mounted_in_a_tree_keeps_it() {
    if !volumes::inside("what_is_mounted_in_a_tree_keeps_it") {
        return;
    }
    let (home, path) = home(TREES);
    let top = tree(&home, &path, "job_9", 2 * DAY);
    fs::create_dir(top.join("mounted")).unwrap();
    volumes::tmpfs(&top.join("mounted"), 1).unwrap();
    file(&top.join("mounted/f"), 10, 2 * DAY);
    for mount in [top.join("mounted"), top.clone()] {
        if mount == top {
            volumes::unmount(&top.join("mounted")).unwrap();
            fs::remove_dir(top.join("mounted")).unwrap();
            volumes::bind(&top, &top).unwrap();
        }
        assert_eq!(report(&sweep(&home, &["orphans", "--dry-run"]))["files_deleted"], 0);
        let done = sweep(&home, &["orphans"]);
        assert_eq!(report(&done)["files_deleted"], 0, "{done}");
        assert!(top.join("sub/deep/c").exists() && top.join("a").exists());
    }
}

#[test]
fn a_plan_takes_a_tree_only_as_it_was() {
    both(|home, path| {
        let top = tree(home, path, "job_9", 2 * DAY);
        let other = tree(home, path, "job_8", 2 * DAY);
        let plan = home.path("plan.json");
        let (code, out, err) = home.run(&["sweep", "orphans", "--dry-run", "--json"]);
        assert_eq!(code, 0, "{err}");
        fs::write(&plan, &out).unwrap();
        file(&top.join("sub/added"), 10, 2 * DAY);
        let done = sweep(home, &["--plan", plan.to_str().unwrap()]);
        assert_eq!(report(&done)["files_deleted"], 3, "{done}");
        assert!(!other.exists() && top.join("a").exists() && top.join("sub/added").exists());
        known(home, path);
        assert_eq!(report(&sweep(home, &["orphans"]))["files_deleted"], 4);
    });
}

#[test]
fn explain_names_the_file_that_keeps_a_tree_and_when_it_goes() {
    both(|home, path| {
        let top = tree(home, path, "job_9", 2 * DAY);
        for asked in [top.clone(), top.join("sub/b"), top.join("sub")] {
            let told = home.done(&["explain", asked.to_str().unwrap()]);
            assert!(told.contains("goes with its tree") && told.contains("tree of 3 files"), "{told}");
        }
        file(&top.join("sub/young"), 10, 10 * HOUR);
        file(&top.join("sub/young too"), 10, 11 * HOUR);
        for asked in [top.clone(), top.join("a")] {
            let told = home.done(&["explain", asked.to_str().unwrap()]);
            let said = |part: &str| told.contains(part);
            assert!(said("stays with its tree") && said("sub/young") && said("too young"), "{told}");
            assert!(said("1 more keeps it") && said("at the earliest (orphans)"), "{told}");
            assert!(said("in an emergency it goes (orphans): tree of 5 files"), "{told}");
        }
        let _open = File::open(top.join("sub/deep/c")).unwrap();
        fs::remove_file(top.join("sub/young")).unwrap();
        fs::remove_file(top.join("sub/young too")).unwrap();
        let told = home.done(&["explain", top.join("a").to_str().unwrap()]);
        assert!(told.contains("sub/deep/c: open or mapped now"), "{told}");
    });
}

#[test]
fn a_bound_on_files_stops_before_a_tree_that_is_too_large_but_not_at_the_first() {
    both(|home, path| {
        tree(home, path, "job_8", 3 * DAY);
        tree(home, path, "job_9", 2 * DAY);
        let bound = ["orphans", "--max-files", "2"];
        let dry = sweep(home, &[bound[0], bound[1], bound[2], "--dry-run"]);
        assert_eq!(report(&dry)["files_deleted"], 3, "{dry}");
        let done = sweep(home, &bound);
        assert_eq!(report(&done)["files_deleted"], 3, "{done}");
        assert!(!path.join("job_8").exists() && path.join("job_9/a").exists());
    });
}

/// Kills a process once a tree is on its way out: its name is gone, its files are not.
fn kill_on_the_way(path: &Path, top: &Path, kill: impl FnOnce()) {
    let limit = Instant::now() + PATIENCE;
    loop {
        // The description comes before the rename; two names are the tree and that.
        if queued(path) >= 2 && !top.exists() {
            break;
        }
        assert!(Instant::now() < limit, "it never left");
        std::thread::sleep(Duration::from_micros(200));
    }
    kill();
}

/// A tree with so many files that its removal takes a while.
fn large(path: &Path) -> PathBuf {
    let top = path.join("job_9");
    for dir in 0..20 {
        fs::create_dir_all(top.join(dir.to_string())).unwrap();
        for name in 0..500 {
            file(&top.join(format!("{dir}/{name}")), 1, 2 * DAY);
        }
    }
    top
}

#[test]
fn a_sweep_that_is_killed_on_the_way_leaves_the_rest_in_the_trash() {
    let (home, path) = home(TREES);
    let top = large(&path);
    let mut process = Command::new(env!("CARGO_BIN_EXE_guardian"))
        .arg("--config")
        .arg(home.path("guardian.toml"))
        .args(["sweep", "orphans", "--max-files", "100000"])
        .spawn()
        .unwrap();
    kill_on_the_way(&path, &top, || process.kill().unwrap());
    process.wait().unwrap();
    let left = fs::read_dir(path.join(".guardian/queue")).unwrap().map(|one| one.unwrap().path());
    let files: usize = left.map(|one| walkdir::WalkDir::new(one).into_iter().count()).sum();
    assert!(files > 100, "it was killed too late: {files}");
    // The next start takes it up. What was written into it on the way was perhaps
    // not seen yet, so that nothing goes of it before somebody had a chance to look.
    let listed = home.done(&["trash", "list", "--json"]);
    assert!(listed.contains("job_9") && listed.contains("cut off"), "{listed}");
    assert_eq!(report(&sweep(&home, &["deferred"]))["files_deleted"], 0);
    let lies = walkdir::WalkDir::new(path.join(".guardian/trash")).into_iter().count();
    assert!(lies > 100, "{lies}");
    assert_eq!((queued(&path), top.exists()), (0, false));
}

#[test]
fn what_an_agent_that_is_killed_on_the_way_leaves_is_trash_when_it_is_back() {
    let (mut home, path) = home(TREES);
    home.configure("", &root(&path, TREES));
    let top = large(&path);
    home.start();
    home.until_root_is("ready");
    let mut asked = Command::new(env!("CARGO_BIN_EXE_guardian"))
        .arg("--config")
        .arg(home.path("guardian.toml"))
        .args(["sweep", "orphans", "--max-files", "100000", "-q"])
        .spawn()
        .unwrap();
    kill_on_the_way(&path, &top, || home.kill());
    asked.wait().unwrap();
    home.start();
    home.until("the rest is trash", |home| {
        let is_listed = home.done(&["trash", "list", "--json"]).contains("cut off");
        (is_listed && queued(&path) == 0).then_some(())
    });
    assert!(!top.exists());
    follows(&home, &path);
}

#[test]
fn where_a_tree_cannot_be_renamed_its_files_go_one_by_one_or_none() {
    if !volumes::inside("where_a_tree_cannot_be_renamed_its_files_go_one_by_one_or_none") {
        return;
    }
    let (home, path) = home(TREES);
    home.done(&["queue", "list"]);
    sweep(&home, &["orphans"]);
    volumes::tmpfs(&path.join(".guardian/queue"), 1).unwrap();
    let top = tree(&home, &path, "job_9", 2 * DAY);
    let open = File::open(top.join("sub/deep/c")).unwrap();
    let before = content(&path);
    assert_eq!(report(&sweep(&home, &["orphans"]))["files_deleted"], 0);
    assert_eq!(content(&path), before);
    drop(open);
    let done = sweep(&home, &["orphans"]);
    assert_eq!((&report(&done)["files_deleted"], top.exists()), (&Value::from(3), false), "{done}");
}

#[test]
fn an_emergency_takes_trees_whole_until_there_is_room() {
    if !volumes::inside("an_emergency_takes_trees_whole_until_there_is_room") {
        return;
    }
    let mut home = Home::new();
    let path = scratch(&home);
    volumes::tmpfs(&path, 32).unwrap();
    home.configure(
        "sample_interval = \"1s\"",
        &root(&path, "unit = \"tree\"\nhigh_water = 90\nlow_water = 70"),
    );
    for (name, old, new) in [("job_a", 9, 3), ("job_b", 6, 5), ("job_c", 5, 4)] {
        fs::create_dir(path.join(name)).unwrap();
        file(&path.join(name).join("old"), 4 << 20, old * HOUR);
        file(&path.join(name).join("new"), 4 << 20, new * HOUR);
    }
    let held = File::open(path.join("job_b/new")).unwrap();
    file(&path.join("full"), 6 << 20, 0);
    home.start();
    let report = home.until_cleaned();
    assert_eq!(report["files_deleted"], 2, "{report}");
    // The one with the oldest youngest file is open: the next goes, and goes whole.
    assert!(path.join("job_a/old").exists() && path.join("job_a/new").exists());
    assert!(path.join("job_b/old").exists() && !path.join("job_c").exists());
    drop(held);
}

#[test]
fn with_no_byte_free_trees_still_go_whole() {
    if !volumes::inside("with_no_byte_free_trees_still_go_whole") {
        return;
    }
    let mut home = Home::new();
    let path = scratch(&home);
    volumes::tmpfs(&path, 16).unwrap();
    let keys = "unit = \"tree\"\nhigh_water = 90\nlow_water = 70";
    home.configure("sample_interval = \"1s\"", &root(&path, keys));
    fs::create_dir(path.join("job_a")).unwrap();
    for name in ["old", "new"] {
        file(&path.join("job_a").join(name), 4 << 20, 9 * HOUR);
    }
    let full = File::create(path.join("full")).unwrap();
    while std::io::Write::write(&mut &full, &[1; 4096]).is_ok() {}
    home.start();
    let report = home.until_cleaned();
    assert_eq!((&report["files_deleted"], path.join("job_a").exists()), (&Value::from(2), false), "{report}");
}
