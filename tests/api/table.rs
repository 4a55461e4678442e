//! Every route with what succeeds, what is refused, and what is wrong; each
//! request and each answer judged by the document.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::judge::{Judge, Operation};
use super::wire::{Answer, as_somebody, call, can_be_somebody};
use crate::harness::{Home, file, root, scratch};

const DAY: u64 = 86_400;

/// The routes of the contract and what was added to them; the document must know these and no others.
const ROUTES: [&str; 49] = [
    "DELETE /v1/deletions",
    "DELETE /v1/deletions/{id}",
    "DELETE /v1/holds/{id}",
    "DELETE /v1/sweeps/{id}",
    "DELETE /v1/trash",
    "GET /metrics",
    "GET /v1/audit",
    "GET /v1/deletions",
    "GET /v1/deletions/stats",
    "GET /v1/events",
    "GET /v1/explain",
    "GET /v1/files",
    "GET /v1/health",
    "GET /v1/history",
    "GET /v1/holds",
    "GET /v1/jobs",
    "GET /v1/jobs/{id}",
    "GET /v1/openapi.json",
    "GET /v1/plans/{id}",
    "GET /v1/requests",
    "GET /v1/roots",
    "GET /v1/sessions",
    "GET /v1/sessions/{id}",
    "GET /v1/stats",
    "GET /v1/sweeps",
    "GET /v1/sweeps/{id}",
    "GET /v1/trash",
    "POST /v1/clock/trust",
    "POST /v1/deletions",
    "POST /v1/deletions/run",
    "POST /v1/deletions/{id}/retry",
    "POST /v1/files/track",
    "POST /v1/holds",
    "POST /v1/holds/release",
    "POST /v1/jobs/failed/sweep",
    "POST /v1/jobs/{id}/chunks/{chunk}/complete",
    "POST /v1/jobs/{id}/heartbeat",
    "POST /v1/jobs/{id}/sweep",
    "POST /v1/pause",
    "POST /v1/plans",
    "POST /v1/registry/trust",
    "POST /v1/resume",
    "POST /v1/roots/{name}/accept",
    "POST /v1/sessions/{id}/end",
    "POST /v1/sessions/{id}/touch",
    "POST /v1/sweeps",
    "POST /v1/trash",
    "POST /v1/trash/{id}/restore",
    "PUT /v1/jobs/{id}",
];

struct Desk {
    home: Home,
    root: PathBuf,
    judge: Judge,
    /// Statuses by operation: what succeeded, was refused, was wrong.
    seen: BTreeMap<Operation, [Vec<u16>; 3]>,
    /// What was not as it should be: all of it is told at the end.
    faults: Vec<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Done,
    Refused,
    Wrong,
}

impl Desk {
    fn open() -> Self {
        let mut home = Home::new();
        let at = scratch(&home);
        for (path, mode) in [(home.path(""), 0o755), (at.clone(), 0o1777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for name in
            ["job_a_1", "job_f_1", "job_c_chunk_1_x", "plain", "give1", "give2", "give3", "toss1", "toss2"]
        {
            file(&at.join(name), 5000, 3 * DAY);
        }
        home.configure("rate_limit = \"6/hour\"", &root(&at, "adoption_grace = \"0s\""));
        home.start();
        home.until_root_is("ready");
        let judge = Judge::of(&home.path("socket"));
        Self { home, root: at, judge, seen: BTreeMap::new(), faults: Vec::new() }
    }

    fn socket(&self) -> PathBuf {
        self.home.path("socket")
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).to_str().unwrap().to_owned()
    }

    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(what());
        }
    }

    /// Judges an answer, and notes it.
    fn judged(&mut self, kind: Kind, method: &str, target: &str, body: &[u8], answer: &Answer) {
        let Some(operation) = self.judge.find(method, target) else {
            return self.faults.push(format!("{method} {target} is not described"));
        };
        let judged = self.judge.answer(&operation, answer).and_then(|()| match kind {
            Kind::Done => self.judge.takes(&operation, body),
            Kind::Refused | Kind::Wrong => Ok(()),
        });
        if let Err(why) = judged {
            let body: String = String::from_utf8_lossy(body).chars().take(200).collect();
            self.faults.push(format!("{method} {target} {body}: {why}: {}", answer.text()));
        }
        self.seen.entry(operation).or_default()[kind as usize].push(answer.status);
    }

    fn asked(&mut self, kind: Kind, line: &str, body: &Value, status: u16) -> Value {
        let (method, target) = line.split_once(' ').unwrap();
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let socket = self.socket();
        let answer = match kind {
            Kind::Refused => as_somebody(|| call(&socket, method, target, &body)),
            Kind::Done | Kind::Wrong => call(&socket, method, target, &body),
        };
        let told = || format!("{line}: {} instead of {status}: {}", answer.status, answer.text());
        self.expect(answer.status == status, told);
        self.judged(kind, method, target, &body, &answer);
        answer.json()
    }

    /// It is done.
    fn done(&mut self, line: &str, body: Value, status: u16) -> Value {
        self.asked(Kind::Done, line, &body, status)
    }

    /// Somebody else may not.
    fn refused(&mut self, line: &str, body: Value) {
        if rustix::process::geteuid().is_root() {
            let problem = self.asked(Kind::Refused, line, &body, 403);
            let told = problem["detail"].as_str().unwrap_or_default();
            self.expect(told.contains("uid"), || format!("{line}: {problem}"));
        }
    }

    /// It is wrong, and the answer names what.
    fn wrong(&mut self, line: &str, body: Value, status: u16, named: &str) {
        let problem = self.asked(Kind::Wrong, line, &body, status);
        let told = problem["detail"].as_str().unwrap_or_default();
        self.expect(told.contains(named), || format!("{line}: {named:?} is not named: {problem}"));
    }
}

#[test]
fn every_route_does_refuses_and_names_what_is_wrong_as_its_document_says() {
    can_be_somebody();
    let mut desk = Desk::open();
    reading(&mut desk);
    jobs(&mut desk);
    references(&mut desk);
    given_up(&mut desk);
    sweeps(&mut desk);
    managing(&mut desk);
    everything_is_strict(&mut desk);
    show(&desk);
    let health = desk.done("GET /v1/health", Value::Null, 200);
    assert_eq!(health["roots"][0]["state"], "ready", "{health}");
    assert!(desk.home.runs());
}

fn reading(desk: &mut Desk) {
    desk.done("GET /v1/openapi.json", Value::Null, 200);
    desk.done("GET /v1/health?strict=true", Value::Null, 200);
    desk.done("GET /v1/stats", Value::Null, 200);
    desk.done("GET /metrics", Value::Null, 200);
    let files = desk.done("GET /v1/files?root=scratch&limit=1000", Value::Null, 200);
    desk.expect(files["items"].as_array().is_some_and(|all| all.len() == 9), || format!("{files}"));
    desk.wrong("GET /v1/files?root=nowhere", Value::Null, 400, "nowhere");
    desk.wrong("GET /v1/files?limit=0", Value::Null, 400, "limit");
    desk.wrong("GET /v1/files?after=nonsense", Value::Null, 400, "nonsense");
    let target = format!("GET /v1/explain?path={}", desk.path("plain"));
    desk.done(&target, Value::Null, 200);
    desk.wrong("GET /v1/explain", Value::Null, 400, "path is missing");
    desk.wrong("GET /v1/explain?path=plain", Value::Null, 400, "absolute");
    desk.done("GET /v1/history?policy=orphans&since=2026-01-01T00:00:00Z", Value::Null, 200);
    desk.wrong("GET /v1/history?policy=all", Value::Null, 400, "policy");
    desk.done("GET /v1/audit?path=/**&limit=5", Value::Null, 200);
    desk.wrong("GET /v1/audit?since=yesterday", Value::Null, 400, "since");
    desk.done("GET /v1/requests?action=hold&uid=0&limit=5", Value::Null, 200);
    desk.wrong("GET /v1/requests?uid=root", Value::Null, 400, "uid");
    desk.done("GET /v1/roots", Value::Null, 200);
    let socket = desk.socket();
    let answer = super::events::first_bytes(&socket, "");
    desk.judged(Kind::Done, "GET", "/v1/events", b"", &answer);
    let bytes = super::wire::exchange(
        &socket,
        b"GET /v1/events HTTP/1.1\r\nhost: g\r\nconnection: close\r\nlast-event-id: x\r\n\r\n",
    );
    let answer = Answer::read(&bytes).unwrap();
    desk.expect(answer.status == 400 && answer.text().contains("Last-Event-ID"), || format!("{answer:?}"));
    desk.judged(Kind::Wrong, "GET", "/v1/events", b"", &answer);
}

fn jobs(desk: &mut Desk) {
    desk.done("PUT /v1/jobs/a", json!({ "ttl": "1h", "root": "scratch", "pid": std::process::id() }), 200);
    desk.done("PUT /v1/jobs/f", json!({ "state": "failed" }), 200);
    desk.done("PUT /v1/jobs/c", json!({ "ttl": 3600 }), 200);
    desk.refused("PUT /v1/jobs/a", json!({ "state": "completed" }));
    desk.wrong("PUT /v1/jobs/failed", json!({}), 400, "reserved");
    desk.wrong("PUT /v1/jobs/a", json!({ "ttl": 0 }), 400, "ttl");
    desk.wrong("PUT /v1/jobs/a", json!({ "pid": 0 }), 400, "pid");
    desk.wrong("PUT /v1/jobs/a", json!({ "state": "asleep" }), 400, "state");
    desk.wrong("PUT /v1/jobs/a", json!({ "root": "nowhere" }), 400, "nowhere");
    desk.done("GET /v1/jobs?limit=2", Value::Null, 200);
    desk.done("GET /v1/jobs/a", Value::Null, 200);
    desk.wrong("GET /v1/jobs/unknown", Value::Null, 404, "unknown");
    desk.done("POST /v1/jobs/a/heartbeat", Value::Null, 200);
    desk.refused("POST /v1/jobs/a/heartbeat", Value::Null);
    desk.wrong("POST /v1/jobs/unknown/heartbeat", Value::Null, 404, "unknown");
    desk.wrong("POST /v1/jobs/f/heartbeat", Value::Null, 409, "f");
    let files = json!({ "files": [desk.path("job_c_chunk_1_x"), desk.path("job_a_1")] });
    let done = desk.done("POST /v1/jobs/c/chunks/1/complete?wait=true", files, 200);
    desk.expect(done["refused"].as_array().is_some_and(|all| all.len() == 1), || format!("{done}"));
    desk.done("POST /v1/jobs/c/chunks/2/complete", Value::Null, 202);
    desk.refused("POST /v1/jobs/c/chunks/1/complete", Value::Null);
    desk.wrong("POST /v1/jobs/c/chunks/1/complete", json!({ "files": ["job_c_chunk_1_x"] }), 400, "files[0]");
    desk.wrong("POST /v1/jobs/unknown/chunks/1/complete", Value::Null, 404, "unknown");
}

fn references(desk: &mut Desk) {
    let paths = json!({ "paths": [desk.path("plain")] });
    let held =
        desk.done("POST /v1/holds", json!({ "paths": paths["paths"], "until": "9999-12-31T00:00:00Z" }), 200);
    desk.refused("POST /v1/holds", paths.clone());
    desk.wrong("POST /v1/holds", json!({ "paths": [] }), 400, "paths");
    desk.wrong("POST /v1/holds", json!({ "paths": [1] }), 400, "paths[0]");
    desk.wrong("POST /v1/holds", json!({ "paths": ["/nowhere/x"] }), 400, "/nowhere/x");
    desk.wrong("POST /v1/holds", json!({ "paths": paths["paths"], "until": 7 }), 400, "until");
    desk.done("GET /v1/holds", Value::Null, 200);
    let id = held["items"][0]["id"].as_str().unwrap();
    desk.refused(&format!("DELETE /v1/holds/{id}"), Value::Null);
    desk.done(&format!("DELETE /v1/holds/{id}"), Value::Null, 200);
    desk.wrong(&format!("DELETE /v1/holds/{id}"), Value::Null, 404, id);
    desk.done("POST /v1/holds", paths.clone(), 200);
    // Somebody else's holds are not his to end: there are none of his.
    desk.done("POST /v1/holds/release", paths.clone(), 200);
    desk.wrong("POST /v1/holds/release", json!({ "paths": ["/nowhere/x"] }), 400, "/nowhere/x");
    desk.done("POST /v1/files/track", json!({ "paths": paths["paths"], "session": "s", "job": "a" }), 200);
    desk.refused("POST /v1/files/track", json!({ "paths": paths["paths"], "expires_at": 7 }));
    desk.wrong("POST /v1/files/track", paths, 400, "expires_at");
    desk.done("POST /v1/sessions/s/touch", Value::Null, 200);
    desk.refused("POST /v1/sessions/s/touch", Value::Null);
    desk.wrong("POST /v1/sessions/a%20b/touch", Value::Null, 400, "session id");
    desk.done("GET /v1/sessions", Value::Null, 200);
    desk.done("GET /v1/sessions/s", Value::Null, 200);
    desk.wrong("GET /v1/sessions/unknown", Value::Null, 404, "unknown");
    desk.refused("POST /v1/sessions/s/end", Value::Null);
    desk.done("POST /v1/sessions/s/end?wait=true", Value::Null, 200);
    desk.wrong("POST /v1/sessions/unknown/end", Value::Null, 404, "unknown");
}

fn given_up(desk: &mut Desk) {
    let names = ["give1", "give2", "give3"].map(|name| desk.path(name));
    desk.refused("POST /v1/deletions", json!({ "paths": [names[0]] }));
    // What is given up waits until removals go on.
    desk.done("POST /v1/pause", json!({}), 200);
    let given = desk.done("POST /v1/deletions", json!({ "paths": names, "client_id": "test" }), 202);
    let id = |n: usize| given["items"][n]["id"].as_str().unwrap().to_owned();
    desk.wrong("POST /v1/deletions", json!({ "paths": [] }), 400, "paths");
    desk.wrong("POST /v1/deletions", json!({ "paths": [desk.path("job_a_1")] }), 409, "job_a_1");
    desk.done("GET /v1/deletions", Value::Null, 200);
    desk.done("GET /v1/deletions/stats", Value::Null, 200);
    desk.refused(&format!("POST /v1/deletions/{}/retry", id(0)), Value::Null);
    desk.done(&format!("POST /v1/deletions/{}/retry", id(2)), Value::Null, 200);
    desk.wrong("POST /v1/deletions/unknown/retry", Value::Null, 404, "unknown");
    desk.refused(&format!("DELETE /v1/deletions/{}", id(0)), Value::Null);
    desk.done(&format!("DELETE /v1/deletions/{}", id(0)), Value::Null, 200);
    desk.wrong("DELETE /v1/deletions/unknown", Value::Null, 404, "unknown");
    desk.done("POST /v1/resume", Value::Null, 200);
    desk.refused("POST /v1/deletions/run", Value::Null);
    desk.wrong("POST /v1/deletions/run", json!({ "batch_size": 1001 }), 400, "batch_size");
    desk.wrong("POST /v1/deletions/run", json!({ "max_attempts": 0 }), 400, "max_attempts");
    desk.done("POST /v1/deletions/run?wait=true", json!({ "batch_size": 10 }), 200);
    desk.refused("DELETE /v1/deletions", Value::Null);
    desk.done("DELETE /v1/deletions", Value::Null, 200);
    let names = ["toss1", "toss2"].map(|name| desk.path(name));
    desk.refused("POST /v1/trash", json!({ "paths": names }));
    let tossed = desk.done("POST /v1/trash", json!({ "paths": names }), 202);
    desk.wrong(
        "POST /v1/trash",
        json!({ "paths": [{ "path": "/%zz", "path_encoding": "percent" }] }),
        400,
        "%zz",
    );
    desk.done("GET /v1/trash", Value::Null, 200);
    let id = tossed["items"][0]["id"].as_str().unwrap();
    desk.refused(&format!("POST /v1/trash/{id}/restore"), Value::Null);
    desk.done(&format!("POST /v1/trash/{id}/restore"), json!({ "to": desk.path("back") }), 200);
    desk.wrong(&format!("POST /v1/trash/{id}/restore"), Value::Null, 404, id);
    desk.refused("DELETE /v1/trash", Value::Null);
    desk.done("DELETE /v1/trash?wait=true", Value::Null, 200);
    let there = |name: &&str| desk.root.join(name).exists();
    let found: Vec<_> =
        ["back", "give1", "give2", "give3", "toss1", "toss2"].into_iter().filter(there).collect();
    desk.expect(found == ["back", "give1"], || format!("there are {found:?}"));
}

fn sweeps(desk: &mut Desk) {
    let plan = desk.done("POST /v1/plans", json!({ "policy": "orphans", "older_than": "1h" }), 201);
    desk.wrong("POST /v1/plans", json!({ "plan": "p" }), 400, "plan");
    desk.wrong("POST /v1/plans", json!({ "root": "nowhere" }), 400, "nowhere");
    let id = plan["id"].as_str().unwrap();
    desk.done(&format!("GET /v1/plans/{id}"), Value::Null, 200);
    desk.wrong("GET /v1/plans/unknown", Value::Null, 404, "unknown");
    desk.refused("POST /v1/sweeps", json!({}));
    desk.wrong("POST /v1/sweeps", json!({ "policy": "oldest" }), 400, "oldest");
    desk.wrong("POST /v1/sweeps", json!({ "until_percent": 101 }), 400, "until_percent");
    desk.wrong("POST /v1/sweeps", json!({ "free": "lots" }), 400, "free");
    desk.wrong("POST /v1/sweeps", json!({ "max_files": 0 }), 400, "max_files");
    let begun = desk.done("POST /v1/sweeps", json!({ "dry_run": true, "list": true }), 202);
    let report = desk.done("POST /v1/sweeps?wait=true", json!({ "plan": id }), 200);
    desk.expect(report["files_deleted"].as_u64().unwrap() > 0, || format!("{report}"));
    desk.done("GET /v1/sweeps", Value::Null, 200);
    let id = begun["id"].as_str().unwrap();
    desk.done(&format!("GET /v1/sweeps/{id}"), Value::Null, 200);
    desk.wrong("GET /v1/sweeps/unknown", Value::Null, 404, "unknown");
    desk.refused(&format!("DELETE /v1/sweeps/{id}"), Value::Null);
    desk.done(&format!("DELETE /v1/sweeps/{id}"), Value::Null, 200);
    desk.wrong("DELETE /v1/sweeps/unknown", Value::Null, 404, "unknown");
    desk.refused("POST /v1/jobs/f/sweep", Value::Null);
    desk.done("POST /v1/jobs/f/sweep?wait=true", Value::Null, 200);
    desk.wrong("POST /v1/jobs/unknown/sweep", Value::Null, 404, "unknown");
    desk.wrong("POST /v1/jobs/a/sweep", Value::Null, 409, "a");
    desk.refused("POST /v1/jobs/failed/sweep", Value::Null);
    desk.done("POST /v1/jobs/failed/sweep", Value::Null, 202);
    desk.done("GET /v1/history", Value::Null, 200);
    let asked = desk.done("GET /v1/requests", Value::Null, 200);
    desk.expect(asked["items"].as_array().unwrap().len() > 5, || format!("{asked}"));
    let removed = desk.done("GET /v1/audit?limit=1000", Value::Null, 200);
    desk.expect(removed["items"].as_array().unwrap().len() > 5, || format!("{removed}"));
    if rustix::process::geteuid().is_root() {
        // A dry run is for everybody, as often as the configuration says.
        let socket = desk.socket();
        let dry = || as_somebody(|| call(&socket, "POST", "/v1/sweeps?wait=true", br#"{"dry_run":true}"#));
        let (answers, limited): (Vec<_>, Vec<_>) =
            (0..8).map(|_| dry()).partition(|answer| answer.status == 200);
        desk.expect(!answers.is_empty() && limited.len() >= 2, || format!("{limited:?}"));
        for answer in limited {
            desk.expect(answer.status == 429, || format!("{answer:?}"));
            desk.judged(Kind::Refused, "POST", "/v1/sweeps", b"", &answer);
        }
    }
}

fn managing(desk: &mut Desk) {
    desk.refused("POST /v1/pause", json!({}));
    desk.done("POST /v1/pause", json!({ "for": "1h", "emergencies": true }), 200);
    desk.wrong("POST /v1/pause", json!({ "for": "a while" }), 400, "for");
    desk.wrong("POST /v1/sweeps", json!({}), 409, "pause");
    desk.refused("POST /v1/resume", Value::Null);
    desk.done("POST /v1/resume", Value::Null, 200);
    for line in ["POST /v1/registry/trust", "POST /v1/clock/trust", "POST /v1/roots/scratch/accept"] {
        desk.refused(line, Value::Null);
        desk.done(line, Value::Null, 200);
    }
    desk.wrong("POST /v1/roots/nowhere/accept", Value::Null, 404, "nowhere");
}

/// What is the same everywhere, for every operation of the document.
fn everything_is_strict(desk: &mut Desk) {
    let socket = desk.socket();
    for operation in desk.judge.operations() {
        let described = desk.judge.described(&operation).clone();
        let target = operation.path.replace("{id}", "x").replace("{chunk}", "x").replace("{name}", "x");
        let method = operation.method.as_str();
        let ask = |query: &str, body: &[u8]| call(&socket, method, &format!("{target}{query}"), body);
        let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
        let of = |place: &str| {
            parameters
                .iter()
                .filter(|one| one["in"] == place)
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let mut allowed = of("query");
        let answer = ask("?nonsense=1", b"");
        let problem = answer.json();
        let told = problem["detail"].as_str().unwrap_or_default();
        desk.expect(answer.status == 400 && told.contains("\"nonsense\""), || {
            format!("{operation:?}: {answer:?}")
        });
        let mut named: Vec<_> =
            told.split("allowed: ").nth(1).unwrap_or_default().split(", ").map(str::to_owned).collect();
        named.retain(|name| name != "none");
        named.sort();
        allowed.sort();
        desk.expect(named == allowed, || format!("{operation:?}: {named:?} {allowed:?}"));
        desk.judged(Kind::Wrong, method, &target, b"", &answer);
        if let Some(body) = described.get("requestBody") {
            let large = body["description"].as_str().unwrap().contains("64 MiB");
            let most = if large { 64 << 20 } else { 64 << 10 };
            let mut wrong = vec![
                (400, br#"{"nonsense":1}"#.to_vec(), "nonsense"),
                (400, b"[]".to_vec(), "object"),
                (400, b"{".to_vec(), "body"),
            ];
            // One route with bodies of 64 MiB will do: they share their reader.
            if !large || operation.path == "/v1/deletions" {
                wrong.push((413, vec![b' '; most + 1], "larger"));
            }
            for (status, body, named) in wrong {
                let answer = ask("", &body);
                desk.expect(answer.status == status, || format!("{operation:?}: {answer:?}"));
                desk.expect(answer.text().contains(named), || format!("{operation:?}: {answer:?}"));
                desk.judged(Kind::Wrong, method, &target, b"", &answer);
            }
        }
        // A path of the document takes the methods of the document, and HEAD with GET.
        let answer = call(&socket, "PATCH", &target, b"");
        desk.expect(answer.status == 405, || format!("{operation:?}: {answer:?}"));
        let mut told: Vec<_> =
            answer.header("allow").unwrap_or_default().split(',').map(str::to_owned).collect();
        told.retain(|method| method != "HEAD");
        // What a literal path does not take, the variable one beside it may.
        let mut known: Vec<_> = desk
            .judge
            .operations()
            .into_iter()
            .filter(|one| one.path == operation.path)
            .map(|one| one.method)
            .collect();
        told.sort();
        known.sort();
        desk.expect(told == known, || format!("{operation:?}: {told:?} {known:?}"));
    }
    let answer = call(&socket, "GET", "/v1/nothing", b"");
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")));
}

/// Prints the table, and sees that nothing is missing.
fn show(desk: &Desk) {
    let operations = desk.judge.operations();
    let named: Vec<_> = operations.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    let mut sorted = named.clone();
    sorted.sort();
    assert!(desk.faults.is_empty(), "\n{}\n", desk.faults.join("\n"));
    assert_eq!(sorted, ROUTES, "the document and the contract speak of the same routes");
    let mut table = format!("{:<45} {:<14} {:<12} wrong\n", "route", "done", "refused");
    let short = |statuses: &[u16]| {
        let mut all = statuses.to_vec();
        all.sort_unstable();
        all.dedup();
        all.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
    };
    for (operation, name) in operations.iter().zip(named) {
        let [done, refused, wrong] = desk.seen.get(operation).cloned().unwrap_or_default();
        let _ = writeln!(table, "{name:<45} {:<14} {:<12} {}", short(&done), short(&refused), short(&wrong));
        assert!(!done.is_empty() && !wrong.is_empty(), "{name} is not tried in full:\n{table}");
        let guarded = !desk.judge.described(operation)["responses"]["403"].is_null();
        if rustix::process::geteuid().is_root() {
            assert_eq!(
                guarded,
                refused.contains(&403),
                "{name}: 403 is described, or happens, alone\n{table}"
            );
        }
    }
    println!("{table}");
}

/// The bytes of a path stay what they are.
#[test]
fn a_path_that_is_not_utf_8_goes_there_and_back() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::open();
    let name = std::ffi::OsStr::from_bytes(b"not\xffutf8");
    file(&desk.root.join(Path::new(name)), 100, 0);
    let encoded = format!("{}/not%FFutf8", desk.root.to_str().unwrap());
    let body = json!({ "paths": [{ "path": encoded, "path_encoding": "percent" }] });
    let answer = call(&desk.socket(), "POST", "/v1/holds", body.to_string().as_bytes());
    let held = &answer.json()["items"][0];
    assert_eq!((&held["path"], &held["path_encoding"]), (&json!(encoded), &json!("percent")), "{answer:?}");
    let operation = desk.judge.find("POST", "/v1/holds").unwrap();
    assert_eq!(desk.judge.answer(&operation, &answer), Ok(()));
}
