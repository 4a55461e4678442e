//! What clients tell of files: holds, expiry, sessions. Each story once with
//! an agent, through its socket, and once without, on the ledger itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped is told there")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;
#[path = "told/held.rs"]
mod held;
#[path = "told/others.rs"]
mod others;

use std::fs;
use std::path::{Path, PathBuf};

use guardian::cli::{Client, Refusal};
use harness::{Home, file, root, scratch};
use serde_json::{Value, json};

const HOUR: u64 = 3600;
const PAST: &str = "2020-01-01T00:00:00Z";

/// Tells the story with an agent and without.
fn both(more: &str, story: impl Fn(&mut Home, &Path)) {
    for with_agent in [true, false] {
        let mut home = Home::new();
        let at = scratch(&home);
        home.configure("", &root(&at, more));
        if with_agent {
            home.start();
            home.until_root_is("ready");
        }
        story(&mut home, &at);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn put(at: &Path, name: &str, hours: u64) -> PathBuf {
    let path = at.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    file(&path, 10, hours * HOUR + 5);
    path
}

fn sweep(home: &Home, arguments: &[&str]) -> Value {
    let mut all = vec!["sweep", "--json"];
    all.extend(arguments);
    serde_json::from_str(&home.done(&all)).unwrap()
}

fn explained(home: &Home, path: &Path) -> Value {
    serde_json::from_str(&home.done(&["explain", text(path), "--json"])).unwrap()
}

fn notes(explained: &Value) -> String {
    explained["notes"].to_string()
}

#[test]
fn files_go_when_their_expiry_has_come_but_those_of_an_active_job_only_when_it_has_ended() {
    both("", |home, at| {
        let due = put(at, "due", 0);
        let later = put(at, "later", 0);
        let busy = put(at, "job_live_1", 0);
        let replaced = put(at, "replaced", 0);
        home.done(&["job", "start", "live"]);
        home.done(&["track", text(&due), text(&busy), text(&replaced), "--expires-at", PAST]);
        home.done(&["track", text(&later), "--expires-in", "1h"]);
        // Another file takes the name: what was told is not of it.
        fs::rename(put(at, "other", 0), &replaced).unwrap();

        let said = explained(home, &later);
        assert!(notes(&said).contains("expires at") && notes(&said).contains("in 59m"), "{said}");
        let verdict = |said: &Value| {
            let policies = said["policies"].as_array().unwrap().clone();
            policies.into_iter().find(|one| one["policy"] == "expired").unwrap()
        };
        assert_eq!(verdict(&said)["rule"], "unexpired");
        assert!(verdict(&said)["due_at"].is_string(), "{said}");
        let said = explained(home, &due);
        assert_eq!(verdict(&said)["rule"], "expired", "{said}");

        let dry = sweep(home, &["expired", "--dry-run"]);
        assert_eq!((dry["files_deleted"].as_u64(), due.exists()), (Some(1), true), "{dry}");
        assert!(dry["actions"][0]["reason"].as_str().unwrap().starts_with("expired at 2020-01-01T00:00:00Z"));
        let report = sweep(home, &["expired"]);
        assert_eq!(report["files_deleted"], 1, "{report}");
        assert_eq!(report["skipped"]["active_job"], 1, "{report}");
        assert!(!due.exists() && later.exists() && busy.exists() && replaced.exists());

        // A new file of that name is not what had expired.
        put(at, "due", 0);
        assert_eq!(sweep(home, &["expired"])["files_deleted"], 0);
        home.done(&["job", "complete", "live"]);
        assert_eq!(sweep(home, &["expired"])["files_deleted"], 1);
        assert!(!busy.exists() && later.exists() && due.exists());
    });
}

#[test]
fn a_session_that_ends_takes_its_files_along_whatever_their_expiry() {
    both("", |home, at| {
        let names = ["s/one", "s/two", "s/held", "s/job_live_1"];
        let files: Vec<PathBuf> = names.iter().map(|name| put(at, name, 0)).collect();
        let other = put(at, "other", 0);
        home.done(&["job", "start", "live"]);
        home.done(&["session", "touch", "work"]);
        let mut track = vec!["track", "--session", "work", "--expires-in", "10h"];
        track.extend(files.iter().map(|path| text(path)));
        home.done(&track);
        home.done(&["hold", text(&files[2])]);
        let shown: Value = serde_json::from_str(&home.done(&["session", "show", "work", "--json"])).unwrap();
        assert_eq!((shown["state"].as_str(), shown["files_count"].as_u64()), (Some("active"), Some(4)));
        assert!(notes(&explained(home, &files[0])).contains("member of session work, last active"));

        let (code, _, err) = home.run(&["sweep", "session", "--session", "work"]);
        assert!(code == 5 && err.contains("session work goes on"), "{code} {err}");
        assert!(files.iter().all(|path| path.exists()));
        home.done(&["session", "end", "work"]);
        assert_eq!(
            files.iter().map(|path| path.exists()).collect::<Vec<_>>(),
            [false, false, true, true],
            "but those that are held or of an active job"
        );
        assert!(other.exists());

        home.done(&["job", "complete", "live"]);
        home.done(&["release", text(&files[2])]);
        let report = sweep(home, &["session", "--session", "work"]);
        assert_eq!((report["files_deleted"].as_u64(), report["trigger"].as_str().is_some()), (Some(2), true));
        assert!(files.iter().all(|path| !path.exists()) && other.exists());
        let shown: Value = serde_json::from_str(&home.done(&["session", "show", "work", "--json"])).unwrap();
        assert_eq!((shown["state"].as_str(), shown["files_count"].as_u64()), (Some("ended"), Some(0)));
        let list = home.done(&["session", "list", "--json"]);
        assert!(list.contains("\"work\""), "{list}");
        assert_eq!(home.run(&["session", "end", "nobody"]).0, 2);
    });
}

#[test]
fn a_session_without_activity_ends_by_itself() {
    both("retain = { sessions = \"1s\" }", |home, at| {
        let member = put(at, "member", 0);
        let others: Vec<PathBuf> = (0..3).map(|n| put(at, &format!("other{n}"), 0)).collect();
        home.done(&["track", text(&member), "--session", "forgotten"]);
        home.until("the member goes", |home| {
            sweep(home, &["scheduled"]);
            (!member.exists()).then_some(())
        });
        assert!(others.iter().all(|path| path.exists()));
        let history = home.done(&["session", "list", "--json"]);
        assert!(history.contains("forgotten"), "{history}");
    });
}

#[test]
fn the_agent_removes_by_itself_what_has_expired_and_the_files_of_forgotten_sessions() {
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure(
        "sweep_interval = \"1s\"",
        &root(&at, "adoption_grace = \"0s\"\nretain = { sessions = \"1s\" }"),
    );
    home.start();
    home.until_root_is("ready");
    // A plan that took more than half of the root would wait for a person.
    let others: Vec<PathBuf> = (0..5).map(|n| put(&at, &format!("other{n}"), 0)).collect();
    let (due, member) = (put(&at, "due", 0), put(&at, "member", 0));
    home.done(&["track", text(&due), "--expires-in", "1s"]);
    home.done(&["track", text(&member), "--session", "s", "--expires-in", "1h"]);
    home.until("both are gone", |_| (!due.exists() && !member.exists()).then_some(()));
    assert!(others.iter().all(|path| path.exists()));
    home.until("the session has ended without a file", |home| {
        home.ask("/v1/sessions/s")
            .filter(|session| session["state"] == "ended" && session["files_count"] == 0)
    });
    let removed: Vec<Value> = home.until("it is on record", |home| {
        let found: Vec<Value> =
            home.reports().into_iter().filter(|report| report["files_deleted"] != 0).collect();
        (!found.is_empty()).then_some(found)
    });
    assert!(removed.iter().all(|report| report["trigger"] == "scheduled"), "{removed:?}");
    let audit = home.done(&["audit", "--json"]);
    assert!(audit.contains("expired at ") && audit.contains("session s "), "{audit}");
}

#[test]
fn what_is_tracked_for_a_job_is_its_file_whatever_it_is_called() {
    both("", |home, at| {
        let (mine, other) = (put(at, "plain", 50), put(at, "other", 0));
        home.done(&["job", "start", "bad"]);
        home.done(&["track", text(&mine), "--job", "bad"]);
        let report = sweep(home, &["orphans"]);
        assert_eq!(
            (&report["files_deleted"], &report["skipped"]["active_job"]),
            (&json!(0), &json!(1)),
            "{report}"
        );
        assert_eq!(explained(home, &mine)["jobs"][0]["id"], "bad");
        home.done(&["job", "fail", "bad"]);
        let report = sweep(home, &["failed-jobs", "--job", "bad"]);
        assert_eq!(
            (&report["files_deleted"], mine.exists(), other.exists()),
            (&json!(1), false, true),
            "{report}"
        );
    });
}

#[test]
fn what_was_answered_survives_a_kill_and_names_come_from_a_file() {
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure("", &root(&at, ""));
    home.start();
    home.until_root_is("ready");
    let files: Vec<PathBuf> = (0..200).map(|n| put(&at, &format!("f{n}\n"), 50)).collect();
    let list = home.path("list");
    fs::write(&list, files.iter().map(|path| format!("{}\0", text(path))).collect::<String>()).unwrap();
    let from = text(&list);
    home.done(&["hold", "--files0-from", from, "--json"]);
    home.kill();
    home.start();
    home.until_root_is("ready");
    assert_eq!(sweep(&home, &["orphans"])["files_deleted"], 0);
    home.done(&["release", "--files0-from", from]);
    home.done(&["track", "--files0-from", from, "--expires-at", PAST]);
    home.kill();
    home.start();
    home.until_root_is("ready");
    home.until("they are counted", |home| {
        let stats = home.ask("/v1/stats")?["roots"][0].clone();
        let counted = stats["expired_files_count"] == 200 && stats["as_of"].is_string();
        (counted && stats["tracked_files_count"] == 200).then_some(())
    });
    assert_eq!(sweep(&home, &["expired"])["files_deleted"], 200);
    let stats = home.ask("/v1/stats").unwrap();
    assert_eq!(stats["roots"][0]["tracked_files_count"], 0, "{stats}");
}

#[test]
fn a_request_that_names_one_wrong_path_changes_nothing() {
    both("", |home, at| {
        let good = put(at, "good", 50);
        let link = at.join("link");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        let through = link.join("hostname");
        for wrong in
            ["/etc/hostname", text(&at.join("none")), text(&through), text(at), text(&at.join(".guardian"))]
        {
            for verb in [&["hold"][..], &["track", "--expires-at", PAST]] {
                let mut all = verb.to_vec();
                all.extend([text(&good), wrong]);
                let (code, _, err) = home.run(&all);
                assert!(code != 0, "{all:?} is taken");
                assert!(err.contains(wrong) || err.contains("canonical"), "{all:?}: {err}");
            }
        }
        assert_eq!(home.run(&["track", text(&good)]).0, 2, "nothing is told");
        fs::create_dir(at.join("d")).unwrap();
        let (code, _, err) = home.run(&["track", text(&good), text(&at.join("d")), "--session", "s"]);
        assert!(code == 2 && err.contains("name the files themselves"), "{code} {err}");
        assert!(home.ask("/v1/sessions").is_none_or(|all| all["items"] == json!([])), "no session has begun");
        assert_eq!(sweep(home, &["expired"])["files_deleted"], 0);
        assert_eq!(sweep(home, &["orphans"])["files_deleted"], 1, "nothing is held");
    });
}

#[test]
fn the_socket_takes_and_shows_what_the_contract_names() {
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure("", &root(&at, ""));
    home.start();
    home.until_root_is("ready");
    let held = put(&at, "held", 0);
    let client = Client::find(&[home.path("socket")]).unwrap();
    let post = |path: &str, body: Value| match client.post(path, &body) {
        Ok(answer) => serde_json::from_slice::<Value>(&answer.body).unwrap(),
        Err(Refusal::Problem(problem, _)) => json!({ "refused": problem.status, "detail": problem.detail }),
        Err(Refusal::Silent(none)) => panic!("{path}: {none}"),
    };
    let hold =
        post("/v1/holds", json!({ "paths": [text(&held)], "until": 4_000_000_000_u64, "reason": "r" }));
    assert_eq!(hold["items"][0]["path"], text(&held), "{hold}");
    let encoded = json!({ "path": text(&held), "path_encoding": "percent" });
    assert_eq!(post("/v1/holds", json!({ "paths": [encoded] }))["items"][0]["until"], Value::Null);
    let listed = home.ask("/v1/holds?limit=1").unwrap();
    assert_eq!((&listed["items"][0], listed["next"].is_string()), (&hold["items"][0], true));
    let id = hold["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(client.delete(&format!("/v1/holds/{id}")).is_ok());
    assert!(
        matches!(client.delete(&format!("/v1/holds/{id}")), Err(Refusal::Problem(why, _)) if why.status == 404)
    );
    assert_eq!(home.ask("/v1/holds").unwrap()["items"].as_array().unwrap().len(), 1);

    assert_eq!(post("/v1/files/track", json!({ "paths": [text(&held)] }))["refused"], 400);
    assert_eq!(post("/v1/files/track", json!({ "paths": [], "session": "s" }))["refused"], 400);
    assert_eq!(post("/v1/files/track", json!({ "paths": [text(&held)], "sesion": "s" }))["refused"], 400);
    let told = post("/v1/files/track", json!({ "paths": [text(&held)], "session": "s", "job": "j" }));
    assert_eq!((&told["items"][0]["session"], &told["items"][0]["jobs"]), (&json!("s"), &json!(["j"])));
    assert_eq!(post("/v1/sessions/b/touch", json!({}))["state"], "active");
    let all = home.ask("/v1/sessions").unwrap();
    assert_eq!(all["items"].as_array().unwrap().iter().map(|one| &one["id"]).collect::<Vec<_>>(), ["b", "s"]);
    let page = home.ask("/v1/sessions?limit=1").unwrap();
    let next = page["next"].as_str().unwrap();
    assert_eq!(home.ask(&format!("/v1/sessions?limit=1&after={next}")).unwrap()["items"][0]["id"], "s");
    let ended = post("/v1/sessions/s/end?wait=true", json!({}));
    let report = &ended["sweep"]["report"];
    assert_eq!((&ended["state"], &report["trigger"]), (&json!("ended"), &json!("session_ended")), "{ended}");
    assert_eq!((&report["skipped"]["held"], held.exists()), (&json!(1), true), "{ended}");
    assert_eq!(post("/v1/sessions/none/end", json!({}))["refused"], 404);
}
