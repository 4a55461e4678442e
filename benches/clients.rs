//! Many clients at once on the socket, while a sweep runs.
//!
//! `cargo bench --bench clients [-- --clients N] [--requests N] [--files N]
//! [--rounds N] [--kinds KIND,...] [--close] [--agent PROGRAM]`. Each client keeps its
//! connection, as HTTP libraries do; with `--close` each request has one of its own.
//! An agent of the bench's own, over a directory of its own; prints how long
//! requests of each kind took, and the agent's memory before and after. No
//! figure of it is a test's: they depend on the machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its results")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// What is asked, in turn.
const KINDS: [&str; 9] =
    ["health", "stats", "job start", "heartbeat", "job list", "files", "hold", "release", "plan"];

struct Options {
    clients: usize,
    requests: usize,
    files: usize,
    rounds: usize,
    kinds: Vec<usize>,
    keep: bool,
    agent: PathBuf,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            clients: 200,
            requests: 10_000,
            files: 50_000,
            rounds: 1,
            kinds: (0..KINDS.len()).collect(),
            keep: true,
            agent: env!("CARGO_BIN_EXE_guardian").into(),
        };
        while let Some(name) = arguments.next() {
            let place = match name.as_str() {
                // What cargo gives every bench.
                "--bench" => continue,
                "--agent" => {
                    options.agent = arguments.next().ok_or("--agent needs a program")?.into();
                    continue;
                }
                "--kinds" => {
                    let names = arguments.next().ok_or("--kinds needs names")?;
                    let place = |name: &str| {
                        let known = KINDS.iter().position(|kind| *kind == name);
                        known.ok_or_else(|| format!("no kind is called {name:?}: there are {KINDS:?}"))
                    };
                    options.kinds = names.split(',').map(place).collect::<Result<_, _>>()?;
                    continue;
                }
                "--close" => {
                    options.keep = false;
                    continue;
                }
                "--rounds" => &mut options.rounds,
                "--clients" => &mut options.clients,
                "--requests" => &mut options.requests,
                "--files" => &mut options.files,
                other => return Err(format!("unknown option {other:?}")),
            };
            let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
            *place = value.parse().map_err(|why| format!("{name} {value:?}: {why}"))?;
        }
        Ok(options)
    }
}

/// An agent over old files of no job; ends when dropped.
struct Agent {
    process: Child,
    home: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Agent {
    fn start(program: &Path, files: usize) -> io::Result<Self> {
        let home = tempfile::tempdir()?;
        let root = home.path().join("root");
        let then = SystemTime::now() - Duration::from_secs(200_000);
        for n in 0..files {
            let dir = root.join(format!("d{}", n / 1000));
            if n % 1000 == 0 {
                std::fs::create_dir_all(&dir)?;
            }
            let file = std::fs::File::create(dir.join(format!("job_gone_{n}")))?;
            file.set_modified(then)?;
        }
        std::fs::write(root.join("kept"), b"x")?;
        let at = home.path().display();
        let config = format!(
            "[agent]\nstate_dir = \"{at}/state\"\nsocket = \"{at}/socket\"\nadmin_group = \"\"\n\
             [[root]]\nname = \"scratch\"\npath = \"{at}/root\"\nage_by = [\"mtime\"]\nregistry_grace = \"0s\"\n\
             min_free = \"0\"\nadoption_grace = \"0s\"\n"
        );
        std::fs::write(home.path().join("guardian.toml"), config)?;
        let process = Command::new(program)
            .arg("--config")
            .arg(home.path().join("guardian.toml"))
            .arg("run")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let agent = Self { process, home };
        let limit = Instant::now() + Duration::from_secs(120);
        while !agent.is_ready() {
            if Instant::now() > limit {
                return Err(io::Error::other("the agent does not get ready"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(agent)
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    fn is_ready(&self) -> bool {
        let health = ask(&self.socket(), "GET", "/v1/health", "");
        health.is_ok_and(|(_, health)| health["roots"][0]["state"] == "ready")
    }

    /// Resident memory in MiB, as the kernel counts it.
    fn memory(&self) -> io::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
        Ok(kib / 1024.0)
    }
}

/// One request on a connection of its own: status and answer.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
    Client::new(socket, false).read(method, path, body)
}

/// Somebody who asks one thing after the other.
struct Client<'s> {
    socket: &'s Path,
    keep: bool,
    stream: Option<BufReader<UnixStream>>,
    /// Holds of its own that it has not ended.
    held: Vec<String>,
}

impl<'s> Client<'s> {
    const fn new(socket: &'s Path, keep: bool) -> Self {
        Self { socket, keep, stream: None, held: Vec::new() }
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = UnixStream::connect(self.socket)?;
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                BufReader::new(stream)
            }
        };
        let (length, connection) = (body.len(), if self.keep { "keep-alive" } else { "close" });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: {connection}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut status, mut size) = (String::new(), None, 0);
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the connection was closed"));
            }
            let head = line.trim_end();
            if head.is_empty() {
                break;
            }
            if status.is_none() {
                status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            } else if let Some((name, value)) = head.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                size = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer)?;
        if self.keep {
            self.stream = Some(stream);
        }
        let status = status.ok_or_else(|| io::Error::other("there is no status"))?;
        Ok((status, answer))
    }

    /// The same, read. What nobody looks at is not: it would be the client's time.
    fn read(&mut self, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
        let (status, answer) = self.ask(method, path, body)?;
        Ok((status, serde_json::from_slice(&answer).unwrap_or(Value::Null)))
    }

    /// The request of a kind; every client has a job of its own, and ends its own holds.
    fn one(&mut self, root: &Path, kind: usize, number: usize) -> io::Result<()> {
        let job = format!("/v1/jobs/client{number}");
        let kept = root.join("kept");
        let (status, answer) = match KINDS[kind] {
            "health" => self.ask("GET", "/v1/health", ""),
            "stats" => self.ask("GET", "/v1/stats", ""),
            "job start" => self.ask("PUT", &job, r#"{"ttl":"1h","state":"active"}"#),
            "heartbeat" => self.ask("POST", &format!("{job}/heartbeat"), ""),
            "job list" => self.ask("GET", "/v1/jobs?limit=20", ""),
            "files" => self.ask("GET", "/v1/files?limit=50", ""),
            "hold" => {
                let (status, answer) =
                    self.read("POST", "/v1/holds", &format!("{{\"paths\":[{kept:?}]}}"))?;
                self.held.extend(answer["items"][0]["id"].as_str().map(str::to_owned));
                Ok((status, answer.to_string().into_bytes()))
            }
            "release" => match self.held.pop() {
                Some(id) => self.ask("DELETE", &format!("/v1/holds/{id}"), ""),
                None => self.ask("GET", "/v1/holds?limit=20", ""),
            },
            _ => self.ask("POST", "/v1/plans", r#"{"policy":"failed-jobs","older_than":"1h"}"#),
        }?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&answer))))
        }
    }
}

fn bench(options: &Options) -> io::Result<bool> {
    let agent = Agent::start(&options.agent, options.files)?;
    let (socket, root) = (agent.socket(), agent.home.path().join("root"));
    // Every client has its job before it beats.
    for client in 0..options.clients {
        Client::new(&socket, false).one(&root, 2, client)?;
    }
    // As a host has it where somebody watches: the files were counted once.
    ask(&socket, "GET", "/v1/stats", "")?;
    let before = agent.memory()?;
    let (status, sweep) = ask(&socket, "POST", "/v1/sweeps", r#"{"policy":"orphans","max_files":10000000}"#)?;
    if status != 202 {
        return Err(io::Error::other(format!("the sweep is refused: {sweep}")));
    }
    let place = format!("/v1/sweeps/{}", sweep["id"].as_str().unwrap_or_default());
    println!("the agent's memory: {before:.1} MiB before");
    let mut good = true;
    for _ in 0..options.rounds {
        good &= round(options, &socket, &root, &place)?;
        println!("the agent's memory: {:.1} MiB after", agent.memory()?);
    }
    Ok(good)
}

fn round(options: &Options, socket: &Path, root: &Path, sweep: &str) -> io::Result<bool> {
    let (next, start) = (AtomicUsize::new(0), Barrier::new(options.clients));
    let began = Instant::now();
    let taken: Vec<(usize, Duration, Option<String>)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..options.clients)
            .map(|number| {
                let (next, start) = (&next, &start);
                scope.spawn(move || {
                    let (mut own, mut client) = (Vec::new(), Client::new(socket, options.keep));
                    start.wait();
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        if place >= options.requests {
                            // What is held for ever is no load: it would only seem a leak.
                            while !client.held.is_empty() {
                                let failed = client.one(root, 7, number).err().map(|why| why.to_string());
                                own.extend(failed.map(|why| (7, Duration::ZERO, Some(why))));
                            }
                            return own;
                        }
                        let Some(&kind) = options.kinds.get(place % options.kinds.len()) else { return own };
                        let asked = Instant::now();
                        let failed = client.one(root, kind, number).err().map(|why| why.to_string());
                        own.push((kind, asked.elapsed(), failed));
                    }
                })
            })
            .collect();
        clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect()
    });
    let all = began.elapsed();
    let (_, after) = ask(socket, "GET", sweep, "")?;
    let mut times: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    taken.iter().for_each(|(kind, time, _)| times.entry(*kind).or_default().push(*time));
    println!("{:<18} {:>8} {:>10} {:>10} {:>10}", "kind", "requests", "p50 ms", "p99 ms", "max ms");
    for (kind, times) in &mut times {
        line(KINDS[*kind], times);
    }
    line("all", &mut taken.iter().map(|(_, time, _)| *time).collect::<Vec<_>>());
    println!(
        "{} clients: {} requests in {:.2} s ({:.0}/s); the sweep is {} with {} files removed",
        options.clients,
        taken.len(),
        all.as_secs_f64(),
        taken.len() as f64 / all.as_secs_f64(),
        after["state"],
        after["progress"]["files"],
    );
    let failed: Vec<_> =
        taken.iter().filter_map(|(kind, _, why)| Some((KINDS[*kind], why.as_ref()?))).collect();
    println!("failed: {}", failed.len());
    failed.iter().take(5).for_each(|(kind, why)| eprintln!("{kind}: {why}"));
    Ok(failed.is_empty() && taken.len() >= options.requests)
}

fn line(name: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| {
        let index = ((times.len() - 1) as f64 * share).round() as usize;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    println!("{name:<18} {:>8} {:>10.2} {:>10.2} {:>10.2}", times.len(), at(0.5), at(0.99), at(1.0));
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}
