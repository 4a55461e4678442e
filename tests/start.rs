//! What the agent does at its start with roots and state that are not as hoped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::prelude::*;
use tempfile::TempDir;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn home(roots: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("scratch")).unwrap();
    fs::create_dir(home.path().join("later")).unwrap();
    let text = format!(
        "[agent]\nstate_dir = \"{0}/state\"\nsocket = \"{0}/s.sock\"\n[[root]]\nname = \"scratch\"\npath = \"{0}/scratch\"\n{1}",
        home.path().display(),
        roots.replace("HOME", home.path().to_str().unwrap()),
    );
    fs::write(home.path().join("guardian.toml"), text).unwrap();
    home
}

fn guardian(home: &TempDir) -> Command {
    let mut command = Command::cargo_bin("guardian").unwrap();
    command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR");
    command.arg("--config").arg(home.path().join("guardian.toml")).stderr(Stdio::null());
    command
}

fn run(home: &TempDir) -> Running {
    Running(guardian(home).arg("run").stdout(Stdio::null()).spawn().unwrap())
}

fn states(home: &TempDir) -> Vec<String> {
    let output = guardian(home).args(["health", "--json"]).output().unwrap();
    let Ok(health) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { return Vec::new() };
    let roots = health["roots"].as_array().cloned().unwrap_or_default();
    roots.iter().map(|root| root["state"].as_str().unwrap_or_default().to_owned()).collect()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < limit, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn exit_of(mut agent: Running) -> Option<i32> {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = agent.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < limit, "it goes on instead of ending");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_root_that_is_not_mounted_yet_does_not_leave_the_others_unguarded() {
    let home = home("[[root]]\nname = \"later\"\npath = \"HOME/later\"\nrequire_mount = true\n");
    let _agent = run(&home);
    until("one root is ready and the other waits", || states(&home) == ["ready", "suspended"]);
}

#[test]
fn what_somebody_must_decide_ends_the_start_with_its_exit_code() {
    let wrong = home("[[root]]\nname = \"gone\"\npath = \"HOME/nowhere\"\n");
    assert_eq!(exit_of(run(&wrong)), Some(2), "a configuration that does not hold");
    let home = home("");
    let _first = run(&home);
    until("the first agent is ready", || states(&home) == ["ready"]);
    assert_eq!(exit_of(run(&home)), Some(5), "another agent has the state directory");
}

/// Unmounts what the test mounted.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The state directory of `home` on a volume of its own without a byte left.
fn full_state(home: &TempDir) -> Option<Mounted> {
    let state = home.path().join("state");
    fs::create_dir(&state).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&state).output();
    if !mount.is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: no tmpfs can be mounted here");
        return None;
    }
    let _ = fs::write(state.join("fill"), vec![1; 1 << 17]);
    Some(Mounted(state))
}

#[test]
fn a_root_with_a_capacity_is_cleaned_while_there_is_no_room_for_ledger_and_index() {
    let home = home("capacity = \"1MiB\"\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n");
    let Some(mounted) = full_state(&home) else { return };
    for n in 0..24 {
        let path = home.path().join(format!("scratch/f{n}"));
        fs::write(&path, vec![1; 1 << 16]).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(7200);
        fs::File::open(&path).unwrap().set_modified(then).unwrap();
    }
    let agent = run(&home);
    let left = || {
        fs::read_dir(home.path().join("scratch"))
            .unwrap()
            .flatten()
            .filter(|one| one.file_name() != ".guardian")
            .count()
    };
    until("usage is below the low mark", || left() <= 13);
    assert!(left() >= 12, "and no more than needed went: {}", left());
    drop(agent);
    drop(mounted);
}
