//! Words to the service manager (sd_notify(3)). Without one (`NOTIFY_SOCKET`
//! unset) they go nowhere, and that is no failure.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen must not stop the agent.
    let _ = sd_notify::notify(states);
}

/// Start-up is finished.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Going down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
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
    tell(&[NotifyState::Status(&crate::model::escape_control(text))]);
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
    sd_notify::watchdog_enabled()
}
