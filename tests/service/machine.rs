//! A machine with a systemd of its own (see `machine.sh`), and what is done on it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test fails: generous, hosts may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The longest life of a machine: then it goes, whatever the test does.
const LIFETIME: &str = "400";

/// A machine; it goes when this is dropped, and also when the test's process dies.
pub(crate) struct Machine {
    script: Child,
    /// Closed to take the machine down.
    input: Option<ChildStdin>,
    first: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the journal of the machine:");
            self.sh("journalctl --no-pager -o short-monotonic -u 'guardian*' | tail -n 60");
        }
        drop(self.input.take());
        let _ = self.script.wait();
    }
}

impl Machine {
    /// Boots one that sees the directory `shared` as `/mnt`; says why where that is impossible.
    pub(crate) fn boot(shared: &Path) -> Result<Self, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/machine.sh");
        let mut script = Command::new("bash")
            .arg(script)
            .arg(shared)
            .arg(LIFETIME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|why| format!("bash can't be run: {why}"))?;
        let input = script.stdin.take();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = line.trim();
        match said.strip_prefix("ready ") {
            Some(first) => {
                let machine = Self { script, input, first: first.to_owned() };
                let (_, version) = machine.quietly("systemctl --version");
                tell(&format!("a machine is up: {}", version.lines().next().unwrap_or_default()));
                Ok(machine)
            }
            None => {
                let _ = script.wait();
                Err(said.strip_prefix("impossible ").unwrap_or("the machine did not start").to_owned())
            }
        }
    }

    fn command(&self, seconds: &str, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--all", "--target", &self.first, "env", "--ignore-environment"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"])
            .args(["timeout", "--kill-after=5", seconds, "sh", "-c", script])
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of shell as root on the machine: exit code, and all that it said.
    pub(crate) fn quietly(&self, script: &str) -> (i32, String) {
        let script = format!("exec 2>&1; {script}");
        let output = self.command("120", &script).stderr(Stdio::inherit()).output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The same, shown as somebody at its terminal would have seen it.
    pub(crate) fn sh(&self, script: &str) -> (i32, String) {
        let (code, said) = self.quietly(script);
        let mut text = format!("# {script}\n");
        for line in said.lines() {
            text += &format!("  {line}\n");
        }
        if code != 0 {
            text += &format!("  (exit {code})\n");
        }
        eprint!("{text}");
        (code, said)
    }

    /// The same, of what must succeed: all that it said.
    pub(crate) fn done(&self, script: &str) -> String {
        let (code, said) = self.sh(script);
        assert_eq!(code, 0, "{script}");
        said
    }

    /// Starts something that runs on meanwhile.
    pub(crate) fn begin(&self, script: &str) -> Child {
        eprintln!("# {script} &");
        self.command("120", script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until a line of shell succeeds; what it said then.
    pub(crate) fn until(&self, what: &str, script: &str) -> String {
        self.until_some(what, || {
            let (code, said) = self.quietly(script);
            (code == 0).then_some(said)
        })
    }

    /// Waits until there is something; says how long that took.
    pub(crate) fn until_some<T>(&self, what: &str, found: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = found() {
                eprintln!("  after {:.1} s: {what}", began.elapsed().as_secs_f64());
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a command of guardian answers as JSON.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        let (_, said) = self.quietly(&format!("guardian {arguments} --json"));
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("guardian {arguments}: {why}: {said}"))
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.quietly(&format!("systemctl show --value --property={name} {unit}")).1
    }

    /// Waits until the agent's journal has an entry with all these parts in message or fields,
    /// and shows it.
    pub(crate) fn journal(&self, parts: &[&str]) {
        let entry = self.until_some(&format!("the journal says {parts:?}"), || {
            let (_, text) = self.quietly("journalctl --no-pager -o json -u guardian.service");
            let found = text.lines().rev().find(|line| parts.iter().all(|part| line.contains(part)));
            found.map(|line| serde_json::from_str::<Value>(line).unwrap())
        });
        // What the agent said itself; the manager's and the journal's own fields are many.
        let plain =
            |name: &str| !name.starts_with('_') && !name.starts_with("CODE_") && !name.starts_with("SYSLOG");
        for (name, value) in entry.as_object().unwrap().iter().filter(|(name, _)| plain(name)) {
            eprintln!("  journal: {name}={}", value.as_str().unwrap_or_default());
        }
    }

    /// The agent's process.
    pub(crate) fn agent(&self) -> String {
        self.property("guardian.service", "MainPID")
    }

    /// Waits for another process than this one, which answers.
    pub(crate) fn another_agent_than(&self, before: &str) -> String {
        self.until_some("another agent answers", || {
            let now = self.agent();
            let ready = self.property("guardian.service", "ActiveState") == "active";
            (ready && now != before && now != "0" && self.quietly("guardian health").0 <= 1).then_some(now)
        })
    }

    /// Writes a file on the machine.
    pub(crate) fn write(&self, path: &str, text: &str) {
        self.done(&format!("mkdir -p \"$(dirname {path})\" && cat >{path} <<'END'\n{text}END"));
    }
}

/// Says what happens next.
pub(crate) fn tell(what: &str) {
    eprintln!("-- {what}");
}
