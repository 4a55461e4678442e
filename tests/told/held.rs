//! What is held, marked or locked stays.

use std::fs;

use serde_json::json;

use super::{both, explained, notes, put, sweep, text};

#[test]
fn what_is_held_stays_until_it_is_released() {
    both("protect = [\"*.keep\"]", |home, at| {
        let single = put(at, "single", 50);
        let deep = put(at, "tree/a/deep", 50);
        let free = put(at, "free", 50);
        let protected = put(at, "x.keep", 50);
        home.done(&["hold", text(&single), "--for", "1h", "--reason", "looked at by hand"]);
        home.done(&["hold", text(&at.join("tree"))]);
        // A hold is on the directory itself, under whatever name.
        fs::rename(at.join("tree"), at.join("moved")).unwrap();
        let deep_now = at.join("moved/a/deep");
        let said = explained(home, &single);
        assert!(notes(&said).contains("looked at by hand"), "{said}");
        assert!(
            notes(&explained(home, &deep_now)).contains("held with tree"),
            "{}",
            explained(home, &deep_now)
        );

        let report = sweep(home, &["orphans"]);
        assert_eq!(report["files_deleted"], 1, "{report}");
        assert_eq!(report["skipped"]["held"], 2, "{report}");
        assert!(
            !free.exists() && single.exists() && deep_now.exists() && protected.exists() && !deep.exists()
        );

        home.done(&["release", text(&single), text(&at.join("tree"))]);
        assert_eq!(sweep(home, &["orphans"])["files_deleted"], 2);
        assert!(!single.exists() && !deep_now.exists() && protected.exists());
    });
}

#[test]
fn marks_on_files_and_locks_on_directories_keep_them_as_holds_do() {
    both("", |home, at| {
        let (marked, locked) = (put(at, "marked", 50), put(at, "locked/a/f", 50));
        let (free, other) = (put(at, "free", 50), put(at, "young", 0));
        let keep = rustix::fs::setxattr(&marked, "user.guardian.keep", b"1", rustix::fs::XattrFlags::empty());
        if let Err(why) = keep {
            eprintln!("skipped: no extended attributes here: {why}");
            return;
        }
        let dir = fs::File::open(at.join("locked")).unwrap();
        rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let report = sweep(home, &["orphans"]);
        assert_eq!(
            (&report["files_deleted"], &report["skipped"]["held"]),
            (&json!(1), &json!(2)),
            "{report}"
        );
        assert!(marked.exists() && locked.exists() && other.exists() && !free.exists());
        drop(dir);
        rustix::fs::removexattr(&marked, "user.guardian.keep").unwrap();
        assert_eq!(sweep(home, &["orphans"])["files_deleted"], 2);
        assert!(!marked.exists() && !locked.exists() && other.exists());
    });
}
