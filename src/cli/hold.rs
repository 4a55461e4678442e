//! `guardian hold` and `guardian release`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::paths::Paths;
use super::question::me;
use super::session::{Session, now};
use crate::api::{HoldRequest, HoldResource, Listing, ReleaseRequest};
use crate::model::{TimeSpan, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct HoldArgs {
    #[command(flatten)]
    paths: Paths,
    /// For so long; until released, if absent
    #[arg(long = "for", value_name = "DUR")]
    duration: Option<TimeSpan>,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    paths: Paths,
}

pub(super) fn hold(args: &HoldArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "hold";
    if args.duration.is_some_and(|span| span.0.is_zero()) {
        return Err(Failure::usage(attempt, "--for is 0: expected a duration above 0"));
    }
    let request = HoldRequest {
        paths: args.paths.read(attempt)?,
        until: args.duration.map(|span| now().plus(span.0)),
        reason: args.reason.clone(),
    };
    session.answer(
        attempt,
        |client| client.post("/v1/holds", &request),
        |own| own.hold(request.clone(), &me()),
        held,
    )?;
    Ok(Exit::Done)
}

fn held(holds: &Listing<HoldResource>, out: &mut Output) -> Result<(), Failure> {
    for hold in &holds.items {
        let until =
            hold.until.map_or_else(|| "until released".to_owned(), |until| format!("until {until:#}"));
        out.line(format!("held {until}: {}", escape_control(&hold.path.path)))?;
    }
    Ok(())
}

pub(super) fn release(args: &ReleaseArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "release";
    let request = ReleaseRequest { paths: args.paths.read(attempt)? };
    session.answer(
        attempt,
        |client| client.post("/v1/holds/release", &request),
        |own| own.release_paths(request.clone(), &me()),
        released,
    )?;
    Ok(Exit::Done)
}

fn released(holds: &Listing<HoldResource>, out: &mut Output) -> Result<(), Failure> {
    if holds.items.is_empty() {
        return out.line("nothing was held there");
    }
    holds.items.iter().try_for_each(|hold| out.line(format!("released: {}", escape_control(&hold.path.path))))
}
