//! Events: told as they happen, and again to whoever comes back.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::judge::Judge;
use super::wire::{Answer, connect};
use crate::harness::{Home, PATIENCE, file, root, scratch};

/// The head of a stream of events, and what came with it.
pub(crate) fn first_bytes(socket: &Path, header: &str) -> Answer {
    let mut stream = connect(socket);
    write!(stream, "GET /v1/events HTTP/1.1\r\nhost: g\r\n{header}\r\n").unwrap();
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while !bytes.windows(9).any(|part| part == b"listening") {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the stream ended: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..count]);
    }
    Answer::read(&bytes).unwrap()
}

/// Events with their ids, from behind the event `last`, until one is what we wait for.
fn listen(socket: &Path, last: &str, mut end: impl FnMut(&Value) -> bool) -> Vec<(Option<String>, Value)> {
    let mut stream = connect(socket);
    let header = if last.is_empty() { String::new() } else { format!("last-event-id: {last}\r\n") };
    write!(stream, "GET /v1/events HTTP/1.1\r\nhost: g\r\n{header}\r\n").unwrap();
    let (mut told, mut id) = (Vec::new(), None);
    let limit = Instant::now() + PATIENCE;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        assert!(Instant::now() < limit, "waited in vain: {told:?}");
        if let Some(found) = line.strip_prefix("id: ") {
            id = Some(found.to_owned());
        } else if let Some(data) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data).unwrap();
            let is_last = end(&event);
            told.push((id.take(), event));
            if is_last {
                return told;
            }
        }
    }
    panic!("the stream ended: {told:?}");
}

#[test]
fn alerts_levels_sweeps_and_root_states_are_told_and_told_again_behind_the_last_one_heard() {
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure("sample_interval = \"1s\"", &root(&at, "capacity = \"4MiB\"\nadoption_grace = \"0s\""));
    home.start();
    home.until_root_is("ready");
    let socket = home.path("socket");
    for n in 0..13 {
        file(&at.join(format!("job_gone_{n}")), 300 << 10, 200_000);
    }
    // An id of no start: all that is kept comes, behind a word about it.
    let mut over = 0;
    let first = listen(&socket, "0-0", |event| {
        over += u8::from(event["event"] == "sweep" && event["state"] == "done");
        over == 1
    });
    assert_eq!(first[0].1, serde_json::json!({ "event": "lost", "count": null }));
    // The root goes away: that is told as well.
    fs::rename(&at, home.path("elsewhere")).unwrap();
    let all = listen(&socket, "0-0", |event| event["event"] == "root" && event["state"] == "suspended");
    fs::rename(home.path("elsewhere"), &at).unwrap();
    for kind in ["alert", "level", "sweep", "root"] {
        assert!(all.iter().any(|(_, event)| event["event"] == kind), "no {kind} in {all:#?}");
    }
    let sweep: Vec<_> = all.iter().filter(|(_, event)| event["event"] == "sweep").collect();
    assert!(sweep.iter().any(|(id, event)| event["state"] == "running" && id.is_some()), "{sweep:#?}");
    assert!(
        sweep.iter().any(|(_, event)| event["reports"][0]["files_deleted"].as_u64() > Some(0)),
        "{sweep:#?}"
    );
    fits_the_document(&socket, &all);

    // Ids count up without a gap, and whoever names one gets those behind it.
    let ids: Vec<String> = all.iter().filter_map(|(id, _)| id.clone()).collect();
    let numbers: Vec<u64> = ids.iter().map(|id| id.split_once('-').unwrap().1.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let again = listen(&socket, &ids[1], |event| event["event"] == "root" && event["state"] == "suspended");
    assert_eq!(again, all.iter().filter(|(id, _)| id.is_some()).skip(2).cloned().collect::<Vec<_>>());

    // Another agent can't know what the reader of the first has missed, and says so.
    home.stop();
    home.start();
    home.until_root_is("ready");
    let after = listen(&socket, ids.last().unwrap(), |event| event["event"] == "root");
    assert_eq!(after[0].1, serde_json::json!({ "event": "lost", "count": null }), "{after:?}");
    let second = after.iter().find_map(|(id, _)| id.clone()).unwrap();
    assert!(second > ids[0] && second.ends_with("-1"), "{second} {}", ids[0]);
}

fn fits_the_document(socket: &Path, events: &[(Option<String>, Value)]) {
    let judge = Judge::of(socket);
    let mut schema = judge.document["components"]["schemas"]["Event"].clone();
    schema["components"] = judge.document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (_, event) in events {
        let wrong: Vec<_> = validator.iter_errors(event).map(|why| why.to_string()).collect();
        assert!(wrong.is_empty(), "{event}: {wrong:?}");
    }
}
