//! The command line: one file per verb, the client, rendering.
//!
//! Promises: results on stdout, everything else on stderr; the exit codes of
//! the contract; a command reaches the agent that was meant or none. Must not
//! know: the store, the sweep's internals. What it needs of the rest comes
//! through [`Host`].

mod args;
mod asked;
mod audit;
mod chunk;
mod client;
mod config;
mod demo;
mod exec;
mod explain;
mod failure;
mod files;
mod follow;
mod generate;
mod global;
mod health;
mod history;
mod hold;
mod host;
mod import;
mod job;
mod kept;
mod output;
mod paths;
mod pause;
mod progress;
mod question;
mod queue;
mod report;
mod root;
mod run;
mod session;
mod sessions;
mod settings;
mod stats;
mod status;
mod sweep;
mod table;
mod top;
mod track;
mod trash;
mod trust;

pub use args::{Cli, Verb};
pub use client::{Answer, Client, Refusal};
pub use failure::{Exit, Failure, NoAgent};
pub use host::{Host, ReadAgain, Sources, Standalone, StandaloneSweep, SweepOutcome, Told};
pub use output::{Format, Output, Tone};

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

use session::Session;

/// Runs one command and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>, host: &dyn Host) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut session = Session::new(&cli.global, host);
    let done = dispatch(cli.verb, &mut session);
    let flushed = session.out.flush();
    match done.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit,
        Err(failure) => {
            output::tell(&format!("guardian: {failure}"));
            if let Some(help) = &failure.help {
                output::tell(&format!("help: {help}"));
            }
            failure.exit
        }
    }
}

/// `--help` and `--version` are results; anything else is a usage error.
fn usage(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        let _ = error.print(); // stderr is gone: nobody is left to tell
        return Exit::Usage;
    }
    let text = error.render();
    // A closed pipe is no failure of `guardian --help | head`.
    let _ = write!(std::io::stdout(), "{text}");
    Exit::Done
}

fn dispatch(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => run::run(args, session),
        Verb::Sweep(args) => sweep::run(&args, session),
        Verb::Pause(args) => pause::pause(&args, session),
        Verb::Resume => pause::resume(session),
        Verb::Status(args) => status::run(&args, session),
        Verb::Stats => stats::run(session),
        Verb::Health => health::run(session),
        Verb::Top => top::run(session),
        Verb::Files(args) => files::run(&args, session),
        Verb::Explain(args) => explain::run(&args, session),
        Verb::History(args) => history::run(&args, session),
        Verb::Audit(args) => audit::run(&args, session),
        Verb::Job(args) => job::run(args, session),
        Verb::Chunk(args) => chunk::run(&args, session),
        Verb::Delete(args) => queue::delete(&args, session),
        Verb::Queue(args) => queue::run(&args, session),
        Verb::Trash(args) => trash::run(&args, session),
        Verb::Session(args) => sessions::run(&args, session),
        Verb::Track(args) => track::run(&args, session),
        Verb::Hold(args) => hold::hold(&args, session),
        Verb::Release(args) => hold::release(&args, session),
        Verb::Registry(args) => trust::registry(&args, session),
        Verb::Clock(args) => trust::clock(&args, session),
        Verb::Root(args) => root::run(&args, session),
        Verb::Config(args) => config::run(&args, session),
        Verb::Import(args) => import::run(&args, session),
        Verb::Demo(args) => demo::run(&args, session),
        Verb::Completions(args) => generate::completions(&args, session),
        Verb::Man(args) => generate::man(&args, session),
    }
}
