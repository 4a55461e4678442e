//! Each request that changed something is on record with who asked; what was
//! refused is in the log.

use serde_json::{Value, json};

use super::harness::peers::is_root;
use super::{OTHER, OWNER, World, paths, text};

fn requests(world: &World, query: &str) -> Vec<Value> {
    let page = world.home.ask(&format!("/v1/requests{query}")).unwrap();
    page["items"].as_array().unwrap().clone()
}

fn actions(all: &[Value]) -> Vec<&str> {
    all.iter().map(|one| one["action"].as_str().unwrap()).collect()
}

#[test]
fn each_change_is_on_record_with_who_asked_for_it_and_survives_a_kill() {
    if !is_root() {
        return;
    }
    let mut world = World::new("automatic = false", "");
    let (path, other) = (world.file("mine", OWNER, 0), world.file("more", OWNER, 0));
    let nothing = Value::Null;
    world.done(&world.owner, "PUT", "/v1/jobs/j", &json!({ "state": "active" }));
    world.done(&world.owner, "POST", "/v1/jobs/j/heartbeat", &nothing);
    world.done(&world.owner, "POST", "/v1/jobs/j/chunks/1/complete", &nothing);
    world.done(&world.owner, "POST", "/v1/holds", &paths(&path));
    world.done(&world.owner, "POST", "/v1/holds/release", &paths(&path));
    world.done(&world.owner, "POST", "/v1/sessions/s/touch", &nothing);
    world.done(&world.owner, "POST", "/v1/files/track", &json!({ "paths": [text(&other)], "session": "s" }));
    world.done(&world.owner, "POST", "/v1/sessions/s/end?wait=true", &nothing);
    world.done(&world.root, "POST", "/v1/pause", &nothing);
    let given = world.done(&world.owner, "POST", "/v1/deletions", &paths(&path));
    let id = given["items"][0]["id"].as_str().unwrap().to_owned();
    world.done(&world.owner, "POST", &format!("/v1/deletions/{id}/retry"), &nothing);
    world.done(&world.owner, "DELETE", &format!("/v1/deletions/{id}"), &nothing);
    let given = world.done(&world.owner, "POST", "/v1/trash", &paths(&path));
    let id = given["items"][0]["id"].as_str().unwrap().to_owned();
    world.done(&world.owner, "POST", &format!("/v1/trash/{id}/restore"), &nothing);
    world.done(&world.root, "POST", "/v1/resume", &nothing);
    world.done(&world.root, "POST", "/v1/sweeps?wait=true", &json!({ "policy": "orphans" }));
    world.done(&world.root, "POST", "/v1/sweeps?wait=true", &json!({ "policy": "orphans", "dry_run": true }));
    world.done(&world.root, "POST", "/v1/plans", &json!({ "policy": "orphans" }));
    world.done(&world.root, "POST", "/v1/registry/trust", &nothing);
    world.done(&world.root, "POST", "/v1/clock/trust", &nothing);
    assert_eq!(world.other.ask("POST", "/v1/pause", &nothing).status, 403);
    assert_eq!(world.other.ask("PUT", "/v1/jobs/j", &json!({ "state": "failed" })).status, 403);

    // Neither heartbeats and touches, nor dry runs and plans, nor what was refused.
    let expected = [
        "clock_trust",
        "registry_trust",
        "sweep",
        "resume",
        "trash_restore",
        "trash_put",
        "deletion_drop",
        "deletion_retry",
        "delete",
        "pause",
        "session_end",
        "track",
        "release",
        "hold",
        "chunk_complete",
        "job_put",
    ];
    assert_eq!(actions(&requests(&world, "")), expected);
    world.home.kill();
    world.home.start();
    let all = requests(&world, "");
    assert_eq!(actions(&all), expected);
    let first = &all[all.len() - 1];
    assert_eq!(first["requested_by"], json!({ "uid": OWNER, "gid": OWNER, "pid": std::process::id() }));
    assert_eq!(
        (&first["request"]["job"], &first["request"]["change"]["state"]),
        (&json!("j"), &json!("active"))
    );
    let delete = all.iter().find(|one| one["action"] == "delete").unwrap();
    assert_eq!(
        (&delete["request"]["count"], &delete["request"]["paths"]),
        (&json!(1), &json!([text(&path)]))
    );

    assert_eq!(requests(&world, "?uid=0").len(), 5);
    assert_eq!(actions(&requests(&world, "?action=hold")), ["hold"]);
    let page = world.home.ask("/v1/requests?limit=2").unwrap();
    let next = page["next"].as_str().unwrap();
    assert_eq!(requests(&world, &format!("?limit=1&after={next}"))[0], all[2]);
    let told = world.home.done(&["history", "--requests", "--uid", "12345", "--limit", "3"]);
    eprintln!("{told}");
    assert!(
        told.contains("trash_restore") && told.contains("12345") && !told.contains("clock_trust"),
        "{told}"
    );
    assert_eq!(world.home.done(&["history", "--requests", "--jsonl"]).lines().count(), expected.len());
}

#[test]
fn what_was_refused_is_in_the_log_but_nobody_fills_it() {
    if !is_root() {
        return;
    }
    let world = World::new("automatic = false", "");
    for _ in 0..100 {
        assert_eq!(world.other.ask("POST", "/v1/pause", &Value::Null).status, 403);
    }
    let log = world.home.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("a request was refused")).collect();
    assert!((1..=20).contains(&told.len()), "{}", told.len());
    let about = [format!("uid={OTHER}"), "POST /v1/pause".to_owned(), "status=403".to_owned()];
    assert!(told[0].contains("WARN") && about.iter().all(|part| told[0].contains(part)), "{}", told[0]);
    assert!(told[0].contains("may not pause removals"), "{}", told[0]);
}
