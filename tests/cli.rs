//! The program from outside: usage errors, no agent, output that nobody reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::process::Command;

use assert_cmd::prelude::*;

fn guardian() -> Command {
    let mut command = Command::cargo_bin("guardian").unwrap();
    command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").env("NO_COLOR", "1");
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = guardian().args(arguments).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn usage_errors_exit_2_and_write_nothing_to_stdout() {
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["top"],
        &["sweep", "everything"],
        &["sweep", "oldest"],
        &["sweep", "--until", "101"],
        &["sweep", "--until", "NaN"],
        &["sweep", "--free", "1 gib"],
        &["sweep", "--max-files", "0"],
        &["sweep", "--dry-run", "--plan", "p"],
        &["sweep", "--session", "s"],
        &["job", "start", "failed"],
        &["job", "start", "a/b"],
        &["audit", "--since", "yesterday"],
        &["health", "--json", "--jsonl"],
        &["health", "--color", "sometimes"],
    ];
    for arguments in cases {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn without_an_agent_it_exits_4_and_names_each_socket_it_tried() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("none.sock");
    let (code, out, err) = run(&["health", "--socket", socket.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(err.starts_with("guardian: failed to ask for health: no agent answers: "), "{err}");
    assert!(err.contains("none.sock") && err.contains("\nhelp: "), "{err}");
    let output = guardian().arg("health").env("GUARDIAN_SOCKET", &socket).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("none.sock"));
}

#[test]
fn completions_and_manual_pages_are_written() {
    let (code, script, _) = run(&["completions", "bash"]);
    assert_eq!(code, 0);
    assert!(script.contains("failed-jobs") || script.contains("sweep"));
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("man");
    assert_eq!(run(&["man", dir.to_str().unwrap()]).0, 0);
    assert!(dir.join("guardian.1").exists() && dir.join("guardian-sweep.1").exists());
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = guardian().args(["completions", "zsh"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
