//! Somebody else has the root, or had it.

use std::fs::{self, File};
use std::process::Output;

use super::harness::transcript::{show_end, tell};
use super::harness::{Home, root, scratch};
use super::{count, files};

/// Shows an agent that ended by itself; exit code and what it said.
fn ended(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    show_end("guardian run", output.status.code(), &said);
    (output.status.code(), said)
}

#[test]
fn a_root_that_another_agent_guards_is_refused_with_code_5() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    tell("another agent, on the same root");
    let other = Home::new();
    other.configure("", &root(&root_dir, ""));
    let (code, said) = ended(&other.start_in_vain());
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("another agent") && said.contains(home.path("socket").to_str().unwrap()), "{said}");
    tell("its socket alone");
    fs::create_dir(other.path("another")).unwrap();
    other.configure("", &root(&other.path("another"), ""));
    let theirs = fs::read_to_string(other.path("guardian.toml")).unwrap();
    let socket = |home: &Home| format!("{:?}", home.path("socket"));
    fs::write(other.path("guardian.toml"), theirs.replace(&socket(&other), &socket(&home))).unwrap();
    let (code, said) = ended(&other.start_in_vain());
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("another agent answers there"), "{said}");
    tell("the same state directory");
    let (code, said) = ended(&home.start_in_vain());
    assert_eq!(code, Some(5), "{said}");
    assert!(home.runs());
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn a_root_whose_lock_a_process_holds_is_left_alone_until_it_lets_go() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "alive"]);
    assert_eq!(home.stop(), Some(0));
    files(&root_dir, "job_alive", 2, 90);
    files(&root_dir, "orphan", 2, 90);
    tell("a process holds .guardian/lock");
    let lock = File::open(root_dir.join(".guardian/lock")).unwrap();
    lock.lock().unwrap();
    let (code, said) = ended(&home.start_in_vain());
    assert_eq!(code, Some(5), "{said}");
    let (code, said) = home.shown(&["sweep", "orphans"]);
    assert_eq!(code, 5, "{said}");
    assert_eq!((count(&root_dir, "job_alive_"), count(&root_dir, "orphan_")), (2, 2));
    tell("it lets go");
    drop(lock);
    let (code, said) = home.shown(&["sweep", "orphans"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((count(&root_dir, "job_alive_"), count(&root_dir, "orphan_")), (2, 0));
}

#[test]
fn another_ledgers_root_is_refused_without_adopt_and_then_job_files_stay() {
    let home = Home::new();
    let root_dir = scratch(&home);
    home.configure("", &root(&root_dir, ""));
    home.done(&["sweep", "orphans"]);
    files(&root_dir, "job_7", 1, 30);
    files(&root_dir, "plain", 1, 30);
    tell("a guardian with another ledger comes to the root");
    let other = Home::new();
    other.configure("", &root(&root_dir, ""));
    let (code, said) = ended(&other.start_in_vain());
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("--adopt"), "{said}");
    let (code, said) = other.shown(&["sweep", "orphans"]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("--adopt"), "{said}");
    assert_eq!((count(&root_dir, "job_7_"), count(&root_dir, "plain_")), (1, 1));

    let (code, said) = other.shown(&["sweep", "orphans", "--adopt"]);
    assert_eq!(code, 0, "{said}");
    let left = (count(&root_dir, "job_7_"), count(&root_dir, "plain_"));
    assert_eq!(left, (1, 0), "a foreign registry's jobs are not known to be gone");
    tell("the first one comes back");
    let (code, said) = home.shown(&["sweep", "orphans"]);
    assert_eq!(code, 5, "{said}");
    other.shown(&["registry", "trust"]);
    other.shown(&["sweep", "orphans"]);
    assert_eq!(count(&root_dir, "job_7_"), 0);
}
