//! The trash from outside: put, had back, over kills and a lost ledger.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(clippy::print_stderr, reason = "what is skipped or measured is told there")]

#[allow(dead_code, reason = "shared by several files of tests, none of which needs all of it")]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use guardian::cli::Client;
use harness::given_up::{
    body, id, is_long, items, kept, many, removals, started, text, until_queue_is_empty, until_removed_once,
};
use harness::{Home, file, root, scratch};
use serde_json::{Value, json};

const HOUR: u64 = 3600;

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
    until_removed_once(&home, &root_dir.join("deferred"));
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
