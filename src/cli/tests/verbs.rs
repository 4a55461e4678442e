//! Verbs against a served agent: exit codes and what is printed.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use clap::Parser;
use serde_json::Value;

use super::fake::Served;
use crate::api::{ApiError, Problem};
use crate::cli::args::Cli;
use crate::cli::session::Session;
use crate::cli::{Exit, Failure, Host, Output, Standalone, dispatch};
use crate::config::Settings;
use crate::model::Report;

/// A host without an own-process mode.
struct Nothing;

impl Host for Nothing {
    fn run(&self, _: Settings, _: crate::cli::ReadAgain) -> Result<(), Failure> {
        Ok(())
    }
    fn standalone(&self, _: Settings) -> Result<Box<dyn Standalone>, ApiError> {
        Err(ApiError::new(Problem::Conflict, "own-process mode was asked for"))
    }
    fn demo(&self, _: bool, _: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        Ok(Vec::new())
    }
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn on(socket: &std::path::Path, line: &str) -> (Result<Exit, Failure>, String) {
    shown(socket, line, None)
}

/// The same on a terminal of so many columns.
fn shown(socket: &std::path::Path, line: &str, columns: Option<usize>) -> (Result<Exit, Failure>, String) {
    let words = ["guardian", "--socket", socket.to_str().unwrap()].into_iter().chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).unwrap_or_else(|why| panic!("{line}: {why}"));
    let mut session = Session::new(&cli.global, &Nothing);
    let sink = Sink::default();
    session.out = Output::to(Box::new(sink.clone()), session.out.format, columns);
    let done = dispatch(cli.verb, &mut session);
    session.out.flush().unwrap();
    (done, String::from_utf8(sink.0.take()).unwrap())
}

#[test]
fn every_verb_shows_what_the_agent_answers() {
    let served = Served::start(true, false);
    for (line, part) in [
        ("health", "healthy"),
        ("status", "scratch"),
        ("stats", "agent"),
        ("files --limit 2", "/scratch/1"),
        ("explain /etc/none", "stays"),
        ("history", "orphans"),
        ("audit --since 2026-01-01T00:00:00Z --job j1", "orphan"),
        ("pause --for 1h", "1970-01-01T01:00:00Z"),
        ("resume", "go on"),
        ("delete /scratch/a", "e1  /scratch/a"),
        ("queue list", "busy"),
        ("queue stats", "1 deletion waits"),
        ("queue drop e1", "/scratch/a is back"),
        ("queue run --max-attempts 2", "removed"),
        ("trash put /scratch/a", "e1  /scratch/a"),
        ("trash list", "/scratch/a"),
        ("job start j1 --ttl 15m", "job j1 is active"),
        ("job fail j1", "job j1 is failed"),
        ("job complete j1", "job j1 is completed"),
        ("job cancel j1", "job j1 is cancelled"),
        ("job heartbeat j1", "job j1 is active"),
        ("job show j1", "1 file, 2 B"),
        ("job list", "j1"),
        ("registry trust", "from now on"),
        ("clock trust", "already"),
        ("root list", "ready"),
        ("root accept scratch", "ready"),
        ("sweep orphans", "removed 1 file, 4.0 KiB"),
        ("sweep --root scratch", "removed 1 file,"),
        ("sweep --root /", "removed 1 file,"),
        ("sweep --plan p1", "removed 1 file,"),
    ] {
        let (done, text) = on(&served.socket, line);
        assert_eq!(done.unwrap(), Exit::Done, "{line}");
        assert!(text.contains(part), "{line}: {part:?} is missing in\n{text}");
    }
}

#[test]
fn json_is_the_body_and_jsonl_goes_through_all_pages() {
    let served = Served::start(true, false);
    let (_, health) = on(&served.socket, "--json health");
    assert_eq!(serde_json::from_str::<Value>(&health).unwrap()["status"], "healthy");
    let (_, report) = on(&served.socket, "--json sweep orphans");
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap(), super::fake::report());
    let (_, page) = on(&served.socket, "--json files --limit 3");
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (3, &Value::from("3")));
    let (_, lines) = on(&served.socket, "--jsonl files");
    assert_eq!(lines.lines().count(), 2500);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["inode"].is_u64()));
}

#[test]
fn exit_codes_tell_failures_apart() {
    let (admins, others, ill) =
        (Served::start(true, false), Served::start(false, false), Served::start(true, true));
    let exit = |served: &Served, line: &str| match on(&served.socket, line).0 {
        Ok(exit) => exit.code(),
        Err(failure) => failure.exit.code(),
    };
    assert_eq!(exit(&ill, "health"), 3);
    assert_eq!(exit(&others, "sweep"), 5, "not permitted");
    assert_eq!(exit(&others, "job start j1"), 5, "somebody else's job");
    assert_eq!(exit(&admins, "sweep results"), 5, "rate limit");
    assert_eq!(exit(&admins, "sweep trash"), 1, "internal error");
    for unknown in ["job show none", "root accept none", "sweep --root none"] {
        assert_eq!(exit(&admins, unknown), 2, "{unknown}: a name that nothing has");
    }
    assert_eq!(exit(&admins, "sweep oldest"), 2, "no bound");
    assert_eq!(exit(&admins, "sweep --plan p1 --free 1GiB"), 2, "a plan with a limit");
    assert_eq!(exit(&admins, "sweep --plan p1 --root scratch"), 2, "a plan with a root");
    assert_eq!(exit(&admins, "sweep --root /proc"), 2, "not a root");
    assert_eq!(exit(&admins, "sweep --adopt"), 2, "adopt with an agent");
}

#[test]
fn only_an_absent_agent_leads_to_own_process_mode() {
    let home = tempfile::tempdir().unwrap();
    let absent = home.path().join("none.sock");
    // What works without an agent asks for its own process; the rest is exit 4.
    for line in ["sweep", "explain /x", "job list", "root list", "registry trust"] {
        assert_eq!(on(&absent, line).0.unwrap_err().exit, Exit::Refused, "{line}");
    }
    for line in ["health", "status", "stats", "files", "history", "audit", "pause", "resume", "clock trust"] {
        let failure = on(&absent, line).0.unwrap_err();
        assert_eq!(failure.exit, Exit::NoAgent, "{line}");
        assert!(failure.to_string().contains("none.sock"), "{failure}");
    }
    // A path too long for a socket's address (108 bytes, unix(7)) says nothing about the agent.
    let long = home.path().join("x".repeat(120));
    assert_eq!(on(&long, "sweep").0.unwrap_err().exit, Exit::NoAgent);
}

#[test]
fn a_terminal_is_shown_the_beginning_of_a_long_list_and_programs_all_of_it() {
    let served = Served::start(true, false);
    let lines = |line: &str, columns| {
        let (done, text) = shown(&served.socket, line, columns);
        assert_eq!(done.unwrap(), Exit::Done, "{line}");
        text.lines().filter(|line| line.contains("/scratch/")).count()
    };
    assert_eq!(lines("files", Some(80)), 1000);
    assert_eq!(lines("files --limit 2400", Some(80)), 2400);
    assert_eq!(lines("files --after 2000", Some(80)), 500);
    assert_eq!(lines("files --jsonl", Some(80)), 2500);
    assert_eq!(lines("files", None), 2500);
    assert_eq!(lines("files --limit 7", None), 7);
}

#[test]
fn a_sweep_whose_agent_was_started_anew_is_a_failure_and_no_mistake_of_whoever_asked() {
    let served = Served::start(true, false);
    let failure = on(&served.socket, "sweep expired").0.unwrap_err();
    assert_eq!(failure.exit, Exit::Failures, "{failure}");
    assert_eq!(failure.help.as_deref(), Some("see elsewhere"), "{failure}");
}
