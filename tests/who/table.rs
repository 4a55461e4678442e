//! The table: each request that changes something, and those that read, by each kind of peer.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::peers::{Peer, is_root};
use super::harness::volumes::{bind, inside};
use super::{OTHER, OWNER, World, paths, text};

/// A user of every Debian, who is made a member of the administrators' group.
const MEMBER: (u32, &str) = (3, "sys");
const GROUP: &str = "guardian-test-admins";

/// A request, made from what the fixture needs first.
type Request = (String, String, Value);

/// Builds the world of one cell (its number makes names new) and tells the request.
type Prepare = fn(&World, usize) -> Request;

struct Row {
    what: &'static str,
    prepare: Prepare,
    /// The status for root, a member of the group, the owner, somebody else.
    expected: [u16; 4],
}

const fn row(what: &'static str, prepare: Prepare, expected: [u16; 4]) -> Row {
    Row { what, prepare, expected }
}

fn ask(method: &str, path: impl Into<String>, body: Value) -> Request {
    (method.to_owned(), path.into(), body)
}

fn job(world: &World, by: &Peer, number: usize) -> String {
    let id = format!("j{number}");
    world.done(by, "PUT", &format!("/v1/jobs/{id}"), &json!({ "state": "active" }));
    id
}

fn owners(world: &World, number: usize) -> std::path::PathBuf {
    world.file(&format!("plain{number}"), OWNER, 0)
}

fn held(world: &World, by: &Peer, number: usize) -> (std::path::PathBuf, String) {
    let path = owners(world, number);
    let hold = world.done(by, "POST", "/v1/holds", &paths(&path));
    (path, hold["items"][0]["id"].as_str().unwrap().to_owned())
}

fn session(world: &World, by: &Peer, number: usize) -> String {
    let id = format!("s{number}");
    world.done(by, "POST", &format!("/v1/sessions/{id}/touch"), &Value::Null);
    id
}

fn given(world: &World, route: &str, uid: u32, number: usize) -> String {
    let path = world.file(&format!("given{number}"), uid, 0);
    let given = world.done(&world.peer(uid), "POST", route, &paths(&path));
    given["items"][0]["id"].as_str().unwrap().to_owned()
}

fn put(id: &str, body: Value) -> Request {
    ask("PUT", format!("/v1/jobs/{id}"), body)
}

fn post(path: impl Into<String>) -> Request {
    ask("POST", path, Value::Null)
}

/// Any peer its own, administrators all.
const OWN: [u16; 4] = [200, 200, 200, 403];
const OWN_LATER: [u16; 4] = [202, 202, 202, 403];
/// Administrators only.
const ADMINS: [u16; 4] = [200, 200, 403, 403];
const ADMINS_LATER: [u16; 4] = [202, 202, 403, 403];
const ALL: [u16; 4] = [200; 4];

/// With removals paused, so that what waits goes on waiting.
const PAUSED: &[Row] = &[
    row("start a new job", |_, n| put(&format!("new{n}"), json!({ "state": "active" })), ALL),
    row(
        "start again the owner's job that ended",
        |w, n| {
            let id = job(w, &w.owner, n);
            w.done(&w.owner, "PUT", &format!("/v1/jobs/{id}"), &json!({ "state": "failed" }));
            put(&id, json!({ "state": "active" }))
        },
        OWN,
    ),
    row("change the owner's job", |w, n| put(&job(w, &w.owner, n), json!({ "ttl": "1h" })), OWN),
    row("end the owner's job", |w, n| put(&job(w, &w.owner, n), json!({ "state": "completed" })), OWN),
    row(
        "heartbeat of the owner's job",
        |w, n| post(format!("/v1/jobs/{}/heartbeat", job(w, &w.owner, n))),
        OWN,
    ),
    row("change root's job", |w, n| put(&job(w, &w.root, n), json!({ "ttl": "1h" })), ADMINS),
    row("end root's job", |w, n| put(&job(w, &w.root, n), json!({ "state": "failed" })), ADMINS),
    row("heartbeat of root's job", |w, n| post(format!("/v1/jobs/{}/heartbeat", job(w, &w.root, n))), ADMINS),
    row(
        "complete a chunk of the owner's job",
        |w, n| {
            let id = job(w, &w.owner, n);
            w.file(&format!("job_{id}_chunk_1_x"), OWNER, 0);
            post(format!("/v1/jobs/{id}/chunks/1/complete"))
        },
        OWN_LATER,
    ),
    row(
        "complete a chunk of root's job",
        |w, n| {
            let id = job(w, &w.root, n);
            post(format!("/v1/jobs/{id}/chunks/1/complete"))
        },
        ADMINS_LATER,
    ),
    row("hold the owner's file", |w, n| ask("POST", "/v1/holds", paths(&owners(w, n))), OWN),
    row(
        "hold root's file",
        |w, n| ask("POST", "/v1/holds", paths(&w.file(&format!("roots{n}"), 0, 0))),
        ADMINS,
    ),
    row(
        "release the owner's hold",
        |w, n| ask("DELETE", format!("/v1/holds/{}", held(w, &w.owner, n).1), Value::Null),
        OWN,
    ),
    row(
        "release the owner's hold by path",
        |w, n| ask("POST", "/v1/holds/release", paths(&held(w, &w.owner, n).0)),
        OWN,
    ),
    row(
        "release root's hold on the owner's file",
        |w, n| ask("DELETE", format!("/v1/holds/{}", held(w, &w.root, n).1), Value::Null),
        ADMINS,
    ),
    row(
        "release root's hold on the owner's file by path",
        |w, n| ask("POST", "/v1/holds/release", paths(&held(w, &w.root, n).0)),
        ADMINS,
    ),
    row(
        "track the owner's file",
        |w, n| {
            let path = owners(w, n);
            ask(
                "POST",
                "/v1/files/track",
                json!({ "paths": [text(&path)], "expires_at": "2099-01-01T00:00:00Z" }),
            )
        },
        OWN,
    ),
    row(
        "touch the owner's session",
        |w, n| post(format!("/v1/sessions/{}/touch", session(w, &w.owner, n))),
        OWN,
    ),
    row("end the owner's session", |w, n| post(format!("/v1/sessions/{}/end", session(w, &w.owner, n))), OWN),
    row(
        "touch root's session",
        |w, n| post(format!("/v1/sessions/{}/touch", session(w, &w.root, n))),
        ADMINS,
    ),
    row("end root's session", |w, n| post(format!("/v1/sessions/{}/end", session(w, &w.root, n))), ADMINS),
    row("delete the owner's file", |w, n| ask("POST", "/v1/deletions", paths(&owners(w, n))), OWN_LATER),
    row(
        "delete root's file",
        |w, n| ask("POST", "/v1/deletions", paths(&w.file(&format!("roots{n}"), 0, 0))),
        ADMINS_LATER,
    ),
    row(
        "try the owner's deletion again",
        |w, n| post(format!("/v1/deletions/{}/retry", given(w, "/v1/deletions", OWNER, n))),
        OWN,
    ),
    row(
        "try root's deletion again",
        |w, n| post(format!("/v1/deletions/{}/retry", given(w, "/v1/deletions", 0, n))),
        ADMINS,
    ),
    row(
        "drop the owner's deletion",
        |w, n| ask("DELETE", format!("/v1/deletions/{}", given(w, "/v1/deletions", OWNER, n)), Value::Null),
        OWN,
    ),
    row(
        "drop root's deletion",
        |w, n| ask("DELETE", format!("/v1/deletions/{}", given(w, "/v1/deletions", 0, n)), Value::Null),
        ADMINS,
    ),
    row("clear the queue", |_, _| ask("DELETE", "/v1/deletions", Value::Null), ADMINS),
    row(
        "put the owner's file into the trash",
        |w, n| ask("POST", "/v1/trash", paths(&owners(w, n))),
        OWN_LATER,
    ),
    row(
        "put root's file into the trash",
        |w, n| ask("POST", "/v1/trash", paths(&w.file(&format!("roots{n}"), 0, 0))),
        ADMINS_LATER,
    ),
    row(
        "restore the owner's file",
        |w, n| post(format!("/v1/trash/{}/restore", given(w, "/v1/trash", OWNER, n))),
        OWN,
    ),
    row(
        "restore root's file",
        |w, n| post(format!("/v1/trash/{}/restore", given(w, "/v1/trash", 0, n))),
        ADMINS,
    ),
    row("pause", |_, _| post("/v1/pause"), ADMINS),
];

/// With removals going on.
const AT_WORK: &[Row] = &[
    row("resume", |_, _| post("/v1/resume"), ADMINS),
    row(
        "a dry sweep",
        |_, n| ask("POST", "/v1/sweeps", json!({ "policy": "orphans", "dry_run": true, "max_files": n + 1 })),
        [202; 4],
    ),
    row("a plan", |_, _| ask("POST", "/v1/plans", json!({ "policy": "orphans" })), [201; 4]),
    row(
        "a real sweep",
        |_, n| ask("POST", "/v1/sweeps", json!({ "policy": "orphans", "max_files": n + 1 })),
        ADMINS_LATER,
    ),
    row(
        "carry out a plan",
        |w, _| {
            let plan = w.done(&w.owner, "POST", "/v1/plans", &json!({ "policy": "orphans" }));
            ask("POST", "/v1/sweeps", json!({ "plan": plan["id"] }))
        },
        ADMINS_LATER,
    ),
    row(
        "cancel a sweep",
        |w, n| {
            let dry = json!({ "policy": "orphans", "dry_run": true, "max_files": n + 1 });
            let sweep = w.done(&w.owner, "POST", "/v1/sweeps", &dry);
            ask("DELETE", format!("/v1/sweeps/{}", sweep["id"].as_str().unwrap()), Value::Null)
        },
        ADMINS,
    ),
    row(
        "sweep the owner's failed job",
        |w, n| {
            let id = job(w, &w.owner, n);
            w.done(&w.owner, "PUT", &format!("/v1/jobs/{id}"), &json!({ "state": "failed" }));
            post(format!("/v1/jobs/{id}/sweep"))
        },
        ADMINS_LATER,
    ),
    row("sweep all failed jobs", |_, _| post("/v1/jobs/failed/sweep"), ADMINS_LATER),
    row("run the queue", |_, _| post("/v1/deletions/run"), ADMINS_LATER),
    row("empty the trash", |_, _| ask("DELETE", "/v1/trash", Value::Null), ADMINS_LATER),
    row("accept a root", |_, _| post("/v1/roots/scratch/accept"), ADMINS),
    row("trust the registry", |_, _| post("/v1/registry/trust"), ADMINS),
    row("trust the clock", |_, _| post("/v1/clock/trust"), ADMINS),
    row("read health", |_, _| ask("GET", "/v1/health", Value::Null), ALL),
    row("read stats", |_, _| ask("GET", "/v1/stats", Value::Null), ALL),
    row("read files", |_, _| ask("GET", "/v1/files", Value::Null), ALL),
    row(
        "read an explanation",
        |w, _| ask("GET", format!("/v1/explain?path={}", text(&w.at.join("x"))), Value::Null),
        ALL,
    ),
    row("read the history", |_, _| ask("GET", "/v1/history", Value::Null), ALL),
    row("read the audit log", |_, _| ask("GET", "/v1/audit", Value::Null), ALL),
    row("read the requests", |_, _| ask("GET", "/v1/requests", Value::Null), ALL),
    row("read sweeps", |_, _| ask("GET", "/v1/sweeps", Value::Null), ALL),
    row(
        "read a plan",
        |w, _| {
            let plan = w.done(&w.root, "POST", "/v1/plans", &json!({ "policy": "orphans" }));
            ask("GET", format!("/v1/plans/{}", plan["id"].as_str().unwrap()), Value::Null)
        },
        ALL,
    ),
    row("read jobs", |_, _| ask("GET", "/v1/jobs", Value::Null), ALL),
    row("read root's job", |w, n| ask("GET", format!("/v1/jobs/{}", job(w, &w.root, n)), Value::Null), ALL),
    row("read holds", |_, _| ask("GET", "/v1/holds", Value::Null), ALL),
    row("read sessions", |_, _| ask("GET", "/v1/sessions", Value::Null), ALL),
    row("read the queue", |_, _| ask("GET", "/v1/deletions", Value::Null), ALL),
    row("read the queue's figures", |_, _| ask("GET", "/v1/deletions/stats", Value::Null), ALL),
    row("read the trash", |_, _| ask("GET", "/v1/trash", Value::Null), ALL),
    row("read roots", |_, _| ask("GET", "/v1/roots", Value::Null), ALL),
    row("listen to events", |_, _| ask("GET", "/v1/events", Value::Null), ALL),
];

/// Makes `MEMBER` a member of `GROUP` by the host's own user database, for this mount namespace.
fn with_group(at: &Path) -> Result<(), String> {
    let mut groups = fs::read_to_string("/etc/group").unwrap();
    groups.push_str(&format!("{GROUP}:x:54321:{}\n", MEMBER.1));
    fs::write(at, groups).unwrap();
    bind(at, Path::new("/etc/group"))
}

#[test]
fn each_request_is_for_whom_the_contract_says() {
    if !is_root() || !inside("table::each_request_is_for_whom_the_contract_says") {
        return;
    }
    let groups = tempfile::NamedTempFile::new().unwrap();
    if let Err(why) = with_group(groups.path()) {
        eprintln!("skipped: no group of administrators: {why}");
        return;
    }
    let settings = format!("rate_limit = \"1000000/second\"\nautomatic = false\nadmin_group = {GROUP:?}");
    let world = World::new(&settings, "");
    let columns = [("root", 0), ("member", MEMBER.0), ("owner", OWNER), ("other", OTHER)];
    let (mut number, mut wrong) = (0, Vec::new());
    for (pause, rows) in [(true, PAUSED), (false, AT_WORK)] {
        for row in rows {
            for ((column, uid), expected) in columns.iter().zip(row.expected) {
                number += 1;
                // The state in which the rows are asked, whatever the last one changed.
                world.done(&world.root, "POST", if pause { "/v1/pause" } else { "/v1/resume" }, &Value::Null);
                let (method, path, body) = (row.prepare)(&world, number);
                let answer = world.peer(*uid).ask(&method, &path, &body);
                eprintln!("{:50} {column:6} {} ({method} {path})", row.what, answer.status);
                if answer.status != expected {
                    wrong.push(format!("{} as {column}: {answer:?}, not {expected}", row.what));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
