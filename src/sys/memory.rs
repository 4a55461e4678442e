//! What the agent itself costs.

#![expect(unsafe_code, reason = "no crate at hand offers malloc_trim and mallopt")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The agent's own consumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Resident memory in bytes.
    pub resident: u64,
    /// Processor time since its start, in milliseconds.
    pub cpu_millis: u64,
}

/// How long a measurement is given out: whoever asks more often does not get
/// more, and asking `/proc` takes longer than all else of an answer.
const FRESH: Duration = Duration::from_secs(1);

/// Measures the running process, at most once a second. `None` when `/proc` does not tell.
pub fn own_footprint() -> Option<Footprint> {
    static LAST: Mutex<Option<(Instant, Footprint)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, footprint)) = *last
        && at.elapsed() < FRESH
    {
        return Some(footprint);
    }
    let footprint = measure()?;
    *last = Some((Instant::now(), footprint));
    Some(footprint)
}

fn measure() -> Option<Footprint> {
    let own = Pid::from_u32(std::process::id());
    let mut system = System::new().ok()?;
    let wanted = ProcessRefreshKind::nothing().with_memory().with_cpu();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, wanted);
    let process = system.process(own)?;
    Some(Footprint { resident: process.memory(), cpu_millis: process.accumulated_cpu_time() })
}

/// Has all threads share two heaps (mallopt(3)). By itself glibc makes eight for
/// each processor, of which each keeps what its threads once needed: two hundred
/// requests at once left 60 MiB behind, with two heaps 46. To be called before
/// there are threads.
pub fn share_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes numbers, and changes only which heap is taken from now on.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives memory that was freed back to the kernel (malloc_trim(3)), which glibc
/// does by itself only at the end of a heap.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number and works on the allocator's own state, under its locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_process_has_memory() {
        assert!(super::own_footprint().unwrap().resident > 100_000);
    }
}
