//! `guardian chunk complete JOB CHUNK [FILE...]`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use super::follow::follow;
use super::output::Output;
use super::paths::Paths;
use super::report;
use super::session::{Session, Worker};
use crate::api::{ChunkCompletion, ChunkRequest, SweepResource, SweepState};
use crate::model::{ChunkId, JobId, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct ChunkArgs {
    #[command(subcommand)]
    act: ChunkAct,
}

#[derive(Debug, clap::Subcommand)]
enum ChunkAct {
    /// Say that a chunk was processed: its files go at once, also while its job is at work
    Complete {
        /// The job
        job: JobId,
        /// The chunk
        chunk: ChunkId,
        /// Only these of its files
        #[arg(value_name = "FILE", conflicts_with = "files0_from")]
        files: Vec<OsString>,
        /// Read the files from FILE (`-`: standard input), each ended by a NUL byte
        #[arg(long, value_name = "FILE")]
        files0_from: Option<PathBuf>,
    },
}

pub(super) fn run(args: &ChunkArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let ChunkAct::Complete { job, chunk, files, files0_from } = &args.act;
    let attempt = format!("complete chunk {chunk} of job {job}");
    // A list that is given and empty never stands for everything.
    let is_named = !files.is_empty() || files0_from.is_some();
    let named = Paths { paths: files.clone(), files0_from: files0_from.clone() };
    let files = if is_named { named.read(&attempt)? } else { Vec::new() };
    let request = ChunkRequest { files };
    let done = match session.worker(&attempt)? {
        Worker::Agent(client) => {
            let path = format!("/v1/jobs/{job}/chunks/{chunk}/complete");
            let answer = session.expect(client.post(&path, &request), &attempt)?;
            let mut done: ChunkCompletion = answer.read(&attempt)?;
            if let Some(sweep) = &mut done.sweep {
                follow(sweep, &client, session, &attempt)?;
            }
            done
        }
        Worker::Own(own) => {
            let done = own.chunk_complete(job, chunk, &request);
            done.map_err(|error| Failure::refused(&*attempt, &error))?
        }
    };
    session.show_own(&done, render)?;
    exit_of(&done, &attempt)
}

fn exit_of(done: &ChunkCompletion, attempt: &str) -> Result<Exit, Failure> {
    match &done.sweep {
        Some(SweepResource { state: SweepState::Failed, error, .. }) => {
            let why = error.clone().unwrap_or_else(|| "the agent gave no reason".to_owned());
            Err(Failure::new(Exit::Failures, attempt, format!("it is on record, but {why}"))
                .with_help("its files go at the next scheduled sweep that can"))
        }
        _ if !done.refused.is_empty() => Ok(Exit::Failures),
        Some(sweep) => Ok(report::exit_of(&sweep.reports)),
        None => Ok(Exit::Done),
    }
}

fn render(done: &ChunkCompletion, out: &mut Output) -> Result<(), Failure> {
    for refused in &done.refused {
        out.note(&format!("refused: {}: {}", escape_control(&refused.path.path), refused.error));
    }
    match &done.sweep {
        Some(sweep) => sweep.reports.iter().try_for_each(|one| report::render(one, false, out)),
        None if done.refused.is_empty() => {
            out.note("on record; its files go at the next sweep");
            Ok(())
        }
        None => Ok(()),
    }
}
