//! Words to the service manager (sd_notify(3)). Without one (`NOTIFY_SOCKET`
//! unset) they go nowhere, and that is no failure.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::model::escape_control;

fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen must not stop the agent.
    let _ = sd_notify::notify(states);
}

/// Whether there is a manager that wants to be told anything.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Start-up or a reload is finished; and how it is.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&escape_control(text))]);
}

/// Going down.
pub fn stopping(text: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&escape_control(text))]);
}

/// Reading the configuration again; [`ready`] ends it.
pub fn reloading() {
    // The manager wants to know since when, by the monotonic clock.
    match NotifyState::monotonic_usec_now() {
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    // A line break would begin another variable of the protocol.
    tell(&[NotifyState::Status(&escape_control(text))]);
}

/// Still alive.
pub fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// Start-up or shutdown takes this much longer.
pub fn extend_timeout(by: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
}

/// How often the manager wants to hear [`watchdog`], if at all.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}
