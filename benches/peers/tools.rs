//! The tools people use now, as command lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::cpu::{self, Cpu};
use super::data::Place;

/// No tool needs longer; one that does is ended and reported.
pub(crate) const DEADLINE: Duration = Duration::from_secs(900);

/// One measured run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    pub(crate) cpu: Cpu,
    /// What else there is to say, for `--profile`.
    pub(crate) notes: Vec<String>,
}

/// A peer: its name in the table, and how it is called for a tree.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: fn(&Place) -> Vec<String>,
}

/// Peers that look at every file.
pub(crate) fn lookers() -> (Vec<Peer>, Vec<&'static str>) {
    present([
        ("du -s", "du", |place| vec!["-s".into(), text(&place.tree)]),
        ("find -printf", "find", |place| {
            vec![text(&place.tree), "-printf".into(), r"%p %i %s %b %U %T@ %C@\n".into()]
        }),
    ])
}

/// Peers that remove every file.
pub(crate) fn removers() -> (Vec<Peer>, Vec<&'static str>) {
    present([
        ("rm -rf", "rm", |place| vec!["-rf".into(), "--".into(), text(&place.tree)]),
        ("find -delete", "find", |place| {
            vec![text(&place.tree), "-mindepth".into(), "1".into(), "-delete".into()]
        }),
        ("systemd-tmpfiles", "systemd-tmpfiles", |place| {
            vec!["--clean".into(), text(&place.beside("tmpfiles.conf"))]
        }),
        ("tmpreaper", "tmpreaper", |place| {
            vec!["--mtime".into(), "--runtime=3600".into(), "1s".into(), text(&place.tree)]
        }),
    ])
}

/// What `systemd-tmpfiles --clean` reads: everything beneath the tree, whatever its age.
pub(crate) fn write_tmpfiles_conf(place: &Place) -> std::io::Result<()> {
    std::fs::write(place.beside("tmpfiles.conf"), format!("e {} - - - 0\n", text(&place.tree)))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

type Entry = (&'static str, &'static str, fn(&Place) -> Vec<String>);

fn present<const N: usize>(entries: [Entry; N]) -> (Vec<Peer>, Vec<&'static str>) {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (name, program, arguments) in entries {
        match find_program(program) {
            Some(program) => peers.push(Peer { name, program, arguments }),
            None => missing.push(name),
        }
    }
    (peers, missing)
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file())
}

impl Peer {
    pub(crate) fn run(&self, place: &Place) -> Result<Measured, String> {
        let mut command = Command::new(&self.program);
        command.args((self.arguments)(place));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let before = cpu::of_children();
        let start = Instant::now();
        let mut child = command.spawn().map_err(|why| format!("{}: {why}", self.program.display()))?;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if start.elapsed() > DEADLINE => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{} did not end in time", self.name));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(why) => return Err(format!("{}: {why}", self.name)),
            }
        };
        let wall = start.elapsed();
        if !status.success() {
            return Err(format!("{} ended with {status}", self.name));
        }
        Ok(Measured { wall, cpu: cpu::of_children().since(before), notes: Vec::new() })
    }
}
