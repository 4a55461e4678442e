//! Deferred deletion and trash from outside: through the command line and the
//! socket, on real files, over kills, full volumes and a lost ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guardian::cli::{Client, Refusal};
use harness::volumes::{bind, inside, tmpfs};
use harness::{Home, file, root, scratch};
use serde_json::{Value, json};

const HOUR: u64 = 3600;
const MIB: usize = 1 << 20;

/// An agent on one root.
fn started(agent: &str, more: &str) -> (Home, PathBuf) {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure(agent, &root(&root_dir, more));
    home.start();
    home.until_root_is("ready");
    (home, root_dir)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The one body that `--json` prints.
fn body(home: &Home, arguments: &[&str]) -> Value {
    let out = home.done(&[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {out}"))
}

fn items(home: &Home, arguments: &[&str]) -> Vec<Value> {
    body(home, arguments)["items"].as_array().unwrap().clone()
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

/// How often each path is on record as removed, and how often without an
/// outcome. Read from the segments themselves: a length, a checksum, JSON.
fn removals(home: &Home) -> BTreeMap<String, (u32, u32)> {
    let mut segments: Vec<PathBuf> =
        fs::read_dir(home.path("state/audit")).unwrap().map(|one| one.unwrap().path()).collect();
    segments.sort();
    let mut batches: BTreeMap<u64, Vec<(String, Option<bool>)>> = BTreeMap::new();
    for segment in segments {
        let bytes = fs::read(&segment).unwrap();
        let mut rest = bytes.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(payload) = behind.get(4..4 + length).filter(|payload| !payload.is_empty()) else {
                break;
            };
            rest = &behind[4 + length..];
            let frame: Value = serde_json::from_slice(payload).unwrap();
            let batch = || frame["batch"].as_u64().unwrap();
            match frame["frame"].as_str() {
                Some("intent") => {
                    let above = frame["header"]["root_path"]["path"].as_str().unwrap();
                    let entries = frame["entries"].as_array().unwrap().iter();
                    let names =
                        entries.map(|one| (format!("{above}/{}", one["path"].as_str().unwrap()), None));
                    batches.entry(batch()).or_default().extend(names);
                }
                Some("outcome") => {
                    let entries = batches.get_mut(&batch()).unwrap();
                    entries.iter_mut().for_each(|(_, removed)| *removed = Some(true));
                    for stayed in frame["not_removed"].as_array().unwrap() {
                        let place = usize::try_from(stayed[0].as_u64().unwrap()).unwrap();
                        entries[place].1 = Some(false);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (path, removed) in batches.into_values().flatten() {
        match removed {
            Some(true) => found.entry(path).or_default().0 += 1,
            None => found.entry(path).or_default().1 += 1,
            Some(false) => {}
        }
    }
    found
}

/// Names in the private directory of a root: entries, and what describes them.
fn kept(root_dir: &Path, room: &str) -> (usize, usize) {
    let entries = fs::read_dir(root_dir.join(".guardian").join(room)).into_iter().flatten();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let infos = names.iter().filter(|name| name.ends_with(".info")).count();
    (names.len() - infos, infos)
}

fn until_queue_is_empty(home: &Home) {
    home.until("the queue is empty", |home| {
        (home.ask("/v1/deletions/stats")?["total_pending"] == 0).then_some(())
    });
}

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
fn trash_is_given_back_as_it_was_and_never_over_what_is_there() {
    let (home, root_dir) = started("", "");
    let path = root_dir.join("file");
    file(&path, 3000, 50 * HOUR);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    rustix::fs::setxattr(&path, "user.colour", b"blue", rustix::fs::XattrFlags::empty()).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    home.done(&["trash", "put", text(&path)]);
    assert!(!path.exists());
    let trash = items(&home, &["trash", "list"]);
    let stats = home.ask("/v1/stats").unwrap();
    assert_eq!(stats["roots"][0]["trash_files_count"], 1, "{stats}");
    assert_eq!(stats["roots"][0]["trash_size_bytes"], before.blocks() * 512, "{stats}");
    let info: Value = serde_json::from_slice(
        &fs::read(root_dir.join(".guardian/trash").join(format!("{}.info", id(&trash[0])))).unwrap(),
    )
    .unwrap();
    assert_eq!((&info["original"]["path"], &info["mode"]), (&json!(text(&path)), &json!("0640")));
    assert!(info["xattrs"].to_string().contains("user.colour"), "{info}");
    fs::write(&path, "new").unwrap();
    let (code, _, err) = home.run(&["trash", "restore", &id(&trash[0])]);
    assert_eq!(code, 5, "{err}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    for nowhere in ["/tmp/guardian-elsewhere", "missing/dir", ".guardian/x"] {
        let to = root_dir.join(nowhere);
        assert_ne!(home.run(&["trash", "restore", &id(&trash[0]), "--to", text(&to)]).0, 0, "{nowhere}");
    }
    fs::remove_file(&path).unwrap();
    home.done(&["trash", "restore", &id(&trash[0])]);
    let after = fs::metadata(&path).unwrap();
    let facts =
        |seen: &fs::Metadata| (seen.ino(), seen.mode(), seen.uid(), seen.gid(), seen.mtime(), seen.size());
    assert_eq!(facts(&before), facts(&after));
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&path, "user.colour", &mut value).unwrap();
    assert_eq!(&value[..length], b"blue");
    assert!(items(&home, &["trash", "list"]).is_empty());
    assert_eq!(kept(&root_dir, "trash"), (0, 0));
}

#[test]
fn trash_goes_after_its_retention_and_not_before() {
    let (home, root_dir) = started("", "[root.retain]\ntrash = \"2s\"");
    file(&root_dir.join("first"), 10, 0);
    home.done(&["trash", "put", text(&root_dir.join("first"))]);
    let young = body(&home, &["sweep", "trash", "--older-than", "1h"]);
    assert_eq!(young["files_deleted"], 0, "{young}");
    let report = home.until("its retention is over", |home| {
        let report = body(home, &["sweep", "trash"]);
        (report["files_deleted"] == 1).then_some(report)
    });
    assert_eq!(report["phases"][0]["policy"], "trash", "{report}");
    assert!(items(&home, &["trash", "list"]).is_empty());
    assert_eq!(kept(&root_dir, "trash"), (0, 0));
    let stats = home.ask("/v1/stats").unwrap();
    assert_eq!(stats["roots"][0]["trash_files_count"], 0, "{stats}");
}

#[test]
fn a_lost_ledger_is_rebuilt_from_what_describes_the_entries() {
    let (mut home, root_dir) = started("", "");
    home.done(&["pause"]);
    fs::write(root_dir.join("trashed"), "trashed").unwrap();
    fs::create_dir(root_dir.join("tree")).unwrap();
    fs::write(root_dir.join("tree/inner"), "inner").unwrap();
    fs::write(root_dir.join("deferred"), "deferred").unwrap();
    home.done(&["trash", "put", text(&root_dir.join("trashed")), text(&root_dir.join("tree"))]);
    home.done(&["delete", text(&root_dir.join("deferred"))]);
    let before = (items(&home, &["trash", "list"]), items(&home, &["queue", "list"]));
    assert_eq!((before.0.len(), before.1.len()), (2, 1));
    assert_eq!(home.stop(), Some(0));
    fs::write(home.path("state/ledger.redb"), vec![7; 50_000]).unwrap();
    // What lies there without a description is somebody's too.
    fs::write(root_dir.join(".guardian/trash/00000000-0000-7000-8000-000000000000"), "stray").unwrap();
    home.start();
    let trash = home.until("the trash is rebuilt", |home| {
        let trash = items(home, &["trash", "list"]);
        (trash.len() == 3).then_some(trash)
    });
    for known in &before.0 {
        let again = trash.iter().find(|one| one["id"] == known["id"]).unwrap();
        assert_eq!((&again["path"], &again["deleted_at"]), (&known["path"], &known["deleted_at"]));
    }
    let stray = trash.iter().find(|one| one["path"].as_str().unwrap().contains("recovered")).unwrap();
    let to = root_dir.join("stray");
    home.done(&["trash", "restore", &id(stray), "--to", text(&to)]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "stray");
    let tree = trash.iter().find(|one| one["path"] == text(&root_dir.join("tree"))).unwrap();
    home.done(&["trash", "restore", &id(tree)]);
    assert_eq!(fs::read_to_string(root_dir.join("tree/inner")).unwrap(), "inner");
    // The pause was lost with the ledger: what was asked for is carried out.
    until_queue_is_empty(&home);
    assert_eq!(removals(&home).get(text(&root_dir.join("deferred"))), Some(&(1, 0)));
}

/// Makes files in directories of a thousand, and a list of them for `--files0-from`.
fn many(home: &Home, root_dir: &Path, count: usize) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> =
        (0..count).map(|number| root_dir.join(format!("d{}/f{number}", number / 1000))).collect();
    for path in &paths {
        if path.ends_with("f0") || !path.parent().unwrap().exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, b"x").unwrap();
    }
    let list: Vec<u8> = paths.iter().flat_map(|path| text(path).bytes().chain([0])).collect();
    fs::write(home.path("list"), list).unwrap();
    paths
}

fn is_long() -> bool {
    std::env::var_os("GUARDIAN_LONG").is_some()
}

/// How many paths: 100,000 in the long form, or as many as `GUARDIAN_LONG` says beyond 1.
fn paths_or(short: usize) -> usize {
    match std::env::var("GUARDIAN_LONG").map(|text| text.parse::<usize>()) {
        Ok(Ok(count)) if count > 1 => count,
        Ok(_) => 100_000,
        Err(_) => short,
    }
}

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
    let removed = removals(&home);
    assert_eq!(removed.len(), count);
    assert!(removed.values().all(|counts| *counts == (1, 0)));
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_goes_twice_over_kills() {
    let (kills, count) = (if is_long() { 50 } else { 5 }, paths_or(1_500));
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    let paths = many(&home, &root_dir, count);
    let list = home.path("list");
    let out = home.done(&["delete", "--json", "--files0-from", text(&list)]);
    let given: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(given["items"].as_array().unwrap().len(), count);
    let mut seed = u64::from(std::process::id()) | 1;
    for kill in 0..kills {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_millis(seed % if is_long() { 2500 } else { 250 }));
        home.kill();
        if kill % 2 == 1 {
            // Of what is acknowledged nothing is nowhere: in its place, kept, or removed and on record.
            let left = paths.iter().filter(|path| path.exists()).count() + kept(&root_dir, "queue").0;
            assert!(left <= count, "{left} of {count}");
        }
        home.start();
    }
    let deadline = Instant::now() + Duration::from_secs(600);
    while home.ask("/v1/deletions/stats").is_none_or(|stats| stats["total_pending"] != 0) {
        assert!(Instant::now() < deadline, "the queue does not become empty");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(paths.iter().all(|path| !path.exists()), "acknowledged, and still there");
    home.until("the private directory is empty", |_| (kept(&root_dir, "queue") == (0, 0)).then_some(()));
    assert_eq!(items(&home, &["trash", "list"]).len(), 0);
    let removed = removals(&home);
    let (twice, never): (Vec<_>, Vec<_>) = (
        removed.iter().filter(|(_, (sure, _))| *sure > 1).collect(),
        paths.iter().filter(|path| !removed.contains_key(text(path))).collect(),
    );
    assert!(twice.is_empty(), "removed twice: {twice:?}");
    assert!(never.is_empty(), "gone without a record: {never:?}");
    let unsure = removed.values().filter(|(sure, _)| *sure == 0).count();
    eprintln!(
        "{count} paths over {kills} kills: each removed once, {unsure} of them with a kill between removal and its record"
    );
}

#[test]
fn a_kill_while_trash_is_put_loses_nothing() {
    let (kills, count) = if is_long() { (20, 2_000) } else { (4, 400) };
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    let mut seed = u64::from(std::process::id()) | 1;
    let paths = many(&home, &root_dir, count);
    for _ in 0..kills {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let pause = Duration::from_millis(seed % 400);
        let list = home.path("list");
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                // May fail: the agent is killed under it.
                let client = Client::find(&[home.path("socket")]);
                let names = fs::read(&list).unwrap();
                let names: Vec<&str> = names
                    .split(|byte| *byte == 0)
                    .filter(|name| !name.is_empty())
                    .map(|name| std::str::from_utf8(name).unwrap())
                    .collect();
                client.map(|client| client.post("/v1/trash", &json!({ "paths": names })).is_ok())
            });
            std::thread::sleep(pause);
            home.signal(rustix::process::Signal::KILL);
            let _ = asking.join().unwrap();
        });
        home.kill();
        home.start();
        let known = |home: &Home| -> BTreeSet<String> {
            let mut all = BTreeSet::new();
            for line in home.done(&["trash", "list", "--jsonl"]).lines() {
                let one: Value = serde_json::from_str(line).unwrap();
                if one["moved"] == true {
                    all.insert(one["path"].as_str().unwrap().to_owned());
                }
            }
            all
        };
        home.until("every file is in its place or in the trash", |home| {
            let known = known(home);
            let lost = paths.iter().filter(|path| path.exists() == known.contains(text(path))).count();
            (lost == 0 && kept(&root_dir, "trash").0 == known.len()).then_some(())
        });
        let restored: Vec<Value> = items(&home, &["trash", "list", "--limit", "1000"]);
        for one in restored {
            home.done(&["trash", "restore", &id(&one)]);
        }
        while let Some(one) = items(&home, &["trash", "list", "--limit", "1"]).first() {
            home.done(&["trash", "restore", &id(one)]);
        }
        assert!(paths.iter().all(|path| path.exists()));
    }
    assert!(removals(&home).is_empty());
}

#[test]
fn a_private_directory_that_was_replaced_ends_deferral_and_takes_nothing() {
    let (home, root_dir) = started("", "");
    file(&root_dir.join("a"), 10, 0);
    fs::rename(root_dir.join(".guardian"), root_dir.join("away")).unwrap();
    fs::create_dir(root_dir.join(".guardian")).unwrap();
    fs::set_permissions(root_dir.join(".guardian"), fs::Permissions::from_mode(0o700)).unwrap();
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = home.run(&[verb, &[text(&root_dir.join("a"))]].concat());
        assert_eq!(code, 5, "{err}");
        assert!(err.contains("taken its place"), "{err}");
    }
    assert!(root_dir.join("a").exists());
    assert_eq!(fs::read_dir(root_dir.join(".guardian")).unwrap().count(), 0);
    home.until("an alert", |home| home.log().contains("private directory is not usable").then_some(()));
}

#[test]
fn on_a_full_volume_entries_stay_in_their_place_and_go_from_there() {
    if !inside("on_a_full_volume_entries_stay_in_their_place_and_go_from_there") {
        return;
    }
    let mut home = Home::new();
    let volume = home.path("volume");
    tmpfs(&volume, 8).unwrap();
    home.configure("automatic = false", &root(&volume, ""));
    home.start();
    home.until_root_is("ready");
    file(&volume.join("a"), 4096, 0);
    fs::create_dir(volume.join("tree")).unwrap();
    file(&volume.join("tree/b"), 4096, 0);
    let _ = fs::write(volume.join("fill"), vec![1; 16 * MIB]);
    let given = items(&home, &["delete", text(&volume.join("a")), text(&volume.join("tree"))]);
    assert!(given.iter().all(|item| item["moved"] == false), "{given:?}");
    assert!(volume.join("a").exists() && volume.join("tree/b").exists());
    home.done(&["queue", "run"]);
    assert!(!volume.join("a").exists() && !volume.join("tree").exists());
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 0);
    // One that was changed since is another file.
    file(&volume.join("c"), 4096, 0);
    let _ = fs::write(volume.join("fill2"), vec![1; 16 * MIB]);
    home.done(&["delete", text(&volume.join("c"))]);
    fs::remove_file(volume.join("fill")).unwrap();
    fs::write(volume.join("c"), "changed").unwrap();
    home.done(&["queue", "run"]);
    assert_eq!(fs::read_to_string(volume.join("c")).unwrap(), "changed");
    assert_eq!(body(&home, &["queue", "stats"])["total_pending"], 0);
}

#[test]
fn a_tree_with_a_mount_beneath_is_refused() {
    if !inside("a_tree_with_a_mount_beneath_is_refused") {
        return;
    }
    let (home, root_dir) = started("", "");
    fs::create_dir_all(root_dir.join("tree/deep/mounted")).unwrap();
    fs::create_dir(home.path("elsewhere")).unwrap();
    fs::write(home.path("elsewhere/safe"), "safe").unwrap();
    bind(&home.path("elsewhere"), &root_dir.join("tree/deep/mounted")).unwrap();
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = home.run(&[verb, &[text(&root_dir.join("tree"))]].concat());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("mounted"), "{err}");
    }
    assert!(home.path("elsewhere/safe").exists() && root_dir.join("tree/deep/mounted/safe").exists());
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
fn trash_whose_other_name_was_written_to_is_still_there_to_be_had_back() {
    let (mut home, root_dir) = started("", "");
    let (path, other) = (root_dir.join("one"), root_dir.join("other"));
    fs::write(&path, "as it was").unwrap();
    fs::hard_link(&path, &other).unwrap();
    home.done(&["trash", "put", text(&path)]);
    fs::write(&other, "longer than it was").unwrap();
    home.kill();
    home.start();
    home.until_root_is("ready");
    let trash = items(&home, &["trash", "list"]);
    assert_eq!(trash.len(), 1);
    assert_eq!(trash[0]["path"], text(&path), "{trash:?}");
    home.done(&["trash", "restore", &id(&trash[0])]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "longer than it was");
}
