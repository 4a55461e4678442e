//! On real files, copied from this machine, the agent frees a volume in the
//! right order while a build goes on. The long form (`GUARDIAN_LONG=1`) takes
//! tens of thousands of them; `--nocapture` shows what happened.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "the figures are told there, and what is skipped")]

#[path = "real_input/build.rs"]
mod build;
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
#[path = "real_input/material.rs"]
mod material;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use build::Build;
use harness::volumes::{inside, tmpfs};
use harness::{Home, on_disk, root};
use material::{Copied, Share, sources, spread};
use serde_json::Value;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What lies on the volume before the writer comes. What may go first is not
/// enough, and what must stay is the oldest of all.
const SHARES: [Share; 5] = [
    Share { dir: "old", percent: 3, ages: (2 * HOUR, 30 * DAY) },
    Share { dir: "job_forgotten", percent: 1, ages: (2 * HOUR, 30 * DAY) },
    Share { dir: "job_crashed", percent: 3, ages: (MINUTE, 50 * MINUTE) },
    Share { dir: "recent", percent: 45, ages: (5 * MINUTE, 40 * MINUTE) },
    Share { dir: "job_build/kept", percent: 15, ages: (60 * DAY, 90 * DAY) },
];
const ORDER: [&str; 3] = ["orphans", "failed_jobs", "oldest"];

fn percent_used(volume: &Path) -> f64 {
    let stat = rustix::fs::statvfs(volume).unwrap();
    (stat.f_blocks - stat.f_bavail) as f64 * 100.0 / stat.f_blocks as f64
}

/// Looks at the volume all the time: the fullest, and the emptiest after that.
fn extremes(volume: &Path, over: &AtomicBool) -> (f64, f64) {
    let (mut peak, mut lowest) = (0.0_f64, 100.0_f64);
    while !over.load(Ordering::Relaxed) {
        let used = percent_used(volume);
        if used > peak {
            (peak, lowest) = (used, used);
        }
        lowest = lowest.min(used);
        std::thread::sleep(Duration::from_millis(1));
    }
    (peak, lowest)
}

/// Writes until the volume is past its high mark; how many MiB.
fn push_past(volume: &Path, dir: &Path, percent: f64) -> f64 {
    const SIZE: usize = 128 << 10;
    fs::create_dir_all(dir).unwrap();
    let (bytes, mut written) = (vec![9_u8; SIZE], 0);
    while percent_used(volume) < percent {
        fs::write(dir.join(format!("spill{written}")), &bytes).unwrap();
        written += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    (written * SIZE) as f64 / f64::from(1 << 20)
}

/// What the audit holds of files that were to go, the first first: phase and path.
fn removed(home: &Home) -> Vec<(String, PathBuf)> {
    let lines = home.done(&["audit", "--jsonl"]);
    let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut removed: Vec<_> = entries
        .filter(|entry| entry["action"] == "remove")
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{entry}")).to_owned();
            (text("phase"), PathBuf::from(text("path")))
        })
        .collect();
    // It tells the last first.
    removed.reverse();
    removed
}

fn share_of(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap();
    below.iter().next().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn on_real_files_the_agent_frees_a_volume_in_the_right_order_while_a_build_goes_on() {
    if !inside("on_real_files_the_agent_frees_a_volume_in_the_right_order_while_a_build_goes_on") {
        return;
    }
    let long = std::env::var_os("GUARDIAN_LONG").is_some();
    let (mib, least) = if long { (512, 20_000) } else { (128, 2_000) };
    let sources = sources();
    if sources.len() < 500 {
        eprintln!("skipped: this machine has only {} files to copy", sources.len());
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, mib) {
        eprintln!("skipped: {why}");
        return;
    }
    let root_dir = volume.join("scratch");
    fs::create_dir(&root_dir).unwrap();
    let copied = spread(&root_dir, mib << 20, &sources, &SHARES);
    assert!(copied.len() > least, "only {} files", copied.len());
    eprintln!(
        "volume:   {mib} MiB, {} real files (crates' sources and documentation), {:.1}% used",
        copied.len(),
        percent_used(&volume)
    );

    home.configure("sample_interval = \"1s\"", &root(&root_dir, ""));
    let begun = Instant::now();
    home.start();
    home.until_root_is("ready");
    eprintln!("agent:    ready after {:.2?}", begun.elapsed());
    home.done(&["job", "start", "crashed"]);
    home.done(&["job", "fail", "crashed"]);
    home.done(&["job", "start", "build", "--pid", &std::process::id().to_string()]);
    eprintln!("jobs:     crashed has failed, build is active, forgotten is unknown");

    let job = root_dir.join("job_build");
    let mut build = match Build::start(job.join("crate"), home.path("go")) {
        Ok(build) => build,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    home.until("the build is at work", |_| {
        assert!(build.goes_on(), "the build ended");
        (build.modules() > 5).then_some(())
    });
    let before = on_disk(&job);
    eprintln!("build:    at work, {} modules; the job has {} files", build.modules(), before.len());

    let over = AtomicBool::new(false);
    let (report, written, (peak, lowest)) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| extremes(&volume, &over));
        let written = push_past(&volume, &root_dir.join("spill"), 95.3);
        let begun = Instant::now();
        let report = home.until_cleaned();
        eprintln!("writer:   {written:.1} MiB more; cleaned {:.2?} after the last", begun.elapsed());
        over.store(true, Ordering::Relaxed);
        (report, written, looking.join().unwrap())
    });
    assert!(written > 0.0 && build.goes_on(), "the build went on all the time");
    let figure = |key: &str| report[key].as_f64().unwrap();
    eprintln!(
        "usage:    {peak:.2}% at most, {lowest:.2}% after; by the report {:.2}% -> {:.2}%, {} files and {} bytes in {:.2} s",
        figure("storage_before_percent"),
        figure("storage_after_percent"),
        report["files_deleted"],
        report["bytes_freed"],
        figure("duration_seconds"),
    );
    assert!(peak >= 95.0 && lowest <= 85.0, "{peak}% {lowest}%: {report}");
    assert!(figure("storage_after_percent") <= 85.0, "{report}");

    let said = build.finish();
    eprintln!("build:    succeeded; its program says \"{said}\"");
    let modules: u64 = said.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(said, format!("{modules} modules, sum {}", modules * (modules - 1) / 2));

    let removed = removed(&home);
    assert_order(&removed, &copied);
    let mut by_share: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for (phase, path) in &removed {
        let phase = ORDER.iter().position(|one| one == phase).unwrap();
        *by_share.entry((phase, share_of(&root_dir, path))).or_default() += 1;
    }
    for ((phase, share), files) in &by_share {
        let all = copied.keys().filter(|path| share_of(&root_dir, path) == *share).count();
        eprintln!("audit:    {:<11} {files:>5} of {all:>5} files of {share}", ORDER[*phase]);
    }
    let shares: BTreeSet<&str> = by_share.keys().map(|(_, share)| share.as_str()).collect();
    assert_eq!(shares, BTreeSet::from(["job_crashed", "job_forgotten", "old", "recent"]));

    let after = on_disk(&job);
    let paths: BTreeSet<&str> = after.iter().map(|(path, ..)| path.as_str()).collect();
    let lost: Vec<_> = before.iter().filter(|(path, ..)| !paths.contains(path.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let kept = |all: &[(String, u64, u64)]| -> Vec<_> {
        all.iter().filter(|(path, ..)| Path::new(path).starts_with(job.join("kept"))).cloned().collect()
    };
    assert_eq!(kept(&before), kept(&after), "the same files with the same content");
    eprintln!(
        "job:      none of its {} files lost, {} now; the audit of {} removals holds none of them",
        before.len(),
        after.len(),
        removed.len()
    );
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}

/// Phase after phase, and in each of them the oldest first.
fn assert_order(removed: &[(String, PathBuf)], copied: &Copied) {
    let number = |phase: &str| ORDER.iter().position(|one| *one == phase);
    let mut last = (0, SystemTime::UNIX_EPOCH);
    for (phase, path) in removed {
        let written = *copied.get(path).unwrap_or_else(|| panic!("not among what was copied: {path:?}"));
        let now = (number(phase).unwrap_or_else(|| panic!("{phase}: {path:?}")), written);
        assert!(now >= last, "{path:?}: {now:?} after {last:?}");
        last = now;
    }
    for phase in ORDER {
        assert!(removed.iter().any(|(one, _)| one == phase), "nothing in phase {phase}");
    }
}
