//! What nobody can do to the others: keep them out, or keep the agent waiting.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::wire::{Answer, as_somebody, call, can_be_somebody, connect, exchange, request};
use crate::harness::{Home, root, scratch};

fn agent() -> Home {
    use std::os::unix::fs::PermissionsExt;
    let mut home = Home::new();
    let at = scratch(&home);
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    home.configure("", &root(&at, ""));
    home.start();
    home.until_root_is("ready");
    home
}

/// Room for a thousand connections in this process.
fn many_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < 2048) {
        let current = Some(maximum.map_or(2048, |maximum| maximum.min(2048)));
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }
}

fn is_open(stream: &UnixStream) -> bool {
    let mut stream = stream;
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(why) => return matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

fn health(socket: &Path) {
    let answer = call(socket, "GET", "/v1/health", b"");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    many_descriptors();
    let home = agent();
    let socket = home.path("socket");
    // What is under way is not cut off for them.
    let mut listening = connect(&socket);
    listening.write_all(b"GET /v1/events HTTP/1.1\r\nhost: g\r\n\r\n").unwrap();
    let silent: Vec<UnixStream> = (0..1000).map(|_| connect(&socket)).collect();
    let stuck: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&socket);
            stream.write_all(b"GET /v1/health HT").unwrap();
            stream
        })
        .collect();
    for _ in 0..50 {
        health(&socket);
    }
    if can_be_somebody() {
        as_somebody(|| {
            let own: Vec<UnixStream> = (0..200).map(|_| connect(&socket)).collect();
            (0..20).for_each(|_| health(&socket));
            drop(own);
        });
    }
    let pid = home.ask("/v1/stats").unwrap()["agent"]["pid"].as_u64().unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 400, "the agent has {open} open files");
    assert!(is_open(&listening), "a stream of events was cut off");
    // Those who came first were silent longest.
    let left: Vec<usize> =
        silent.iter().enumerate().filter(|(_, one)| is_open(one)).map(|(n, _)| n).collect();
    assert!(left.len() < 256 && left.iter().all(|n| *n >= 700), "{left:?}");
    drop((silent, stuck));
}

#[test]
fn when_all_seats_are_taken_by_requests_whoever_comes_is_told_so_and_root_finds_one() {
    if !can_be_somebody() {
        return;
    }
    let home = agent();
    let socket = home.path("socket");
    let listen = |_| {
        let mut stream = connect(&socket);
        stream.write_all(b"POST /v1/holds HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\n").unwrap();
        stream
    };
    as_somebody(|| {
        let mine: Vec<UnixStream> = (0..64).map(listen).collect();
        // All heads have come when one more finds no seat.
        home.until("all seats of the user are taken", |_| {
            let bytes = exchange(&socket, &request("GET", "/v1/health", b""));
            let answer = Answer::read(&bytes)?;
            (answer.status == 503).then(|| {
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                assert!(answer.text().contains("too many requests"), "{answer:?}");
            })
        });
        drop(mine);
    });
    health(&socket);
}

#[test]
fn whoever_sends_or_reads_too_slowly_is_cut_off() {
    let home = agent();
    let socket = home.path("socket");
    let began = Instant::now();
    std::thread::scope(|scope| {
        let trickle = |head: &'static [u8]| {
            let socket = &socket;
            scope.spawn(move || {
                let mut stream = connect(socket);
                stream.write_all(head).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let mut answer = Vec::new();
                let mut part = [0; 4096];
                loop {
                    match stream.read(&mut part) {
                        Ok(0) => return answer,
                        Ok(count) => answer.extend_from_slice(&part[..count]),
                        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                            // Still listening: one byte more.
                            if stream.write_all(b"x").is_err() {
                                return answer;
                            }
                        }
                        Err(_) => return answer,
                    }
                    assert!(began.elapsed() < Duration::from_secs(100), "it is never cut off");
                }
            })
        };
        let head = trickle(b"GET /v1/health HTTP/1.1\r\nx: ");
        let body = trickle(
            b"PUT /v1/jobs/j HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 60000\r\n\r\n",
        );
        let deaf = scope.spawn(|| {
            let mut stream = connect(&socket);
            let many = request("GET", "/v1/openapi.json", b"");
            let many = String::from_utf8(many).unwrap().replace("connection: close\r\n", "").repeat(40);
            stream.write_all(many.as_bytes()).unwrap();
            // The other end is gone when no more can be written.
            while stream.write_all(b"\r\n").is_ok() {
                assert!(began.elapsed() < Duration::from_secs(100), "it is never cut off");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let answer = body.join().unwrap();
        assert_eq!(Answer::read(&answer).map(|answer| answer.status), Some(408), "{answer:?}");
        health(&socket);
        assert!(head.join().unwrap().is_empty() || began.elapsed() > Duration::from_secs(25));
        deaf.join().unwrap();
    });
    health(&socket);
}

#[test]
fn heads_that_are_too_large_or_broken_are_refused() {
    let home = agent();
    let socket = home.path("socket");
    let many = "x: y\r\n".repeat(500);
    let long = format!("x: {}\r\n", "y".repeat(200_000));
    for (head, status) in [
        (format!("GET /v1/health HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("GET /v1/health HTTP/1.1\r\n{long}\r\n"), 431),
        (format!("GET /v1/health?{} HTTP/1.1\r\n\r\n", "x".repeat(200_000)), 431),
        ("GET\r\n\r\n".to_owned(), 400),
        ("GET /v1/health HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("PUT /v1/jobs/j HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(), 400),
        ("PUT /v1/jobs/j HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), 400),
    ] {
        let bytes = exchange(&socket, head.as_bytes());
        let answer = Answer::read(&bytes).map(|answer| answer.status);
        let shown: String = head.chars().take(60).collect();
        assert_eq!(answer, Some(status), "{shown:?}");
        health(&socket);
    }
}

#[test]
fn a_word_about_many_files_is_short() {
    let home = agent();
    let socket = home.path("socket");
    let file = home.path("scratch/file");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    let long = "é".repeat(1001);
    for (path, body) in [
        ("/v1/holds", serde_json::json!({ "paths": [file], "reason": long })),
        ("/v1/deletions", serde_json::json!({ "paths": [file], "client_id": long })),
    ] {
        let answer = call(&socket, "POST", path, body.to_string().as_bytes());
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text().contains("1001 characters: expected at most 1000"), "{answer:?}");
    }
    assert!(home.ask("/v1/holds").unwrap()["items"].as_array().unwrap().is_empty());
    assert!(std::path::Path::new(file).exists());
    let held = serde_json::json!({ "paths": [file], "reason": "é".repeat(1000) });
    assert_eq!(call(&socket, "POST", "/v1/holds", held.to_string().as_bytes()).status, 200);
}
