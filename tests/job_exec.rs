//! `guardian job exec` with an agent at work: what the command sees, what the
//! agent knows of it, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, measured or failed is told there")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::{Home, root, scratch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// An agent with one root that is complete.
fn started() -> (Home, PathBuf) {
    let mut home = Home::new();
    let dir = scratch(&home);
    home.configure("", &root(&dir, ""));
    home.start();
    home.until_root_is("ready");
    (home, dir)
}

/// `guardian job exec` with these words behind it.
fn exec(home: &Home, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
    command.env("NO_COLOR", "1").env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR");
    command.arg("--socket").arg(home.path("socket")).args(["job", "exec"]).args(words);
    command
}

/// Runs it to its end: exit code, stdout, stderr.
fn run(home: &Home, words: &[&str]) -> (i32, String, String) {
    let output = exec(home, words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr));
    eprintln!("$ guardian job exec {}\n{}{}   (exit {})", words.join(" "), told.1, told.2, told.0);
    told
}

/// Begins it, and waits for the first line that it writes.
fn begun(home: &Home, words: &[&str]) -> (Child, String) {
    let mut child =
        exec(home, words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    child.stdout = Some(out.into_inner());
    (child, line.trim().to_owned())
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn job(home: &Home, id: &str) -> Value {
    home.ask(&format!("/v1/jobs/{id}")).unwrap()
}

fn state(home: &Home, id: &str) -> String {
    job(home, id)["state"].as_str().unwrap().to_owned()
}

fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".guardian").collect()
}

#[test]
fn the_command_has_a_directory_of_its_own_and_the_jobs_name() {
    let (home, dir) = started();
    let script = "echo $GUARDIAN_JOB_ID; echo $TMPDIR; stat -c %a $TMPDIR; mktemp >/dev/null";
    let (code, out, err) = run(&home, &["--id", "one", "--", "sh", "-c", script]);
    let place = dir.join("job_one");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, format!("one\n{}\n700\n", place.display()));
    assert_eq!(entries(&place).len(), 1, "what it left is there until it is cleaned");
    assert_eq!(state(&home, "one"), "completed");
}

#[test]
fn without_a_name_it_gets_one_that_can_be_read() {
    let (home, _) = started();
    let (code, out, _) = run(&home, &["--", "sh", "-c", "echo $GUARDIAN_JOB_ID"]);
    let id = out.trim();
    assert_eq!(code, 0);
    assert!(id.starts_with("exec-20") && id.split('-').count() == 3, "{id}");
    assert_eq!(state(&home, id), "completed");
}

#[test]
fn its_files_are_protected_while_it_runs_and_cleaned_when_it_has_ended() {
    let (home, dir) = started();
    let script = "echo x > $TMPDIR/file; echo begun; read end";
    let mut child = exec(&home, &["--id", "kept", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let known = job(&home, "kept");
    assert_eq!(known["state"], "active");
    let followed = known["pid"].as_u64().unwrap();
    let command = fs::read_to_string(format!("/proc/{followed}/comm")).unwrap();
    assert_eq!(command, "sh\n", "the agent follows the command itself");

    home.done(&["sweep", "oldest", "--older-than", "0s"]);
    assert!(dir.join("job_kept/file").exists());

    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "read meets the end of its input");
    assert_eq!(state(&home, "kept"), "failed");
    home.done(&["sweep", "failed-jobs", "--older-than", "0s"]);
    assert!(!dir.join("job_kept/file").exists());
}

#[test]
fn the_status_is_the_commands_and_the_agent_learns_of_it() {
    let (home, dir) = started();
    let (code, ..) = run(&home, &["--id", "well", "--", "true"]);
    assert_eq!((code, state(&home, "well").as_str()), (0, "completed"));
    let (code, ..) = run(&home, &["--id", "three", "--", "sh", "-c", "exit 3"]);
    assert_eq!((code, state(&home, "three").as_str()), (3, "failed"));
    let (code, ..) = run(&home, &["--id", "shot", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!((code, state(&home, "shot").as_str()), (137, "failed"));
    assert_eq!(job(&home, "shot")["presumed"], false);
    let (code, _, err) = run(&home, &["--id", "none", "--", "/nowhere/to/be/found"]);
    assert_eq!((code, state(&home, "none").as_str()), (127, "failed"));
    assert!(err.contains("failed to run /nowhere/to/be/found"), "{err}");
    let plain = home.path("plain");
    fs::write(&plain, "no program").unwrap();
    let (code, ..) = run(&home, &["--id", "plain", "--", plain.to_str().unwrap()]);
    assert_eq!((code, state(&home, "plain").as_str()), (126, "failed"));
    assert_eq!(entries(&dir), [""; 0], "empty directories do not pile up");
}

#[test]
fn input_and_output_are_the_commands() {
    let (home, _) = started();
    let mut child = exec(&home, &["--", "sh", "-c", "cat; echo told >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "line\n".repeat(50_000);
    let mut input = child.stdin.take().unwrap();
    let writing = {
        let text = text.clone();
        std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap())
    };
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(output.stdout.len(), text.len());
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b"told\n"[..]));
}

/// Whether a command that this process begins has `signal` ignored (proc_pid_status(5), SigIgn).
fn is_ignored_here(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

#[test]
fn signals_are_passed_on() {
    let (home, _) = started();
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        if is_ignored_here(signal) {
            eprintln!("{name} is skipped: whoever began this test has it ignored, as nohup does");
            continue;
        }
        let script = format!("trap 'exit 7' {name}; echo begun; while :; do sleep 0.05; done");
        let (child, _) = begun(&home, &["--id", name, "--", "sh", "-c", &script]);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{name}: {output:?}");
        assert_eq!(state(&home, name), "failed");
    }
    let (child, _) = begun(&home, &["--id", "plain", "--", "sh", "-c", "echo begun; exec sleep 60"]);
    send(&child, Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(128 + 15));
}

#[test]
fn what_is_ignored_stays_ignored_as_with_nohup() {
    let (home, _) = started();
    let guardian = env!("CARGO_BIN_EXE_guardian");
    let socket = home.path("socket");
    let line = format!(
        "trap '' HUP; exec {guardian} --socket {} job exec -- sh -c 'echo begun; kill -HUP $$; kill -HUP $PPID; echo alive'",
        socket.display()
    );
    let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "begun\nalive\n");
    assert_eq!(output.status.code(), Some(0));
}

fn stat_of(pid: u64) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().unwrap_or_default().chars().take(1).collect()
}

#[test]
fn a_stop_stops_the_command_and_a_continue_lets_it_go_on() {
    let (home, _) = started();
    // As a shell with job control does it; in a group without one a stop has no effect.
    let mut child = exec(&home, &["--id", "paused", "--", "sh", "-c", "echo begun; exec sleep 60"])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let command = job(&home, "paused")["pid"].as_u64().unwrap();
    send(&child, Signal::TSTP);
    home.until("both are stopped", |_| {
        (stat_of(command) == "T" && stat_of(child.id().into()) == "T").then_some(())
    });
    assert_eq!(state(&home, "paused"), "active");
    send(&child, Signal::CONT);
    home.until("both go on", |_| {
        (stat_of(command) != "T" && stat_of(child.id().into()) != "T").then_some(())
    });
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn without_an_agent_nothing_is_run() {
    let home = Home::new();
    let mark = home.path("mark");
    let (code, _, err) = run(&home, &["--", "touch", mark.to_str().unwrap()]);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("no agent answers") && !mark.exists(), "{err}");
    let (code, _, err) =
        run(&home, &["--best-effort", "--", "sh", "-c", "echo x > \"$0\"; exit 9", mark.to_str().unwrap()]);
    assert_eq!(code, 9);
    assert!(err.contains("running it unprotected") && mark.exists(), "{err}");
}

#[test]
fn what_it_cannot_do_it_refuses_before_the_command_begins() {
    let (mut home, dir) = started();
    let (mut child, _) = begun(&home, &["--id", "busy", "--", "sh", "-c", "echo begun; exec sleep 60"]);
    let (code, _, err) = run(&home, &["--id", "busy", "--", "true"]);
    assert!(code == 5 && err.contains("active already"), "{err}");
    send(&child, Signal::TERM);
    child.wait().unwrap();

    fs::create_dir(dir.join("job_open")).unwrap();
    fs::set_permissions(dir.join("job_open"), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, _, err) = run(&home, &["--id", "open", "--", "true"]);
    assert!(code == 5 && err.contains("mode 0700"), "{err}");
    std::os::unix::fs::symlink("/tmp", dir.join("job_link")).unwrap();
    let (code, _, err) = run(&home, &["--id", "link", "--", "true"]);
    assert!(code == 1 && err.contains("failed to open directory"), "{err}");
    let (code, ..) = run(&home, &["--id", "failed", "--", "true"]);
    assert_eq!(code, 2, "a reserved name");
    let (code, _, err) = run(&home, &["--root", "other", "--", "true"]);
    assert!(code == 2 && err.contains("its roots: scratch"), "{err}");
    assert!(home.ask("/v1/jobs").unwrap()["items"].as_array().unwrap().len() == 1);

    home.stop();
    let second = home.path("second");
    fs::create_dir(&second).unwrap();
    let other = format!("[[root]]\npath = {second:?}\npatterns = [\"x_{{job}}_*\"]");
    home.configure("", &(root(&dir, "") + &other));
    home.start();
    let (code, _, err) = run(&home, &["--", "true"]);
    assert!(code == 2 && err.contains("--root: scratch, second"), "{err}");
    let (code, _, err) = run(&home, &["--root", "second", "--", "true"]);
    assert!(code == 2 && err.contains("no pattern of root second"), "{err}");
}

#[test]
fn an_agent_that_goes_away_neither_ends_the_command_nor_loses_its_end() {
    let (mut home, dir) = started();
    let script = "echo begun; while [ ! -e \"$0\" ]; do sleep 0.05; done; exit 3";
    let go = home.path("go");
    let (mut child, _) = begun(&home, &["--id", "away", "--", "sh", "-c", script, go.to_str().unwrap()]);
    home.kill();
    fs::write(&go, "").unwrap();
    // It waits for the agent: its end is told there.
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for the agent"), "{line}");
    home.start();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(state(&home, "away"), "failed");
    assert_eq!(job(&home, "away")["presumed"], false);
    assert_eq!(entries(&dir), [""; 0]);
}

#[test]
fn a_report_that_nobody_takes_can_be_given_up_and_leaves_the_status() {
    let (mut home, _) = started();
    let script = "echo begun; while [ ! -e \"$0\" ]; do sleep 0.05; done; exit 3";
    let go = home.path("go");
    let (mut child, _) = begun(&home, &["--", "sh", "-c", script, go.to_str().unwrap()]);
    home.kill();
    fs::write(&go, "").unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for the agent"), "{line}");
    send(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    line.clear();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("not on record"), "{line}");
}

#[test]
fn killed_itself_it_leaves_a_job_that_ends_with_its_command() {
    let (home, dir) = started();
    let script = "echo x > $TMPDIR/file; echo begun; exec sleep 60";
    let (mut child, _) = begun(&home, &["--id", "orphan", "--", "sh", "-c", script]);
    let command = job(&home, "orphan")["pid"].as_i64().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    home.done(&["sweep", "oldest", "--older-than", "0s"]);
    assert!(dir.join("job_orphan/file").exists());
    assert_eq!(state(&home, "orphan"), "active", "its command lives");
    kill_process(Pid::from_raw(i32::try_from(command).unwrap()).unwrap(), Signal::KILL).unwrap();
    home.until("the job is presumed failed", |home| {
        let known = job(home, "orphan");
        (known["state"] == "failed" && known["presumed"] == true).then_some(())
    });
}

#[test]
fn heartbeats_keep_a_job_with_a_ttl_active() {
    let (home, _) = started();
    let words = ["--id", "beats", "--ttl", "1s", "--", "sh", "-c", "echo begun; exec sleep 4"];
    let (child, _) = begun(&home, &words);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), state(&home, "beats").as_str()), (Some(0), "completed"));
    assert!(!home.log().contains("presumed failed"), "{}", home.log());
}
