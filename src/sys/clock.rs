//! What time it is, by two clocks, and whether the first can be believed.

#![expect(unsafe_code, reason = "rustix does not offer adjtimex")]

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

use super::SysError;

/// Wall-clock time now.
pub fn now() -> Timestamp {
    #[cfg(test)]
    if let Some((wall, _)) = told::NOW.get() {
        return wall;
    }
    let time = clock_gettime(ClockId::Realtime);
    // The kernel keeps nanoseconds below a billion.
    Timestamp::from_unix(time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Waits until whatever is stamped by the kernel has a later time than `at`,
/// which is not in the future: file systems stamp by a clock that lags by up
/// to a tick (`CLOCK_REALTIME_COARSE`).
pub fn wait_until_stamps_pass(at: Timestamp) {
    let begun = since_boot();
    loop {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        let stamp = Timestamp::from_unix(time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0));
        // A clock that was set back meanwhile is not waited for.
        if stamp > at || since_boot().saturating_sub(begun) > Duration::from_millis(50) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Time since boot, suspended time included: it never jumps (clock_gettime(2), `CLOCK_BOOTTIME`).
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let time =
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    #[cfg(test)]
    if let Some((_, ahead)) = told::NOW.get() {
        return time + ahead;
    }
    time
}

/// Time since boot without the time in which the host was suspended: whoever
/// sleeps for a span by this clock is not late after a suspension
/// (clock_gettime(2), `CLOCK_MONOTONIC`).
pub fn awake() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A time that a test tells the thread it runs on.
#[cfg(test)]
pub(crate) mod told {
    use std::cell::Cell;
    use std::time::Duration;

    use crate::model::Timestamp;

    thread_local! {
        /// What the wall clock says, and how far the other one is ahead of the kernel's.
        pub(super) static NOW: Cell<Option<(Timestamp, Duration)>> = const { Cell::new(None) };
    }

    /// From now on it is `began` and `span` more: the wall clock stands until it
    /// is told anew, the other one goes on from there.
    pub(crate) fn tell(began: Timestamp, span: Duration) {
        NOW.set(Some((began.plus(span), span)));
    }
}

/// The name of this boot.
pub fn boot_id() -> Result<String, SysError> {
    let path = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|e| SysError::io("read boot id from", path, e))
}

/// systemd-timesyncd(8) touches it each time the clock was synchronised, at most 34 minutes apart.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// How long a mark counts. Less than a jump that casts doubt (an hour): after
/// one, an old mark must not vouch for the new time.
const MARK_HOLDS: Duration = Duration::from_secs(45 * 60);

/// Whether a time service keeps the wall clock right (adjtimex(2), `STA_UNSYNC`).
/// Where the kernel may not be asked (`ProtectClock=` of the unit), what
/// systemd-timesyncd says. False also when nobody answers.
pub fn time_is_synchronised() -> bool {
    // SAFETY: timex is a plain C struct for which all zeroes is a valid value;
    // modes = 0 only reads, and the kernel fills the struct we own.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (state, timex.status)
    };
    match state {
        -1 => mark_holds(Path::new(TIMESYNC_MARK)),
        state => state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0,
    }
}

/// Whether a mark was touched lately by the wall clock of now.
fn mark_holds(mark: &Path) -> bool {
    let touched = std::fs::symlink_metadata(mark).and_then(|meta| meta.modified());
    touched.is_ok_and(|touched| touched.elapsed().is_ok_and(|age| age <= MARK_HOLDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_another_time_vouches_for_nothing() {
        let mark = tempfile::NamedTempFile::new().unwrap();
        let touch = |time| mark.as_file().set_modified(time).unwrap();
        let now = std::time::SystemTime::now();
        assert!(mark_holds(mark.path()));
        touch(now - MARK_HOLDS - Duration::from_secs(60));
        assert!(!mark_holds(mark.path()), "the clock jumped ahead, or the service is gone");
        touch(now + Duration::from_secs(60));
        assert!(!mark_holds(mark.path()), "the clock jumped back");
        assert!(!mark_holds(Path::new("/nowhere/at/all")));
    }

    #[test]
    fn both_clocks_go_forward() {
        let (wall, boot) = (now(), since_boot());
        assert!(wall > Timestamp::from_unix(1_700_000_000, 0));
        assert!(since_boot() >= boot && !boot.is_zero());
        assert_eq!(boot_id().unwrap().len(), 36);
        // Either answer is right; asking must not fail or change anything.
        assert_eq!(time_is_synchronised(), time_is_synchronised());
    }
}
