//! The agent through the real program and its socket: what commands answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use assert_cmd::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

struct Agent {
    home: TempDir,
    process: Child,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    fn start(files: &[(&str, u64)], agent: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("scratch");
        fs::create_dir(&root).unwrap();
        for (name, hours) in files {
            fs::write(root.join(name), b"content").unwrap();
            let then = SystemTime::now() - Duration::from_secs(hours * 3600 + 5);
            File::options().write(true).open(root.join(name)).unwrap().set_modified(then).unwrap();
        }
        let text = format!(
            "[agent]\nstate_dir = {:?}\nsocket = {:?}\n{agent}\n[[root]]\nname = \"scratch\"\npath = {root:?}\n\
             age_by = [\"mtime\"]\nregistry_grace = \"0s\"\n",
            home.path().join("state"),
            home.path().join("s.sock"),
        );
        fs::write(home.path().join("guardian.toml"), text).unwrap();
        let process = command(&home)
            .arg("run")
            .stdout(Stdio::null())
            .stderr(File::create(home.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let agent = Self { home, process };
        agent.until("it is ready", |agent| {
            let ran = agent.run(&["health", "--json"]);
            ran.0 == 0 && ran.1.contains("\"ready\"")
        });
        agent
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            let log = || fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < limit, "waited in vain until {what}:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The lines of the stream of events, from now on.
    fn listen(&self) -> impl Iterator<Item = String> + use<> {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(self.home.path().join("s.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: g\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert!(lines.by_ref().any(|line| line == ": listening"), "the reader is heard from the start");
        lines
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = command(&self.home).args(arguments).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("scratch").join(name)
    }
}

fn command(home: &TempDir) -> Command {
    let mut command = Command::cargo_bin("guardian").unwrap();
    command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").env("NO_COLOR", "1");
    command.arg("--config").arg(home.path().join("guardian.toml"));
    command
}

#[test]
fn a_dry_run_leaves_a_plan_that_is_applied_as_it_is() {
    let agent = Agent::start(&[("a", 30), ("b", 31)], "");
    let dry = agent.json(&["sweep", "orphans", "--dry-run", "--json"]);
    assert_eq!((&dry["files_deleted"], &dry["dry_run"]), (&2.into(), &true.into()));
    assert_eq!(agent.json(&["history", "--json"])["items"], Value::Array(Vec::new()), "it writes nothing");
    let plan = dry["plan"].as_str().unwrap();
    let done = agent.json(&["sweep", "--plan", plan, "--json"]);
    assert_eq!(done["files_deleted"], 2, "{done}");
    assert!(!agent.path("a").exists() && !agent.path("b").exists());
    let audit = agent.json(&["audit", "--path", "a", "--json"]);
    assert_eq!(audit["items"][0]["outcome"], "removed", "{audit}");
    assert_eq!(audit["items"][0]["path"], agent.path("a").to_str().unwrap());
    assert_eq!(audit["items"].as_array().unwrap().len(), 1);
    let begun = agent.json(&["history", "--json"])["items"][0]["start_time"].as_str().unwrap().to_owned();
    let runs = |filter: &[&str]| {
        let page = agent.json(&[&["history", "--json"], filter].concat());
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(runs(&[]), 1);
    assert_eq!(runs(&["--policy", "orphans", "--root", "scratch", "--since", &begun]), 1);
    assert_eq!(runs(&["--policy", "expired"]), 0);
    assert_eq!(runs(&["--since", "2199-01-01T00:00:00Z"]), 0);
    let (code, _, err) = agent.run(&["history", "--root", "nowhere"]);
    assert!(code != 0 && err.contains("nowhere"), "{code}: {err}");
}

#[test]
fn a_root_that_goes_away_and_comes_back_is_told_of() {
    let agent = Agent::start(&[("a", 1)], "sample_interval = \"1s\"");
    let lines = agent.listen();
    let mut events =
        lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let (here, away) = (agent.home.path().join("scratch"), agent.home.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let alert = events.find(|event| event["event"] == "alert").unwrap();
    assert_eq!((&alert["level"], &alert["root"]), (&"critical".into(), &"scratch".into()), "{alert}");
    // That it is ready, at the start, may be told of between the two.
    let gone = events.find(|event| event["event"] == "root" && event["state"] != "ready").unwrap();
    assert_eq!((&gone["root"], &gone["state"]), (&"scratch".into(), &"suspended".into()));
    assert!(gone["reason"].as_str().is_some_and(|why| !why.is_empty()), "{gone}");
    fs::rename(&away, &here).unwrap();
    assert!(events.any(|event| event["event"] == "root" && event["state"] == "ready"));
}

#[test]
fn events_follow_a_sweep_from_its_beginning_to_its_report() {
    let mut agent = Agent::start(&[("a", 30), ("b", 31)], "");
    let mut lines = agent.listen();
    let sweep = agent.json(&["sweep", "orphans", "--json"]);
    let mut events = lines
        .by_ref()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .filter(|event: &Value| event["event"] == "sweep");
    let first = events.next().unwrap();
    assert_eq!((&first["state"], &first["policy"]), (&"running".into(), &"orphans".into()), "{first}");
    assert_eq!(first["progress"]["files"], 0, "{first}");
    let last = events.find(|event| event["state"] != "running").unwrap();
    assert_eq!((&last["state"], &last["progress"]["files"]), (&"done".into(), &2.into()), "{last}");
    assert_eq!((&last["reports"][0]["id"], &last["sweep"]), (&sweep["id"], &first["sweep"]));
    // The stream does not keep the agent from stopping.
    let pid = rustix::process::Pid::from_child(&agent.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(agent.process.wait().unwrap().success());
    assert!(lines.all(|line| !line.contains("lost")), "it ends by itself");
}

#[test]
fn a_pause_refuses_sweeps_but_not_dry_runs() {
    let agent = Agent::start(&[("a", 30)], "");
    assert_eq!(agent.json(&["pause", "--for", "1h", "--json"])["paused"], true);
    let (code, _, err) = agent.run(&["sweep", "orphans"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("paused until"), "{err}");
    assert_eq!(agent.json(&["sweep", "orphans", "--dry-run", "--json"])["files_deleted"], 1);
    assert!(agent.path("a").exists());
    assert_eq!(agent.json(&["resume", "--json"])["paused"], false);
    assert_eq!(agent.json(&["sweep", "orphans", "--json"])["files_deleted"], 1);
}

#[test]
fn a_job_that_starts_protects_and_its_files_are_counted() {
    let agent = Agent::start(&[("job_7_a", 30), ("job_7_b", 30), ("plain", 30)], "");
    agent.json(&["job", "start", "7", "--json"]);
    let job = agent.json(&["job", "show", "7", "--json"]);
    assert_eq!((&job["files_count"], &job["state"]), (&2.into(), &"active".into()), "{job}");
    let swept = agent.json(&["sweep", "orphans", "--json"]);
    assert_eq!((&swept["files_deleted"], &swept["skipped"]["active_job"]), (&1.into(), &2.into()), "{swept}");
    assert_eq!(agent.run(&["sweep", "failed-jobs", "--job", "7"]).0, 5);
    agent.json(&["job", "fail", "7", "--json"]);
    let swept = agent.json(&["sweep", "failed-jobs", "--job", "7", "--json"]);
    assert_eq!(swept["files_deleted"], 2, "{swept}");
}

#[test]
fn files_and_figures_show_what_lies_there_now() {
    let agent = Agent::start(&[("old", 30)], "");
    fs::write(agent.path("new"), b"x").unwrap();
    let files = agent.json(&["files", "--json"]);
    let paths: Vec<_> = files["items"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!(paths.len(), 2, "a file made before the request is in: {paths:?}");
    agent.until("orphans are counted", |agent| {
        let stats = agent.json(&["stats", "--json"]);
        let root = &stats["roots"][0];
        root["orphaned_files_count"] == 1 && root["temp_files_count"] == 2 && root["trash_files_count"] == 0
    });
    let told = agent.json(&["explain", agent.path("old").to_str().unwrap(), "--json"]);
    assert!(told["summary"].as_str().unwrap().starts_with("goes at the "), "{told}");
}

#[test]
fn an_agent_that_observes_removes_nothing_for_anybody() {
    let agent = Agent::start(&[("a", 30)], "dry_run = true");
    assert_eq!(agent.json(&["sweep", "orphans", "--json"])["dry_run"], true);
    assert!(agent.path("a").exists());
    for verb in [&["delete"][..], &["trash", "put"]] {
        let (code, _, err) = agent.run(&[verb, &[agent.path("a").to_str().unwrap()]].concat());
        assert_eq!(code, 5, "{err}");
        assert!(err.contains("remove nothing"), "{err}");
    }
    assert!(agent.path("a").exists());
}

#[test]
fn where_files_are_kept_for_debugging_a_plans_own_policy_says_whether_it_is_applied() {
    let agent = Agent::start(&[("a", 30)], "keep_files_for_debugging = true");
    let dry = agent.json(&["sweep", "orphans", "--dry-run", "--json"]);
    let plan = dry["plan"].as_str().unwrap();
    let (code, out, err) = agent.run(&["sweep", "--plan", plan]);
    assert_eq!(code, 5, "{out}{err}");
    assert!(err.contains("keep_files_for_debugging"), "{err}");
    assert!(agent.path("a").exists());
    // An emergency acts, also by its plan.
    let dry = agent.json(&["sweep", "emergency", "--until", "0", "--dry-run", "--json"]);
    let plan = dry["plan"].as_str().unwrap();
    let (code, out, err) = agent.run(&["sweep", "--plan", plan]);
    assert_eq!(code, 3, "nothing empties the whole volume: {out}{err}");
    assert!(!agent.path("a").exists());
}

#[test]
fn a_name_that_nothing_has_is_a_mistake_of_usage_wherever_it_stands() {
    let agent = Agent::start(&[], "");
    for line in [
        "files --root none",
        "root accept none",
        "sweep --root none",
        "job show none",
        "job heartbeat none",
        "sweep failed-jobs --root none",
        "sweep --plan none",
        "job start x --root none",
    ] {
        let (code, out, err) = agent.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 2, "{line}: {out}{err}");
        assert!(err.contains("none"), "{line}: {err}");
    }
}
