//! `guardian explain` as a person reads it: one path after the other through
//! the program, against a running agent. `--nocapture` shows all of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "the transcript is to be read there")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use harness::transcript::tell;
use harness::{Home, file, root, scratch};
use serde_json::Value;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One path of the transcript: what was said of it, as text and as the body.
struct Said {
    shown: String,
    body: Value,
}

impl Said {
    /// What a policy says: verdict, rule, reason, and when it becomes due.
    fn policy(&self, name: &str) -> (String, String, String, Option<String>) {
        let all = self.body["policies"].as_array().unwrap();
        let one = all.iter().find(|one| one["policy"] == name).unwrap_or_else(|| panic!("{name}: {all:?}"));
        let text = |key: &str| one[key].as_str().map(str::to_owned);
        (text("verdict").unwrap(), text("rule").unwrap(), text("reason").unwrap(), text("due_at"))
    }

    /// That a policy decides so, and says these words.
    #[track_caller]
    fn policy_says(&self, name: &str, verdict: &str, rule: &str, words: &[&str]) {
        let (is, by, reason, _) = self.policy(name);
        assert_eq!((is.as_str(), by.as_str()), (verdict, rule), "{name}: {reason}\n{}", self.shown);
        self.contains_all(&reason, words);
    }

    #[track_caller]
    fn summary_says(&self, words: &[&str]) {
        self.contains_all(self.body["summary"].as_str().unwrap(), words);
    }

    #[track_caller]
    fn notes_say(&self, words: &[&str]) {
        self.contains_all(&self.body["notes"].to_string(), words);
    }

    #[track_caller]
    fn contains_all(&self, said: &str, words: &[&str]) {
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said:?}\n{}", self.shown);
        }
    }
}

fn ask(home: &Home, about: &str, path: &Path) -> Said {
    tell(about);
    let (code, shown) = home.shown(&["explain", text(path)]);
    assert_eq!(code, 0, "{shown}");
    let body = serde_json::from_str(&home.done(&["explain", text(path), "--json"])).unwrap();
    Said { shown, body }
}

fn put(at: &Path, name: &str, seconds: u64) -> PathBuf {
    let path = at.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    file(&path, 5000, seconds);
    path
}

fn started(more: &str) -> (Home, PathBuf) {
    let mut home = Home::new();
    let at = scratch(&home);
    // As a volume of its own: how full the machine's is must not matter.
    home.configure("", &root(&at, &format!("capacity = \"1GiB\"\n{more}")));
    home.start();
    home.until_root_is("ready");
    (home, at)
}

#[test]
fn explain_says_of_every_situation_what_holds_and_by_which_numbers() {
    let (home, at) = started(
        "protect = [\"*.keep\"]\nresults = [\"results/**\"]\nadoption_grace = \"0s\"\n\
         retain = { failed_jobs = \"2h\", completed_jobs = \"30m\", sessions = \"45m\", results = \"7d\" }",
    );
    let unknown = put(&at, "job_42_part", 3 * HOUR + 12 * MINUTE + 5);
    let said = ask(&home, "a file of a job that nobody registered", &unknown);
    said.summary_says(&[
        "names job 42, unknown to the registry; age 3h 12m, limit 24h",
        "eligible in an emergency (orphans) since 2h 12m",
    ]);
    said.policy_says("orphans", "keep", "too_young", &["names job 42", "3h 12m", "limit 24h"]);
    said.policy_says("emergency:orphans", "remove", "orphan_unknown_job", &["age 3h 12m", "limit 1h"]);

    home.done(&["job", "start", "busy"]);
    let busy = put(&at, "job_busy_tmp", 5 * DAY);
    let said = ask(&home, "a file of an active job", &busy);
    said.summary_says(&["job busy is active"]);
    for policy in ["orphans", "emergency:oldest"] {
        said.policy_says(policy, "keep", "active_job", &["job busy is active"]);
    }

    home.done(&["job", "start", "broken"]);
    let broken = put(&at, "job_broken_tmp", 5 * MINUTE + 5);
    home.done(&["job", "fail", "broken"]);
    let said = ask(&home, "a file of a job that failed", &broken);
    said.policy_says("failed_jobs", "keep", "job_retention", &["job broken failed", "limit 2h"]);
    said.policy_says("emergency:failed_jobs", "remove", "failed_job", &["job broken failed"]);
    assert!(said.policy("failed_jobs").3.is_some(), "when it is due");

    home.done(&["job", "start", "done"]);
    let done = put(&at, "job_done_tmp", 5 * MINUTE + 5);
    home.done(&["job", "complete", "done"]);
    let said = ask(&home, "a file that a completed job left", &done);
    said.policy_says("completed_jobs", "keep", "job_retention", &["job done completed", "limit 30m"]);

    let result = put(&at, "results/job_done_out", 5 * MINUTE + 5);
    let said = ask(&home, "a result", &result);
    said.policy_says("results", "keep", "job_retention", &["job done completed", "limit 7d"]);
    said.policy_says("completed_jobs", "keep", "result", &["result"]);

    let held = put(&at, "held", 50 * HOUR);
    home.done(&["hold", text(&held), "--for", "2h", "--reason", "looked at by hand"]);
    let said = ask(&home, "a file that somebody holds", &held);
    said.policy_says("emergency:oldest", "keep", "held", &[]);
    said.notes_say(&["held by uid", "for 1h 59m", "looked at by hand"]);

    let expiring = put(&at, "expiring", 10);
    home.done(&["track", text(&expiring), "--expires-in", "1h"]);
    let said = ask(&home, "a file that expires", &expiring);
    said.policy_says("expired", "keep", "unexpired", &["expires at"]);
    said.notes_say(&["expires at", "in 59m"]);

    let member = put(&at, "member", 10);
    home.done(&["track", text(&member), "--session", "work"]);
    let said = ask(&home, "a file of a session", &member);
    said.policy_says("sessions", "keep", "session_alive", &["limit 45m"]);
    said.notes_say(&["member of session work", "retain.sessions 45m"]);

    let protected = put(&at, "model.keep", 50 * DAY);
    let said = ask(&home, "a file that is protected", &protected);
    said.summary_says(&["protect"]);
    said.policy_says("emergency:oldest", "keep", "protected", &["protect"]);

    let young = put(&at, "young", 20 * MINUTE + 5);
    let said = ask(&home, "a file that is too young", &young);
    said.policy_says("orphans", "keep", "too_young", &["names no job", "age 20m", "limit 24h"]);
    said.policy_says("emergency:orphans", "keep", "too_young", &["20m", "limit 1h"]);
    said.policy_says("emergency:oldest", "remove", "oldest", &["20m"]);

    let old = put(&at, "old", 3 * DAY + 5);
    let said = ask(&home, "an old file that belongs to nobody", &old);
    said.policy_says("orphans", "remove", "orphan_untracked", &["age 3d", "limit 24h"]);
    said.summary_says(&["names no job", "age 3d", "limit 24h"]);

    let marked = put(&at, "marked", 3 * DAY + 5);
    let keep = rustix::fs::setxattr(&marked, "user.guardian.keep", b"1", rustix::fs::XattrFlags::empty());
    match keep {
        Ok(()) => {
            let said = ask(&home, "a file with a mark", &marked);
            said.policy_says("orphans", "keep", "held", &["user.guardian.keep"]);
        }
        Err(why) => eprintln!("skipped: a keep mark: no extended attributes here: {why}"),
    }

    let open = File::open(put(&at, "open", 3 * DAY + 5)).unwrap();
    let said = ask(&home, "a file that somebody has open", &at.join("open"));
    said.policy_says("orphans", "keep", "in_use", &["open or mapped now", "age 3d"]);
    drop(open);

    let said = ask(&home, "a directory", &at.join("results"));
    said.summary_says(&["directory"]);
    let said = ask(&home, "what does not exist", &at.join("job_busy_none"));
    said.summary_says(&["does not exist"]);
    said.notes_say(&["guardian audit --path 'job_busy_none'"]);
    assert_eq!(said.body["jobs"][0]["id"], "busy");
    let said = ask(&home, "a file outside of every root", Path::new("/etc/hostname"));
    said.summary_says(&["beneath no root"]);
}

/// The entries of a list.
fn items(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let out = home.done(&[arguments, &["--json"]].concat());
    let body: Value = serde_json::from_str(&out).unwrap();
    body["items"].as_array().unwrap().clone()
}

#[test]
fn explain_says_what_became_of_a_path_that_was_given_up() {
    let (mut home, at) = started("retain = { trash = \"10d\" }");
    home.done(&["pause"]);
    // Nothing that is deferred goes while this lasts.
    let deferred = put(&at, "deferred", 50);
    home.done(&["delete", text(&deferred), "--client", "nightly"]);
    let id = items(&home, &["queue", "list"])[0]["id"].as_str().unwrap().to_owned();
    let said = ask(&home, "a deferred file", &deferred);
    said.summary_says(&["does not lie here any more", "deleted by uid", "nightly", "deferred", "due now"]);
    said.notes_say(&["removals are paused"]);
    let entry = &said.body["given_up"][0];
    assert_eq!(
        (&entry["id"], &entry["list"], &entry["moved"]),
        (&id.clone().into(), &"queue".into(), &true.into())
    );
    assert_eq!((entry["attempts"].as_u64(), entry["size_bytes"].as_u64()), (Some(0), Some(8192)));
    assert!(entry["since"].is_string() && entry["due_at"].is_string() && entry["uid"].is_u64(), "{entry}");
    said.notes_say(&[&format!("guardian queue drop {id}")]);

    let open_at = put(&at, "open", 50);
    let open = File::open(&open_at).unwrap();
    home.done(&["delete", text(&open_at)]);
    let said = ask(&home, "a deferred file that somebody has open", &open_at);
    said.summary_says(&["tried once", "still in its place", "open or mapped by somebody", "next try at"]);
    let entry = &said.body["given_up"][0];
    assert_eq!((entry["attempts"].as_u64(), &entry["moved"]), (Some(1), &false.into()), "{entry}");
    assert_eq!(entry["last_error"], "open or mapped by somebody");
    said.policy_says("orphans", "keep", "referred", &[]);
    drop(open);

    let trashed = put(&at, "trashed", 50);
    home.done(&["trash", "put", text(&trashed)]);
    let said = ask(&home, "a file in the trash", &trashed);
    said.summary_says(&[
        "does not lie here any more",
        "put into the trash by uid",
        "kept until",
        "for 9d 23h",
    ]);
    let entry = said.body["given_up"][0].clone();
    assert_eq!((&entry["list"], &entry["attempts"]), (&"trash".into(), &Value::Null));
    let id = entry["id"].as_str().unwrap();
    said.notes_say(&[&format!("guardian trash restore {id}")]);

    put(&at, "trashed", 3 * DAY);
    let said = ask(&home, "another file where the first one lay", &trashed);
    said.summary_says(&["names no job", "age 3d"]);
    said.policy_says("orphans", "remove", "orphan_untracked", &["age 3d"]);
    said.notes_say(&["what lay here before", "into the trash", id]);
    assert_eq!(said.body["given_up"][0], entry);
    assert_eq!(said.body["exists"], true);

    put(&at, "tree/a/deep", 50);
    home.done(&["trash", "put", text(&at.join("tree"))]);
    let said = ask(&home, "a file in a directory that is in the trash", &at.join("tree/a/deep"));
    said.summary_says(&[text(&at.join("tree")), "with all that was in it", "into the trash"]);
    assert_eq!(said.body["given_up"][0]["file_path"], text(&at.join("tree")));
    let said = ask(&home, "its sibling by name, which is none of it", &at.join("tree-two"));
    said.summary_says(&["does not exist"]);
    assert!(said.body["given_up"].is_null(), "{}", said.body);

    let lies = at.join(".guardian/trash").join(id);
    let said = ask(&home, "an entry in the private directory", &lies);
    said.summary_says(&["guardian's own", "it is what lay at", text(&trashed), "into the trash"]);
    let said = ask(&home, "what describes it", &at.join(format!(".guardian/trash/{id}.info")));
    said.summary_says(&["guardian's own", "describes what lay at", text(&trashed)]);
    let said = ask(&home, "an entry that is not there", &at.join(".guardian/queue/none"));
    said.summary_says(&["guardian's own", "nobody knows"]);
    let said = ask(&home, "another of guardian's own files", &at.join(".guardian/lock"));
    said.summary_says(&["guardian's own"]);

    // The same from the ledger alone.
    assert_eq!(home.stop(), Some(0));
    let said = ask(&home, "a file in the trash, without an agent", &trashed);
    assert_eq!(said.body["given_up"][0], entry);
    let said = ask(&home, "an entry in the private directory, without an agent", &lies);
    said.summary_says(&["is what lay at", text(&trashed)]);
}

#[test]
fn a_name_that_was_given_up_again_and_again_is_told_with_its_newest_entries() {
    let (home, at) = started("");
    let path = at.join("again");
    for round in 0..13 {
        put(&at, "again", 50 + round);
        home.done(&["trash", "put", text(&path)]);
    }
    let said = ask(&home, "thirteen times in the trash", &path);
    let told = said.body["given_up"].as_array().unwrap();
    let newest: Vec<Value> =
        items(&home, &["trash", "list"]).iter().rev().take(10).map(|one| one["id"].clone()).collect();
    assert_eq!(told.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), newest);
    said.notes_say(&["3 more"]);
}
