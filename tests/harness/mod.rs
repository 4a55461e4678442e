//! An agent as a process of its own, with everything it needs in a temporary
//! directory; volumes that exist only while a test runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

pub(crate) mod given_up;
pub(crate) mod peers;
pub(crate) mod transcript;
pub(crate) mod volumes;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use guardian::cli::{Client, Refusal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test fails: generous, the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The same for what grows with the number of files, which `GUARDIAN_LONG` makes very great.
fn patience() -> Duration {
    if std::env::var_os("GUARDIAN_LONG").is_some() { PATIENCE * 10 } else { PATIENCE }
}

/// A temporary directory with a configuration, a state directory and, while it runs, an agent.
pub(crate) struct Home {
    dir: TempDir,
    agent: Option<Child>,
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
        // What is mounted in it would keep the directory from going.
        volumes::unmount_beneath(self.dir.path());
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), agent: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration: keys of `[agent]`, and `[[root]]` tables.
    /// `state_dir` lies here unless the keys name another.
    pub(crate) fn configure(&self, agent: &str, roots: &str) {
        let state = if agent.contains("state_dir") {
            String::new()
        } else {
            format!("state_dir = {:?}\n", self.path("state"))
        };
        let group = if agent.contains("admin_group") { "" } else { "admin_group = \"\"\n" };
        let text = format!(
            "[agent]\n{state}socket = {:?}\n{group}log_format = \"text\"\n{agent}\n{roots}\n",
            self.path("socket")
        );
        fs::write(self.path("guardian.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
        command.env_remove("GUARDIAN_SOCKET").env_remove("XDG_RUNTIME_DIR").env("NO_COLOR", "1");
        // Not settings of the agent, which warns about variables that look like some.
        command.env_remove(volumes::INSIDE).env_remove("GUARDIAN_LONG");
        command.arg("--config").arg(self.path("guardian.toml"));
        command
    }

    /// Starts the agent and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_by(|command| command);
    }

    /// The same by another command, made of the usual one.
    pub(crate) fn start_by(&mut self, made: impl FnOnce(Command) -> Command) {
        self.launch(made);
        let limit = Instant::now() + patience();
        while self.ask("/v1/health").is_none() {
            let ended = self.agent.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the agent ended: {ended:?}");
            assert!(Instant::now() < limit, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts the agent by a command that is made of the usual one, and waits for nothing.
    pub(crate) fn launch(&mut self, made: impl FnOnce(Command) -> Command) {
        assert!(self.agent.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command();
        command.arg("run");
        let mut command = made(command);
        self.agent = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Waits for an agent that is to end by itself; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().unwrap();
        let limit = Instant::now() + PATIENCE;
        while agent.try_wait().unwrap().is_none() {
            if Instant::now() > limit {
                let _ = agent.kill();
                panic!("the agent runs on");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        agent.wait().unwrap().code()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// Runs an agent that is expected to end by itself.
    pub(crate) fn start_in_vain(&self) -> Output {
        let mut child =
            self.command().arg("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let limit = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > limit {
                let _ = child.kill();
                panic!("the agent runs, though it must not: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.agent.as_ref().unwrap()), signal).unwrap();
    }

    /// Stops the agent by TERM; its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let mut agent = self.agent.take().unwrap();
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = agent.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > limit {
                let _ = agent.kill();
                let _ = agent.wait();
                panic!("TERM does not stop it");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the agent as a power cut of the process.
    pub(crate) fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Whether the agent is still there.
    pub(crate) fn runs(&mut self) -> bool {
        self.agent.as_mut().is_some_and(|agent| agent.try_wait().unwrap().is_none())
    }

    /// What the socket answers; `None` while nobody does.
    pub(crate) fn ask(&self, path: &str) -> Option<Value> {
        match Client::find(&[self.path("socket")]).ok()?.get(path) {
            Ok(answer) => Some(serde_json::from_slice(&answer.body).unwrap()),
            Err(Refusal::Silent(_)) => None,
            Err(Refusal::Problem(problem, _)) => panic!("{path}: {}", problem.detail),
        }
    }

    /// Runs a command against the agent: exit code, stdout, stderr.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command().args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs a command that must do what it is asked for.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until `found` finds something.
    pub(crate) fn until<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let limit = Instant::now() + patience();
        loop {
            if let Some(one) = found(self) {
                return one;
            }
            assert!(Instant::now() < limit, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a state of the one root.
    pub(crate) fn until_root_is(&self, state: &str) {
        self.until(&format!("the root is {state}"), |home| {
            let health = home.ask("/v1/health")?;
            (health["roots"][0]["state"] == state).then_some(())
        });
    }

    /// The reports of past runs, oldest first.
    pub(crate) fn reports(&self) -> Vec<Value> {
        let page = self.ask("/v1/history?limit=1000");
        let mut all: Vec<Value> = page.and_then(|page| page["items"].as_array().cloned()).unwrap_or_default();
        all.reverse();
        all
    }

    /// Waits for an emergency that has reached its target.
    pub(crate) fn until_cleaned(&self) -> Value {
        self.until("an emergency reaches its target", |home| {
            home.reports().into_iter().find(|report| report["target_reached"] == true)
        })
    }
}

/// One root whose files may look old, and whose registry counts as old too.
pub(crate) fn root(path: &Path, more: &str) -> String {
    format!(
        "[[root]]\nname = \"scratch\"\npath = {path:?}\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n\
         min_free = \"0\"\n{more}\n"
    )
}

/// A root of its own below the home.
pub(crate) fn scratch(home: &Home) -> PathBuf {
    let path = home.path("scratch");
    fs::create_dir_all(&path).unwrap();
    path
}

/// Makes a file of so many bytes that no file system makes smaller, last written so many seconds ago.
pub(crate) fn file(path: &Path, size: usize, seconds: u64) {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut state = RandomState::new().build_hasher().finish() | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    fs::write(path, bytes).unwrap();
    aged(path, seconds);
}

/// Sets the time of the last write back.
pub(crate) fn aged(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// Every regular file and symbolic link below `root` but guardian's own: path, inode and size, sorted.
pub(crate) fn on_disk(root: &Path) -> Vec<(String, u64, u64)> {
    let mut found: Vec<_> = walkdir::WalkDir::new(root)
        .into_iter()
        .filter_entry(|entry| entry.depth() != 1 || entry.file_name() != ".guardian")
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let meta = entry.path().symlink_metadata().unwrap();
            (entry.path().to_str().unwrap().to_owned(), meta.ino(), meta.size())
        })
        .collect();
    found.sort();
    found
}

/// The same as `guardian files --jsonl` tells it.
pub(crate) fn in_the_index(home: &Home) -> Vec<(String, u64, u64)> {
    let mut found: Vec<_> = home
        .done(&["files", "--jsonl"])
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            let number = |key: &str| value[key].as_u64().unwrap();
            (value["path"].as_str().unwrap().to_owned(), number("inode"), number("size_bytes"))
        })
        .collect();
    found.sort();
    found
}
