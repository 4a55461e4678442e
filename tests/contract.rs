//! What the contract promises to whoever has only the binary: an agent on a
//! real directory, asked through its socket and its command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "contract/guarded.rs"]
mod guarded;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use guarded::Guarded;
use serde_json::{Value, json};

fn paths(report: &Value) -> BTreeSet<String> {
    let actions = report["actions"].as_array().unwrap();
    actions.iter().map(|action| action["path"].as_str().unwrap().to_owned()).collect()
}

fn set_keep_mark(path: &Path) {
    let file = File::open(path).unwrap();
    rustix::fs::fsetxattr(&file, "user.guardian.keep", b"1", rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn a_dry_run_of_orphans_names_exactly_what_then_goes_also_past_open_and_marked_files() {
    let guarded = Guarded::configured("automatic = false", "");
    for number in 0..9 {
        guarded.file(&format!("orphan{number}"), 4096, 30 + number);
    }
    set_keep_mark(&guarded.file("marked", 4096, 99));
    let held_open = File::open(guarded.file("open", 4096, 98)).unwrap();
    let guarded = guarded.start(&[]);
    guarded.knows(11);
    for limit in [json!({"policy": "orphans", "max_files": 3}), json!({"policy": "orphans"})] {
        let mut dry = limit.clone();
        dry["dry_run"] = json!(true);
        let told = guarded.sweep(&dry);
        let before = guarded.files();
        let done = guarded.sweep(&limit);
        let gone: BTreeSet<_> = before.difference(&guarded.files()).cloned().collect();
        assert_eq!(paths(&told), gone, "{limit}");
        for figure in ["files_deleted", "bytes_freed", "skipped"] {
            assert_eq!(told[figure], done[figure], "{figure} of {limit}");
        }
        assert_eq!(told["phases"][0]["cutoff"].is_string(), done["phases"][0]["cutoff"].is_string());
        assert!(told["reclaim"].get("volume_delta_bytes").is_none());
    }
    let left: Vec<_> = guarded.files().into_iter().collect();
    assert!(left.len() == 2 && left[0].ends_with("/marked") && left[1].ends_with("/open"), "{left:?}");
    drop(held_open);
}

#[test]
fn explain_says_of_a_marked_file_that_it_stays_and_what_would_go_otherwise() {
    let guarded = Guarded::configured("automatic = false", "");
    let marked = guarded.file("marked", 4096, 99);
    set_keep_mark(&marked);
    let guarded = guarded.start(&[]);
    let told = guarded.get(&format!("/v1/explain?path={}", marked.display())).body;
    let orphans = told["policies"].as_array().unwrap().iter().find(|one| one["policy"] == "orphans").unwrap();
    assert_eq!((&orphans["verdict"], &orphans["rule"]), (&json!("keep"), &json!("held")), "{told}");
    assert!(orphans["reason"].as_str().unwrap().contains("otherwise orphan"), "{told}");
}

#[test]
fn emergency_goes_to_the_low_mark_and_does_nothing_when_already_there() {
    let guarded = Guarded::configured("automatic = false", "high_water = 95\nlow_water = 50").start(&[]);
    for number in 0..40 {
        guarded.file(&format!("orphan{number}"), 300_000, 30);
    }
    guarded.knows(40);
    let done = guarded.sweep(&json!({"policy": "emergency"}));
    assert_eq!(done["target_reached"], true, "{done}");
    assert!(done["files_deleted"].as_u64().unwrap() > 0);
    let after = done["storage_after_percent"].as_f64().unwrap();
    assert!((48.0..=50.0).contains(&after), "{done}");
    let again = guarded.run(&["sweep", "emergency", "--json"]);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&again["files_deleted"], &again["target_reached"]), (&json!(0), &json!(true)), "{again}");
}

#[test]
fn limits_combine_and_a_target_that_is_missed_is_exit_3() {
    let guarded = Guarded::configured("automatic = false", "").start(&[]);
    for number in 0..20 {
        guarded.file(&format!("old{number}"), 100_000, 30);
    }
    guarded.file("young", 100_000, 0);
    guarded.knows(21);
    let short = guarded.run(&["sweep", "oldest", "--until", "1%", "--max-files", "2", "--json"]);
    let report: Value = serde_json::from_str(&short.out).unwrap();
    assert_eq!((short.code, &report["files_deleted"]), (3, &json!(2)), "{}{}", short.out, short.err);
    let aged = guarded.sweep(&json!({"policy": "oldest", "older_than": "1h", "free": "100MiB"}));
    assert_eq!(aged["files_deleted"], 18, "{aged}");
    assert!(guarded.root().join("young").exists());
    let bare = guarded.run(&["sweep", "oldest"]);
    assert_eq!(bare.code, 2);
    assert!(bare.err.contains("--older-than, --free or --until"), "{}", bare.err);
}

#[test]
fn older_than_replaces_the_age_but_never_the_grace_of_the_registry() {
    let guarded = Guarded::configured("automatic = false", "registry_grace = \"1h\"");
    // The helper's own line comes first: one key, given once.
    let file = guarded.home.path().join("guardian.toml");
    let text = fs::read_to_string(&file).unwrap().replacen("registry_grace = \"0s\"\n", "", 1);
    guarded.configure(&text);
    guarded.file("job_unknown_1", 4096, 99);
    let plain = guarded.file("plain", 4096, 1);
    let guarded = guarded.start(&[]);
    guarded.knows(2);
    let told = guarded.sweep(&json!({"policy": "orphans", "older_than": "1s", "dry_run": true}));
    assert_eq!(paths(&told), BTreeSet::from([plain.to_str().unwrap().to_owned()]));
}

#[test]
fn a_crossing_is_one_error_line_and_falling_below_it_is_no_alert() {
    let guarded = Guarded::configured("sample_interval = \"1s\"\nlog_format = \"json\"", "");
    // Full before the agent looks: a writer beside it would cross the mark as often as it likes.
    for number in 0..100 {
        guarded.file(&format!("orphan{number}"), 200_000, 30);
    }
    let guarded = guarded.start(&["-v"]);
    guarded.wait_for("the emergency", |agent| agent.log().contains("below the high-water mark again"));
    guarded.wait_for("its end", |agent| agent.log().contains("run ended"));
    let log = guarded.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |level: &str| lines.iter().filter(|line| line["level"] == level).collect::<Vec<_>>();
    assert_eq!(of("ERROR").len(), 1, "{log}");
    assert!(of("ERROR")[0]["usage_percent"].as_f64().unwrap() >= 95.0);
    // At most the one on the way up.
    assert!(of("WARN").iter().all(|line| line["usage_percent"].as_f64().unwrap() >= 85.0), "{log}");
    let removed = of("DEBUG").into_iter().find(|line| line["message"] == "removed").unwrap();
    for field in ["root", "path", "bytes", "reason"] {
        assert!(removed.get(field).is_some(), "{field} in {removed}");
    }
    let run = of("INFO").into_iter().find(|line| line["message"] == "run ended").unwrap();
    assert_eq!((&run["policy"], &run["trigger"]), (&json!("emergency"), &json!("emergency_threshold")));
}

#[test]
fn health_and_stats_have_the_names_of_the_contract() {
    let guarded = Guarded::configured("automatic = false", "").start(&[]);
    let health = guarded.get("/v1/health").body;
    assert_eq!((&health["status"], &health["paused"]), (&json!("healthy"), &json!(false)));
    let root = health["roots"][0].as_object().unwrap();
    for name in [
        "name",
        "path",
        "status",
        "usage_percent",
        "inodes_percent",
        "state",
        "open_check",
        "time_to_full_seconds",
    ] {
        assert!(root.contains_key(name), "{name}");
    }
    let stats = guarded.get("/v1/stats").body;
    assert!(stats["agent"].is_object());
    let root = stats["roots"][0].as_object().unwrap();
    for name in [
        "name",
        "storage_usage_percent",
        "emergency_threshold",
        "inodes_usage_percent",
        "temp_files_count",
        "temp_files_size_bytes",
        "tracked_files_count",
        "active_jobs_count",
        "failed_jobs_count",
        "orphaned_files_count",
        "orphaned_files_size_bytes",
        "expired_files_count",
        "results_past_retention_count",
        "trash_files_count",
        "trash_size_bytes",
        "deferred_pending_count",
        "cleanup_needed",
        "index",
        "top",
    ] {
        assert!(root.contains_key(name), "{name}");
    }
}

#[test]
fn requests_are_answered_with_the_status_of_the_contract() {
    let guarded = Guarded::configured("automatic = false", "").start(&[]);
    let begun = guarded.ask("POST", "/v1/sweeps", Some(&json!({"policy": "orphans"})));
    assert_eq!(begun.status, 202);
    let place = format!("location: /v1/sweeps/{}", begun.body["id"].as_str().unwrap());
    assert!(begun.head.contains(&place), "{}", begun.head);
    for (method, path, body, status) in [
        ("POST", "/v1/sweeps", json!({"bogus": 1}), 400),
        ("POST", "/v1/sweeps", json!({"policy": "oldest"}), 400),
        ("PUT", "/v1/jobs/failed", json!({"state": "active"}), 400),
        ("PUT", "/v1/jobs/a", json!({"state": "active", "bogus": 1}), 400),
        ("PUT", "/v1/jobs/a", json!({"state": "active", "ttl": 300}), 200),
        ("POST", "/v1/jobs/a/sweep", json!({}), 409),
        ("POST", "/v1/jobs/unknown/heartbeat", json!({}), 404),
        ("GET", "/v1/files?limit=0", Value::Null, 400),
        ("GET", "/v1/nothing", Value::Null, 404),
        ("DELETE", "/v1/health", Value::Null, 405),
    ] {
        let answer = guarded.ask(method, path, Some(&body).filter(|body| !body.is_null()));
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if status >= 400 {
            assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
            assert_eq!(answer.body["status"], status);
            for field in ["type", "title", "detail"] {
                assert!(answer.body[field].is_string(), "{field} of {method} {path}");
            }
        }
    }
    let first = guarded.ask("GET", "/v1/jobs?limit=1", None).body;
    assert!(first.get("next").is_some() && first["items"].is_array(), "{first}");
}

#[test]
fn an_agent_that_cannot_start_says_whether_that_is_the_configuration_or_somebody_else() {
    let guarded = Guarded::configured("automatic = false", "").start(&[]);
    let second = guarded.command(&["run"]).output().unwrap();
    assert_eq!(second.status.code(), Some(5), "{}", String::from_utf8_lossy(&second.stderr));
    let missing = guarded.home.path().join("missing");
    let state = guarded.home.path().join("other-state");
    let other = Guarded::configured("", "");
    other.configure(&format!("[agent]\nstate_dir = {state:?}\n[[root]]\npath = {missing:?}\n"));
    let unfit = other.command(&["run"]).output().unwrap();
    let said = String::from_utf8_lossy(&unfit.stderr).into_owned();
    assert_eq!(unfit.status.code(), Some(2), "{said}");
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn the_configuration_is_checked_as_a_whole() {
    let guarded = Guarded::configured("", "");
    let (one, two) = (guarded.home.path().join("one"), guarded.home.path().join("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    guarded.configure(&format!(
        "[agent]\nrate_limit = \"5/minute\"\n[[root]]\npath = {one:?}\nhigh_water = 90\n[[root]]\npath = {two:?}\n"
    ));
    let marks = guarded.run(&["config", "check"]);
    assert_eq!(marks.code, 0, "{}", marks.err);
    assert!(marks.err.contains("roots one and two lie on one volume"), "{}", marks.err);
    guarded.configure("[agent]\nbogus = 1\nautomatic = 3\n[[root]]\npath = \"relative\"\n");
    let wrong = guarded.run(&["config", "check"]);
    assert_eq!(wrong.code, 2);
    for part in ["guardian.toml:2:1: agent.bogus", "guardian.toml:3:13: agent.automatic", "\"relative\""] {
        assert!(wrong.err.contains(part), "{part} in {}", wrong.err);
    }
}

#[test]
fn flags_stand_before_or_after_the_verb() {
    let guarded = Guarded::configured("automatic = false", "").start(&[]);
    for arguments in [["--json", "job", "list"], ["job", "--json", "list"], ["job", "list", "--json"]] {
        let ran = guarded.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(serde_json::from_str::<Value>(&ran.out).unwrap()["items"].is_array());
    }
    let pid = std::process::id().to_string();
    let started =
        guarded.run(&["job", "start", "a", "--ttl", "30s", "--pid", &pid, "--root", "scratch", "--json"]);
    let job: Value = serde_json::from_str(&started.out).unwrap();
    assert_eq!((&job["ttl"], &job["root"], &job["state"]), (&json!(30), &json!("scratch"), &json!("active")));
    assert_eq!(guarded.run(&["audit", "--since", "2026-01-01T00:00:00Z"]).code, 0);
}

#[test]
fn a_list_of_removals_comes_from_the_agent_too_and_stays_out_of_the_history() {
    let guarded = Guarded::configured("automatic = false", "");
    let old = guarded.file("old", 4096, 30);
    let other = guarded.file("other", 4096, 29);
    let guarded = guarded.start(&[]);
    guarded.knows(2);
    let done = guarded.run(&["sweep", "orphans", "--max-files", "1", "--list", "--json"]);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(paths(&report), BTreeSet::from([old.to_str().unwrap().to_owned()]), "{report}");
    let told = guarded.run(&["sweep", "orphans", "--list"]);
    assert!(told.out.contains(other.to_str().unwrap()), "{}", told.out);
    let history = guarded.get("/v1/history").body;
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
    assert!(history["items"].as_array().unwrap().iter().all(|run| run.get("actions").is_none()), "{history}");
}
