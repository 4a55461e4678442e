//! Own-process mode through the real program: no agent, real directories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use assert_cmd::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

#[path = "standalone/unattended.rs"]
mod unattended;

const HOUR: u64 = 3600;

/// A host with one root and no agent.
struct Host {
    home: TempDir,
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {}\n{}", self.out, self.err))
    }
}

impl Host {
    fn new() -> Self {
        Self::with("", "")
    }

    /// `agent` and `root` are further keys.
    fn with(agent: &str, root: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let host = Self { home };
        fs::create_dir(host.root()).unwrap();
        host.configure(agent, root);
        host
    }

    fn configure(&self, agent: &str, root: &str) {
        let text = format!(
            "[agent]\nstate_dir = {:?}\nsocket = {:?}\n{agent}\n\
             [[root]]\nname = \"scratch\"\npath = {:?}\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n{root}\n",
            self.state(),
            self.home.path().join("none.sock"),
            self.root()
        );
        fs::write(self.home.path().join("guardian.toml"), text).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("scratch")
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(name.as_ref())
    }

    /// A file of so many bytes that is so many hours old.
    fn file(&self, name: impl AsRef<OsStr>, bytes: usize, hours: u64) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![7_u8; bytes]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * HOUR + 5);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::cargo_bin("guardian").unwrap();
        command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").env("NO_COLOR", "1");
        command.arg("--config").arg(self.home.path().join("guardian.toml")).args(arguments);
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.out, ran.err);
        ran
    }

    /// Everything under the home: path to kind, content and times.
    fn picture(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime, i64, u32)> {
        walkdir::WalkDir::new(self.home.path())
            .into_iter()
            .map(|entry| {
                let entry = entry.unwrap();
                let seen = entry.metadata().unwrap();
                let bytes = if seen.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
                let modified = seen.modified().unwrap();
                (entry.path().to_owned(), (bytes, modified, seen.ctime_nsec() ^ seen.ctime(), seen.mode()))
            })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != ".guardian")
            .collect();
        names.sort();
        names
    }
}

fn listed(report: &Value) -> Vec<String> {
    let actions = report["actions"].as_array().unwrap();
    actions.iter().map(|action| action["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_configuration_is_guardians_own_also_beneath_a_root() {
    let host = Host::new();
    let old = host.file("old", 10, 50);
    let file = host.file("guardian.toml", 0, 0);
    fs::copy(host.home.path().join("guardian.toml"), &file).unwrap();
    let then = SystemTime::now() - Duration::from_secs(50 * HOUR);
    File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
    let mut command = Command::cargo_bin("guardian").unwrap();
    command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").current_dir(host.root());
    command.args(["--config", "guardian.toml", "sweep", "orphans"]).assert().success();
    assert!(file.exists() && !old.exists());
}

#[test]
fn a_dry_run_says_what_a_sweep_does_and_changes_no_byte() {
    let host = Host::new();
    host.file("old", 5000, 30);
    host.file("job_gone_chunk_1_x", 5000, 40);
    host.file("deep/er/older", 5000, 50);
    host.file("young", 5000, 1);
    let before = host.picture();
    let dry = host.ok(&["sweep", "orphans", "--dry-run", "--json"]).json();
    assert_eq!(before, host.picture(), "neither root nor state directory nor times may change");
    assert!(!host.state().exists() && !host.path(".guardian").exists());
    assert_eq!(dry["dry_run"], true);
    assert_eq!(dry["files_deleted"], 3);
    assert!(dry["reclaim"].get("volume_delta_bytes").is_none());
    assert_eq!(host.names(), ["deep", "job_gone_chunk_1_x", "old", "young"]);

    let done = host.ok(&["sweep", "orphans", "--list", "--json"]).json();
    assert_eq!(listed(&done), listed(&dry), "the same removals in the same order");
    for key in ["files_deleted", "bytes_freed", "files_scanned"] {
        assert_eq!(done[key], dry[key], "{key}");
    }
    assert_eq!(done["trigger"], "manual");
    assert_eq!(done["requested_by"]["pid"].as_u64().map(|pid| pid > 0), Some(true));
    assert!(host.names().contains(&"young".to_owned()));
    assert!(!host.path("old").exists() && !host.path("deep/er/older").exists());

    let before = host.picture();
    host.ok(&["sweep", "orphans", "--dry-run"]);
    host.ok(&["explain", host.path("young").to_str().unwrap()]);
    host.ok(&["root", "list"]);
    host.ok(&["job", "list"]);
    assert_eq!(before, host.picture(), "also where there is a ledger");
}

#[test]
fn oldest_frees_what_was_asked_for_and_no_more() {
    let host = Host::new();
    for hours in 1..=9 {
        host.file(format!("f{hours}"), 100_000, hours);
    }
    let dry = host.ok(&["sweep", "oldest", "--free", "250KB", "--dry-run", "--json"]).json();
    assert_eq!(listed(&dry), ["f9", "f8", "f7"].map(|name| host.path(name).display().to_string()));
    let few = host.ok(&["sweep", "oldest", "--older-than", "2h", "--max-files", "2", "--json"]).json();
    assert_eq!(few["files_deleted"], 2);
    assert_eq!(host.names(), ["f1", "f2", "f3", "f4", "f5", "f6", "f7"]);
}

#[test]
fn a_capacity_root_is_swept_until_the_percentage_or_exits_3() {
    let host = Host::with("", "capacity = \"1MiB\"\nmin_free = \"0\"");
    for hours in 1..=8 {
        host.file(format!("f{hours}"), 100 * 1024, hours);
    }
    let done = host.ok(&["sweep", "oldest", "--until", "50", "--json"]).json();
    assert_eq!(done["target_reached"], true, "{done}");
    assert!(done["storage_before_percent"].as_f64().unwrap() > 75.0);
    assert!(done["storage_after_percent"].as_f64().unwrap() <= 50.0);
    assert_eq!(host.names(), ["f1", "f2", "f3", "f4", "f5"]);
    let open = File::open(host.path("f1")).unwrap();
    let short = host.run(&["sweep", "oldest", "--until", "0", "--json"]);
    assert_eq!(short.code, 3, "{}{}", short.out, short.err);
    let report = short.json();
    assert_eq!(report["target_reached"], false);
    assert_eq!(report["skipped"]["in_use"], 1, "{report}");
    assert_eq!(host.names(), ["f1"]);
    drop(open);
}

#[test]
fn a_plan_on_paper_takes_exactly_what_it_says_and_nothing_that_changed() {
    let host = Host::new();
    host.file("a", 10, 30);
    host.file("b", 10, 31);
    let plan = host.ok(&["sweep", "orphans", "--dry-run", "--json"]);
    let paper = host.home.path().join("plan.json");
    fs::write(&paper, &plan.out).unwrap();
    host.file("c", 10, 32);
    host.file("b", 11, 31);
    let done = host.ok(&["sweep", "--plan", paper.to_str().unwrap(), "--json"]).json();
    assert_eq!(done["files_deleted"], 1, "{done}");
    assert_eq!((&done["skipped"]["changed"], &done["policy"]), (&1.into(), &"orphans".into()), "{done}");
    assert_eq!(host.names(), ["b", "c"]);
}

#[test]
fn a_plan_on_paper_goes_by_what_was_asked_for_and_else_by_the_rules_of_now() {
    let host = Host::new();
    host.file("old", 10, 30);
    host.file("young", 10, 2);
    host.file("job_7_x", 10, 3);
    host.ok(&["job", "start", "7", "--ttl", "1h"]);
    host.ok(&["job", "fail", "7"]);
    let paper = host.home.path().join("plan.json");
    let plan = |words: &[&str]| {
        let made = host.ok(&[words, &["--dry-run", "--json"]].concat());
        fs::write(&paper, &made.out).unwrap();
        made.json()["files_deleted"].clone()
    };
    let apply = || host.ok(&["sweep", "--plan", paper.to_str().unwrap(), "--json"]).json();
    // The rule is milder by now.
    assert_eq!(plan(&["sweep", "orphans"]), 1);
    host.configure("", "[root.retain]\norphans = \"48h\"");
    assert_eq!(apply()["files_deleted"], 0);
    assert_eq!(plan(&["sweep", "orphans", "--older-than", "1h"]), 2);
    assert_eq!(apply()["files_deleted"], 2);
    // The job failed a moment ago, and was asked for by name.
    assert_eq!(plan(&["sweep", "failed-jobs", "--job", "7"]), 1);
    assert_eq!(apply()["files_deleted"], 1);
    assert!(host.names().is_empty());
}

#[test]
fn a_started_job_protects_its_files_and_a_failed_one_gives_them_up() {
    let host = Host::new();
    host.file("job_42_chunk_1_a", 10, 30);
    let started = host.ok(&["job", "start", "42", "--ttl", "1h", "--json"]).json();
    assert_eq!((&started["id"], &started["state"]), (&Value::from("42"), &Value::from("active")));
    let kept = host.ok(&["sweep", "orphans", "--json"]).json();
    assert_eq!(kept["files_deleted"], 0);
    assert_eq!(kept["skipped"]["active_job"], 1, "{kept}");
    let told = host.ok(&["explain", host.path("job_42_chunk_1_a").to_str().unwrap(), "--json"]).json();
    assert!(told["summary"].as_str().unwrap().contains("job 42"), "{told}");
    assert_eq!(told["jobs"][0]["state"], "active");
    let refused = host.run(&["sweep", "failed-jobs", "--job", "42"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("job 42 is active"), "{}", refused.err);
    host.ok(&["job", "fail", "42"]);
    let gone = host.ok(&["sweep", "failed-jobs", "--job", "42", "--json"]).json();
    assert_eq!(gone["files_deleted"], 1, "{gone}");
    assert_eq!(host.run(&["job", "heartbeat", "42"]).code, 5, "it has ended");
    assert_eq!(host.run(&["job", "show", "43"]).code, 2);
}

#[test]
fn explain_tells_of_each_policy_and_of_what_stands_against_it() {
    let host = Host::with("", "protect = [\"*.keep\"]");
    host.file("old", 10, 30);
    host.file("mid", 10, 2);
    host.file("x.keep", 10, 99);
    let explain = |name: &str| host.ok(&["explain", host.path(name).to_str().unwrap(), "--json"]).json();
    let old = explain("old");
    assert_eq!((&old["exists"], &old["root"]), (&Value::from(true), &Value::from("scratch")));
    assert!(old["summary"].as_str().unwrap().starts_with("goes at the "), "{old}");
    let orphans = old["policies"].as_array().unwrap().iter().find(|one| one["policy"] == "orphans").unwrap();
    assert_eq!((&orphans["verdict"], &orphans["rule"]), (&"remove".into(), &"orphan_untracked".into()));
    assert!(explain("mid")["summary"].as_str().unwrap().contains("eligible in an emergency"));
    assert_eq!(explain("x.keep")["summary"], "kept: protected (`protect`)");
    assert_eq!(explain("nothing")["exists"], false);
    let _open = File::open(host.path("old")).unwrap();
    assert!(explain("old")["summary"].as_str().unwrap().starts_with("open or mapped now"));
    let outside = host.ok(&["explain", "/etc/passwd", "--json"]).json();
    assert!(outside["root"].is_null() && outside["policies"].as_array().unwrap().is_empty());
    assert!(host.state().symlink_metadata().is_err(), "explain makes no state directory");
}

#[test]
fn what_contradicts_itself_is_2_and_what_is_taken_is_5() {
    let host = Host::new();
    host.file("old", 10, 30);
    for arguments in [&["sweep", "oldest"][..], &["sweep", "--root", "nowhere"]] {
        let ran = host.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
    }
    host.ok(&["sweep", "orphans", "--max-files", "1"]);
    let lock = File::open(host.state().join("lock")).unwrap();
    lock.lock().unwrap();
    host.file("older", 10, 30);
    let held = host.run(&["sweep", "orphans"]);
    assert_eq!(held.code, 5, "{}", held.err);
    assert_eq!(host.names(), ["older"]);
    lock.unlock().unwrap();
    let lock = File::open(host.path(".guardian/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(host.run(&["sweep", "orphans"]).code, 5);
    assert_eq!(host.ok(&["sweep", "orphans", "--dry-run", "--json"]).json()["files_deleted"], 1);
}

#[test]
fn configuration_that_observes_wins_over_the_command() {
    let host = Host::with("dry_run = true", "");
    host.file("old", 10, 30);
    let report = host.ok(&["sweep", "orphans", "--json"]).json();
    assert_eq!((&report["dry_run"], &report["files_deleted"]), (&Value::from(true), &Value::from(1)));
    assert_eq!(host.names(), ["old"]);
    assert!(!host.state().exists());
}

#[test]
fn hostile_names_are_told_apart_encoded_and_removed() {
    let host = Host::new();
    let names: [&[u8]; 6] = [b"\xff\xfe", b"a\nb", b"-rf", b"--", b"\x1b[31mred", b"sp ace;$(touch pwned)"];
    for name in names {
        host.file(OsStr::from_bytes(name), 10, 30);
    }
    std::os::unix::fs::symlink("/etc/passwd", host.path("link")).unwrap();
    let text = host.ok(&["sweep", "orphans", "--dry-run"]);
    assert!(!text.out.contains('\u{1b}'), "no control character reaches the terminal: {:?}", text.out);
    let done = host.ok(&["sweep", "orphans", "--list", "--json"]).json();
    assert_eq!(done["files_deleted"], names.len(), "{done}");
    let encoded = done["actions"].as_array().unwrap().iter().find(|one| one["path_encoding"] == "percent");
    assert!(encoded.unwrap()["path"].as_str().unwrap().ends_with("%FF%FE"), "{done}");
    assert_eq!(host.names(), ["link"], "the link itself is young, its target is not ours");
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn json_lines_and_text_agree_on_nothing_to_do() {
    let host = Host::new();
    let lines = host.ok(&["sweep", "orphans", "--jsonl"]).out;
    assert_eq!(lines.lines().count(), 1);
    let report: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!((&report["files_deleted"], &report["errors_total"]), (&0.into(), &0.into()));
    assert!(host.ok(&["sweep", "orphans"]).out.contains("removed 0 files"));
}
