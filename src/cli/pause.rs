//! `guardian pause` and `guardian resume`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use crate::api::{PauseRequest, PauseState};
use crate::model::TimeSpan;

#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// For how long; until `guardian resume`, if absent
    #[arg(long = "for", value_name = "DUR")]
    duration: Option<TimeSpan>,
    /// Pause emergencies as well
    #[arg(long)]
    emergencies: bool,
}

pub(super) fn pause(args: &PauseArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "pause";
    let client = session.agent(attempt)?;
    let request = PauseRequest { duration: args.duration, emergencies: args.emergencies };
    let answer = session.expect(client.post("/v1/pause", &request), attempt)?;
    session.show(&answer, attempt, describe)?;
    Ok(Exit::Done)
}

pub(super) fn resume(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "resume";
    let client = session.agent(attempt)?;
    let answer = session.expect(client.post("/v1/resume", &serde_json::json!({})), attempt)?;
    session.show(&answer, attempt, describe)?;
    Ok(Exit::Done)
}

fn describe(state: &PauseState, out: &mut Output) -> Result<(), Failure> {
    if !state.paused {
        return out.line("removals go on");
    }
    let until =
        state.until.map_or_else(|| "until `guardian resume`".to_owned(), |time| format!("until {time:#}"));
    let scope = if state.emergencies { "emergencies included" } else { "emergencies still act" };
    out.line(format!("removals are paused {until}; {scope}"))
}
