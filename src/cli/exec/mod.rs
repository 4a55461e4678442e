//! `guardian job exec`: a command as a job, from its start to its report.
//!
//! Promises: the command begins only after the agent has answered that the job
//! is active, and with its own process followed by the agent; so its files are
//! protected as long as it runs, whatever becomes of this process (killed, it
//! leaves a job that is presumed failed when the command ends: nobody is left
//! to say how). The exit status is the command's. Must not know: what is
//! removed when.

mod place;
mod report;
mod running;

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;

use super::client::{Client, Refusal};
use super::failure::{Exit, Failure};
use super::output::tell;
use super::session::{Session, now};
use crate::api::{JobPut, JobResource, Listing, RootResource};
use crate::model::{JobId, JobState, RootName, TimeSpan, Timestamp};
use crate::sys::command::HeldSignals;
use place::Place;
use running::{Begun, Gate};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The command gets a directory of its own, in TMPDIR, and the job's name, in GUARDIAN_JOB_ID.\n\
    Signals are passed on; the exit status is the command's (128 and the number after a signal;\n\
    126 and 127 when it cannot be begun)."
)]
pub(super) struct ExecArgs {
    /// The job's name [default: exec-TIME-PID]
    #[arg(long, value_name = "ID")]
    id: Option<JobId>,
    /// The root of its directory; needed where the agent has several. Its files elsewhere are not protected then
    #[arg(long, value_name = "NAME")]
    root: Option<RootName>,
    /// Send heartbeats: a job that is stopped for longer is presumed failed
    #[arg(long, value_name = "DUR")]
    ttl: Option<TimeSpan>,
    /// Run it even if no agent answers: its files are not protected then
    #[arg(long)]
    best_effort: bool,
    /// What to run
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// One job that is run: what its threads need to know.
struct Registered {
    client: Arc<Client>,
    id: JobId,
    ttl: Option<TimeSpan>,
    root: Option<RootName>,
}

impl Registered {
    /// Says that the job is at work, in the process `pid`.
    fn begin(&self, pid: u32) -> Result<(), Refusal> {
        let (ttl, root) = (self.ttl, self.root.clone());
        self.put(&JobPut { state: Some(JobState::Active), ttl, pid: Some(pid), root })
    }

    fn put(&self, job: &JobPut) -> Result<(), Refusal> {
        self.client.put(&format!("/v1/jobs/{}", self.id), job).map(drop)
    }
}

pub(super) fn run(args: ExecArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let id = match args.id {
        Some(id) => id,
        None => default_id(now(), std::process::id())?,
    };
    let attempt = format!("run job {id}");
    let [program, rest @ ..] = &args.command[..] else {
        return Err(Failure::usage(attempt, "no command is named"));
    };
    let mut command = Command::new(program);
    command.args(rest);
    let client = match session.agent(&attempt) {
        Ok(client) => client,
        Err(none) if args.best_effort && none.exit == Exit::NoAgent => {
            session.out.note(&format!("guardian: {none}; running it unprotected"));
            return running::unprotected(command, program);
        }
        Err(none) => return Err(none),
    };
    let roots: Listing<RootResource> = session.expect(client.get("/v1/roots"), &attempt)?.read(&attempt)?;
    let root = place::choose(&roots.items, args.root.as_ref(), &attempt)?;
    refuse_taken(&client, &id, &attempt)?;
    let signals = HeldSignals::hold(&running::SIGNALS)
        .map_err(|why| Failure::new(Exit::Failures, &*attempt, format!("failed to hold signals: {why}")))?;
    let place = Place::make(root, &id, &attempt)?;
    command.env("TMPDIR", &place.path).env("GUARDIAN_JOB_ID", id.as_str());
    if session.out.verbose {
        session.out.note(&format!("guardian: job {id} works in {}", place.path.display()));
    }
    let job = Arc::new(Registered { client: Arc::new(client), id, ttl: args.ttl, root: args.root });
    let gate = Gate::new(Arc::clone(&job), args.best_effort);
    let exit = match running::begin(command, &gate, &signals) {
        Begun::Running { child, early } => {
            let beats = report::Beats::start(&job, child.id());
            let ended = running::to_its_end(child, early, &signals);
            drop(beats);
            let status = ended
                .map_err(|why| Failure::new(Exit::Failures, &*attempt, format!("failed to wait: {why}")))?;
            if gate.is_registered() {
                report::end(&job, status == 0, &signals);
            }
            Ok(Exit::Command(status))
        }
        Begun::Failed(why) => {
            if gate.is_registered() {
                report::end(&job, false, &signals);
            }
            tell(&format!("guardian: failed to run {}: {why}", program.display()));
            Ok(Exit::Command(running::status_of_failed(&why)))
        }
        Begun::Refused(refusal) => Err(refusal.into_failure(&attempt)),
        Begun::CalledOff(signal) => Ok(Exit::Command(running::status_of_signal(signal))),
    };
    place.leave();
    exit
}

/// Something that can be read, and that no other command on this host has now.
fn default_id(now: Timestamp, pid: u32) -> Result<JobId, Failure> {
    let second = format!("{now:#}").replace(['-', ':'], "");
    JobId::parse(&format!("exec-{second}-{pid}")).map_err(|why| {
        Failure::new(Exit::Failures, "name the job", why.to_string()).with_help("give an --id")
    })
}

/// Two commands must not run as one job: the first to end would end it for both.
/// Nor may one run as somebody else's.
fn refuse_taken(client: &Client, id: &JobId, attempt: &str) -> Result<(), Failure> {
    match client.get(&format!("/v1/jobs/{id}")) {
        Ok(answer) => {
            let job: JobResource = answer.read(attempt)?;
            // It would cover the files of whoever named it first, and not this command's.
            if job.uid != rustix::process::geteuid().as_raw() {
                let why = format!("the name belongs to uid {}", job.uid);
                return Err(Failure::new(Exit::Refused, attempt, why).with_help("choose another --id"));
            }
            if job.state != JobState::Active {
                return Ok(());
            }
            let follows = job.pid.map_or_else(String::new, |pid| format!(", in process {pid}"));
            Err(Failure::new(Exit::Refused, attempt, format!("it is active already{follows}"))
                .with_help("choose another --id, or end that one first"))
        }
        Err(Refusal::Problem(problem, _)) if problem.status == 404 => Ok(()),
        Err(refusal) => Err(refusal.into_failure(attempt)),
    }
}

#[cfg(test)]
mod tests;
