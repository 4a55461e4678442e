//! guardian against the tools people use now, on the same data in one run.
//!
//! `cargo bench --bench peers [-- --files N] [--only index,remove] [--dir DIR]
//! [--profile]`. Tools take turns, each round begins with another one, and the
//! table shows medians: absolute times depend on the machine, ratios much less.
//! Everything happens in directories of the bench's own, which it removes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its results")]

#[path = "peers/cpu.rs"]
mod cpu;
#[path = "peers/data.rs"]
mod data;
#[path = "peers/guardian.rs"]
mod guardian;
#[path = "peers/options.rs"]
mod options;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/tools.rs"]
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data::{PER_DIRECTORY, Place};
use guardian::Indexed;
use options::Options;
use table::Table;
use tools::{Measured, Peer};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        if let Err(why) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("failed to watch for signals: {why}");
            return ExitCode::FAILURE;
        }
    }
    let mut bench = Bench { options, stop, failures: Vec::new() };
    for dir in bench.dirs() {
        if let Err(why) = bench.at(&dir) {
            bench.failures.push(format!("{}: {why}", dir.display()));
        }
    }
    if bench.failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    for failure in &bench.failures {
        eprintln!("failed: {failure}");
    }
    ExitCode::FAILURE
}

struct Bench {
    options: Options,
    stop: Arc<AtomicBool>,
    failures: Vec<String>,
}

impl Bench {
    /// Where trees are built: as asked, or on the disk and, for root, in memory.
    fn dirs(&self) -> Vec<PathBuf> {
        if !self.options.dirs.is_empty() {
            return self.options.dirs.clone();
        }
        let mut dirs = vec![PathBuf::from("/var/tmp")];
        if rustix::process::geteuid().is_root() {
            dirs.push(PathBuf::from("/dev/shm"));
        }
        dirs
    }

    fn at(&mut self, dir: &Path) -> Result<(), String> {
        let Options { files, size, runs, index, remove, .. } = self.options;
        // A block and an inode for each file, twice, so that nothing here ever comes near a full volume.
        let need = files as u64 * (size.next_multiple_of(4096) as u64 + 1024) * 2;
        let volume =
            rustix::fs::statvfs(dir).map_err(|why| format!("failed to look at the volume: {why}"))?;
        let available = volume.f_bavail * volume.f_frsize;
        if available < need {
            println!("skipped {}: {need} bytes needed, {available} available", dir.display());
            return Ok(());
        }
        let place = Place::new(dir).map_err(|why| format!("failed to make a directory: {why}"))?;
        tools::write_tmpfiles_conf(&place)
            .map_err(|why| format!("failed to write a configuration: {why}"))?;
        println!(
            "\n{}: {files} files of {size} bytes in {} directories, median of {runs}",
            dir.display(),
            files.div_ceil(PER_DIRECTORY)
        );
        if index {
            self.first_index(&place)?;
        }
        if remove {
            self.removal(&place)?;
        }
        Ok(())
    }

    fn first_index(&mut self, place: &Place) -> Result<(), String> {
        let (peers, missing) = tools::lookers();
        self.build(place)?;
        // The caches are warm for everybody.
        let _ = place.files_left();
        let mut table = Table::new("first index", "du -s", &peers, &missing);
        let mut indexed: Vec<Indexed> = Vec::new();
        self.rounds(
            &peers,
            |bench, turn| {
                let measured = match turn {
                    Some(peer) => peer.run(place)?,
                    None => {
                        let one = guardian::index(place, bench.options.files)?;
                        indexed.push(one.clone());
                        one.measured
                    }
                };
                Ok(measured)
            },
            &mut table,
        )?;
        let files = self.options.files as u64;
        if let Some(last) = indexed.last() {
            if last.state != "ready" {
                table.note(format!("guardian: the root is {}, not ready", last.state));
            }
            let bytes = indexed.iter().map(|one| one.index_bytes).max().unwrap_or(0);
            table.fact("index on disk", &format!("{} bytes a file", bytes / files), "below 150 bytes a file");
            if let Some(memory) = indexed.iter().filter_map(|one| one.memory).max() {
                let text = format!("{:.1} MiB resident at most", memory as f64 / f64::from(1 << 20));
                table.fact("memory", &text, "64 MiB at 1,000,000 files");
            }
        }
        table.print("guardian", "at most 1.0x of du -s", self.options.profile);
        Ok(())
    }

    fn removal(&mut self, place: &Place) -> Result<(), String> {
        let (peers, missing) = tools::removers();
        let mut table = Table::new("removal", "rm -rf", &peers, &missing);
        self.rounds(
            &peers,
            |bench, turn| {
                bench.build(place)?;
                let measured = match turn {
                    Some(peer) => peer.run(place)?,
                    None => guardian::remove(place, bench.options.files)?,
                };
                match place.files_left() {
                    0 => Ok(measured),
                    left => Err(format!("{left} files are left")),
                }
            },
            &mut table,
        )?;
        table.print("guardian", "at most 0.75x of rm -rf", self.options.profile);
        println!("  guardian verifies each file, asks whether it is open, and puts it on record first");
        Ok(())
    }

    fn build(&self, place: &Place) -> Result<(), String> {
        place
            .build(self.options.files, self.options.size)
            .map_err(|why| format!("failed to build a tree: {why}"))
    }

    /// Lets each tool run once a round; `None` is guardian's turn. A tool that
    /// fails is reported and left out from then on.
    fn rounds(
        &mut self,
        peers: &[Peer],
        mut run: impl FnMut(&Self, Option<&Peer>) -> Result<Measured, String>,
        table: &mut Table,
    ) -> Result<(), String> {
        let turns: Vec<Option<&Peer>> = peers.iter().map(Some).chain([None]).collect();
        let mut broken: Vec<&str> = Vec::new();
        for round in 0..self.options.runs {
            for place in 0..turns.len() {
                let turn = turns[(round + place) % turns.len()];
                let name = turn.map_or("guardian", |peer| peer.name);
                if broken.contains(&name) {
                    continue;
                }
                if self.stop.load(Ordering::Relaxed) {
                    return Err("interrupted".to_owned());
                }
                eprintln!("  round {}: {name}", round + 1);
                match run(self, turn) {
                    Ok(measured) => table.add(name, measured),
                    Err(why) => {
                        broken.push(name);
                        table.drop_row(name);
                        self.failures.push(format!("{name}: {why}"));
                    }
                }
            }
        }
        Ok(())
    }
}
