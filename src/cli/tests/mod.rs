//! The real client against the real server over an agent that answers from
//! memory: every route with success, refusal and bad input.

mod fake;
mod serving;
mod verbs;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Refusal};
use crate::api::ApiError;
use fake::Served;
pub(in crate::cli) use fake::report;

fn client(served: &Served) -> Client {
    Client::find(std::slice::from_ref(&served.socket)).unwrap()
}

fn problem(answer: Result<super::Answer, Refusal>) -> ApiError {
    match answer {
        Err(Refusal::Problem(problem, body)) => {
            let value: Value = serde_json::from_slice(&body).unwrap();
            for key in ["type", "title", "status", "detail"] {
                assert!(value.get(key).is_some(), "{key} is missing in {value}");
            }
            *problem
        }
        other => panic!("expected a problem, got {other:?}"),
    }
}

/// Status, head and body as they stand on the wire.
fn raw(served: &Served, request: &str) -> (u16, String, Vec<u8>) {
    let mut stream = UnixStream::connect(&served.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, all[end + 4..].to_vec())
}

fn call(served: &Served, method: &str, path: &str, body: &str) -> (u16, String, Vec<u8>) {
    let length = body.len();
    raw(
        served,
        &format!(
            "{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

const READS: &[&str] = &[
    "/v1/health",
    "/v1/stats",
    "/v1/files",
    "/v1/files?root=scratch&limit=5",
    "/v1/explain?path=/scratch/a",
    "/v1/history",
    "/v1/audit?job=j1&run=r1&since=2026-01-01T00:00:00Z&path=*",
    "/v1/sweeps",
    "/v1/sweeps/s1",
    "/v1/jobs",
    "/v1/jobs/j1",
    "/v1/roots",
];

const CHANGES: &[(&str, &str, &str, u16)] = &[
    ("POST", "/v1/sweeps", "{\"policy\":\"orphans\"}", 202),
    ("POST", "/v1/sweeps?wait=true", "", 200),
    ("DELETE", "/v1/sweeps/s1", "", 200),
    ("POST", "/v1/jobs/j1/sweep", "", 202),
    ("POST", "/v1/jobs/failed/sweep", "", 202),
    ("POST", "/v1/pause", "{\"for\":\"1h\",\"emergencies\":true}", 200),
    ("POST", "/v1/resume", "", 200),
    ("POST", "/v1/roots/scratch/accept", "", 200),
    ("POST", "/v1/registry/trust", "", 200),
    ("POST", "/v1/clock/trust", "", 200),
];

#[test]
fn everybody_may_read() {
    let served = Served::start(false, false);
    let client = client(&served);
    for path in READS {
        assert!(client.get(path).is_ok(), "{path}");
    }
}

#[test]
fn administrators_may_change_things_and_nobody_else() {
    let (admins, others) = (Served::start(true, false), Served::start(false, false));
    for (method, path, body, status) in CHANGES {
        assert_eq!(call(&admins, method, path, body).0, *status, "{method} {path}");
        let (refused, head, _) = call(&others, method, path, body);
        assert_eq!(refused, 403, "{method} {path}");
        assert!(head.contains("application/problem+json"), "{head}");
    }
}

#[test]
fn everybody_may_ask_what_would_go() {
    for admin in [true, false] {
        let served = Served::start(admin, false);
        assert_eq!(call(&served, "POST", "/v1/plans", "{}").0, 201);
        let dry = "{\"policy\":\"orphans\",\"dry_run\":true}";
        assert_eq!(call(&served, "POST", "/v1/sweeps", dry).0, 202);
        assert_eq!(call(&served, "POST", "/v1/sweeps?wait=true", dry).0, 200);
    }
}

#[test]
fn a_peer_changes_its_own_jobs_only() {
    // The fake's jobs belong to uid 1000; the peer is 1001.
    let (admins, others) = (Served::start(true, false), Served::start(false, false));
    let body = json!({"state": "active", "ttl": "15m", "pid": 7, "root": "scratch"});
    assert!(client(&admins).put("/v1/jobs/j1", &body).is_ok());
    assert!(client(&admins).post("/v1/jobs/j1/heartbeat", &json!({})).is_ok());
    assert_eq!(problem(client(&others).put("/v1/jobs/j1", &body)).status, 403);
    assert_eq!(problem(client(&others).post("/v1/jobs/j1/heartbeat", &json!({}))).status, 403);
}

#[test]
fn events_come_as_they_happen_until_the_agent_stops() {
    let served = Served::start(false, false);
    let (status, head, body) = call(&served, "GET", "/v1/events", "");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let text = String::from_utf8(body).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&event["event"], &event["message"]), (&json!("alert"), &json!("a first word")));
    assert!(text.contains("event: alert\nid: 0-1\ndata: "), "{text}");
}

#[test]
fn what_cannot_be_understood_is_refused_and_named() {
    let served = Served::start(true, false);
    let cases = [
        ("GET", "/v1/health?strictly=true", "", "strictly"),
        ("GET", "/v1/health?strict=maybe", "", "maybe"),
        ("GET", "/v1/stats?a=1", "", "unknown query parameter"),
        ("GET", "/v1/files?limit=1001", "", "limit"),
        ("GET", "/v1/files?root=a/b", "", "root name"),
        ("GET", "/v1/explain", "", "path is missing"),
        ("GET", "/v1/explain?path=relative", "", "not an absolute path"),
        ("GET", "/v1/explain?path=/a&path_encoding=base64", "", "path_encoding"),
        ("GET", "/v1/history?limit=x", "", "limit"),
        ("GET", "/v1/history?since=yesterday", "", "since"),
        ("GET", "/v1/history?policy=everything", "", "everything"),
        ("GET", "/v1/history?job=1", "", "unknown query parameter"),
        ("GET", "/v1/audit?since=yesterday", "", "since"),
        ("GET", "/v1/events?only=alert", "", "unknown query parameter"),
        ("GET", "/v1/audit?job=a%20b", "", "job"),
        ("POST", "/v1/sweeps", "{\"policy\":\"everything\"}", "policy"),
        ("POST", "/v1/sweeps", "{\"forse\":true}", "forse"),
        ("POST", "/v1/sweeps", "{\"free\":\"1 gib\"}", "free"),
        ("POST", "/v1/sweeps", "{} {}", "trailing"),
        ("POST", "/v1/sweeps", "{\"policy\":\"oldest\"}", "oldest needs"),
        ("POST", "/v1/sweeps", "{\"until_percent\":101}", "until_percent"),
        ("POST", "/v1/sweeps?wait=soon", "", "wait"),
        ("POST", "/v1/plans", "{\"plan\":\"p\"}", "plan"),
        ("POST", "/v1/plans", "[", "body"),
        ("PUT", "/v1/jobs/failed", "{}", "reserved"),
        ("PUT", "/v1/jobs/a%2Fb", "{}", "job id"),
        ("PUT", "/v1/jobs/j", "{\"state\":\"asleep\"}", "state"),
        ("PUT", "/v1/jobs/j", "{\"pid\":0}", "pid"),
        ("PUT", "/v1/jobs/j", "{\"ttl\":0}", "ttl"),
        ("POST", "/v1/jobs/a%20b/heartbeat", "", "job id"),
        ("POST", "/v1/jobs/a%20b/sweep", "", "job id"),
        ("POST", "/v1/pause", "{\"for\":\"a while\"}", "for"),
        ("POST", "/v1/resume?now", "", "now"),
        ("POST", "/v1/roots/a%20b/accept", "", "root name"),
        ("POST", "/v1/registry/trust?x=1", "", "x"),
        ("POST", "/v1/clock/trust?x=1", "", "x"),
        ("DELETE", "/v1/sweeps/s1?x=1", "", "x"),
    ];
    for (method, path, body, named) in cases {
        let (status, head, answer) = call(&served, method, path, body);
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, 400, "{method} {path} {body}: {answer}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert!(answer.contains(named), "{method} {path}: {named:?} is missing in {answer}");
    }
}

#[test]
fn unknown_paths_and_methods_are_problems_too() {
    let served = Served::start(true, false);
    for (method, path, expected) in [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/sweeps/none", 404),
        ("GET", "/v1/plans/none", 404),
        ("GET", "/v1/jobs/none", 404),
        ("POST", "/v1/roots/none/accept", 404),
        ("DELETE", "/v1/health", 405),
        ("GET", "/v1/pause", 405),
        ("PATCH", "/v1/jobs/j", 405),
    ] {
        let (status, head, _) = call(&served, method, path, "");
        assert_eq!(status, expected, "{method} {path}");
        assert!(head.contains("application/problem+json"), "{method} {path}: {head}");
        assert_eq!(head.to_lowercase().contains("\r\nallow:"), expected == 405, "{method} {path}: {head}");
    }
}

#[test]
fn a_sweep_is_202_with_its_place_and_200_with_its_report_when_waited_for() {
    let served = Served::start(true, false);
    let (status, head, body) = call(&served, "POST", "/v1/sweeps", "");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 202);
    assert!(head.to_lowercase().contains("location: /v1/sweeps/s1"), "{head}");
    assert_eq!((&body["state"], &body["report"]["files_deleted"]), (&json!("done"), &json!(1)));
    assert_eq!(body["reports"].as_array().unwrap().len(), 1);
    let one: Value = serde_json::from_slice(&call(&served, "POST", "/v1/sweeps?wait=true", "").2).unwrap();
    assert_eq!(one["files_deleted"], json!(1));
    let two = call(&served, "POST", "/v1/sweeps?wait=true", "{\"policy\":\"emergency\"}").2;
    let two: Value = serde_json::from_slice(&two).unwrap();
    assert_eq!(two["items"].as_array().unwrap().len(), 2);
}

#[test]
fn limits_say_when_to_come_back_and_a_defect_ends_one_request_only() {
    let served = Served::start(true, false);
    let (status, head, _) = call(&served, "POST", "/v1/sweeps", "{\"policy\":\"results\"}");
    assert_eq!(status, 429);
    assert!(head.to_lowercase().contains("retry-after: 7"), "{head}");
    assert_eq!(call(&served, "POST", "/v1/sweeps", "{\"policy\":\"trash\"}").0, 500);
    assert_eq!(call(&served, "GET", "/v1/health", "").0, 200);
}

#[test]
fn strict_health_is_503_when_critical() {
    let (well, ill) = (Served::start(false, false), Served::start(false, true));
    assert_eq!(call(&well, "GET", "/v1/health?strict=true", "").0, 200);
    assert_eq!(call(&ill, "GET", "/v1/health?strict=true", "").0, 503);
    assert_eq!(call(&ill, "GET", "/v1/health", "").0, 200);
}

#[test]
fn bodies_over_64_kib_are_refused() {
    let served = Served::start(true, false);
    let body = format!("{{\"session\":\"{}\"}}", "x".repeat(65 * 1024));
    assert_eq!(call(&served, "POST", "/v1/sweeps", &body).0, 413);
}

#[test]
fn a_path_that_is_not_utf_8_can_be_explained() {
    let served = Served::start(false, false);
    for query in ["path=%2Fa%FF", "path=/a%25FF&path_encoding=percent"] {
        let answer = client(&served).get(&format!("/v1/explain?{query}")).unwrap();
        let value: Value = answer.read("read").unwrap();
        assert_eq!(
            (&value["path"], &value["path_encoding"]),
            (&json!("/a%FF"), &json!("percent")),
            "{query}"
        );
    }
}

#[test]
fn a_stopped_agent_is_absent_and_the_failure_names_each_socket() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("none.sock");
    let stale = home.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let none = Client::find(&[missing.clone(), stale.clone()]).unwrap_err();
    assert!(none.absent);
    let text = none.into_failure("sweep").to_string();
    assert!(text.contains("none.sock") && text.contains("stale.sock"), "{text}");
}

#[test]
fn requests_under_way_end_and_the_server_with_them() {
    let served = Served::start(false, false);
    let client = client(&served);
    client.get("/v1/health").unwrap();
    let idle = UnixStream::connect(&served.socket).unwrap();
    let begun = std::time::Instant::now();
    drop(served);
    assert!(begun.elapsed() < Duration::from_secs(4), "an idle connection must not hold up the end");
    drop(idle);
}
