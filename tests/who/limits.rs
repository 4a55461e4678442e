//! How often one user may ask for work.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};

use super::harness::peers::{is_root, open_to_all};
use super::{OTHER, OWNER, World, paths, text};

/// One request that counts; its number makes names new.
type Counted = (&'static str, fn(&World, usize) -> (String, String, Value));

fn ask(method: &str, path: impl Into<String>, body: Value) -> (String, String, Value) {
    (method.to_owned(), path.into(), body)
}

fn given_by_root(world: &World, route: &str, n: usize) -> String {
    let path = world.file(&format!("given{n}"), OWNER, 0);
    let given = world.done(&world.root, "POST", route, &paths(&path));
    given["items"][0]["id"].as_str().unwrap().to_owned()
}

const COUNTED: &[Counted] = &[
    ("a dry sweep", |_, n| ask("POST", "/v1/sweeps", json!({ "dry_run": true, "max_files": n + 1 }))),
    ("a plan", |_, _| ask("POST", "/v1/plans", json!({ "policy": "orphans" }))),
    ("a deletion", |w, n| ask("POST", "/v1/deletions", paths(&w.file(&format!("d{n}"), OWNER, 0)))),
    ("another try at a deletion", |w, n| {
        ask("POST", format!("/v1/deletions/{}/retry", given_by_root(w, "/v1/deletions", n)), Value::Null)
    }),
    ("taking back a deletion", |w, n| {
        ask("DELETE", format!("/v1/deletions/{}", given_by_root(w, "/v1/deletions", n)), Value::Null)
    }),
    ("trash", |w, n| ask("POST", "/v1/trash", paths(&w.file(&format!("t{n}"), OWNER, 0)))),
    ("taking something out of the trash", |w, n| {
        ask("POST", format!("/v1/trash/{}/restore", given_by_root(w, "/v1/trash", n)), Value::Null)
    }),
];

#[test]
fn what_costs_work_is_limited_for_each_user_and_says_when_to_come_again() {
    if !is_root() {
        return;
    }
    for (what, make) in COUNTED {
        // Two in an hour: nothing comes back while the test runs.
        let world = World::new("rate_limit = \"2/hour\"\nautomatic = false", "");
        world.done(&world.root, "POST", "/v1/pause", &Value::Null);
        // Entries given up by root are root's; an owner's may be had back by the owner.
        let asked: Vec<_> = (0..3).map(|n| make(&world, n)).collect();
        for (n, (method, path, body)) in asked.iter().enumerate() {
            let answer = world.owner.ask(method, path, body);
            let limited = answer.status == 429;
            eprintln!("{what}, number {}: {}", n + 1, answer.status);
            assert_eq!(limited, n == 2, "{what}: {answer:?}");
            if limited {
                let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=1800).contains(&seconds), "{what}: {seconds}");
                assert_eq!(answer.body["retry_after_seconds"], seconds);
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            }
        }
        // The bucket is this user's alone, and one for all of these.
        let plan = json!({ "policy": "orphans" });
        assert_eq!(world.owner.ask("POST", "/v1/plans", &plan).status, 429, "{what}");
        assert_eq!(world.other.ask("POST", "/v1/plans", &plan).status, 201, "{what}");
        for _ in 0..5 {
            assert_eq!(world.root.ask("POST", "/v1/plans", &plan).status, 201, "root is exempt");
        }
    }
}

#[test]
fn jobs_heartbeats_holds_and_sessions_are_never_limited() {
    if !is_root() {
        return;
    }
    let world = World::new("rate_limit = \"1/day\"\nautomatic = false", "");
    let path = world.file("mine", OWNER, 0);
    let plan = json!({ "policy": "orphans" });
    assert_eq!(world.owner.ask("POST", "/v1/plans", &plan).status, 201);
    assert_eq!(world.owner.ask("POST", "/v1/plans", &plan).status, 429);
    for n in 0..20 {
        let job = format!("/v1/jobs/j{n}");
        world.done(&world.owner, "PUT", &job, &json!({ "state": "active" }));
        world.done(&world.owner, "POST", &format!("{job}/heartbeat"), &Value::Null);
        world.done(&world.owner, "POST", &format!("{job}/chunks/1/complete"), &Value::Null);
        world.done(&world.owner, "PUT", &job, &json!({ "state": "completed" }));
        world.done(&world.owner, "POST", "/v1/holds", &paths(&path));
        let track = json!({ "paths": [text(&path)], "expires_at": "2099-01-01T00:00:00Z" });
        world.done(&world.owner, "POST", "/v1/files/track", &track);
        world.done(&world.owner, "POST", "/v1/holds/release", &paths(&path));
        world.done(&world.owner, "POST", "/v1/sessions/s/touch", &Value::Null);
    }
    world.done(&world.owner, "POST", "/v1/sessions/s/end", &Value::Null);
}

#[test]
fn the_command_says_when_it_may_be_tried_again() {
    if !is_root() {
        return;
    }
    let world = World::new("rate_limit = \"1/hour\"\nautomatic = false", "");
    // The program as well must be where somebody else can run it.
    let program = world.home.path("guardian");
    fs::copy(env!("CARGO_BIN_EXE_guardian"), &program).unwrap();
    open_to_all(&[&program]);
    let run = || {
        let mut command = Command::new(&program);
        command.env_clear().args(["sweep", "orphans", "--dry-run", "--socket"]);
        let output = command.arg(world.home.path("socket")).current_dir("/").uid(OTHER).gid(OTHER).output();
        let output = output.unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run().0, 0);
    let (code, err) = run();
    eprintln!("{err}");
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("asked too often") && err.contains("1 in 1h"), "{err}");
    assert!(err.contains("try again in 59m") || err.contains("try again in 1h"), "{err}");
}
