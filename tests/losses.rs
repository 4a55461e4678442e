//! What guardian does after it lost something: its ledger, an hour, the host,
//! the volume, its lock or the time. In each of these no file of a living job
//! goes. `--nocapture` shows what it said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what guardian said is told there, and what is skipped")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
#[path = "losses/taken.rs"]
mod taken;
#[path = "losses/time.rs"]
mod time;

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::transcript::tell;
use harness::volumes::{bind, inside, tmpfs, unmount};
use harness::{Home, file, root, scratch};
use serde_json::Value;

const HOUR: u64 = 3600;
const MIB: usize = 1 << 20;
/// 16 MiB; past 14.4 an emergency begins, which ends at 8.
const SMALL: &str = "capacity = \"16MiB\"\nhigh_water = 90\nlow_water = 50";

fn count(root: &Path, prefix: &str) -> usize {
    let entries = fs::read_dir(root).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix)).count()
}

/// Files of a MiB each that are so many hours old.
fn files(root: &Path, prefix: &str, number: usize, hours: u64) {
    for n in 0..number {
        file(&root.join(format!("{prefix}_{n}")), MIB, hours * HOUR);
    }
}

/// Waits for the report of an emergency, whether it reached its target or not.
fn emergency(home: &Home) -> Value {
    let report = home.until("an emergency ends", |home| {
        home.reports().into_iter().find(|report| report["trigger"] == "emergency_threshold")
    });
    tell_run("an emergency", &report);
    report
}

/// Says what a run did.
fn tell_run(what: &str, report: &Value) {
    let (before, after) = (&report["storage_before_percent"], &report["storage_after_percent"]);
    let skipped = report["skipped"].as_object().unwrap().iter();
    let kept: Vec<_> =
        skipped.filter(|(_, n)| **n != 0).map(|(why, n)| format!(", kept {n} ({why})")).collect();
    tell(&format!(
        "{what} removed {} files: {before}% -> {after}%{}",
        report["files_deleted"],
        kept.concat()
    ));
}

#[test]
fn a_lost_ledger_makes_no_file_that_names_a_job_an_orphan() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("sample_interval = \"1s\"", &root(&root_dir, SMALL));
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "alive"]);
    home.done(&["job", "start", "gone"]);
    assert_eq!(home.stop(), Some(0));
    tell("the agent is stopped, its state directory removed, the root filled");
    fs::remove_dir_all(home.path("state")).unwrap();
    files(&root_dir, "job_alive", 5, 90);
    files(&root_dir, "job_gone", 5, 90);
    files(&root_dir, "orphan", 5, 50);
    home.start();
    let report = emergency(&home);
    assert_eq!(report["target_reached"], false, "what names jobs stays though it is needed: {report}");
    let left = ["job_alive_", "job_gone_", "orphan_"].map(|prefix| count(&root_dir, prefix));
    assert_eq!(left, [5, 5, 0], "{report}");
    let (code, _) = home.shown(&["health"]);
    assert_eq!((code, &home.ask("/v1/health").unwrap()["status"]), (3, &"critical".into()));
    home.logged("registry trust");
    let (_, told) = home.shown(&["explain", root_dir.join("job_gone_0").to_str().unwrap()]);
    assert!(told.contains("registry trust"), "{told}");

    tell("the job that goes on is registered again, then the registry is trusted");
    home.shown(&["job", "start", "alive"]);
    home.shown(&["registry", "trust"]);
    home.shown(&["sweep", "orphans"]);
    let left = ["job_alive_", "job_gone_"].map(|prefix| count(&root_dir, prefix));
    assert_eq!(left, [5, 0], "trusted, the registry knows one job and not the other");
    let (code, said) = home.shown(&["health"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn an_unmounted_root_is_suspended_and_what_lies_underneath_is_not_touched() {
    if !inside("an_unmounted_root_is_suspended_and_what_lies_underneath_is_not_touched") {
        return;
    }
    let mut home = Home::new();
    let (store, at) = (home.path("store"), home.path("scratch"));
    fs::create_dir(&at).unwrap();
    file(&at.join("underneath"), MIB, 90 * HOUR);
    if let Err(why) = tmpfs(&store, 16).and_then(|()| bind(&store, &at)) {
        eprintln!("skipped: {why}");
        return;
    }
    // Everything that is past its age goes every second.
    let more = "adoption_grace = \"0s\"\n[root.retain]\norphans = \"1h\"\n[root.limits]\nmax_share = 100";
    let agent = "sample_interval = \"1s\"\nsweep_interval = \"1s\"\norphan_sweep_interval = \"1s\"";
    home.configure(agent, &root(&at, more));
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "alive"]);
    files(&at, "job_alive", 3, 90);
    file(&at.join("orphan_1"), MIB, 90 * HOUR);
    home.until("the orphan goes", |_| (!at.join("orphan_1").exists()).then_some(()));

    tell("the root is unmounted while the agent works in it");
    unmount(&at).unwrap();
    home.until_root_is("suspended");
    assert_eq!(home.shown(&["health"]).0, 3);
    home.logged("suspended");
    let (code, said) = home.shown(&["sweep", "orphans", "--root", "scratch"]);
    assert!(code == 5 && said.contains("suspended"), "{said}");
    let (code, said) = home.shown(&["sweep", "orphans"]);
    assert!(code == 1 && said.contains("suspended"), "{said}");
    assert!(!said.contains("nothing to do"), "{said}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(fs::read_dir(&at).unwrap().count(), 1, "nothing is made or removed underneath");
    assert!(at.join("underneath").exists());
    tell("the agent is stopped and started while it is not mounted");
    assert_eq!(home.stop(), Some(0));
    home.start();
    home.until_root_is("suspended");
    assert_eq!(home.shown(&["health"]).0, 3);
    std::thread::sleep(Duration::from_secs(2));
    assert!(at.join("underneath").exists());

    tell("it is mounted again");
    bind(&store, &at).unwrap();
    home.until_root_is("ready");
    assert_eq!(home.shown(&["health"]).0, 0);
    file(&at.join("orphan_2"), MIB, 90 * HOUR);
    home.until("the orphan goes", |_| (!at.join("orphan_2").exists()).then_some(()));
    assert_eq!(count(&at, "job_alive_"), 3);
    assert_eq!(home.stop(), Some(0));
    unmount(&at).unwrap();
    assert!(at.join("underneath").exists());
}
