//! A command as a child that begins only once it is admitted, and the signals
//! that are meant for it.
//!
//! Promises: the command does not run before it is admitted, nor ever when
//! whoever admits it dies first; no signal is lost between the fork and the
//! wait; what the caller ignored (`nohup`) stays ignored. Must not know: jobs,
//! the agent.

#![expect(
    unsafe_code,
    reason = "a gate before exec, and signals with their origin, which rustix does not offer"
)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Starts `command` as a child that waits at a gate, with the signals of `mask`
/// blocked. `admit` is called with the child's number, on a thread of its own;
/// the command begins if it says yes, and the child ends without it otherwise.
///
/// # Errors
/// What kept the child from being made or the command from beginning;
/// `ECANCELED` when it was not admitted.
pub fn spawn_gated(
    mut command: Command,
    mask: SignalMask,
    admit: impl FnOnce(u32) -> bool + Send + 'static,
) -> io::Result<Child> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let other_end = ours.as_raw_fd();
    let gate = move || {
        // SAFETY: this is the child, where nothing else uses its copy of the
        // descriptor; while it were open here, the end of whoever admits would not be seen.
        unsafe { rustix::io::close(other_end) };
        // SAFETY: the set is valid. Held signals do to the command what they usually do.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, std::ptr::null_mut()) };
        wait_at_gate(&theirs)
    };
    // SAFETY: between fork and exec the closure only makes system calls
    // (close, sigprocmask, getpid, write, read): it neither allocates nor locks.
    unsafe { command.pre_exec(gate) };
    let keeper = std::thread::Builder::new().name("guardian-gate".to_owned()).spawn(move || {
        let mut number = [0; 4];
        // Less than a number: the child was not made, or is gone.
        if read_all(&ours, &mut number) && admit(u32::from_ne_bytes(number)) {
            // The child may have been killed at the gate: then there is nothing to begin.
            let _ = rustix::net::send(&ours, &[1], rustix::net::SendFlags::NOSIGNAL);
        }
    })?;
    let child = command.spawn();
    // With our copy of the child's end the keeper would wait for ever for a child that was never made.
    drop(command);
    if keeper.join().is_err() {
        tracing::error!("whoever admits commands has panicked");
    }
    child
}

/// In the child: says which process it is, and waits for leave.
fn wait_at_gate(gate: &OwnedFd) -> io::Result<()> {
    let number = rustix::process::getpid().as_raw_nonzero().get();
    rustix::io::write(gate, &number.to_ne_bytes())?;
    let mut leave = [0];
    if read_all(gate, &mut leave) { Ok(()) } else { Err(Errno::CANCELED.into()) }
}

fn read_all(from: &OwnedFd, mut into: &mut [u8]) -> bool {
    while !into.is_empty() {
        match rustix::io::read(from, &mut *into) {
            Ok(0) => return false,
            Ok(count) => into = &mut into[count..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Which signals a process blocks.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

/// Signals that are taken one by one instead of doing what they usually do.
pub struct HeldSignals {
    set: libc::sigset_t,
    before: SignalMask,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Its number.
    pub signal: i32,
    /// The process that sent it; `None`: the kernel did, for a terminal or a child.
    pub sender: Option<i32>,
}

impl HeldSignals {
    /// Holds `wanted` from now on, in this thread and those it starts. Those
    /// that are ignored stay so.
    ///
    /// # Errors
    /// When the kernel refuses; never for signals that exist.
    pub fn hold(wanted: &[i32]) -> io::Result<Self> {
        // SAFETY: a set of signals is plain data, for which zero is a value, and
        // each call gets valid pointers to it.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for &signal in wanted {
                let mut now: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &raw mut now) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // A child whose end is ignored leaves no status behind.
                if signal == libc::SIGCHLD {
                    libc::signal(signal, libc::SIG_DFL);
                } else if now.sa_sigaction == libc::SIG_IGN {
                    continue;
                }
                libc::sigaddset(&raw mut set, signal);
            }
            let mut before: libc::sigset_t = std::mem::zeroed();
            match libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) {
                0 => Ok(Self { set, before: SignalMask(before) }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }

    /// Lets a held signal do to this process what it usually does: for one that stops it.
    pub fn obey(&self, signal: i32) {
        // SAFETY: the set is plain data, and each call gets valid pointers to it;
        // a process may send itself any signal.
        unsafe {
            let mut one: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut one);
            libc::sigaddset(&raw mut one, signal);
            libc::raise(signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const one, std::ptr::null_mut());
            // Here it is stopped, until somebody lets it go on.
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const one, std::ptr::null_mut());
        }
    }

    /// What was blocked before: for a command that gets its signals as usual.
    pub const fn before(&self) -> SignalMask {
        self.before
    }

    /// The next of them; `None` when the time is over.
    ///
    /// # Errors
    /// When the kernel refuses; never for a set that is held.
    pub fn next(&self, longest: Duration) -> io::Result<Option<Arrived>> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(longest.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: longest.subsec_nanos().into(),
        };
        // SAFETY: all three pointers are valid for the call, and the kernel
        // fills in the description of a signal that it returns.
        let (signal, info) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            (libc::sigtimedwait(&raw const self.set, &raw mut info, &raw const timeout), info)
        };
        if signal < 0 {
            let error = io::Error::last_os_error();
            return match Errno::from_io_error(&error) {
                // Over, or the process was stopped and goes on.
                Some(Errno::AGAIN | Errno::INTR) => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: codes up to 0 are those of kill(2) and its kin, which name the sender (sigaction(2)).
        let sender = (info.si_code <= 0).then(|| unsafe { info.si_pid() });
        Ok(Some(Arrived { signal, sender }))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::sync::mpsc;

    use super::*;
    use crate::sys::trees::tree_alone;

    fn quiet(program: &str) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn none() -> SignalMask {
        HeldSignals::hold(&[]).unwrap().before()
    }

    #[test]
    fn a_command_begins_only_when_it_is_admitted_and_keeps_its_number() {
        // A child at the gate holds what this process has open.
        let _alone = tree_alone();
        let (tell, told) = mpsc::channel();
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let mut command = quiet("touch");
        command.arg(&mark);
        let seen = mark.clone();
        let admit = move |pid| {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            tell.send((pid, state.contains(") Z "), seen.exists())).unwrap();
            true
        };
        let mut child = spawn_gated(command, none(), admit).unwrap();
        let (pid, dead, begun) = told.recv().unwrap();
        assert_eq!((pid, dead, begun), (child.id(), false, false));
        assert!(child.wait().unwrap().success() && mark.exists());
    }

    #[test]
    fn a_command_that_is_not_admitted_never_begins() {
        // A child at the gate holds what this process has open.
        let _alone = tree_alone();
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let mut command = quiet("touch");
        command.arg(&mark);
        let error = spawn_gated(command, none(), |_| false).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::CANCELED));
        assert!(!mark.exists());
    }

    #[test]
    fn a_command_that_is_not_there_is_told_after_it_was_admitted() {
        // A child at the gate holds what this process has open.
        let _alone = tree_alone();
        let error = spawn_gated(quiet("/nowhere/to/be/found"), none(), |_| true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_signal_is_taken_with_its_sender() {
        // Directed at this thread: the other tests go on undisturbed.
        std::thread::spawn(|| {
            let held = HeldSignals::hold(&[libc::SIGUSR1]).unwrap();
            assert_eq!(held.next(Duration::ZERO).unwrap(), None);
            let own = rustix::process::getpid().as_raw_nonzero().get();
            // SAFETY: a signal to this very thread, which holds it.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
            let came = held.next(Duration::from_secs(10)).unwrap();
            assert_eq!(came, Some(Arrived { signal: libc::SIGUSR1, sender: Some(own) }));
        })
        .join()
        .unwrap();
    }
}
