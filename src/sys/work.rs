//! How much threads of this process have done: whether somebody works or waits
//! for something that never comes.
//!
//! Promises: what can't be read counts as nothing. Must not know: what the
//! threads are for.

use std::fs;
use std::path::Path;

/// Whose work is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The first thread's.
    Main,
    /// All others', but that of who asks.
    Others,
}

/// Less than this is no work, but threads that look whether there is some.
const LEAST_TICKS: u64 = 4;
/// The same for bytes and calls.
const LEAST_TRANSFERRED: u64 = 256 << 10;

/// Work so far: it only grows as long as the threads are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Clock ticks on a processor.
    ticks: u64,
    /// Calls that read or write, and bytes.
    transferred: u64,
}

impl Work {
    /// So much.
    #[cfg(test)]
    pub(crate) const fn of(ticks: u64, transferred: u64) -> Self {
        Self { ticks, transferred }
    }

    /// Whether somebody worked since then, and did not only wake up.
    pub const fn is_more_than(&self, before: &Self) -> bool {
        self.ticks.saturating_sub(before.ticks) >= LEAST_TICKS
            || self.transferred.saturating_sub(before.transferred) >= LEAST_TRANSFERRED
    }
}

/// What was done so far.
pub fn done(whose: Whose) -> Work {
    let main = rustix::process::getpid().as_raw_nonzero().get().to_string();
    let own = rustix::thread::gettid().as_raw_nonzero().get().to_string();
    let mut all = Work::default();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = thread.file_name();
        let wanted = match whose {
            Whose::Main => name == *main,
            Whose::Others => name != *main && name != *own,
        };
        if wanted {
            all.ticks = all.ticks.saturating_add(ticks(&thread.path()));
            all.transferred = all.transferred.saturating_add(transferred(&thread.path()));
        }
    }
    all
}

/// Fields 14 and 15 of `stat` (proc_pid_stat(5)), counted from behind the name.
fn ticks(thread: &Path) -> u64 {
    let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn transferred(thread: &Path) -> u64 {
    let io = fs::read_to_string(thread.join("io")).unwrap_or_default();
    io.lines().filter_map(|line| line.split(": ").nth(1)?.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;

    /// What one thread has done.
    fn of(tid: i32) -> (u64, u64) {
        let thread = format!("/proc/self/task/{tid}");
        (ticks(Path::new(&thread)), transferred(Path::new(&thread)))
    }

    #[test]
    fn who_works_is_seen_working_and_who_waits_is_not() {
        let (told, tid) = channel();
        let (go, wait) = channel::<()>();
        let thread = std::thread::spawn(move || {
            told.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            wait.recv().unwrap();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(200) {}
            let _ = fs::read("/proc/self/stat");
            told.send(0).unwrap();
            wait.recv().unwrap();
        });
        let tid_of = tid.recv().unwrap();
        let waiting = of(tid_of);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(of(tid_of), waiting, "it waits");
        go.send(()).unwrap();
        tid.recv().unwrap();
        let worked = of(tid_of);
        assert!(worked.0 > waiting.0 && worked.1 > waiting.1, "{waiting:?} {worked:?}");
        assert_ne!(done(Whose::Main), Work::default());
        go.send(()).unwrap();
        thread.join().unwrap();
    }
}
