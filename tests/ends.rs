//! What jobs leave behind, through the program and its socket: failures and
//! results; what they give up themselves is in `chunks`, what files say of
//! their own end in `marks`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what failed is told there")]

#[path = "ends/chunks.rs"]
mod chunks;
#[allow(dead_code, reason = "not every file of tests needs all of it")]
mod harness;
#[path = "ends/marks.rs"]
mod marks;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use harness::{Home, root, scratch};
use serde_json::{Value, json};

/// A home with one root and these keys of it; `agent` are keys of `[agent]`.
fn home(agent: &str, more: &str) -> (Home, PathBuf) {
    let home = Home::new();
    let path = scratch(&home);
    home.configure(agent, &root(&path, more));
    (home, path)
}

fn put(path: &Path) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"some bytes").unwrap();
    path.to_str().unwrap().to_owned()
}

fn names(path: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".guardian")
        .collect();
    all.sort();
    all
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// With an agent, or in the command's own process.
fn both(agent: &str, more: &str, test: impl Fn(&mut Home, &Path)) {
    for served in [true, false] {
        let (mut home, path) = home(agent, more);
        if served {
            home.start();
        }
        test(&mut home, &path);
    }
}

fn mark(path: &Path, key: &str, value: &str) {
    let file = File::open(path).unwrap();
    rustix::fs::fsetxattr(&file, key, value.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
}

/// Seconds since 1970, so many from now.
fn unix(offset: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (i64::try_from(now.as_secs()).unwrap() + offset).to_string()
}

/// Keys of a root whose policies act at once.
fn soon(more: &str) -> String {
    format!("adoption_grace = \"0s\"\nlimits.max_share = 100\n{more}")
}

fn sleeper() -> std::process::Child {
    std::process::Command::new("sleep").arg("600").spawn().unwrap()
}

#[test]
fn files_of_a_job_whose_process_ends_without_a_report_go_when_its_retention_is_over() {
    let (mut home, path) = home("", &soon("retain.failed_jobs = \"1s\""));
    home.start();
    let mut process = sleeper();
    home.done(&["job", "start", "a", "--pid", &process.id().to_string()]);
    home.done(&["job", "start", "b"]);
    let (crashed, living) = (path.join("job_a_x"), path.join("job_b_x"));
    put(&crashed);
    put(&living);
    process.kill().unwrap();
    process.wait().unwrap();
    home.until("the crashed job's files go", |_| (!crashed.exists()).then_some(()));
    let report = home.until("the report is in the history", |home| home.reports().into_iter().next());
    assert_eq!(
        (&report["trigger"], &report["policy"]),
        (&json!("job_failed"), &json!("failed-jobs")),
        "{report}"
    );
    assert_eq!(home.ask("/v1/jobs/a").unwrap()["presumed"], true);
    assert!(living.exists());
}

#[test]
fn a_failure_before_a_kill_is_followed_up_after_the_start() {
    let (mut home, path) = home("", &soon("retain.failed_jobs = \"2s\""));
    home.start();
    home.done(&["job", "start", "a"]);
    let file = path.join("job_a_x");
    put(&file);
    home.done(&["job", "fail", "a"]);
    home.kill();
    assert!(file.exists(), "its retention is not over");
    home.start();
    home.until("the failed job's files go", |_| (!file.exists()).then_some(()));
    let report = home.until("the report is in the history", |home| home.reports().into_iter().next());
    assert_eq!(report["trigger"], "job_failed");
}

#[test]
fn failed_jobs_are_swept_now_when_asked_for_one_or_all_and_active_ones_never() {
    let (mut home, path) = home("", "");
    home.start();
    for job in ["a", "b", "c", "d", "e"] {
        home.done(&["job", "start", job]);
        put(&path.join(format!("job_{job}_x")));
    }
    home.done(&["job", "fail", "a"]);
    home.done(&["job", "cancel", "b"]);
    home.done(&["job", "fail", "c"]);
    home.done(&["job", "complete", "d"]);
    // By schedule only an hour after the failure.
    home.done(&["sweep", "failed-jobs"]);
    assert_eq!(names(&path).len(), 5);
    home.done(&["sweep", "failed-jobs", "--job", "a"]);
    assert_eq!(names(&path), ["job_b_x", "job_c_x", "job_d_x", "job_e_x"]);
    let client = guardian::cli::Client::find(&[home.path("socket")]).unwrap();
    let answer = client.post("/v1/jobs/failed/sweep?wait=true", &json!({})).unwrap();
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["files_deleted"], 2, "{told}");
    assert_eq!(names(&path), ["job_d_x", "job_e_x"]);
    let refused = client.post("/v1/jobs/e/sweep?wait=true", &json!({})).unwrap_err();
    assert!(matches!(refused, guardian::cli::Refusal::Problem(problem, _) if problem.status == 409));
    assert_eq!(home.run(&["sweep", "failed-jobs", "--job", "e"]).0, 5);
}

#[test]
fn old_results_go_after_their_retention_and_the_job_is_marked_as_without_them() {
    both("", "results = [\"*.result\", \"out\"]\nretain.results = \"2s\"", |home, path| {
        for job in ["a", "b", "c"] {
            home.done(&["job", "start", job]);
            put(&path.join(format!("job_{job}_x.result")));
        }
        put(&path.join("job_a/out/deep"));
        put(&path.join("job_a/temporary"));
        put(&path.join("nobody.result"));
        home.done(&["job", "complete", "a"]);
        home.done(&["job", "fail", "b"]);
        home.done(&["sweep", "results"]);
        assert!(path.join("job_a_x.result").exists(), "its retention is not over");
        let shown = json_of(&home.done(&["job", "show", "a", "--json"]));
        assert_eq!(shown["results_removed_at"], Value::Null);
        home.until("the retention is over", |home| {
            let told = json_of(&home.done(&["sweep", "results", "--dry-run", "--json"]));
            (told["files_deleted"] == 3).then_some(())
        });
        let told = json_of(&home.done(&["sweep", "results", "--json", "--list"]));
        assert_eq!(told["files_deleted"], 3, "{told}");
        assert_eq!(told["actions"][0]["because"]["rule"], "old_result", "{told}");
        for gone in ["job_a_x.result", "job_b_x.result", "job_a/out/deep"] {
            assert!(!path.join(gone).exists(), "{gone}");
        }
        for kept in ["job_c_x.result", "job_a/temporary", "nobody.result"] {
            assert!(path.join(kept).exists(), "{kept}");
        }
        for (job, marked) in [("a", true), ("b", true), ("c", false)] {
            let shown = json_of(&home.done(&["job", "show", job, "--json"]));
            assert_eq!(shown["results_removed_at"].is_string(), marked, "{shown}");
        }
        assert!(home.done(&["job", "show", "a"]).contains("without results since"));
        home.done(&["job", "start", "a"]);
        let shown = json_of(&home.done(&["job", "show", "a", "--json"]));
        assert_eq!(shown["results_removed_at"], Value::Null);
    });
}

#[test]
fn results_past_their_retention_are_counted_and_go_by_schedule() {
    let (mut home, path) = home("", &soon("results = [\"*.result\"]\nretain.results = \"1s\""));
    home.start();
    home.done(&["job", "start", "a"]);
    let result = path.join("job_a_x.result");
    put(&result);
    home.done(&["job", "complete", "a"]);
    home.until("the old result is counted", |home| {
        let stats = home.ask("/v1/stats")?;
        (stats["roots"][0]["results_past_retention_count"] == 1).then_some(())
    });
    home.done(&["sweep"]);
    assert!(!result.exists());
}

#[test]
fn what_is_past_the_maximum_age_goes_at_the_scheduled_sweep_and_results_stay() {
    both("", "results = [\"*.result\"]\nretain.max_age = \"1h\"", |home, path| {
        for (name, seconds) in [("old", 4000), ("young", 3000), ("old.result", 4000), ("job_a_old", 4000)] {
            harness::file(&path.join(name), 1000, seconds);
        }
        home.done(&["job", "start", "a"]);
        let told = json_of(&home.done(&["sweep", "--json"]));
        assert_eq!(names(path), ["job_a_old", "old.result", "young"], "{told}");
        let phases = told["phases"].as_array().unwrap();
        let phase = phases.iter().find(|one| one["policy"] == "max_age").unwrap();
        assert_eq!(phase["files_deleted"], 1, "{told}");
        assert_eq!(phase["skipped"]["active_job"], 1, "{told}");
        assert!(phase["cutoff"].is_string(), "{told}");
    });
}

#[test]
fn explain_tells_of_chunks_results_and_marks() {
    both("", "results = [\"*.result\"]\nretain.results = \"1s\"", |home, path| {
        home.done(&["job", "start", "a"]);
        let held = path.join("job_a_chunk_1_x");
        put(&held);
        let result = path.join("job_b_x.result");
        put(&result);
        let marked = path.join("marked");
        put(&marked);
        mark(&marked, "user.expires", "100");
        home.done(&["job", "start", "b"]);
        home.done(&["job", "complete", "b"]);
        let says = |file: &Path, policy: &str, reason: &str| {
            home.until(reason, |home| {
                let told = json_of(&home.done(&["explain", file.to_str().unwrap(), "--json"]));
                let all = told["policies"].as_array()?.clone();
                let one = all.into_iter().find(|one| one["policy"] == policy)?;
                (one["reason"].as_str()?.contains(reason)).then_some(one["verdict"].clone())
            })
        };
        assert_eq!(says(&held, "chunks", "not subject"), "keep");
        let open = File::open(&held).unwrap();
        home.done(&["chunk", "complete", "a", "1"]);
        drop(open);
        assert_eq!(says(&held, "chunks", "chunk 1 of job a was reported complete"), "remove");
        assert_eq!(says(&result, "results", "result of job b, completed"), "remove");
        assert_eq!(says(&marked, "expired", "expired at 1970-01-01"), "remove");
    });
}
