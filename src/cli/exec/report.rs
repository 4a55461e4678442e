//! What the agent is told while a command runs, and when it has ended.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::client::Refusal;
use super::super::output::tell;
use super::Registered;
use crate::api::{JobPut, JobResource};
use crate::model::JobState;
use crate::sys::command::HeldSignals;

/// How long an agent that went away is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(10);

/// Heartbeats, while this lives.
pub(super) struct Beats {
    _stop: Option<mpsc::Sender<()>>,
}

impl Beats {
    /// Three in each ttl; none without one.
    pub(super) fn start(job: &Arc<Registered>, pid: u32) -> Self {
        let Some(ttl) = job.ttl else { return Self { _stop: None } };
        let (stop, stopped) = mpsc::channel();
        let (beaten, pause) = (Arc::clone(job), ttl.0 / 3);
        let beating = std::thread::Builder::new().name("guardian-beats".to_owned()).spawn(move || {
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                beat(&beaten, pid);
            }
        });
        if let Err(why) = beating {
            tell(&format!("guardian: job {} sends no heartbeats: {why}", job.id));
        }
        Self { _stop: Some(stop) }
    }
}

/// An agent that does not answer is told again later; one that presumed the
/// job failed meanwhile learns better. What a person ended stays ended.
fn beat(job: &Registered, pid: u32) {
    let place = format!("/v1/jobs/{}", job.id);
    let Err(Refusal::Problem(problem, _)) = job.client.post(&format!("{place}/heartbeat"), &json!({})) else {
        return;
    };
    if problem.status != 409 {
        return;
    }
    let known = job.client.get(&place).ok().and_then(|answer| answer.read::<JobResource>("read").ok());
    if known.is_some_and(|known| known.presumed) {
        // The next heartbeat tries again.
        let _ = job.begin(pid);
    }
}

/// Reports how it ended; a warning if that cannot be. Any signal ends the wait.
pub(super) fn end(job: &Arc<Registered>, well: bool, signals: &HeldSignals) {
    let state = if well { JobState::Completed } else { JobState::Failed };
    let deadline = Instant::now() + PATIENCE;
    let mut told_waiting = false;
    let why = loop {
        let (tell_done, done) = mpsc::channel();
        let reporting = Arc::clone(job);
        let thread = std::thread::Builder::new().name("guardian-report".to_owned()).spawn(move || {
            let put = JobPut { state: Some(state), ..JobPut::default() };
            // Whoever waits for it may have given up.
            let _ = tell_done.send(reporting.put(&put));
        });
        if let Err(why) = thread {
            break why.to_string();
        }
        let answer = loop {
            match done.try_recv() {
                Ok(answer) => break Some(answer),
                Err(TryRecvError::Disconnected) => break None,
                Err(TryRecvError::Empty) if Instant::now() >= deadline || interrupted(signals, LOOK) => {
                    break None;
                }
                Err(TryRecvError::Empty) => {}
            }
        };
        match answer {
            None => break "the agent did not answer in time".to_owned(),
            Some(Ok(())) => return,
            Some(Err(Refusal::Problem(problem, _))) if problem.status != 503 => break problem.detail,
            Some(Err(refusal)) => {
                let why = refusal.into_failure("report").cause;
                if Instant::now() >= deadline {
                    break why;
                }
                if !told_waiting {
                    tell(&format!("guardian: job {} has ended; waiting for the agent to tell it", job.id));
                    told_waiting = true;
                }
                if interrupted(signals, PAUSE) {
                    break why;
                }
            }
        }
    };
    tell(&format!("guardian: job {} is {}, but not on record: {why}", job.id, state.as_str()));
    if !well {
        return;
    }
    tell(&format!("help: report it later: guardian job complete {}", job.id));
}

/// Waits so long; whether somebody asks for an end meanwhile.
fn interrupted(signals: &HeldSignals, longest: Duration) -> bool {
    let ends = |signal| [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM].contains(&signal);
    signals.next(longest).is_ok_and(|came| came.is_some_and(|came| ends(came.signal)))
}
