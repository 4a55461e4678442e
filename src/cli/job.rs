//! `guardian job …`.

use super::exec;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::session::{Paging, Session, ago};
use super::table::Table;
use crate::api::{JobPut, JobResource, Listing};
use crate::model::{ByteSize, JobId, JobState, RootName, TimeSpan};

#[derive(Debug, clap::Args)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    act: JobAct,
}

#[derive(Debug, clap::Subcommand)]
enum JobAct {
    /// Register a job as active
    Start {
        /// Its name
        id: JobId,
        /// Longest pause between heartbeats; after it the job is presumed failed
        #[arg(long, value_name = "DUR")]
        ttl: Option<TimeSpan>,
        /// The process whose end ends the job
        #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
        pid: Option<u32>,
        /// The one root it works in
        #[arg(long, value_name = "NAME")]
        root: Option<RootName>,
    },
    /// Give a sign of life
    Heartbeat {
        /// The job
        id: JobId,
    },
    /// Say that it ended well
    Complete {
        /// The job
        id: JobId,
    },
    /// Say that it failed
    Fail {
        /// The job
        id: JobId,
    },
    /// Say that it was called off
    Cancel {
        /// The job
        id: JobId,
    },
    /// One job
    Show {
        /// The job
        id: JobId,
    },
    /// Run a command as a job
    Exec(exec::ExecArgs),
    /// All jobs
    List {
        #[command(flatten)]
        paging: Paging,
    },
}

pub(super) fn run(args: JobArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let ended = |state| JobPut { state: Some(state), ..JobPut::default() };
    match args.act {
        JobAct::Start { id, ttl, pid, root } => {
            put(&id, &JobPut { state: Some(JobState::Active), ttl, pid, root }, "start", session)
        }
        JobAct::Complete { id } => put(&id, &ended(JobState::Completed), "complete", session),
        JobAct::Fail { id } => put(&id, &ended(JobState::Failed), "fail", session),
        JobAct::Cancel { id } => put(&id, &ended(JobState::Cancelled), "cancel", session),
        JobAct::Heartbeat { id } => session
            .answer(
                &format!("record a heartbeat of job {id}"),
                |client| client.post(&format!("/v1/jobs/{id}/heartbeat"), &serde_json::json!({})),
                |own| own.job_heartbeat(&id),
                describe,
            )
            .map(|_| Exit::Done),
        JobAct::Show { id } => session
            .answer(
                &format!("show job {id}"),
                |client| client.get(&format!("/v1/jobs/{id}")),
                |own| own.job_get(&id),
                describe,
            )
            .map(|_| Exit::Done),
        JobAct::Exec(args) => exec::run(args, session),
        // Without an agent all of them, whatever part is asked for.
        JobAct::List { paging } => session
            .answer_list("list jobs", "/v1/jobs", &paging, |own, _| own.jobs().map(Listing::all), table)
            .map(|()| Exit::Done),
    }
}

fn put(id: &JobId, job: &JobPut, verb: &str, session: &mut Session<'_>) -> Result<Exit, Failure> {
    session
        .answer(
            &format!("{verb} job {id}"),
            |client| client.put(&format!("/v1/jobs/{id}"), job),
            |own| own.job_put(id, job.clone()),
            describe,
        )
        .map(|_| Exit::Done)
}

fn state_of(job: &JobResource) -> String {
    let presumed = if job.presumed { " (presumed)" } else { "" };
    format!("{}{presumed}", job.state.as_str())
}

fn describe(job: &JobResource, out: &mut Output) -> Result<(), Failure> {
    let mut text = format!("job {} is {}", job.id, state_of(job));
    if let (Some(files), Some(bytes)) = (job.files_count, job.bytes) {
        text.push_str(&format!("; {}, {}", super::report::count_of(files), ByteSize(bytes)));
    }
    // What has ended sends no signs of life.
    let lives = job.ended_at.is_none();
    if let Some(ttl) = job.ttl.filter(|_| lives) {
        text.push_str(&format!("; heartbeat at least every {ttl}"));
    }
    if let Some(pid) = job.pid.filter(|_| lives) {
        text.push_str(&format!("; follows pid {pid}"));
    }
    if let Some(at) = job.results_removed_at {
        text.push_str(&format!("; without results since {at:#}"));
    }
    out.line(text)
}

fn table(jobs: &[JobResource], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["STATE", ">FILES", ">SIZE", ">UID", "LAST SIGN", "JOB"]);
    for job in jobs {
        let unknown = || "-".to_owned();
        table.row(vec![
            state_of(job),
            job.files_count.map_or_else(unknown, |files| files.to_string()),
            job.bytes.map_or_else(unknown, |bytes| ByteSize(bytes).to_string()),
            job.uid.to_string(),
            ago(job.ended_at.or(job.last_heartbeat).unwrap_or(job.created_at)),
            job.id.to_string(),
        ]);
    }
    table.print(out)
}
