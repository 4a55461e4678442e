//! What comes first on a busy host, and what gives way.
//!
//! Promises: the agent goes a little ahead of others, as far as it is permitted
//! to; quiet work, with the threads it starts, takes processor and disk after
//! everybody else's. Only for work that nobody waits for: an emergency must not
//! come second to whoever fills the volume.

#![expect(unsafe_code, reason = "no crate at hand offers ioprio_set")]

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Beside a thread of usual priority one of this gets a quarter of a processor,
/// and all of it where nobody else wants it (sched(7): a factor of 1.25 for each
/// step). No more: an emergency waits for the batch that is under way.
const NICE: i32 = 5;

/// Of the agent itself: beside whoever fills a volume with all processors it gets
/// three times the share.
const AHEAD: i32 = -5;

/// The last of the best-effort class (ioprio_set(2)): unlike the idle class it is never starved.
const LAST_OF_BEST_EFFORT: libc::c_int = (2 << 13) | 7;

/// ioprio_set(2): the number is that of a thread.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;

/// Puts the calling thread, and those it starts, a little ahead of others. Where
/// somebody has chosen a priority already, or the privilege is missing, nothing changes.
pub fn go_ahead() {
    let now = rustix::process::getpriority_process(None);
    if now == Ok(0)
        && let Err(error) = rustix::process::setpriority_process(None, AHEAD)
    {
        tracing::debug!(%error, "the agent runs at the usual priority");
    }
}

/// Does `work` on a thread of its own that gives way. A thread can't be raised
/// again without privileges, and hands its priority on to those that it starts.
pub fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("guardian-quiet".to_owned());
        let spawned = thread.spawn_scoped(scope, || {
            give_way();
            take().map(|work| work())
        });
        spawned.ok().and_then(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match done {
        Some(done) => done,
        // No thread could be had: then at once, rather than never.
        None => match take() {
            Some(work) => work(),
            None => unreachable!("whoever took the work has done it, or its panic went on"),
        },
    }
}

/// Lowers the calling thread.
fn give_way() {
    // nice(2) is per thread on Linux. Lower is always permitted; where it is not, it is only less polite.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "quiet work runs at the usual priority");
    }
    // SAFETY: takes numbers only, and changes nothing but the calling thread's I/O priority.
    let set = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, LAST_OF_BEST_EFFORT) };
    if set != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "quiet work writes at the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn the_agent_goes_ahead_where_it_may_and_where_nobody_chose_otherwise() {
        let (first, then) = std::thread::spawn(|| {
            go_ahead();
            let first = nice();
            rustix::process::setpriority_process(None, 7).unwrap();
            go_ahead();
            (first, nice())
        })
        .join()
        .unwrap();
        assert!(first == AHEAD || first == 0, "{first}");
        assert_eq!(then, 7);
    }

    #[test]
    fn quiet_work_and_its_threads_give_way_and_whoever_asked_does_not() {
        let before = nice();
        let inside = giving_way(|| (nice(), std::thread::spawn(nice).join().unwrap()));
        assert_eq!(inside, (before.max(NICE), before.max(NICE)));
        assert_eq!(nice(), before);
    }

    #[test]
    fn a_panic_in_quiet_work_is_one_of_whoever_asked_for_it() {
        let caught = std::panic::catch_unwind(|| giving_way(|| panic!("in vain")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"in vain"));
    }
}
