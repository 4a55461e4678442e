//! `guardian completions SHELL` and `guardian man DIR`.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::args::Cli;
use super::failure::{Exit, Failure};
use super::session::Session;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Where the pages go
    dir: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "guardian", &mut script);
    session.out.body(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &ManArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let failed = |path: &Path, why: std::io::Error| {
        Failure::new(Exit::Failures, format!("write manual pages to {}", path.display()), why.to_string())
    };
    std::fs::create_dir_all(&args.dir).map_err(|why| failed(&args.dir, why))?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(|why| failed(&args.dir, why))?;
    session.out.note(&format!("the manual pages are in {}", args.dir.display()));
    Ok(Exit::Done)
}
