//! The command itself: its begin at the gate, its signals, its end.
//!
//! It stays in this process group: what a terminal sends (Ctrl-C, Ctrl-Z, the
//! line that hangs up) reaches it without us, and a pipeline stays one. What
//! processes send to us alone is passed on; one that signals the whole group
//! is heard twice.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libc::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU, SIGUSR1, SIGUSR2};
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::super::client::Refusal;
use super::super::failure::{Exit, Failure};
use super::super::output::tell;
use super::Registered;
use crate::sys::command::{Arrived, HeldSignals, spawn_gated};

/// What is held: what is passed on, the child's end, and what would stop us
/// where we take the terminal back.
pub(super) const SIGNALS: [i32; 10] =
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGCHLD, SIGTTOU];

/// Those that end a command, as a rule.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The longest time without a look at the child: only a signal that was lost would need it.
const LOOK: Duration = Duration::from_secs(60);
/// The same while something else is waited for, too.
const SHORT_LOOK: Duration = Duration::from_millis(20);

/// How a command began, or did not.
pub(super) enum Begun {
    /// It runs. These signals came before.
    Running { child: Child, early: Vec<i32> },
    /// It could not be begun.
    Failed(io::Error),
    /// The agent did not register the job.
    Refused(Refusal),
    /// This signal came first: it never begins.
    CalledOff(i32),
}

/// Decides, once, whether the command begins or a signal calls it off.
pub(super) struct Gate(Arc<GateState>);

struct GateState {
    job: Arc<Registered>,
    best_effort: bool,
    decision: AtomicU8,
    registered: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
}

const OPEN: u8 = 0;
const ADMITTED: u8 = 1;
const CALLED_OFF: u8 = 2;

impl Gate {
    pub(super) fn new(job: Arc<Registered>, best_effort: bool) -> Self {
        Self(Arc::new(GateState {
            job,
            best_effort,
            decision: AtomicU8::new(OPEN),
            registered: AtomicBool::new(false),
            refusal: Mutex::new(None),
        }))
    }

    /// Whether the agent knows the job, so that its end must be reported.
    pub(super) fn is_registered(&self) -> bool {
        self.0.registered.load(Ordering::Acquire)
    }

    fn decide(&self, decision: u8) -> bool {
        self.0.decide(decision)
    }
}

impl GateState {
    fn decide(&self, decision: u8) -> bool {
        self.decision.compare_exchange(OPEN, decision, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Registers the job with the process that waits at the gate.
    fn admit(&self, pid: u32) -> bool {
        match self.job.begin(pid) {
            Ok(()) => self.registered.store(true, Ordering::Release),
            Err(refusal @ Refusal::Silent(_)) if self.best_effort => {
                let why = refusal.into_failure("register the job");
                tell(&format!("guardian: {why}; running it unprotected"));
            }
            Err(refusal) => {
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                return false;
            }
        }
        self.decide(ADMITTED)
    }
}

/// Begins the command, once the job is registered.
pub(super) fn begin(command: Command, gate: &Gate, signals: &HeldSignals) -> Begun {
    let (tell_begun, begun) = mpsc::channel();
    let (state, mask) = (Arc::clone(&gate.0), signals.before());
    let thread = std::thread::Builder::new().name("guardian-start".to_owned()).spawn(move || {
        // Whoever waits for it may have given up.
        let _ = tell_begun.send(spawn_gated(command, mask, move |pid| state.admit(pid)));
    });
    if let Err(why) = thread {
        return Begun::Failed(why);
    }
    let mut early = Vec::new();
    loop {
        match begun.try_recv() {
            Ok(Ok(child)) => return Begun::Running { child, early },
            Ok(Err(why)) => {
                let refusal = gate.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                return refusal.map_or(Begun::Failed(why), Begun::Refused);
            }
            Err(TryRecvError::Disconnected) => {
                return Begun::Failed(io::Error::other("the thread that starts it ended"));
            }
            Err(TryRecvError::Empty) => {}
        }
        let Ok(Some(Arrived { signal, .. })) = signals.next(SHORT_LOOK) else { continue };
        match signal {
            SIGCHLD | SIGCONT | SIGTTOU => {}
            ending if ENDING.contains(&ending) && gate.decide(CALLED_OFF) => return Begun::CalledOff(ending),
            other => early.push(other),
        }
    }
}

/// Waits for the command, passing signals on. Its status as a shell tells it.
pub(super) fn to_its_end(mut child: Child, early: Vec<i32>, signals: &HeldSignals) -> io::Result<u8> {
    let terminal = Terminal::look();
    for signal in early {
        pass_on(&child, signal);
        if signal == SIGTSTP {
            signals.obey(signal);
        }
    }
    loop {
        if let Some(status) = child.try_wait()? {
            terminal.take_back();
            return Ok(status_of(status));
        }
        let Some(came) = signals.next(LOOK)? else { continue };
        let by_process = came.sender.is_some();
        match came.signal {
            SIGCHLD | SIGTTOU => {}
            SIGTSTP => {
                if by_process {
                    pass_on(&child, SIGTSTP);
                }
                signals.obey(SIGTSTP);
            }
            // We go on by ourselves.
            SIGCONT => pass_on(&child, SIGCONT),
            // Its own signal, to its whole group, must not come back to it.
            signal if by_process && came.sender.is_none_or(|pid| !is(&child, pid)) => pass_on(&child, signal),
            _ => {}
        }
    }
}

fn is(child: &Child, pid: i32) -> bool {
    u32::try_from(pid).is_ok_and(|pid| pid == child.id())
}

/// Its number is still its own: nobody but us collects it.
fn pass_on(child: &Child, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // It may have ended: then the next look tells.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}

/// The foreground of the terminal, if it was ours at the start.
struct Terminal(bool);

impl Terminal {
    fn look() -> Self {
        Self(tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp()))
    }

    /// A command such as a shell moves into a group of its own, and one that is
    /// killed does not give the terminal back.
    fn take_back(&self) {
        if self.0 && tcgetpgrp(io::stdin()).is_ok_and(|group| group != getpgrp()) {
            let _ = tcsetpgrp(io::stdin(), getpgrp());
        }
    }
}

fn status_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        (None, Some(signal)) => status_of_signal(signal),
        (None, None) => u8::MAX,
    }
}

pub(super) fn status_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// 127: there is no such command; 126: it cannot be run.
pub(super) fn status_of_failed(why: &io::Error) -> u8 {
    if why.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Without an agent this process becomes the command.
pub(super) fn unprotected(mut command: Command, program: &OsStr) -> Result<Exit, Failure> {
    use std::os::unix::process::CommandExt;
    let why = command.exec();
    tell(&format!("guardian: failed to run {}: {why}", program.display()));
    Ok(Exit::Command(status_of_failed(&why)))
}
