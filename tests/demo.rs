//! `guardian demo` as a user sees it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn demo(place: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
    command.arg("demo").env("TMPDIR", place).env("NO_COLOR", "1").env_remove("GUARDIAN_LOG");
    command
}

fn left_in(place: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn texts(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn it_tells_a_whole_story_in_time_and_takes_everything_away() {
    let place = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let output = demo(place.path()).output().unwrap();
    let (report, story) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{story}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    for part in [
        "past the warning mark",
        "past the high-water mark",
        "orphan: names job import03, unknown to the registry",
        "job encode17 failed",
        "among the oldest",
        "is active",
        "kept: protected",
        "all 12 files of the active job",
        "guardian run --root DIR",
    ] {
        assert!(story.contains(part), "{part:?} is missing in\n{story}");
    }
    assert!(story.lines().all(|line| !line.contains("INFO") && !line.contains("\"level\"")), "{story}");
    assert!(report.contains("target 60.0%, reached"), "{report}");
    assert_eq!(left_in(place.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn keep_leaves_a_directory_that_can_be_looked_into() {
    let place = tempfile::tempdir().unwrap();
    let output = demo(place.path()).args(["--keep", "--json"]).output().unwrap();
    let (report, story) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{story}");
    let body: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(body.to_string().contains("\"emergency_threshold\""), "{body}");
    let left = left_in(place.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(story.contains(left[0].to_str().unwrap()), "{story}");
    let output = Command::new(env!("CARGO_BIN_EXE_guardian"))
        .args(["explain", "--config"])
        .args([left[0].join("guardian.toml"), left[0].join("scratch/job_render42_frame001.raw")])
        .output()
        .unwrap();
    let (said, why) = texts(&output);
    assert!(said.contains("job render42"), "{said}{why}");
}

#[test]
fn an_interrupt_takes_everything_away_too() {
    let place = tempfile::tempdir().unwrap();
    let mut child = demo(place.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("begins to write")));
    assert_eq!(left_in(place.path()).len(), 1);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(left_in(place.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn it_needs_no_privileges() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the other tests run without privileges already");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // Where the package lies may be closed to others: run a copy.
    let program = place.path().join("guardian");
    std::fs::copy(env!("CARGO_BIN_EXE_guardian"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("demo").env("TMPDIR", place.path()).current_dir("/").uid(NOBODY).gid(NOBODY);
    let (report, story) = texts(&command.output().unwrap());
    assert!(report.contains("target 60.0%, reached"), "{report}{story}");
    assert_eq!(left_in(place.path()), [program]);
}
