//! A directory with files and an agent on it, asked as a program would ask it:
//! HTTP written by hand, so that nothing of guardian's own client helps.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use assert_cmd::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

const HOUR: u64 = 3600;

/// How long anything may take that happens at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A directory with files, and an agent on it.
pub(crate) struct Guarded {
    pub(crate) home: TempDir,
    agent: Option<Child>,
}

impl Guarded {
    /// `agent` and `root` are further keys.
    pub(crate) fn configured(agent: &str, root: &str) -> Self {
        let guarded = Self { home: tempfile::tempdir().unwrap(), agent: None };
        fs::create_dir(guarded.root()).unwrap();
        guarded.configure(&format!(
            "[agent]\nstate_dir = {:?}\nsocket = {:?}\n{agent}\n[[root]]\nname = \"scratch\"\npath = {:?}\n\
             capacity = \"20MiB\"\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n{root}\n",
            guarded.home.path().join("state"),
            guarded.socket(),
            guarded.root()
        ));
        guarded
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.home.path().join("guardian.toml"), text).unwrap();
    }

    pub(crate) fn start(mut self, flags: &[&str]) -> Self {
        let log = File::create(self.home.path().join("log")).unwrap();
        let child = self.command(&["run"]).args(flags).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.agent = Some(child);
        self.wait_for("an agent that is ready", |agent| {
            UnixStream::connect(agent.socket()).is_ok()
                && agent.get("/v1/health").body["roots"][0]["state"] == "ready"
        });
        self
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("scratch")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("agent.sock")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// A file of so many bytes that is so many hours old.
    pub(crate) fn file(&self, name: &str, bytes: usize, hours: u64) -> PathBuf {
        let path = self.root().join(name);
        fs::write(&path, vec![7_u8; bytes]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * HOUR + 5);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        path
    }

    pub(crate) fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned());
        paths.filter(|path| !path.ends_with("/.guardian")).collect()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("guardian").unwrap();
        command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").env("NO_COLOR", "1");
        command.arg("--config").arg(self.home.path().join("guardian.toml")).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output =
            self.command(&["--socket", self.socket().to_str().unwrap()]).args(arguments).output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // In one piece: a request that is refused by its first line may be answered before the rest.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: guardian\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    pub(crate) fn sweep(&self, body: &Value) -> Value {
        let answer = self.ask("POST", "/v1/sweeps?wait=true", Some(body));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "waited for {what}; the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn knows(&self, files: usize) {
        self.wait_for("the index to follow", |agent| {
            agent.get("/v1/files?limit=1000").body["items"].as_array().is_some_and(|all| all.len() == files)
        });
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(mut child) = self.agent.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
