//! guardian itself: the program as it is installed, in a configuration of the
//! bench's own, so that it never meets what the host has configured.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cpu;
use super::data::Place;
use super::tools::{DEADLINE, Measured};

/// Pause between two looks at the agent.
const LOOK: Duration = Duration::from_millis(2);

/// What a first index came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Indexed {
    pub(crate) measured: Measured,
    /// Allocated bytes of the index's files.
    pub(crate) index_bytes: u64,
    /// Most memory resident.
    pub(crate) memory: Option<u64>,
    /// `ready`, or what else came of the root.
    pub(crate) state: String,
}

fn command(place: &Place, files: usize) -> Result<Command, String> {
    let config = place.beside("guardian.toml");
    let literal = |path: &Path| format!("'{}'", path.display());
    let text = format!(
        "[agent]\nstate_dir = {}\nsocket = {}\n\n[[root]]\nname = \"bench\"\npath = {}\n[root.limits]\nmax_files = {}\n",
        literal(&place.beside("state")),
        literal(&place.beside("socket")),
        literal(&place.tree),
        files + 1,
    );
    std::fs::write(&config, text).map_err(|why| format!("failed to write {}: {why}", config.display()))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GUARDIAN_")) {
        command.env_remove(name);
    }
    command.env_remove("NOTIFY_SOCKET").env_remove("XDG_RUNTIME_DIR").env_remove("XDG_STATE_HOME");
    command.arg("--config").arg(config).stdin(Stdio::null());
    Ok(command)
}

/// Starts an agent that has never seen the tree, and waits until it is guarded.
pub(crate) fn index(place: &Place, files: usize) -> Result<Indexed, String> {
    place.forget().map_err(|why| format!("failed to forget the run before: {why}"))?;
    let log = place.beside("agent.log");
    let errors = std::fs::File::create(&log).map_err(|why| format!("{}: {why}", log.display()))?;
    let mut command = command(place, files)?;
    command.arg("run").stdout(Stdio::null()).stderr(errors);
    let before = cpu::of_children();
    let start = Instant::now();
    let child = command.spawn().map_err(|why| format!("guardian: {why}"))?;
    let mut agent = Agent { child };
    let mut answers_after = None;
    let state = loop {
        if let Ok(Some(status)) = agent.child.try_wait() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("guardian run ended with {status}: {}", said.trim()));
        }
        if start.elapsed() > DEADLINE {
            return Err("guardian run: the root was not ready in time".to_owned());
        }
        if let Some(health) = health(&place.beside("socket")) {
            answers_after.get_or_insert_with(|| start.elapsed());
            let state = health["roots"][0]["state"].as_str().unwrap_or("absent").to_owned();
            if matches!(state.as_str(), "ready" | "unwatched" | "suspended") {
                break state;
            }
        }
        std::thread::sleep(LOOK);
    };
    let wall = start.elapsed();
    let pid = agent.child.id();
    let memory = cpu::peak_memory(pid);
    let mut notes =
        vec![format!("the socket answers after {:.3} s", answers_after.unwrap_or(wall).as_secs_f64())];
    notes.extend(thread_notes(&cpu::of_threads(pid)));
    agent.stop()?;
    let (index_bytes, files) = index_size(&place.beside("state"));
    notes.push(format!("on disk after the stop: {files}"));
    let measured = Measured { wall, cpu: cpu::of_children().since(before), notes };
    Ok(Indexed { measured, index_bytes, memory, state })
}

/// Removes every file of the tree in a process of its own, without an agent.
pub(crate) fn remove(place: &Place, files: usize) -> Result<Measured, String> {
    place.forget().map_err(|why| format!("failed to forget the run before: {why}"))?;
    let mut command = command(place, files)?;
    command.args(["sweep", "oldest", "--older-than", "0s", "--root", "bench", "--json", "--max-files"]);
    command.arg((files + 1).to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let before = cpu::of_children();
    let start = Instant::now();
    let child = command.spawn().map_err(|why| format!("guardian: {why}"))?;
    let pid = child.id();
    // Threads that have ended are gone from /proc: the last look at each counts.
    let watcher = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while Path::new(&format!("/proc/{pid}/task")).exists() && start.elapsed() < DEADLINE {
            let now = cpu::of_threads(pid);
            if now.is_empty() {
                break;
            }
            if now.iter().map(|(_, cpu)| cpu.user + cpu.system).sum::<Duration>() > Duration::ZERO {
                seen = now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        seen
    });
    let output = child.wait_with_output().map_err(|why| format!("guardian: {why}"))?;
    let wall = start.elapsed();
    let threads = watcher.join().unwrap_or_default();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("guardian sweep ended with {}: {said}", output.status));
    }
    let mut notes = thread_notes(&threads);
    if let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) {
        let report = answer.get("items").and_then(|items| items.get(0)).unwrap_or(&answer);
        notes.insert(
            0,
            format!(
                "its report: {} files in {:.3} s, skipped {}, errors {}",
                report["files_deleted"],
                report["duration_seconds"].as_f64().unwrap_or(f64::NAN),
                report["skipped"],
                report["errors_total"]
            ),
        );
    }
    Ok(Measured { wall, cpu: cpu::of_children().since(before), notes })
}

/// An agent that is stopped whatever happens.
struct Agent {
    child: Child,
}

impl Agent {
    fn stop(&mut self) -> Result<(), String> {
        let asked = Instant::now();
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        while asked.elapsed() < Duration::from_secs(60) {
            match self.child.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => std::thread::sleep(LOOK),
                Err(why) => return Err(format!("guardian: {why}")),
            }
        }
        Err("guardian did not stop within 60 s of SIGTERM".to_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Already gone after `stop`; then both calls fail, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn health(socket: &Path) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: guardian\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    serde_json::from_slice(&answer[body..]).ok()
}

/// Allocated bytes of the files of the index, and all of the state directory in words.
fn index_size(state: &Path) -> (u64, String) {
    let mut all = Vec::new();
    let mut index = 0;
    for entry in walkdir::WalkDir::new(state).into_iter().filter_map(Result::ok) {
        let Ok(meta) = entry.metadata() else { continue };
        if !meta.is_file() {
            continue;
        }
        let name = entry.path().strip_prefix(state).unwrap_or(entry.path()).display().to_string();
        let bytes = meta.blocks() * 512;
        if name.contains("index") {
            index += bytes;
        }
        all.push(format!("{name} {} KiB", bytes / 1024));
    }
    all.sort();
    (index, all.join(", "))
}

fn thread_notes(threads: &[(String, cpu::Cpu)]) -> Vec<String> {
    let busy = threads.iter().filter(|(_, cpu)| cpu.user + cpu.system > Duration::ZERO);
    busy.map(|(name, cpu)| {
        format!(
            "thread {name}: {:.2} s user, {:.2} s system",
            cpu.user.as_secs_f64(),
            cpu.system.as_secs_f64()
        )
    })
    .collect()
}
