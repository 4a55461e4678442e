//! Processes: telling one from a later one with the same number, and waiting for the end of several.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getegid, geteuid, pidfd_open};

use crate::model::ProcessId;

use super::{SysError, clock};

/// When process `pid` started, in clock ticks since boot. `None`: there is no such process.
pub fn start_ticks(pid: u32) -> Option<u64> {
    parse_start(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may hold spaces and brackets; the last bracket ends it.
fn parse_start(stat: &[u8]) -> Option<u64> {
    let after = stat.iter().rposition(|b| *b == b')')? + 1;
    std::str::from_utf8(&stat[after..]).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The process that has the number `pid` now; `Ok(None)` when there is none.
pub fn identify(pid: u32) -> Result<Option<ProcessId>, SysError> {
    let Some(start_ticks) = start_ticks(pid) else { return Ok(None) };
    Ok(Some(ProcessId { pid, start_ticks, boot_id: clock::boot_id()? }))
}

/// Whether this very process runs (or is a zombie not yet collected).
pub fn is_alive(process: &ProcessId) -> bool {
    start_ticks(process.pid) == Some(process.start_ticks)
        && clock::boot_id().is_ok_and(|boot| boot == process.boot_id)
}

/// The user a process runs as; `None` when it is gone.
pub fn uid_of(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// Our own effective user and group.
pub fn own_ids() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

/// A process that is followed to its end.
#[derive(Debug)]
pub struct Followed {
    fd: OwnedFd,
    process: ProcessId,
}

impl Followed {
    /// Begins to follow a process. `Ok(None)`: it has ended already.
    pub fn open(process: &ProcessId) -> Result<Option<Self>, SysError> {
        let number = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = number else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Asked after opening: now the number cannot pass to another process unseen.
            Ok(fd) => Ok(is_alive(process).then(|| Self { fd, process: process.clone() })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(SysError::io("follow process", format!("/proc/{}", process.pid), error)),
        }
    }

    /// Which process it is.
    pub const fn process(&self) -> &ProcessId {
        &self.process
    }
}

/// Ends a wait from another thread.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// A waker that has not been used.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes the current wait, or else the next one, return at once.
    pub fn wake(&self) {
        // Fails only when the counter is full: then the wait is ending anyway.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn reset(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

/// Waits until one of the processes has ended, `waker` is used, or the time is
/// over. Returns the places in `followed` of those that have ended.
pub fn wait_for_end(
    followed: &[Followed],
    waker: &Waker,
    timeout: Option<Duration>,
) -> io::Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> = followed
        .iter()
        .map(|process| PollFd::from_borrowed_fd(process.fd.as_fd(), PollFlags::IN))
        .chain([PollFd::from_borrowed_fd(waker.0.as_fd(), PollFlags::IN)])
        .collect();
    let limit = timeout.map(|span| Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    });
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) => {}
        // A signal: the caller looks at the world and waits again.
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    waker.reset();
    let ended = |place: &usize| fds.get(*place).is_some_and(|fd| !fd.revents().is_empty());
    Ok((0..followed.len()).filter(ended).collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;
    use crate::sys::trees::tree_alone;

    #[test]
    fn a_process_is_followed_to_its_end() {
        let _alone = tree_alone();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let id = identify(child.id()).unwrap().unwrap();
        assert!(is_alive(&id));
        assert_eq!(uid_of(id.pid), Some(own_ids().0));
        let followed = [Followed::open(&id).unwrap().unwrap()];
        let waker = Waker::new().unwrap();
        assert!(wait_for_end(&followed, &waker, Some(Duration::ZERO)).unwrap().is_empty());
        drop(child.stdin.take());
        assert_eq!(wait_for_end(&followed, &waker, Some(Duration::from_secs(10))).unwrap(), [0]);
        child.wait().unwrap();
        assert!(!is_alive(&id));
        assert!(Followed::open(&id).unwrap().is_none());
    }

    #[test]
    fn another_process_under_the_same_number_is_not_the_one() {
        let own = identify(std::process::id()).unwrap().unwrap();
        assert!(is_alive(&own));
        assert!(!is_alive(&ProcessId { start_ticks: own.start_ticks + 1, ..own.clone() }));
        assert!(!is_alive(&ProcessId { boot_id: "another".to_owned(), ..own.clone() }));
        for pid in [0, u32::MAX] {
            assert!(Followed::open(&ProcessId { pid, ..own.clone() }).unwrap().is_none());
        }
    }

    #[test]
    fn a_wait_ends_when_it_is_woken() {
        let waker = Waker::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            let begin = Instant::now();
            assert!(wait_for_end(&[], &waker, Some(Duration::from_secs(20))).unwrap().is_empty());
            assert!(begin.elapsed() < Duration::from_secs(15));
        });
    }

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = b"7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_start(stat), Some(4242));
        assert_eq!(parse_start(b"7 (a"), None);
    }
}
