//! What jobs give up and leave behind, through the program and its socket: chunks, failures, results.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what failed is told there")]

#[allow(dead_code, reason = "not every file of tests needs all of it")]
mod harness;

use std::fs::{self, File};
use std::io::Write;
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

#[test]
fn a_completed_chunk_goes_at_once_while_its_job_is_at_work_and_nothing_else_does() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        for name in
            ["job_a_chunk_1_x", "job_a_chunk_1_y", "job_a_chunk_2_x", "job_a_x", "job_b_chunk_1_x", "z"]
        {
            put(&path.join(name));
        }
        put(&path.join("job_a_chunk_1_dir/deep"));
        let told = json_of(&home.done(&["chunk", "complete", "a", "1", "--json"]));
        assert_eq!(told["sweep"]["report"]["trigger"], "chunk_completed", "{told}");
        assert_eq!(told["sweep"]["report"]["phases"][0]["policy"], "chunks", "{told}");
        assert_eq!(told["sweep"]["report"]["files_deleted"], 3, "{told}");
        let left = names(path);
        assert!(!left.iter().any(|name| name.starts_with("job_a_chunk_1") && name != "job_a_chunk_1_dir"));
        for name in ["job_a_chunk_2_x", "job_a_x", "job_b_chunk_1_x", "z"] {
            assert!(left.contains(&name.to_owned()), "{left:?}");
        }
        // The same chunk again, in later work: what is written since is not given up.
        put(&path.join("job_a_chunk_1_again"));
        home.run(&["sweep", "--json"]);
        assert!(path.join("job_a_chunk_1_again").exists());
        let (code, _, err) = home.run(&["chunk", "complete", "nobody", "1"]);
        assert!(code != 0 && err.contains("nobody"), "{code} {err}");
    });
}

#[test]
fn named_files_go_and_those_that_are_not_of_the_chunk_are_refused_by_name() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        let own = put(&path.join("job_a_chunk_1_x"));
        let spared = put(&path.join("job_a_chunk_1_y"));
        let other = put(&path.join("job_a_chunk_2_x"));
        let outside = put(&home.path("job_a_chunk_1_z"));
        let tree = path.join("job_a_chunk_1_dir");
        fs::create_dir(&tree).unwrap();
        let link = path.join("link");
        std::os::unix::fs::symlink(home.path(""), &link).unwrap();
        let through = format!("{}/job_a_chunk_1_z", link.display());
        let gone = path.join("job_a_chunk_1_gone");
        let list = home.path("list");
        let mut file = File::create(&list).unwrap();
        for name in [&own, &other, &outside, tree.to_str().unwrap(), gone.to_str().unwrap()] {
            file.write_all(name.as_bytes()).unwrap();
            file.write_all(b"\0").unwrap();
        }
        let (code, out, err) =
            home.run(&["chunk", "complete", "a", "1", "--files0-from", list.to_str().unwrap(), "--json"]);
        assert_eq!(code, 1, "{out}{err}");
        let told = json_of(&out);
        let refused: Vec<&str> =
            told["refused"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
        assert_eq!(refused, [&other, &outside, tree.to_str().unwrap()], "{told}");
        assert!(!Path::new(&own).exists());
        for kept in [&spared, &other, &outside] {
            assert!(Path::new(kept).exists(), "{kept}");
        }
        // By a link out of the root: nothing happens to where it leads.
        assert_eq!(home.run(&["chunk", "complete", "a", "1", &through]).0, 1);
        assert!(Path::new(&outside).exists());
        let (code, _, err) = home.run(&["chunk", "complete", "a", "1", "--files0-from", "/dev/null"]);
        assert!(code == 2 && err.contains("no path"), "{err}");
        assert!(Path::new(&spared).exists(), "an empty list does not stand for everything");
    });
}

#[test]
fn an_open_file_of_a_completed_chunk_stays_and_goes_at_a_later_sweep_also_after_a_kill() {
    let (mut home, path) = home("", "");
    home.start();
    home.done(&["job", "start", "a"]);
    let held = path.join("job_a_chunk_1_held");
    put(&held);
    put(&path.join("job_a_chunk_1_free"));
    let open = File::open(&held).unwrap();
    let told = json_of(&home.done(&["chunk", "complete", "a", "1", "--json"]));
    assert_eq!(told["sweep"]["report"]["files_deleted"], 1, "{told}");
    assert_eq!(told["sweep"]["report"]["skipped"]["in_use"], 1, "{told}");
    home.kill();
    drop(open);
    home.start();
    home.until_root_is("ready");
    put(&path.join("job_a_chunk_1_later"));
    let told = json_of(&home.done(&["sweep", "--json"]));
    assert_eq!(told["files_deleted"], 1, "{told}");
    assert_eq!(names(&path), ["job_a_chunk_1_later"]);
}

#[test]
fn an_emergency_takes_what_a_completed_chunk_left_before_anything_else() {
    let (home, path) = home("automatic = false", "capacity = \"1MiB\"\nlow_water = 50\nhigh_water = 95");
    let mut home = home;
    home.start();
    home.done(&["job", "start", "a"]);
    let held = path.join("job_a_chunk_1_held");
    harness::file(&held, 600_000, 5);
    harness::file(&path.join("old"), 300_000, 90_000);
    let open = File::open(&held).unwrap();
    home.done(&["chunk", "complete", "a", "1"]);
    drop(open);
    let told = json_of(&home.done(&["sweep", "emergency", "--json"]));
    assert_eq!(names(&path), ["old"], "{told}");
    let phase = told["phases"].as_array().unwrap().iter().find(|one| one["policy"] == "chunks").unwrap();
    assert_eq!(phase["files_deleted"], 1, "{told}");
}

#[test]
fn a_job_that_starts_again_has_given_up_nothing_of_its_new_life() {
    both("", "", |home, path| {
        home.done(&["job", "start", "a"]);
        let held = path.join("job_a_chunk_1_held");
        put(&held);
        let open = File::open(&held).unwrap();
        home.done(&["chunk", "complete", "a", "1"]);
        drop(open);
        home.done(&["job", "fail", "a"]);
        home.done(&["job", "start", "a"]);
        home.done(&["sweep"]);
        assert!(held.exists());
    });
}

#[test]
fn a_chunk_is_completed_over_the_socket_and_held_or_marked_files_stay() {
    let (mut home, path) = home("", "protect = [\"*.keep\"]");
    home.start();
    home.done(&["job", "start", "a"]);
    for name in ["job_a_chunk_1_x", "job_a_chunk_1_x.keep", "job_a_chunk_1_marked", "job_a_chunk_1_later"] {
        put(&path.join(name));
    }
    let mark = |name: &str, key: &str, value: &[u8]| {
        let file = File::open(path.join(name)).unwrap();
        rustix::fs::fsetxattr(&file, key, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    mark("job_a_chunk_1_marked", "user.guardian.keep", b"1");
    // An expiry is the time by which it goes at the latest; its job is done with it now.
    mark("job_a_chunk_1_later", "user.guardian.expires", b"2099-01-01T00:00:00Z");
    let client = guardian::cli::Client::find(&[home.path("socket")]).unwrap();
    let answer = client.post("/v1/jobs/a/chunks/1/complete?wait=true", &json!({})).unwrap();
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["sweep"]["state"], "done", "{told}");
    assert_eq!(told["sweep"]["report"]["files_deleted"], 2, "{told}");
    assert_eq!(names(&path), ["job_a_chunk_1_marked", "job_a_chunk_1_x.keep"]);
    assert!(client.post("/v1/jobs/a/chunks/1/complete", &json!({"file": []})).is_err());
    assert!(client.post("/v1/jobs/nobody/chunks/1/complete", &json!({})).is_err());
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

fn mark(path: &Path, key: &str, value: &str) {
    let file = File::open(path).unwrap();
    rustix::fs::fsetxattr(&file, key, value.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
}

/// Seconds since 1970, so many from now.
fn unix(offset: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (i64::try_from(now.as_secs()).unwrap() + offset).to_string()
}

#[test]
fn files_go_when_their_own_mark_says_so_and_a_later_word_counts() {
    both("", "retain.orphans = \"1s\"", |home, path| {
        let file = |name: &str| {
            let file = path.join(name);
            harness::file(&file, 1000, 7200);
            file
        };
        mark(&file("past"), "user.guardian.expires", "2001-01-01T00:00:00Z");
        mark(&file("past_seconds"), "user.expires", &unix(-5));
        mark(&file("later"), "user.expires", &unix(7200));
        mark(&file("nonsense"), "user.expires", "tomorrow");
        mark(&file("put_off"), "user.expires", &unix(-5));
        // Guardian's own key goes before the other.
        let two = file("two");
        mark(&two, "user.expires", &unix(-5));
        mark(&two, "user.guardian.expires", &unix(7200));
        let of_job = file("job_a_x");
        mark(&of_job, "user.expires", &unix(-5));
        home.done(&["job", "start", "a"]);
        home.until("the marks are known", |home| {
            let told = json_of(&home.done(&["sweep", "expired", "--dry-run", "--json"]));
            (told["files_deleted"] == 3).then_some(())
        });
        mark(&path.join("put_off"), "user.expires", &unix(7200));
        let told = json_of(&home.done(&["sweep", "expired", "--json"]));
        assert_eq!(names(path), ["job_a_x", "later", "nonsense", "put_off", "two"], "{told}");
        assert_eq!(told["phases"][0]["skipped"]["active_job"], 1, "{told}");
        // What expires later is no orphan before.
        let told = json_of(&home.done(&["sweep", "orphans", "--json"]));
        assert_eq!(names(path), ["job_a_x", "later", "put_off", "two"], "{told}");
        let told = home.done(&["explain", path.join("later").to_str().unwrap()]);
        assert!(told.contains("expire"), "{told}");
        home.done(&["job", "complete", "a"]);
        home.done(&["sweep", "expired"]);
        assert_eq!(names(path), ["later", "put_off", "two"]);
    });
}

#[test]
fn the_agent_sees_marks_from_before_its_start_and_such_as_are_set_by_name_only() {
    let (mut home, path) = home("", "");
    let (before, after, never) = (path.join("sub/before"), path.join("sub/after"), path.join("sub/never"));
    for file in [&before, &after, &never] {
        put(file);
    }
    mark(&before, "user.expires", &unix(-5));
    home.start();
    let due = |count: u64| {
        home.until("the marks are known", |home| {
            let told = json_of(&home.done(&["sweep", "expired", "--dry-run", "--json"]));
            (told["files_deleted"] == count).then_some(())
        });
    };
    due(1);
    rustix::fs::setxattr(&after, "user.expires", b"100", rustix::fs::XattrFlags::empty()).unwrap();
    due(2);
    rustix::fs::removexattr(&before, "user.expires").unwrap();
    due(1);
    home.done(&["sweep"]);
    assert_eq!(names(&path.join("sub")), ["before", "never"]);
}

#[test]
fn without_xattr_expiry_a_mark_means_nothing() {
    both("", "xattr_expiry = false", |home, path| {
        let file = path.join("x");
        put(&file);
        mark(&file, "user.expires", "100");
        home.done(&["sweep", "expired"]);
        assert!(file.exists());
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
