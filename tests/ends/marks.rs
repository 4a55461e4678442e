//! Marks on files that say when they go.

use super::{both, harness, home, json_of, mark, names, put, unix};

#[test]
fn files_go_when_their_own_mark_says_so_and_a_later_word_counts() {
    both("", "retain.orphans = \"1s\"", |home, path| {
        let file = |name: &str| {
            let file = path.join(name);
            harness::file(&file, 1000, 7200);
            file
        };
        mark(&file("past"), "user.guardian.expires", "2001-01-01T00:00:00Z");
        mark(&file("past_seconds"), "user.expires", &unix(-5));
        mark(&file("later"), "user.expires", &unix(7200));
        mark(&file("nonsense"), "user.expires", "tomorrow");
        mark(&file("put_off"), "user.expires", &unix(-5));
        // Guardian's own key goes before the other.
        let two = file("two");
        mark(&two, "user.expires", &unix(-5));
        mark(&two, "user.guardian.expires", &unix(7200));
        let of_job = file("job_a_x");
        mark(&of_job, "user.expires", &unix(-5));
        home.done(&["job", "start", "a"]);
        home.until("the marks are known", |home| {
            let told = json_of(&home.done(&["sweep", "expired", "--dry-run", "--json"]));
            (told["files_deleted"] == 3).then_some(())
        });
        mark(&path.join("put_off"), "user.expires", &unix(7200));
        let told = json_of(&home.done(&["sweep", "expired", "--json"]));
        assert_eq!(names(path), ["job_a_x", "later", "nonsense", "put_off", "two"], "{told}");
        assert_eq!(told["phases"][0]["skipped"]["active_job"], 1, "{told}");
        // What expires later is no orphan before.
        let told = json_of(&home.done(&["sweep", "orphans", "--json"]));
        assert_eq!(names(path), ["job_a_x", "later", "put_off", "two"], "{told}");
        let told = home.done(&["explain", path.join("later").to_str().unwrap()]);
        assert!(told.contains("expire"), "{told}");
        home.done(&["job", "complete", "a"]);
        home.done(&["sweep", "expired"]);
        assert_eq!(names(path), ["later", "put_off", "two"]);
    });
}

#[test]
fn the_agent_sees_marks_from_before_its_start_and_such_as_are_set_by_name_only() {
    let (mut home, path) = home("", "");
    let (before, after, never) = (path.join("sub/before"), path.join("sub/after"), path.join("sub/never"));
    for file in [&before, &after, &never] {
        put(file);
    }
    mark(&before, "user.expires", &unix(-5));
    home.start();
    let due = |count: u64| {
        home.until("the marks are known", |home| {
            let told = json_of(&home.done(&["sweep", "expired", "--dry-run", "--json"]));
            (told["files_deleted"] == count).then_some(())
        });
    };
    due(1);
    rustix::fs::setxattr(&after, "user.expires", b"100", rustix::fs::XattrFlags::empty()).unwrap();
    due(2);
    rustix::fs::removexattr(&before, "user.expires").unwrap();
    due(1);
    home.done(&["sweep"]);
    assert_eq!(names(&path.join("sub")), ["before", "never"]);
}

#[test]
fn without_xattr_expiry_a_mark_means_nothing() {
    both("", "xattr_expiry = false", |home, path| {
        let file = path.join("x");
        put(&file);
        mark(&file, "user.expires", "100");
        home.done(&["sweep", "expired"]);
        assert!(file.exists());
    });
}
