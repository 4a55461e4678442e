//! `guardian run`.

use std::path::PathBuf;

use super::failure::{Exit, Failure};
use super::session::Session;
use crate::config::Overrides;
use crate::model::ByteSize;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Guard this directory, besides the configured ones
    #[arg(long = "root", value_name = "DIR")]
    roots: Vec<PathBuf>,
    /// Treat the root as a volume of its own of this size
    #[arg(long, value_name = "SIZE")]
    capacity: Option<ByteSize>,
    /// Where index, ledger and audit live
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Plan and log, remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: RunArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let verbosity = session.verbosity();
    let overrides = move || Overrides {
        roots: args.roots.clone(),
        capacity: args.capacity,
        state_dir: args.state_dir.clone(),
        dry_run: args.dry_run,
        socket: None,
        verbosity,
    };
    let sources = session.sources.clone();
    let settings = super::settings::read(&sources, overrides())?;
    let again = Box::new(move || super::settings::read(&sources, overrides()).map_err(|why| why.to_string()));
    session.host.run(settings, again)?;
    Ok(Exit::Done)
}
