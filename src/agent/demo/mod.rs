//! A demonstration: the agent at work on a directory of its own, told as a story.
//!
//! Promises: the agent is the real one with everything it does for others; all
//! files lie in one new temporary directory, which goes at the end, also after
//! Ctrl-C and after an error; it says so when a file of the active job is gone.
//! Must not know: the terminal, which takes the story line by line.

mod bar;
mod stage;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::api::ApiError;
use crate::config::{ConfigError, Environment, Overrides, Settings, load};
use crate::model::{ByteSize, JobId, JobState, Policy, Report, Resource, TimeSpan};
use crate::store::audit::{AuditFilter, AuditRecord, Outcome};
use crate::sys::process;

use super::jobs::{Caller, JobChange, JobError, Now};
use super::service::{Running, ServiceError};
use super::signals::Notice;
use super::state::{Agent, Seen};
use super::{commands, signals};

use bar::{line, worth_telling};
use stage::{ACTIVE, ACTIVE_JOB, CAPACITY, FAILED_JOB, KINDS, Kind, OPEN, PROTECTED, Stage, UPLOAD};

/// The writer's pause between two files: 4 MiB a second.
const WRITER_PAUSE: Duration = Duration::from_millis(62);
/// Percent used at which it waits for room, as any program must.
const WRITER_STOPS: f64 = 98.0;
/// How long the agent may take for anything it is waited for.
const PATIENCE: Duration = Duration::from_secs(25);
/// For those who read along.
const BREATH: Duration = Duration::from_millis(600);

/// Why the demonstration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Something in its directory could not be made or read.
    #[error("failed to set up {}", path.display())]
    Stage {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its directory could not be taken away.
    #[error("failed to remove {}", path.display())]
    Strike {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Too little room.
    #[error(
        "failed to find room in {}: {needed} MiB are needed, {available} MiB available; \
         help: set TMPDIR to a directory with more", path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is needed, in MiB.
        needed: u64,
        /// What there is, in MiB.
        available: u64,
    },
    /// Its configuration is not accepted.
    #[error("failed to configure the agent")]
    Config(#[from] ConfigError),
    /// The agent did not run.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A job could not be registered.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The history or the record of removals can't be read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The agent does not explain a file.
    #[error("failed to explain {}: {}", path.display(), why.detail)]
    Explain {
        /// Which.
        path: PathBuf,
        /// What it says.
        why: Box<ApiError>,
    },
    /// Signals can't be caught.
    #[error("failed to catch signals")]
    Signals(#[source] std::io::Error),
    /// The agent took too long.
    #[error("failed to see {what} within {} s", PATIENCE.as_secs())]
    TooLong {
        /// What was waited for.
        what: &'static str,
    },
    /// A file went that had to stay.
    #[error("failed to keep what had to stay: {left} of {count} files {pattern} are left")]
    Lost {
        /// Which.
        pattern: String,
        /// Files that are there as they were.
        left: u32,
        /// Files that should be.
        count: u32,
    },
    /// Somebody stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// Tells the story line by line; gives back the reports of what the agent did.
///
/// # Errors
/// [`DemoError`]; the directory is gone then too, unless it is to stay.
pub fn demo(keep: bool, say: &mut dyn FnMut(&str)) -> Result<Vec<Report>, DemoError> {
    let (notices, noticed) = channel();
    signals::forward(notices.clone()).map_err(DemoError::Signals)?;
    let stage = Stage::set(keep)?;
    let mut story = Story { stage, say, noticed };
    story.introduce()?;
    let open = story.lay_out()?;
    let running = Running::start(story.settings()?, notices)?;
    let told = story.tell(running.agent());
    drop(open);
    let stopped = running.stop();
    let reports = told?;
    stopped?;
    story.end(keep)?;
    Ok(reports)
}

struct Story<'a> {
    stage: Stage,
    say: &'a mut dyn FnMut(&str),
    noticed: Receiver<Notice>,
}

impl Story<'_> {
    fn say(&mut self, text: &str) {
        (self.say)(text);
    }

    /// Waits; ends early when somebody stops it or the agent dies.
    fn pause(&self, time: Duration) -> Result<(), DemoError> {
        match self.noticed.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(Notice::Ended(who)) => Err(ServiceError::WorkerDied(who).into()),
            // HUP: the terminal is gone.
            Ok(Notice::Stop | Notice::Reload) | Err(RecvTimeoutError::Disconnected) => {
                Err(DemoError::Interrupted)
            }
        }
    }

    fn introduce(&mut self) -> Result<(), DemoError> {
        self.stage.write_config()?;
        let root = self.stage.root().display().to_string();
        self.say(&format!("{root} is guarded as if it were a volume of {} MiB:", CAPACITY >> 20));
        self.say("warning at 75% used, emergency cleanup from 90% down to 60%. In it lie:");
        Ok(())
    }

    /// The files, and the one that is held open.
    fn lay_out(&mut self) -> Result<File, DemoError> {
        for kind in &KINDS {
            for number in 1..=kind.count {
                self.stage.write(kind, number)?;
            }
            let bytes = ByteSize(u64::from(kind.count) * kind.size).to_string();
            let age = TimeSpan::from_secs(kind.age).to_string();
            self.say(&format!("  {:<24}{bytes:>9}  {age:>4} old  {}", kind.pattern(), kind.what));
        }
        self.stage.open(&OPEN, 1)
    }

    fn settings(&self) -> Result<Settings, DemoError> {
        // Nothing of the user's own settings: the story is the same everywhere.
        let file = self.stage.config();
        Ok(load(Some(&file), &Environment::default(), &Overrides::default(), Path::new("/"))?)
    }

    fn tell(&mut self, agent: &Arc<Agent>) -> Result<Vec<Report>, DemoError> {
        register(agent, ACTIVE_JOB, JobState::Active)?;
        register(agent, FAILED_JOB, JobState::Active)?;
        register(agent, FAILED_JOB, JobState::Failed)?;
        self.say("");
        self.say("The agent runs, and knows of one active job and of one that has failed.");
        self.pause(BREATH)?;
        self.say("Now a program begins to write 4 MiB a second.");
        let reports = self.watch_it_fill(agent)?;
        self.pause(BREATH)?;
        for report in &reports {
            self.tell_what_went(agent, report)?;
        }
        self.pause(BREATH)?;
        self.tell_what_stayed(agent)?;
        self.pause(BREATH)?;
        self.count_what_had_to_stay()?;
        Ok(reports)
    }

    /// Writes until the agent has cleaned up.
    fn watch_it_fill(&mut self, agent: &Arc<Agent>) -> Result<Vec<Report>, DemoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut told = None;
        for number in 1.. {
            let reports = reports(agent)?;
            if let Some(last) = reports.last() {
                // The volume as the run found it: the agent is quicker than this loop looks.
                if let Some(before) = last.storage_before_percent {
                    self.say(&line(told, before));
                }
                self.tell_the_usage_after(agent, last)?;
                return Ok(reports);
            }
            if Instant::now() > deadline {
                break;
            }
            let now = seen(agent).map(|seen| percent(&seen));
            if let Some(now) = now
                && told.is_none_or(|told| worth_telling(told, now))
            {
                self.say(&line(told, now));
                told = Some(now);
            }
            if now.is_none_or(|now| now < WRITER_STOPS) {
                self.stage.write(&UPLOAD, number)?;
            }
            self.pause(WRITER_PAUSE)?;
        }
        Err(DemoError::TooLong { what: "an emergency cleanup" })
    }

    /// The first look at the volume after a run.
    fn tell_the_usage_after(&mut self, agent: &Agent, report: &Report) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(seen) = seen(agent).filter(|seen| seen.at >= report.end_time) {
                self.say(&line(report.storage_before_percent, percent(&seen)));
                return Ok(());
            }
            self.pause(WRITER_PAUSE)?;
        }
        Err(DemoError::TooLong { what: "the usage after the cleanup" })
    }

    /// What is on record of a run: one line for each kind of file.
    fn tell_what_went(&mut self, agent: &Arc<Agent>, report: &Report) -> Result<(), DemoError> {
        let Some(audit) = &agent.engine.audit else { return Ok(()) };
        let filter = AuditFilter { run: Some(report.id.clone()), ..AuditFilter::default() };
        let records = audit.page(&filter, None, usize::MAX)?;
        let mut order: Vec<String> = Vec::new();
        let mut went: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
        for record in records.items.iter().rev() {
            let AuditRecord::Removal { entry, outcome: Outcome::Removed, .. } = record else {
                continue;
            };
            let kind = KINDS.iter().chain([&UPLOAD]).find(|kind| kind.has(&entry.path.path));
            let name = kind.map_or_else(|| entry.path.path.clone(), Kind::pattern);
            let known = went.entry(name.clone()).or_insert_with(|| {
                order.push(name);
                (0, 0, entry.reason.to_string())
            });
            known.0 += 1;
            known.1 += entry.allocated;
        }
        self.say("");
        self.say(&format!(
            "{} files went, the safest to remove first; each is on record with its reason:",
            report.files_deleted
        ));
        for name in order {
            let Some((files, bytes, why)) = went.remove(&name) else { continue };
            self.say(&format!("  {files:>3} {name:<24}{:>9}  {why}", ByteSize(bytes).to_string()));
        }
        Ok(())
    }

    /// What the agent says of one file of each kind that is still there.
    fn tell_what_stayed(&mut self, agent: &Arc<Agent>) -> Result<(), DemoError> {
        use std::os::unix::ffi::OsStrExt;
        let commands = commands::shared(Arc::clone(agent));
        self.say("");
        self.say("What stayed, and why (`guardian explain PATH` tells it of any file):");
        for kind in KINDS.iter().chain([&UPLOAD]) {
            let Some(path) = self.stage.one_left(kind) else { continue };
            let told = commands
                .explain(path.as_os_str().as_bytes())
                .map_err(|why| DemoError::Explain { path: path.clone(), why: Box::new(why) })?;
            self.say(&format!("  {:<24}{}", kind.pattern(), told.summary));
        }
        Ok(())
    }

    /// The demonstration's own proof.
    fn count_what_had_to_stay(&mut self) -> Result<(), DemoError> {
        for kind in [&ACTIVE, &PROTECTED, &OPEN] {
            let left = self.stage.intact(kind);
            if left != kind.count {
                return Err(DemoError::Lost { pattern: kind.pattern(), left, count: kind.count });
            }
        }
        self.say("");
        self.say(&format!(
            "Counted again: all {} files of the active job, the protected and the open ones are there, byte for byte.",
            ACTIVE.count
        ));
        Ok(())
    }

    fn end(self, keep: bool) -> Result<(), DemoError> {
        let dir = self.stage.dir().display().to_string();
        let config = self.stage.config().display().to_string();
        let root = self.stage.root().display().to_string();
        self.stage.strike()?;
        if keep {
            (self.say)(&format!("Everything is left in {dir}. Look at it with"));
            (self.say)(&format!("  guardian explain --config {config} {root}/FILE"));
            (self.say)(&format!("  guardian run --config {config}"));
        } else {
            (self.say)(&format!("{dir} is gone again; nothing else was touched."));
        }
        Ok(())
    }
}

fn register(agent: &Agent, name: &'static str, state: JobState) -> Result<(), DemoError> {
    let Ok(id) = JobId::parse(name) else { return Ok(()) };
    let (uid, _) = process::own_ids();
    let change = JobChange { state: Some(state), ..JobChange::default() };
    agent.registry.put(&id, &change, Caller { uid, admin: true }, Now::read())?;
    Ok(())
}

/// What the agent saw of the volume last.
fn seen(agent: &Agent) -> Option<Seen> {
    agent.slots().first()?.seen()
}

fn percent(seen: &Seen) -> f64 {
    seen.usage.percent(Resource::Bytes)
}

/// Emergencies that have ended.
fn reports(agent: &Agent) -> Result<Vec<Report>, DemoError> {
    let all = agent.ledger.history(None, 10, false, |_| true)?;
    Ok(all.into_iter().filter(|report| report.policy == Policy::Emergency).collect())
}
