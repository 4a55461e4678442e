//! `guardian session …`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::failure::{Exit, Failure};
use super::follow::follow;
use super::host::StandaloneSweep;
use super::output::Output;
use super::question::me;
use super::report;
use super::session::{Paging, Session, Worker, ago};
use super::table::Table;
use crate::api::{Progress, SessionEnd, SessionResource, SessionState, SweepResource, SweepState};
use crate::model::{Policy, SessionId, SweepRequest};

#[derive(Debug, clap::Args)]
pub(super) struct SessionArgs {
    #[command(subcommand)]
    act: SessionAct,
}

#[derive(Debug, clap::Subcommand)]
enum SessionAct {
    /// Give a sign of activity; a session that is not known begins
    Touch {
        /// The session
        id: SessionId,
    },
    /// End it and remove its files
    End {
        /// The session
        id: SessionId,
    },
    /// One session
    Show {
        /// The session
        id: SessionId,
    },
    /// All sessions, the last active first
    List {
        #[command(flatten)]
        paging: Paging,
    },
}

pub(super) fn run(args: &SessionArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match &args.act {
        SessionAct::Touch { id } => session
            .answer(
                &format!("touch session {id}"),
                |client| client.post(&format!("/v1/sessions/{id}/touch"), &serde_json::json!({})),
                |own| own.session_touch(id, &me()),
                describe,
            )
            .map(|_| Exit::Done),
        SessionAct::Show { id } => session
            .answer(
                &format!("show session {id}"),
                |client| client.get(&format!("/v1/sessions/{id}")),
                |own| own.session(id),
                describe,
            )
            .map(|_| Exit::Done),
        SessionAct::List { paging } => session
            .answer_list("list sessions", "/v1/sessions", paging, |own, page| own.sessions(page), table)
            .map(|()| Exit::Done),
        SessionAct::End { id } => end(id, session),
    }
}

fn end(id: &SessionId, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = &format!("end session {id}");
    match session.worker(attempt)? {
        Worker::Agent(client) => {
            let place = format!("/v1/sessions/{id}/end");
            let answer = session.expect(client.post(&place, &serde_json::json!({})), attempt)?;
            let mut ended: SessionEnd = answer.read(attempt)?;
            if let Some(sweep) = &mut ended.sweep {
                follow(sweep, &client, session, attempt)?;
                if sweep.state == SweepState::Failed {
                    let why = sweep.error.clone().unwrap_or_else(|| "the agent gave no reason".to_owned());
                    return Err(Failure::new(Exit::Failures, attempt, why));
                }
            }
            finish(&ended, session)
        }
        Worker::Own(own) => {
            let mut ended = own.session_end(id, &me()).map_err(|error| Failure::refused(attempt, &error))?;
            let request = SweepRequest { session: Some(id.clone()), ..SweepRequest::of(Policy::Session) };
            let sweep = StandaloneSweep { request, plan: None, adopt: false, list: false, unattended: false };
            let removing = &format!("remove the files of session {id}, which has ended");
            let swept = own.sweep(&sweep, &AtomicBool::new(false), Arc::new(|_: &Progress| {}));
            let reports = swept.map_err(|error| Failure::refused(removing, &error))?.reports;
            ended.session = own.session(id).map_err(|error| Failure::refused(attempt, &error))?;
            ended.sweep = reports
                .first()
                .map(|first| first.volume_run.clone())
                .map(|run| SweepResource::new(run, SweepState::Done, Progress::default(), reports));
            finish(&ended, session)
        }
    }
}

fn finish(ended: &SessionEnd, session: &mut Session<'_>) -> Result<Exit, Failure> {
    session.show_own(ended, |ended, out| {
        describe(&ended.session, out)?;
        match &ended.sweep {
            Some(sweep) => sweep.reports.iter().try_for_each(|one| report::render(one, false, out)),
            None => out.line("nothing may be removed now: its files stay due"),
        }
    })?;
    Ok(ended.sweep.as_ref().map_or(Exit::Done, |sweep| report::exit_of(&sweep.reports)))
}

const fn state_of(session: &SessionResource) -> &'static str {
    match session.state {
        SessionState::Active => "active",
        SessionState::Ended => "ended",
    }
}

fn describe(session: &SessionResource, out: &mut Output) -> Result<(), Failure> {
    let files = super::report::count_of(session.files_count);
    out.line(match session.ended_at {
        Some(ended) => format!("session {} ended {}; {files}", session.id, ago(ended)),
        None => {
            let last = ago(session.last_activity);
            format!("session {} is {}; {files}; last activity {last}", session.id, state_of(session))
        }
    })
}

fn table(sessions: &[SessionResource], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["STATE", ">FILES", ">UID", "LAST ACTIVITY", "SESSION"]);
    for session in sessions {
        table.row(vec![
            state_of(session).to_owned(),
            session.files_count.to_string(),
            session.uid.to_string(),
            ago(session.last_activity),
            session.id.to_string(),
        ]);
    }
    table.print(out)
}
