//! What the service manager is told while the agent runs: that it lives,
//! and how full the roots are.
//!
//! Promises: on a thread of its own, so that a long reload, a long sweep or a
//! manager that does not listen keeps nobody waiting; the watchdog is fed only
//! while all parts keep their promises, and silence is one line in the log. A
//! network mount that is gone, a slow disk and removals that are paused are no
//! silence: nothing that promises here waits for them. Must not know: how parts
//! work.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::state::Agent;
use crate::model::TimeSpan;
use crate::policy::{Silent, silent};
use crate::sys::{clock, notify_service};

/// Without a watchdog nothing has to be said by a certain time.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often the watchdog is fed in the time in which it wants to be: one that
/// comes late is made up for by the next.
const FEEDINGS: u32 = 4;

/// How often parts have to be heard for a watchdog of this interval.
pub(super) fn beat_interval() -> Option<Duration> {
    notify_service::watchdog_interval().map(|interval| interval / FEEDINGS)
}

/// Tells the manager until the agent stops.
pub(super) fn work(agent: &Arc<Agent>) {
    let mut watchdog = notify_service::watchdog_interval().map(|interval| Watchdog::new(agent, interval));
    let mut said = agent.status.line();
    while !agent.stop.is_raised() {
        let line = agent.status.line();
        if line != said {
            notify_service::status(&line);
            said = line;
        }
        let pause = watchdog.as_mut().map_or(LONGEST, |watchdog| watchdog.turn(agent));
        agent.manager_bell.wait(pause);
    }
}

struct Watchdog {
    interval: Duration,
    due: Duration,
    /// What was told of in the log.
    silent: Option<&'static str>,
}

impl Watchdog {
    fn new(agent: &Agent, interval: Duration) -> Self {
        agent.heart.begin();
        Self { interval, due: clock::awake(), silent: None }
    }

    /// Feeds it if it is time and everybody lives; how long until the next turn.
    fn turn(&mut self, agent: &Agent) -> Duration {
        let now = clock::awake();
        let Some(overslept) = now.checked_sub(self.due) else { return self.due.saturating_sub(now) };
        self.due = now + self.interval / FEEDINGS;
        match silent(&agent.heart.promises(), now, self.interval / 2, overslept) {
            None => {
                if let Some(part) = self.silent.take() {
                    tracing::info!(part, "it is heard again: the watchdog is fed");
                }
                notify_service::watchdog();
            }
            Some(Silent { part, late }) => {
                if self.silent.replace(part) != Some(part) {
                    let late = TimeSpan(late);
                    tracing::error!(
                        part,
                        "{part} is silent and {late} late: the watchdog is not fed, so that the service manager starts the agent anew"
                    );
                }
            }
        }
        self.interval / FEEDINGS
    }
}
