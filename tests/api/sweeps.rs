//! Sweeps as resources: queued, running, done, cancelled, and joined.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::wire::call;
use crate::harness::{Home, file, root, scratch};

/// An agent over so many files that nobody needs.
fn agent(files: usize) -> (Home, PathBuf) {
    let mut home = Home::new();
    let at = scratch(&home);
    for n in 0..files {
        file(&at.join(format!("job_gone_{n}")), 1, 200_000);
    }
    home.configure("", &root(&at, "adoption_grace = \"0s\""));
    home.start();
    home.until_root_is("ready");
    (home, at)
}

fn ask(home: &Home, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = call(&home.path("socket"), method, path, body.as_bytes());
    (answer.status, answer.json())
}

#[test]
fn a_sweep_is_begun_looked_at_and_kept() {
    let (home, at) = agent(20);
    let answer = call(&home.path("socket"), "POST", "/v1/sweeps", br#"{"policy":"orphans"}"#);
    let place = answer.header("location").unwrap().to_owned();
    assert_eq!(
        (answer.status, &place),
        (202, &format!("/v1/sweeps/{}", answer.json()["id"].as_str().unwrap()))
    );
    let done = home.until("the sweep is done", |home| {
        let (status, sweep) = ask(home, "GET", &place, &Value::Null);
        assert_eq!(status, 200);
        let state = sweep["state"].as_str().unwrap().to_owned();
        assert!(["queued", "running", "done"].contains(&state.as_str()), "{sweep}");
        (state == "done").then_some(sweep)
    });
    assert_eq!(
        (&done["progress"]["files"], &done["report"]["files_deleted"]),
        (&json!(20), &json!(20)),
        "{done}"
    );
    let (_, listed) = ask(&home, "GET", "/v1/sweeps?limit=1", &Value::Null);
    assert_eq!(listed["items"][0]["id"], done["id"]);
    // One that is over stays what it is.
    let (status, after) = ask(&home, "DELETE", &place, &Value::Null);
    assert_eq!((status, &after["state"]), (200, &json!("done")));
    assert!(!at.join("job_gone_0").exists());
}

#[test]
fn equal_requests_at_the_same_time_are_one_sweep_and_both_get_its_report() {
    let (home, _) = agent(3000);
    let sweep =
        || ask(&home, "POST", "/v1/sweeps?wait=true", &json!({ "policy": "orphans", "batch_size": 1 })).1;
    let reports: Vec<Value> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(sweep)).collect();
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(reports[0]["id"], reports[1]["id"], "{reports:#?}");
    assert_eq!(reports[0]["files_deleted"], 3000, "{reports:#?}");
}

#[test]
fn a_sweep_that_is_cancelled_ends_after_its_batch_and_keeps_what_it_did() {
    let (home, at) = agent(3000);
    let (_, begun) = ask(&home, "POST", "/v1/sweeps", &json!({ "policy": "orphans", "batch_size": 1 }));
    let place = format!("/v1/sweeps/{}", begun["id"].as_str().unwrap());
    home.until("it has removed something", |home| {
        let (_, sweep) = ask(home, "GET", &place, &Value::Null);
        assert_ne!(sweep["state"], "done", "it was too fast to be cancelled");
        (sweep["progress"]["files"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(ask(&home, "DELETE", &place, &Value::Null).0, 200);
    let over = home.until("it has ended", |home| {
        let (_, sweep) = ask(home, "GET", &place, &Value::Null);
        (sweep["state"] != "running").then_some(sweep)
    });
    assert_eq!(over["state"], "cancelled", "{over}");
    let left = std::fs::read_dir(&at)
        .unwrap()
        .filter(|one| one.as_ref().unwrap().file_name() != ".guardian")
        .count();
    let removed = over["report"]["files_deleted"].as_u64().unwrap();
    assert!(left > 0 && removed + left as u64 == 3000, "{left} left: {over}");
}

#[test]
fn a_sweep_that_ended_with_its_agent_is_told_as_such_by_the_next() {
    let (mut home, _) = agent(3000);
    let (_, begun) = ask(&home, "POST", "/v1/sweeps", &json!({ "policy": "orphans", "batch_size": 1 }));
    let place = format!("/v1/sweeps/{}", begun["id"].as_str().unwrap());
    home.kill();
    home.start();
    let (status, gone) = ask(&home, "GET", &place, &Value::Null);
    assert_eq!(status, 404, "{gone}");
    assert!(gone["detail"].as_str().unwrap().contains("the agent was started anew at 20"), "{gone}");
    let help = gone["help"].as_str().unwrap();
    assert!(help.contains("guardian history"), "{gone}");
    // What it says works.
    let since = help.split("--since ").nth(1).unwrap().split('`').next().unwrap();
    home.done(&["audit", "--since", since]);
    let (_, unknown) = ask(&home, "GET", "/v1/sweeps/none", &Value::Null);
    assert!(!unknown["detail"].as_str().unwrap().contains("started anew"), "{unknown}");
}
