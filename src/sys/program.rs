//! Running somebody else's program for a short while.
//!
//! Promises: a program that reads nothing, or never ends, costs its time and
//! no more; then it goes with its whole process group. Must not know: what
//! for.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};

/// After TERM, before KILL.
const GRACE: Duration = Duration::from_secs(1);
/// How often is asked whether to end early.
const TICK: Duration = Duration::from_millis(200);

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// Its time was over, or it was ended early: killed with its group.
    Killed,
}

/// Runs `program` with `arguments` and nothing else in its environment than
/// `environment`, in `/`, in a process group of its own, with `input` on its
/// stdin and its output thrown away. It has `limit` to end; `stop` ends it before.
///
/// # Errors
/// When it can't be started or waited for.
pub fn run(
    command: &[String],
    environment: &[(&str, String)],
    input: &[u8],
    limit: Duration,
    stop: &dyn Fn() -> bool,
) -> io::Result<Ended> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let deadline = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let followed = follow(&mut child, input, deadline, stop);
    if !matches!(followed, Ok(true)) {
        end(&child, followed.is_err());
    }
    // Only now is its number given up: until here no other group could have it.
    let status = child.wait()?;
    followed.map(|ended| if ended { Ended::Exited(status) } else { Ended::Killed })
}

/// Feeds a program until it has ended (true), or its time is over.
fn follow(child: &mut Child, input: &[u8], deadline: Instant, stop: &dyn Fn() -> bool) -> io::Result<bool> {
    let handle = pidfd_open(pid(child)?, PidfdFlags::empty())?;
    let mut stdin = child.stdin.take();
    if let Some(pipe) = &stdin {
        fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    }
    let mut left = input;
    loop {
        feed(&mut stdin, &mut left)?;
        let now = Instant::now();
        if now >= deadline || stop() {
            return Ok(false);
        }
        if wait(&handle, stdin.as_ref(), TICK.min(deadline - now))? {
            return Ok(true);
        }
    }
}

/// Writes what the pipe takes now; closes it behind the last, or when nobody reads it.
fn feed(stdin: &mut Option<ChildStdin>, left: &mut &[u8]) -> io::Result<()> {
    while let Some(pipe) = stdin {
        match pipe.write(left) {
            _ if left.is_empty() => *stdin = None,
            Ok(0) => *stdin = None,
            Ok(written) => *left = left.get(written..).unwrap_or_default(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(()),
                io::ErrorKind::Interrupted => {}
                // It does not want to know.
                io::ErrorKind::BrokenPipe => *stdin = None,
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Waits until the process has ended (true), or it can be written to, or `limit` is over.
fn wait(handle: &OwnedFd, stdin: Option<&ChildStdin>, limit: Duration) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(handle, PollFlags::IN)];
    fds.extend(stdin.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT)));
    let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds.first().is_some_and(|fd| fd.revents().contains(PollFlags::IN)))
}

fn pid(child: &Child) -> io::Result<Pid> {
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Ends a group: asked first, then killed, whoever is left of it. Its leader is
/// not collected yet, so that the group is still this one.
fn end(child: &Child, at_once: bool) {
    let Ok(group) = pid(child) else { return };
    let deadline = Instant::now() + GRACE;
    // Who is gone already needs no signal.
    let _ = kill_process_group(group, Signal::TERM);
    let has_ended = || {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(group), look), Ok(Some(_)) | Err(_))
    };
    while !at_once && !has_ended() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = kill_process_group(group, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::trees::tree_alone;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    fn never() -> bool {
        false
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gets_its_input_and_nothing_of_our_environment() {
        let tree = tree_alone();
        let (out, env) = (tree.at(b"out"), tree.at(b"env"));
        let script = format!("cat > {}; env > {}; pwd >> {1}; exit 3", out.display(), env.display());
        // More than a pipe holds.
        let input = vec![b'x'; 300_000];
        let set = [("PATH", "/usr/bin:/bin".to_owned()), ("GUARDIAN_X", "y z".to_owned())];
        let ended = run(&sh(&script), &set, &input, LONG, &never).unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)), "{ended:?}");
        assert_eq!(std::fs::read(out).unwrap(), input);
        let env = std::fs::read_to_string(env).unwrap();
        assert!(env.contains("GUARDIAN_X=y z\n") && env.ends_with("/\n"), "{env}");
        assert!(!env.contains("HOME=") && !env.contains("CARGO"), "{env}");
    }

    #[test]
    fn one_that_reads_nothing_ends_all_the_same() {
        let _tree = tree_alone();
        let input = vec![b'x'; 1_000_000];
        let ended = run(&sh("exit 0"), &[], &input, LONG, &never).unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.success()), "{ended:?}");
        let ended = run(&sh("exec 0<&-; sleep 0.3; exit 7"), &[], &input, LONG, &never).unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(7)), "{ended:?}");
    }

    #[test]
    fn one_that_hangs_goes_with_all_that_it_started() {
        let tree = tree_alone();
        let pids = tree.at(b"pids");
        // Neither it nor its child heeds TERM, nor reads.
        let script =
            format!("trap '' TERM; sleep 600 & echo $! > {0}.new; mv {0}.new {0}; sleep 600", pids.display());
        let begun = Instant::now();
        let input = vec![b'x'; 1_000_000];
        let limit = Duration::from_secs(2);
        let ended =
            run(&sh(&script), &[("PATH", "/usr/bin:/bin".to_owned())], &input, limit, &never).unwrap();
        assert!(matches!(ended, Ended::Killed) && begun.elapsed() >= limit, "{ended:?}");
        let child: u32 = std::fs::read_to_string(pids).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        // Killed at once; collected by whoever inherits it.
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while lives() {
            assert!(Instant::now() < deadline, "its child lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn it_can_be_ended_early_and_a_missing_one_is_an_error() {
        let _tree = tree_alone();
        let begun = Instant::now();
        let ended =
            run(&sh("sleep 600"), &[("PATH", "/usr/bin:/bin".to_owned())], b"", LONG, &|| true).unwrap();
        assert!(matches!(ended, Ended::Killed) && begun.elapsed() < LONG, "{ended:?}");
        let none = ["/nonexistent/program".to_owned()];
        assert_eq!(run(&none, &[], b"", LONG, &never).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
