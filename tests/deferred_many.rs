//! Very many deferred deletions at once, and over kills at any point.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guardian::cli::{Client, Refusal};
use harness::given_up::{is_long, items, kept, many, paths_or, removals, started, text};
use harness::{Home, root, scratch};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn very_many_paths_are_acknowledged_soon_and_all_go() {
    let count = paths_or(5_000);
    let (home, root_dir) = started("", "");
    let paths = many(&home, &root_dir, count);
    let begun = Instant::now();
    let out = home.done(&["delete", "-q", "--json", "--files0-from", text(&home.path("list"))]);
    let acknowledged = begun.elapsed();
    let given: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(given["items"].as_array().unwrap().len(), count);
    // The agent answers others meanwhile.
    let asked = Instant::now();
    home.ask("/v1/health").unwrap();
    let answered = asked.elapsed();
    assert!(answered < Duration::from_secs(5), "{answered:?}");
    let deadline = Instant::now() + Duration::from_secs(600);
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        begun.elapsed()
    };
    let free = wait("names are free", &|| !paths.iter().rev().any(|path| path.exists()));
    let gone = wait("all are removed", &|| {
        home.ask("/v1/deletions/stats").is_some_and(|stats| stats["total_pending"] == 0)
    });
    eprintln!(
        "{count} paths: acknowledged after {acknowledged:.2?}, names free after {free:.2?}, all removed after {gone:.2?}; health meanwhile in {answered:.2?}"
    );
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    // The outcome of the last batch follows after the queue knows it no more.
    home.until("each is on record as removed, once", |home| {
        let removed = removals(home);
        (removed.len() == count && removed.values().all(|counts| *counts == (1, 0))).then_some(())
    });
}

/// Where a kill found the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stretch {
    Acknowledging,
    Moving,
    Removing,
    Idle,
}

/// Numbers below `bound` that look random, another row of them in each process.
fn dice() -> impl FnMut(u64) -> u64 {
    let mut seed = u64::from(std::process::id()) | 1;
    move |bound| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    }
}

/// Asks for the deletion of all of `paths`; whether that was answered. Refused
/// may only be what an earlier request took that was killed before its answer.
fn asked_for(socket: PathBuf, paths: &[PathBuf]) -> bool {
    let Ok(client) = Client::find(&[socket]) else { return false };
    match client.post("/v1/deletions", &json!({ "paths": paths })) {
        Ok(answer) => {
            let given: Value = serde_json::from_slice(&answer.body).unwrap();
            let refused = given["refused"].as_array().unwrap();
            let taken_before = |one: &Value| {
                let why = one["reason"].as_str().unwrap();
                why.contains("does not exist") || why.contains("before it could be moved")
            };
            assert!(refused.iter().all(taken_before), "{:?}", refused.iter().find(|one| !taken_before(one)));
            true
        }
        // All of them were taken before.
        Err(Refusal::Problem(problem, _)) => {
            assert!(problem.detail.contains("does not exist"), "{}", problem.detail);
            true
        }
        Err(Refusal::Silent(_)) => false,
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_goes_twice_over_kills() {
    let (kills, count) = (if is_long() { 51 } else { 6 }, paths_or(1_500));
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    let mut dice = dice();
    let mut found: BTreeMap<Stretch, usize> = BTreeMap::new();
    let mut all: Vec<PathBuf> = Vec::new();
    let mut killed = 0;
    let most = count as u64 / 40 + 50;
    // Round after round of so many paths, until all kills were spent.
    for round in 0.. {
        let paths = many(&home, &root_dir.join(format!("round{round}")), count);
        let socket = home.path("socket");
        // A third of the kills before the answer, in each round as many as are its due.
        let due = |found: &BTreeMap<Stretch, usize>| {
            found.get(&Stretch::Acknowledging).is_none_or(|count| *count < (kills / 3).min((round + 1) * 6))
        };
        while killed < kills && due(&found) {
            let pause = Duration::from_millis(dice(most));
            let answered = std::thread::scope(|scope| {
                let asking = scope.spawn(|| asked_for(socket.clone(), &paths));
                std::thread::sleep(pause);
                home.signal(Signal::KILL);
                asking.join().unwrap()
            });
            home.kill();
            let stretch = if answered { where_it_is(&root_dir, &paths) } else { Stretch::Acknowledging };
            *found.entry(stretch).or_default() += 1;
            killed += 1;
            home.start();
            home.until_root_is("ready");
            if answered {
                break;
            }
        }
        assert!(asked_for(socket, &paths), "nobody answers");
        all.extend(paths.iter().cloned());
        while killed < kills {
            std::thread::sleep(Duration::from_millis(dice(most * 2)));
            home.kill();
            let stretch = where_it_is(&root_dir, &paths);
            *found.entry(stretch).or_default() += 1;
            killed += 1;
            let left = paths.iter().filter(|path| path.exists()).count() + kept(&root_dir, "queue").0;
            assert!(left <= count, "{left} of {count}");
            home.start();
            if stretch == Stretch::Idle {
                break;
            }
        }
        let deadline = Instant::now() + Duration::from_secs(900);
        while home.ask("/v1/deletions/stats").is_none_or(|stats| stats["total_pending"] != 0) {
            assert!(Instant::now() < deadline, "the queue does not become empty");
            std::thread::sleep(Duration::from_millis(50));
        }
        if killed == kills {
            break;
        }
    }
    assert!(all.iter().all(|path| !path.exists()), "acknowledged, and still there");
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    assert_eq!(items(&home, &["trash", "list"]).len(), 0);
    let removed = removals(&home);
    let (twice, never): (Vec<_>, Vec<_>) = (
        removed.iter().filter(|(_, (sure, _))| *sure > 1).collect(),
        all.iter().filter(|path| !removed.contains_key(text(path))).collect(),
    );
    assert!(twice.is_empty(), "removed twice: {} {:?}", twice.len(), twice.first());
    assert!(never.is_empty(), "gone without a record: {} {:?}", never.len(), never.first());
    let unsure = removed.values().filter(|(sure, _)| *sure == 0).count();
    eprintln!(
        "{} paths in rounds of {count} over {kills} kills {found:?}: each removed once, {unsure} of them with a kill between removal and its record",
        all.len()
    );
}

#[test]
fn a_kill_while_entries_are_removed_loses_none_and_removes_none_twice() {
    let count = paths_or(5_000);
    let (mut home, root_dir) = started("", "");
    home.done(&["pause"]);
    let paths = many(&home, &root_dir, count);
    home.done(&["delete", "-q", "--files0-from", text(&home.path("list"))]);
    home.until("all lie in the queue", |_| (kept(&root_dir, "queue").0 == count).then_some(()));
    home.done(&["resume"]);
    let mut left = vec![count];
    while left.len() <= 4 && left.last() != Some(&0) {
        let before = *left.last().unwrap();
        home.until("removal goes on", |_| (kept(&root_dir, "queue").0 < before).then_some(()));
        home.kill();
        left.push(kept(&root_dir, "queue").0);
        home.start();
    }
    assert!(left[1] > 0, "it was over before it could be killed");
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    assert!(items(&home, &["trash", "list"]).is_empty());
    let removed = home.until("each is on record", |home| {
        let removed = removals(home);
        (removed.len() == count).then_some(removed)
    });
    assert!(paths.iter().all(|path| !path.exists() && removed.contains_key(text(path))));
    assert!(removed.values().all(|(sure, _)| *sure <= 1), "removed twice");
    let unsure = removed.values().filter(|(sure, _)| *sure == 0).count();
    eprintln!("left at each kill: {left:?}; {unsure} went with a kill between removal and its record");
}

/// What is left to be done for paths whose deletion was answered.
fn where_it_is(root_dir: &Path, paths: &[PathBuf]) -> Stretch {
    if paths.iter().rev().any(|path| path.exists()) {
        Stretch::Moving
    } else if kept(root_dir, "queue").0 > 0 {
        Stretch::Removing
    } else {
        Stretch::Idle
    }
}

#[test]
fn deletions_that_share_a_description_are_known_again_when_the_ledger_is_lost() {
    let (mut home, root_dir) = started("", "");
    home.done(&["pause"]);
    let paths = many(&home, &root_dir, 40);
    let out = home.done(&["delete", "--json", "--files0-from", text(&home.path("list"))]);
    let given: Value = serde_json::from_str(&out).unwrap();
    let given = given["items"].as_array().unwrap();
    assert!(given.len() == 40 && given.iter().all(|one| one["moved"] == true), "{given:?}");
    assert_eq!(kept(&root_dir, "queue"), (40, 1));
    home.done(&["queue", "drop", given[0]["id"].as_str().unwrap()]);
    assert_eq!(kept(&root_dir, "queue"), (39, 1));
    assert_eq!(home.stop(), Some(0));
    std::fs::write(home.path("state/ledger.redb"), vec![7; 50_000]).unwrap();
    home.start();
    // The pause was lost with the ledger: what was asked for is carried out.
    home.until("all but what was given back went", |home| {
        let removed = removals(home);
        (removed.len() == 39 && removed.values().all(|counts| *counts == (1, 0))).then_some(())
    });
    let left: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(text(left[0]), given[0]["file_path"], "{given:?}");
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    assert!(items(&home, &["trash", "list"]).is_empty());
}
