//! Deferred deletion from outside: through the command line and the socket, on
//! real files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use guardian::cli::{Client, Refusal};
use harness::given_up::{body, id, items, kept, removals, started, text, until_queue_is_empty};
use harness::{Home, file, root, scratch};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

#[test]
fn what_is_deleted_frees_its_name_at_once_and_goes_in_the_background() {
    let (home, root_dir) = started("", "");
    file(&root_dir.join("single"), 5000, 0);
    let tree = root_dir.join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for number in 0..30 {
        file(&tree.join(format!("a/b/{number}")), 100, 0);
    }
    fs::create_dir(root_dir.join("outside")).unwrap();
    file(&root_dir.join("outside/safe"), 10, 0);
    symlink(root_dir.join("outside"), tree.join("link")).unwrap();
    let given = items(&home, &["delete", text(&root_dir.join("single")), text(&tree), "--client", "test"]);
    assert_eq!(given.len(), 2);
    assert!(given.iter().all(|item| item["moved"] == true), "{given:?}");
    // Free again, also while the old content may still be there.
    file(&root_dir.join("single"), 1, 0);
    assert!(!tree.exists());
    until_queue_is_empty(&home);
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    assert!(root_dir.join("single").exists() && root_dir.join("outside/safe").exists());
    let report =
        home.until("a report", |home| home.reports().into_iter().find(|one| one["policy"] == "deferred"));
    assert_eq!(report["trigger"], "deferred", "{report}");
    let deleted: u64 = home.reports().iter().map(|one| one["files_deleted"].as_u64().unwrap()).sum();
    assert_eq!(deleted, 32, "a file, thirty files in the tree and a link");
    let removed = removals(&home);
    assert_eq!(removed.get(text(&tree)), Some(&(1, 0)), "{removed:?}");
    assert_eq!(removed.get(text(&root_dir.join("single"))), Some(&(1, 0)), "{removed:?}");
}

#[test]
fn what_must_stay_is_refused_by_name_and_the_others_go() {
    let (home, root_dir) = started("", "protect = [\"*.keep\"]");
    home.done(&["job", "start", "42"]);
    for name in ["job_42_x", "a.keep", "goes"] {
        file(&root_dir.join(name), 10, 0);
    }
    fs::create_dir(root_dir.join("tree")).unwrap();
    file(&root_dir.join("tree/b.keep"), 10, 0);
    file(&root_dir.join("tree/other"), 10, 0);
    symlink("/etc", root_dir.join("link")).unwrap();
    let refused = [
        (root_dir.join("job_42_x"), "job 42 is pending or active"),
        (root_dir.join("a.keep"), "protected"),
        (root_dir.join("tree"), "b.keep"),
        (root_dir.join("none"), "does not exist"),
        (root_dir.join(".guardian/ledger-id"), "guardian's own"),
        (root_dir.join("link/passwd"), "symbolic link"),
        (root_dir.clone(), "the root itself"),
        (PathBuf::from("/etc/passwd"), "beneath no root"),
    ];
    let all: Vec<&str> = refused.iter().map(|(path, _)| text(path)).collect();
    let goes = root_dir.join("goes");
    let (code, out, _) = home.run(&[&["delete", "--json", text(&goes)][..], &all].concat());
    assert_eq!(code, 1, "{out}");
    let given: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(given["items"].as_array().unwrap().len(), 1, "{given}");
    assert!(!goes.exists());
    for (path, why) in &refused {
        let all = given["refused"].as_array().unwrap();
        let one = all.iter().find(|one| one["file_path"] == text(path)).unwrap_or_else(|| panic!("{path:?}"));
        assert!(one["reason"].as_str().unwrap().contains(why), "{one}");
        assert!(path.exists() || *why == "does not exist");
    }
    // Nothing can go: a refusal with its status.
    let client = Client::find(&[home.path("socket")]).unwrap();
    let asked = |path: &Path| match client.post("/v1/deletions", &json!({ "paths": [path] })) {
        Err(Refusal::Problem(problem, _)) => (problem.status, problem.detail),
        other => panic!("{other:?}"),
    };
    let (status, detail) = asked(&root_dir.join("job_42_x"));
    assert_eq!(status, 409, "{detail}");
    assert!(detail.contains("job_42_x") && detail.contains("job 42"), "{detail}");
    assert_eq!(asked(&root_dir.join("none")).0, 400);
    assert_eq!(home.run(&["delete", text(&root_dir.join("a.keep"))]).0, 5);
    assert_eq!(home.run(&["trash", "put", text(&root_dir.join("a.keep"))]).0, 5);
    assert!(root_dir.join("tree/other").exists());
}

#[test]
fn an_open_file_stays_in_its_place_and_goes_once_it_is_closed() {
    let (home, root_dir) = started("", "");
    let path = root_dir.join("open");
    file(&path, 10, 0);
    let open = File::open(&path).unwrap();
    let given = items(&home, &["delete", text(&path)]);
    assert_eq!(given[0]["moved"], false, "{given:?}");
    assert!(path.exists());
    let waiting = items(&home, &["queue", "list"]);
    assert_eq!(
        (waiting[0]["attempts"].as_u64(), &waiting[0]["last_error"]),
        (Some(1), &json!("open or mapped by somebody"))
    );
    let stats = body(&home, &["queue", "stats"]);
    assert_eq!(stats["by_attempts"], json!([{ "attempts": 1, "count": 1 }]));
    drop(open);
    home.done(&["queue", "retry", &id(&waiting[0])]);
    until_queue_is_empty(&home);
    assert!(!path.exists());
}

#[test]
fn a_deletion_past_its_last_try_is_reported_once_and_becomes_trash() {
    let (home, root_dir) = started("", "[root.limits]\nmax_attempts = 2");
    let path = root_dir.join("open");
    file(&path, 10, 0);
    let open = File::open(&path).unwrap();
    home.done(&["delete", text(&path)]);
    // The second try is the last.
    assert_eq!(home.run(&["queue", "run"]).0, 1, "a failure is told");
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 0);
    let trash = items(&home, &["trash", "list"]);
    assert_eq!(trash.len(), 1);
    assert!(trash[0]["failed"].as_str().unwrap().contains("open"), "{trash:?}");
    assert_eq!(home.log().matches("for the last time").count(), 1);
    drop(open);
    // In its place all the same: no other policy takes it while it is trash.
    assert!(path.exists());
    let report = body(&home, &["sweep", "orphans", "--older-than", "0s"]);
    assert_eq!(report["files_deleted"], 0, "{report}");
    home.done(&["trash", "empty"]);
    assert!(!path.exists());
}

#[test]
fn dropped_deletions_are_back_or_in_the_trash_where_their_name_is_taken() {
    let (home, root_dir) = started("", "");
    home.done(&["pause"]);
    for name in ["back", "taken", "third"] {
        fs::write(root_dir.join(name), name).unwrap();
    }
    fs::create_dir(root_dir.join("tree")).unwrap();
    fs::write(root_dir.join("tree/inner"), "inner").unwrap();
    let paths: Vec<PathBuf> =
        ["back", "taken", "third", "tree"].iter().map(|name| root_dir.join(name)).collect();
    let all: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    let given = items(&home, &[&["delete"][..], &all].concat());
    assert_eq!(kept(&root_dir, "queue"), (4, 4));
    fs::write(root_dir.join("taken"), "another").unwrap();
    let dropped = body(&home, &["queue", "drop", &id(&given[0])]);
    assert_eq!(dropped["now"], "restored", "{dropped}");
    assert_eq!(fs::read_to_string(root_dir.join("back")).unwrap(), "back");
    let cleared = items(&home, &["queue", "clear"]);
    let now: BTreeMap<&str, &str> = cleared
        .iter()
        .map(|one| (one["file_path"].as_str().unwrap(), one["now"].as_str().unwrap()))
        .collect();
    assert_eq!(now[text(&root_dir.join("taken"))], "trash");
    assert_eq!(now[text(&root_dir.join("third"))], "restored");
    assert_eq!(now[text(&root_dir.join("tree"))], "restored");
    assert_eq!(fs::read_to_string(root_dir.join("taken")).unwrap(), "another");
    assert_eq!(fs::read_to_string(root_dir.join("tree/inner")).unwrap(), "inner");
    assert_eq!((kept(&root_dir, "queue"), kept(&root_dir, "trash")), ((0, 0), (1, 1)));
    let trash = items(&home, &["trash", "list"]);
    let elsewhere = root_dir.join("elsewhere");
    home.done(&["trash", "restore", &id(&trash[0]), "--to", text(&elsewhere)]);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "taken");
    home.done(&["resume"]);
    assert!(removals(&home).is_empty());
}

#[test]
fn a_marked_file_in_a_tree_keeps_the_whole_tree() {
    let (home, root_dir) = started("", "");
    let tree = root_dir.join("tree");
    fs::create_dir_all(tree.join("a")).unwrap();
    file(&tree.join("a/marked"), 10, 0);
    let marked = tree.join("a/marked");
    rustix::fs::setxattr(&marked, "user.guardian.keep", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = home.run(&[verb, &[text(&tree)]].concat());
        assert_eq!(code, 5, "{verb:?}: {err}");
        assert!(err.contains("tree/a/marked"), "{err}");
        assert!(marked.exists());
    }
    rustix::fs::removexattr(&marked, "user.guardian.keep").unwrap();
    home.done(&["delete", text(&tree)]);
    assert!(!tree.exists());
}

#[test]
fn what_came_into_a_tree_after_its_deletion_was_asked_for_never_goes_with_it() {
    let (home, root_dir) = started("", "[root.limits]\nmax_attempts = 2");
    let tree = root_dir.join("d/tree");
    fs::create_dir_all(tree.join("a")).unwrap();
    file(&tree.join("a/old"), 10, 0);
    // While a directory above is locked, nothing below it leaves its place.
    let above = File::open(root_dir.join("d")).unwrap();
    rustix::fs::flock(&above, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let given = items(&home, &["delete", text(&tree)]);
    assert_eq!(given[0]["moved"], false, "{given:?}");
    fs::write(tree.join("a/new"), "new").unwrap();
    drop(above);
    home.run(&["queue", "run"]);
    assert_eq!(fs::read_to_string(tree.join("a/new")).unwrap(), "new");
    // Trash after its last try, and what is new in it is no more given up than before.
    let trash = items(&home, &["trash", "list"]);
    assert!(trash[0]["failed"].as_str().unwrap().contains("a/new"), "{trash:?}");
    home.run(&["trash", "empty"]);
    assert_eq!(fs::read_to_string(tree.join("a/new")).unwrap(), "new");
    fs::remove_file(tree.join("a/new")).unwrap();
    home.done(&["trash", "empty"]);
    assert!(!tree.exists());
}

#[test]
fn an_emergency_takes_what_was_given_up_before_it_takes_anything_else() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    let marks = "capacity = \"32MiB\"\nhigh_water = 90\nlow_water = 50";
    home.configure("automatic = false", &root(&root_dir, marks));
    home.start();
    home.until_root_is("ready");
    for number in 0..8 {
        file(&root_dir.join(format!("deferred_{number}")), MIB, 0);
        file(&root_dir.join(format!("trash_{number}")), MIB, 0);
        // Old enough for the last phase, too young for an orphan.
        file(&root_dir.join(format!("old_{number}")), MIB, 600);
    }
    let named = |prefix: &str| -> Vec<String> {
        (0..8).map(|number| text(&root_dir.join(format!("{prefix}_{number}"))).to_owned()).collect()
    };
    let (deferred, trash) = (named("deferred"), named("trash"));
    let ask = |verb: &[&str], paths: &[String]| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        home.done(&[verb, &paths].concat());
    };
    ask(&["delete"], &deferred);
    ask(&["trash", "put"], &trash);
    assert_eq!((kept(&root_dir, "queue").0, kept(&root_dir, "trash").0), (8, 8));
    // What was given up still fills the root.
    for number in 0..6 {
        file(&root_dir.join(format!("new_{number}")), MIB, 0);
    }
    let report = home.until("usage is known", |home| {
        let (code, out, _) = home.run(&["sweep", "emergency", "--json"]);
        (code == 0).then(|| serde_json::from_str::<Value>(&out).unwrap())
    });
    let deleted = |name: &str| {
        let phases = report["phases"].as_array().unwrap();
        phases
            .iter()
            .find(|phase| phase["policy"] == name)
            .map_or(0, |phase| phase["files_deleted"].as_u64().unwrap())
    };
    assert_eq!(deleted("deferred"), 8, "{report}");
    assert!((5..=8).contains(&deleted("trash")), "{report}");
    assert_eq!(deleted("oldest"), 0, "{report}");
    assert_eq!(report["target_reached"], true, "{report}");
}

#[test]
fn without_an_agent_queue_and_trash_work_on_the_ledger_itself() {
    let home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    for name in ["a", "b", "c"] {
        fs::write(root_dir.join(name), name).unwrap();
    }
    let given = items(&home, &["delete", text(&root_dir.join("a")), text(&root_dir.join("b"))]);
    assert!(given.iter().all(|item| item["moved"] == true), "{given:?}");
    assert!(!root_dir.join("a").exists());
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 2);
    home.done(&["queue", "drop", &id(&given[1])]);
    assert_eq!(fs::read_to_string(root_dir.join("b")).unwrap(), "b");
    let report = body(&home, &["queue", "run"]);
    assert_eq!(report["files_deleted"], 1, "{report}");
    home.done(&["trash", "put", text(&root_dir.join("c"))]);
    let before = kept(&root_dir, "trash");
    let dry = body(&home, &["sweep", "trash", "--older-than", "0s", "--dry-run"]);
    assert_eq!((dry["files_deleted"].as_u64(), kept(&root_dir, "trash")), (Some(1), before), "{dry}");
    let trash = items(&home, &["trash", "list"]);
    home.done(&["trash", "restore", &id(&trash[0])]);
    assert_eq!(fs::read_to_string(root_dir.join("c")).unwrap(), "c");
    home.done(&["trash", "put", text(&root_dir.join("c"))]);
    home.done(&["trash", "empty"]);
    assert_eq!((kept(&root_dir, "queue"), kept(&root_dir, "trash")), ((0, 0), (0, 0)));
    let removed: Vec<(u32, u32)> = removals(&home).into_values().collect();
    assert_eq!(removed, [(1, 0), (1, 0)]);
}
