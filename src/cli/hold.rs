//! `guardian hold` and `guardian release`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::paths::Paths;
use super::session::{Session, Worker, now};
use crate::api::{HoldRequest, HoldResource, Listing, PeerIdentity, ReleaseRequest};
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

/// Whoever may write the ledger may change anything in it.
pub(super) fn me() -> PeerIdentity {
    PeerIdentity {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: std::process::id(),
        admin: true,
    }
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
    match session.worker(attempt)? {
        Worker::Agent(client) => {
            let answer = session.expect(client.post("/v1/holds", &request), attempt)?;
            session.show(&answer, attempt, held)?;
        }
        Worker::Own(own) => {
            let holds = own.hold(request, &me()).map_err(|error| Failure::refused(attempt, &error))?;
            session.show_own(&holds, held)?;
        }
    }
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
    match session.worker(attempt)? {
        Worker::Agent(client) => {
            let answer = session.expect(client.post("/v1/holds/release", &request), attempt)?;
            session.show(&answer, attempt, released)?;
        }
        Worker::Own(own) => {
            let ended = own.release_paths(request, &me());
            let ended = ended.map_err(|error| Failure::refused(attempt, &error))?;
            session.show_own(&ended, released)?;
        }
    }
    Ok(Exit::Done)
}

fn released(holds: &Listing<HoldResource>, out: &mut Output) -> Result<(), Failure> {
    if holds.items.is_empty() {
        return out.line("nothing was held there");
    }
    holds.items.iter().try_for_each(|hold| out.line(format!("released: {}", escape_control(&hold.path.path))))
}
