//! `guardian track`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::paths::Paths;
use super::question::me;
use super::session::{Session, now};
use crate::api::{Listing, TrackRequest, TrackedFile};
use crate::model::{JobId, SessionId, TimeSpan, Timestamp, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct TrackArgs {
    #[command(flatten)]
    paths: Paths,
    /// They may go after so long
    #[arg(long, value_name = "DUR", conflicts_with = "expires_at")]
    expires_in: Option<TimeSpan>,
    /// They may go at that time
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_at: Option<Timestamp>,
    /// Members of this session: they go when it ends
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// Files of this job, whatever their names say
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected RFC 3339 in UTC, such as 2026-01-31T12:00:00Z".to_owned())
}

pub(super) fn run(args: &TrackArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "track";
    let expires_at = args.expires_at.or_else(|| args.expires_in.map(|span| now().plus(span.0)));
    if expires_at.is_none() && args.session.is_none() && args.job.is_none() {
        return Err(Failure::usage(
            attempt,
            "expected one of --expires-in, --expires-at, --session or --job",
        ));
    }
    let request = TrackRequest {
        paths: args.paths.read(attempt)?,
        expires_at,
        session: args.session.clone(),
        job: args.job.clone(),
    };
    session.answer(
        attempt,
        |client| client.post("/v1/files/track", &request),
        |own| own.track(request.clone(), &me()),
        tracked,
    )?;
    Ok(Exit::Done)
}

fn tracked(told: &Listing<TrackedFile>, out: &mut Output) -> Result<(), Failure> {
    for file in &told.items {
        let mut said = Vec::new();
        said.extend(file.expires_at.map(|at| format!("expires at {at:#}")));
        said.extend(file.session.as_ref().map(|session| format!("session {session}")));
        said.extend(file.jobs.iter().map(|job| format!("job {job}")));
        out.line(format!("{}: {}", escape_control(&file.path.path), said.join(", ")))?;
    }
    Ok(())
}
