//! The order of an emergency with everything there is to take, on a real volume
//! and through the program: what its owner gave up first, what somebody may
//! still want last.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, and how it went, is told there")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use harness::volumes::{inside, tmpfs};
use harness::{Home, file, root};
use serde_json::Value;

const MIB: usize = 1 << 20;
const HOUR: u64 = 3600;
/// Files of each kind.
const EACH: usize = 4;
const ORDER: [&str; 7] = ["deferred", "expired", "chunks", "orphans", "failed_jobs", "trash", "oldest"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What an emergency found and left.
struct Emergency {
    home: Home,
    volume: PathBuf,
    report: Value,
    /// Each removal on record, oldest first: phase and path.
    removed: Vec<(String, String)>,
}

impl Emergency {
    /// The phases in the order in which they began.
    fn phases(&self) -> Vec<&str> {
        let mut phases: Vec<&str> = self.removed.iter().map(|(phase, _)| phase.as_str()).collect();
        phases.dedup();
        phases
    }

    fn removed_in(&self, phase: &str) -> Vec<&str> {
        self.removed.iter().filter(|(of, _)| of == phase).map(|(_, path)| path.as_str()).collect()
    }

    fn left(&self, prefix: &str) -> usize {
        (0..EACH).filter(|n| self.volume.join(format!("{prefix}_{n}")).exists()).count()
    }
}

/// Fills a small volume with four files of a MiB of each kind, and one that must
/// stay, and has an emergency go down to `low` percent.
fn emergency_down_to(low: u32) -> Option<Emergency> {
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 32) {
        eprintln!("skipped: {why}");
        return None;
    }
    // By itself the agent would begin before all of it is there.
    home.configure(
        "automatic = false",
        &root(
            &volume,
            &format!("warning = 70\nhigh_water = 80\nlow_water = {low}\nlimits = {{ batch = 1 }}"),
        ),
    );
    home.start();
    home.until_root_is("ready");
    let put = |prefix: &str, age: u64| -> Vec<PathBuf> {
        let made = |n| {
            let path = volume.join(format!("{prefix}_{n}"));
            file(&path, MIB, age);
            path
        };
        (0..EACH).map(made).collect()
    };
    fn ask(home: &Home, verb: &[&str], paths: &[PathBuf]) {
        let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
        home.done(&[verb, &paths].concat());
    }
    for job in ["alive", "dead"] {
        home.done(&["job", "start", job]);
    }
    // The oldest of all is of an active job.
    file(&volume.join("job_alive_0"), MIB, 999 * HOUR);
    // Those that go last are older than those that go first.
    put("old", 1800);
    let trash = put("trash", 1200);
    put("job_dead", 900);
    put("job_nobody", 50 * HOUR);
    let chunk = put("job_alive_chunk_7", 100);
    let expired = put("expired", 100);
    let mut deferred = put("deferred", 100);
    let tree = volume.join("tree");
    fs::create_dir(&tree).unwrap();
    fs::rename(deferred.pop().unwrap(), tree.join("last")).unwrap();
    deferred.push(tree);
    home.done(&["job", "fail", "dead"]);
    ask(&home, &["track", "--expires-at", "2020-01-01T00:00:00Z"], &expired);
    // Somebody still reads the chunk's files when it is reported complete.
    let open: Vec<File> = chunk.iter().map(|path| File::open(path).unwrap()).collect();
    home.done(&["chunk", "complete", "alive", "7"]);
    drop(open);
    ask(&home, &["trash", "put"], &trash);
    ask(&home, &["delete"], &deferred);
    let report = home.until("usage is known", |home| {
        let (code, out, _) = home.run(&["sweep", "emergency", "--json"]);
        (code == 0).then(|| serde_json::from_str::<Value>(&out).unwrap())
    });
    let mut removed: Vec<(String, String)> = home
        .done(&["audit", "--jsonl"])
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["outcome"] == "removed")
        .map(|entry| {
            assert_eq!(entry["policy"], "emergency", "{entry}");
            let text = |key: &str| entry[key].as_str().unwrap().to_owned();
            (text("phase"), text("path"))
        })
        .collect();
    removed.reverse();
    for (phase, path) in &removed {
        eprintln!("   {phase:12} {}", path.rsplit('/').next().unwrap());
    }
    assert!(volume.join("job_alive_0").exists(), "{report}");
    assert_eq!(report["target_reached"], true, "{report}");
    Some(Emergency { home, volume, report, removed })
}

#[test]
fn an_emergency_that_needs_everything_takes_it_in_the_order_of_the_phases() {
    if !inside("an_emergency_that_needs_everything_takes_it_in_the_order_of_the_phases") {
        return;
    }
    let Some(done) = emergency_down_to(8) else { return };
    assert_eq!(done.phases(), ORDER, "{}", done.report);
    let begun: Vec<&str> = done.report["phases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|phase| phase["files_deleted"] != 0)
        .map(|phase| phase["policy"].as_str().unwrap())
        .collect();
    assert_eq!(begun, ORDER, "the report says the same as the audit");
    for phase in ["deferred", "expired", "chunks", "orphans", "failed_jobs", "trash"] {
        assert_eq!(done.removed_in(phase).len(), EACH, "{phase}: {:?}", done.removed);
    }
    assert!(!done.removed_in("oldest").is_empty(), "{:?}", done.removed);
    assert!(done.removed_in("oldest").iter().all(|path| path.contains("/old_")), "{:?}", done.removed);
    for (phase, prefix) in [
        ("expired", "expired"),
        ("chunks", "job_alive_chunk_7"),
        ("orphans", "job_nobody"),
        ("failed_jobs", "job_dead"),
    ] {
        let within = done.removed_in(phase).iter().all(|path| path.contains(&format!("/{prefix}_")));
        assert!(within && done.left(prefix) == 0, "{phase}: {:?}", done.removed);
    }
    assert_eq!(done.home.ask("/v1/deletions/stats").unwrap()["total_pending"], 0);
}

#[test]
fn an_emergency_whose_target_is_reached_within_the_trash_takes_none_of_the_oldest() {
    if !inside("an_emergency_whose_target_is_reached_within_the_trash_takes_none_of_the_oldest") {
        return;
    }
    // 29 of 32 MiB are there; 20 go before the trash, and two of its four reach 7 MiB.
    let Some(done) = emergency_down_to(23) else { return };
    assert_eq!(done.phases(), ORDER[..6], "{}", done.report);
    assert_eq!(done.removed_in("trash").len(), 2, "{:?}", done.removed);
    assert_eq!(done.left("old"), EACH, "{:?}", done.removed);
    let trash: Value = serde_json::from_str(&done.home.done(&["trash", "list", "--json"])).unwrap();
    assert_eq!(trash["items"].as_array().unwrap().len(), 2, "{trash}");
}
