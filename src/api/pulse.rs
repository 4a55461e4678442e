//! The sign of life of the loop that accepts connections.
//!
//! Promises: it comes from that loop itself, through the timers of its runtime,
//! so that it stops when either hangs. Not by a connection of our own: whoever
//! floods the socket would then decide whether the agent lives. Must not know:
//! who listens.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Called each `every` as long as connections are accepted.
pub struct Pulse {
    /// How often.
    pub every: Duration,
    /// What is called; it must not wait.
    pub beat: Box<dyn Fn() + Send + Sync>,
}

/// A pulse that runs, or none.
pub(super) struct Beating(Option<(Interval, Box<dyn Fn() + Send + Sync>)>);

impl Beating {
    /// Inside a runtime.
    pub(super) fn begin(pulse: Option<Pulse>) -> Self {
        Self(pulse.map(|Pulse { every, beat }| {
            let mut interval = interval(every.max(Duration::from_millis(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            (interval, beat)
        }))
    }

    /// Beats when it is time.
    pub(super) async fn turn(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            Some((interval, beat)) => {
                interval.tick().await;
                fail::fail_point!("socket");
                beat();
            }
        }
    }
}
