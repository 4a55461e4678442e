//! What the agent itself costs.

#![expect(unsafe_code, reason = "the allocator reads its settings from a symbol")]

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

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How the allocator is set (jemalloc(3), TUNING). Two hundred requests at once have
/// as many threads: what each keeps for itself is bound (20 pieces of a size, up to
/// 2 KiB), or it was 155 MiB instead of 55; and all share four heaps. What is free
/// for a second goes back to the kernel, on a thread of the allocator's own: an
/// idle agent gives back what its last work needed.
const SETTINGS: &std::ffi::CStr =
    c"narenas:4,tcache_max:2048,tcache_nslots_small_max:20,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true";

/// Where the allocator looks for them before anything else runs.
// SAFETY: the name and type are those of jemalloc's `malloc_conf` (a pointer to a
// string that is never written), and nothing else here has that name.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SET: Option<&'static std::ffi::c_char> = {
    // SAFETY: the string lives for ever, and its first byte can be borrowed as long.
    Some(unsafe { &*SETTINGS.as_ptr() })
};

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_process_has_memory() {
        assert!(super::own_footprint().unwrap().resident > 100_000);
    }

    #[test]
    fn the_allocator_takes_its_settings() {
        assert_eq!(tikv_jemalloc_ctl::opt::narenas::read().unwrap(), 4);
        assert!(tikv_jemalloc_ctl::background_thread::read().unwrap());
    }
}
