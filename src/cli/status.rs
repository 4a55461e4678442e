//! `guardian status`: health at a glance, again and again with `--watch`.

use std::io::IsTerminal;
use std::time::Duration;

use super::failure::{Exit, Failure};
use super::health;
use super::session::Session;

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Look again every two seconds until interrupted
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(args: &StatusArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "ask for the status";
    let client = session.agent(attempt)?;
    let clears = args.watch && session.is_text() && std::io::stdout().is_terminal();
    loop {
        let answer = session.expect(client.get("/v1/health"), attempt)?;
        if clears {
            // Home, and clear to the end: the screen above scrolls back as usual.
            session.out.line("\u{1b}[H\u{1b}[2J")?;
        }
        session.show(&answer, attempt, health::render)?;
        session.out.flush()?;
        if !args.watch || session.out.is_gone() {
            return Ok(Exit::Done);
        }
        std::thread::sleep(INTERVAL);
    }
}
