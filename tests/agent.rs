//! The agent as a process, from outside: what it keeps and what it removes
//! when it is stopped, starved of space and told of another configuration.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, measured or failed is told there")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;
#[path = "agent/resources.rs"]
mod resources;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::volumes::{inside, loop_mounted, tmpfs};
use harness::{Home, aged, file, in_the_index, on_disk, root, scratch};
use rustix::process::Signal;
use serde_json::Value;

const HOUR: u64 = 3600;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn count(root: &Path, prefix: &str) -> usize {
    let entries = fs::read_dir(root).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix)).count()
}

fn phase<'a>(report: &'a Value, name: &str) -> &'a Value {
    let phases = report["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["policy"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn term_stops_it_cleanly_and_a_restart_uses_the_index_that_is_there() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    for dir in 0..20 {
        let dir = root_dir.join(format!("d{dir}"));
        fs::create_dir(&dir).unwrap();
        for number in 0..250 {
            fs::write(dir.join(format!("f{number}")), "x").unwrap();
        }
    }
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    assert_eq!(home.stop(), Some(0), "{}", home.log());
    assert!(!home.path("socket").exists());

    fs::remove_file(root_dir.join("d3/f7")).unwrap();
    fs::write(root_dir.join("while_it_was_down"), "y").unwrap();
    home.start();
    let first = in_the_index(&home);
    assert!(first.len() >= 5000 - 1, "only {} files at once", first.len());
    home.until("the index knows what changed meanwhile", |home| {
        (in_the_index(home) == on_disk(&root_dir)).then_some(())
    });
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}

#[test]
fn an_emergency_takes_orphans_first_and_spares_active_jobs_and_open_files() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure(
        "sample_interval = \"1s\"",
        &root(&root_dir, "capacity = \"32MiB\"\nhigh_water = 90\nlow_water = 60"),
    );
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "alive"]);
    home.done(&["job", "start", "dead"]);
    home.done(&["job", "fail", "dead"]);
    for number in 0..8 {
        file(&root_dir.join(format!("job_alive_{number}")), MIB, 90 * HOUR);
        file(&root_dir.join(format!("job_dead_{number}")), MIB / 2, 80 * HOUR);
    }
    file(&root_dir.join("open"), MIB, 99 * HOUR);
    let _open = File::open(root_dir.join("open")).unwrap();
    for number in 0..14 {
        file(&root_dir.join(format!("orphan_{number}")), MIB, 50 * HOUR);
    }
    // The last that makes it 29 MiB of 32, and too young to go.
    for number in 0..8 {
        file(&root_dir.join(format!("young_{number}")), MIB / 4, 0);
    }
    let report = home.until_cleaned();
    assert_eq!(report["trigger"], "emergency_threshold");
    let (alive, young) = (count(&root_dir, "job_alive_"), count(&root_dir, "young_"));
    assert_eq!((alive, young), (8, 8), "{report}");
    assert!(root_dir.join("open").exists(), "{report}");
    assert!(count(&root_dir, "orphan_") < 14, "{report}");
    // Orphans alone suffice, so nothing of the failed job had to go.
    assert_eq!(count(&root_dir, "job_dead_"), 8, "{report}");
    assert!(phase(&report, "orphans")["skipped"]["active_job"].as_u64() > Some(0), "{report}");
    assert!(phase(&report, "orphans")["skipped"]["in_use"].as_u64() > Some(0), "{report}");
    let audit = home.done(&["audit", "--jsonl"]);
    assert!(audit.lines().all(|line| line.contains("orphan_") || !line.contains("\"removed\"")), "{audit}");
    assert_eq!(home.stop(), Some(0));
}

/// Fills a volume past its mark with orphans, and lets the agent clean it:
/// it must end at or below the target, and by no more than a batch.
fn an_emergency_on(kind: &str, mib: u64, mounted: impl FnOnce(&Home, &Path) -> Result<(), String>) {
    const BATCH: usize = 20;
    const SIZE: usize = 256 * KIB;
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = mounted(&home, &volume) {
        eprintln!("skipped: {kind}: {why}");
        return;
    }
    home.configure(
        "sample_interval = \"1s\"",
        &root(
            &volume,
            &format!("warning = 50\nhigh_water = 70\nlow_water = 55\n[root.limits]\nbatch = {BATCH}"),
        ),
    );
    let used = || {
        let stat = rustix::fs::statvfs(&volume).unwrap();
        let used = stat.f_blocks - stat.f_bfree;
        used as f64 * 100.0 / (used + stat.f_bavail) as f64
    };
    for number in 0.. {
        if number % 10 == 0 {
            rustix::fs::syncfs(File::open(&volume).unwrap()).unwrap();
        }
        if used() >= 71.0 {
            break;
        }
        file(&volume.join(format!("orphan_{number}")), SIZE, 50 * HOUR + 1000 - number.min(999));
    }
    home.start();
    let report = home.until_cleaned();
    let after = report["storage_after_percent"].as_f64().unwrap();
    let batch = (BATCH * SIZE) as f64 * 100.0 / (mib << 20) as f64;
    // Metadata comes free with the files: a margin of one percent.
    assert!(after <= 55.0 && after > 55.0 - batch - 1.0, "{kind}: {after}% ({batch}% a batch): {report}");
    assert_eq!(home.stop(), Some(0));
    eprintln!("{kind}: ended at {after:.2}%, one batch is {batch:.2}%");
}

#[test]
fn an_emergency_ends_within_a_batch_below_its_target_on_tmpfs() {
    if inside("an_emergency_ends_within_a_batch_below_its_target_on_tmpfs") {
        an_emergency_on("tmpfs", 128, |_, at| tmpfs(at, 128));
    }
}

#[test]
fn an_emergency_ends_within_a_batch_below_its_target_on_ext4() {
    if inside("an_emergency_ends_within_a_batch_below_its_target_on_ext4") {
        an_emergency_on("ext4", 200, |home, at| loop_mounted("ext4", &home.path("image"), at, 200));
    }
}

#[test]
fn an_emergency_ends_within_a_batch_below_its_target_on_xfs() {
    if inside("an_emergency_ends_within_a_batch_below_its_target_on_xfs") {
        an_emergency_on("xfs", 320, |home, at| loop_mounted("xfs", &home.path("image"), at, 320));
    }
}

#[test]
fn an_emergency_ends_within_a_batch_below_its_target_on_btrfs() {
    if inside("an_emergency_ends_within_a_batch_below_its_target_on_btrfs") {
        an_emergency_on("btrfs", 320, |home, at| loop_mounted("btrfs", &home.path("image"), at, 320));
    }
}

#[test]
fn a_fast_writer_never_finds_a_small_volume_full() {
    if !inside("a_fast_writer_never_finds_a_small_volume_full") {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 64) {
        eprintln!("skipped: {why}");
        return;
    }
    // MiB a second. Beyond that a build without optimisation does not keep up.
    let unbounded = std::env::var_os("GUARDIAN_LONG").is_some() && !cfg!(debug_assertions);
    let rate = if unbounded { f64::INFINITY } else { 150.0 };
    let keys = "warning = 5\nhigh_water = 30\nlow_water = 10\n[root.retain]\nmin_age = \"0s\"";
    home.configure("", &root(&volume, keys));
    home.start();
    home.until_root_is("ready");
    let bytes = vec![7u8; MIB];
    let (mut written, begun) = (0u64, Instant::now());
    while begun.elapsed() < Duration::from_secs(5) {
        let ahead = Duration::from_secs_f64(written as f64 / rate).saturating_sub(begun.elapsed());
        std::thread::sleep(ahead);
        let path = volume.join(format!("w{written}"));
        if let Err(why) = fs::write(&path, &bytes) {
            panic!("after {written} MiB in {:?}: {why}", begun.elapsed());
        }
        written += 1;
    }
    eprintln!("{written} MiB in {:?}", begun.elapsed());
    assert!(written > 64 * 4, "the writer was slow: {written} MiB");
    assert_eq!(home.stop(), Some(0));
}

/// Writes until the volume takes no byte more.
fn fill(dir: &Path) {
    for number in 0.. {
        let path = dir.join(format!("orphan_{number}"));
        let mut file = File::create(&path).unwrap_or_else(|why| panic!("{why}"));
        let bytes = vec![1u8; 256 * KIB];
        let mut full = false;
        for piece in bytes.chunks(4 * KIB) {
            full |= file.write_all(piece).is_err();
        }
        drop(file);
        aged(&path, 50 * HOUR);
        if full {
            break;
        }
    }
    let stat = rustix::fs::statvfs(dir).unwrap();
    assert_eq!(stat.f_bavail, 0, "the volume is full");
}

fn on_a_full_volume(name: &str, running: bool) {
    if !inside(name) {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    if let Err(why) = tmpfs(&volume, 32) {
        eprintln!("skipped: {why}");
        return;
    }
    let root_dir = volume.join("scratch");
    fs::create_dir(&root_dir).unwrap();
    let agent = format!("state_dir = {:?}\nsample_interval = \"1s\"", volume.join("state"));
    let marks = "warning = 70\nhigh_water = 90\nlow_water = 60";
    home.configure(&agent, &root(&root_dir, marks));
    home.start();
    home.until_root_is("ready");
    if !running {
        assert_eq!(home.stop(), Some(0));
    } else {
        home.done(&["pause", "--emergencies"]);
    }
    fill(&root_dir);
    if running {
        home.done(&["resume"]);
    } else {
        home.start();
    }
    let used = || {
        let stat = rustix::fs::statvfs(&volume).unwrap();
        100.0 - stat.f_bavail as f64 * 100.0 / stat.f_blocks as f64
    };
    home.until("the volume is cleaned", |_| (used() <= 60.0).then_some(()));
    assert!(home.runs());
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}

#[test]
fn it_starts_and_cleans_with_no_byte_free_for_its_own_state() {
    on_a_full_volume("it_starts_and_cleans_with_no_byte_free_for_its_own_state", false);
}

#[test]
fn it_goes_on_and_cleans_when_no_byte_is_left_for_its_own_state() {
    on_a_full_volume("it_goes_on_and_cleans_when_no_byte_is_left_for_its_own_state", true);
}

#[test]
fn a_root_that_is_not_there_is_a_mistake_of_the_configuration() {
    let home = Home::new();
    let missing = home.path("missing");
    home.configure("", &root(&missing, ""));
    let output = home.start_in_vain();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(missing.to_str().unwrap()) && said.contains("does not exist"), "{said}");
    assert!(!missing.exists());
}

#[test]
fn a_broken_file_does_not_change_what_is_in_force() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    fs::write(home.path("guardian.toml"), "[agent]\nnonsense = 1\n").unwrap();
    home.signal(Signal::HUP);
    home.until("the refusal is in the log", |home| {
        home.log().contains("the new configuration is refused").then_some(())
    });
    let health = home.ask("/v1/health").unwrap();
    assert_eq!(
        (&health["roots"][0]["name"], &health["roots"][0]["state"]),
        (&"scratch".into(), &"ready".into())
    );

    // A good one is taken.
    let second = home.path("second");
    fs::create_dir(&second).unwrap();
    let both = root(&root_dir, "") + &root(&second, "").replace("\"scratch\"", "\"second\"");
    home.configure("", &both);
    home.signal(Signal::HUP);
    home.until("the second root is guarded", |home| {
        let health = home.ask("/v1/health")?;
        (health["roots"][1]["state"] == "ready").then_some(())
    });
    assert_eq!(home.stop(), Some(0));
}
