//! The stop: the socket accepts no more, running batches end, what is in
//! memory becomes durable.
//!
//! Promises: everything joins within a deadline, or what still ran is named.

use std::time::{Duration, Instant};

use crate::agent::clock::note_clock;
use crate::agent::{chain, socket};
use crate::sys::clock;

use super::error::STOP_DEADLINE;
use super::{Running, ServiceError};

impl Running {
    /// Stops everything: the socket accepts no more, running batches end, what
    /// is in memory becomes durable.
    pub fn stop(self) -> Result<(), ServiceError> {
        let deadline = Instant::now() + STOP_DEADLINE;
        let agent = &self.agent;
        // Its value is read by the socket alone; without it nobody is left to tell.
        let _ = self.shutdown.send(true);
        agent.stop.raise();
        fail::fail_point!("stopping");
        agent.runs.close("the agent stops");
        agent.engine.alerts.hooks().stop();
        agent.engine.events.close();
        agent.stir.bell.ring();
        agent.schedule_bell.ring();
        agent.desk.mover.ring();
        agent.desk.remover.ring();
        agent.presence_bell.ring();
        agent.manager_bell.ring();
        if let Some(audit) = &agent.engine.audit {
            audit.wake();
        }
        let mut still = Vec::new();
        for (name, handle) in self.workers {
            while !handle.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if handle.is_finished() {
                if handle.join().is_err() {
                    tracing::error!(worker = name, "a worker panicked");
                }
            } else {
                still.push(name);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let served = self.runtime.block_on(async { tokio::time::timeout(left, self.serving).await });
        if served.is_err() {
            still.push("the socket");
        }
        self.runtime.shutdown_background();
        self.jobs.stop();
        // A doubted time on record would be what the next start believes.
        if let (now, true) = agent.engine.look_at_clock() {
            note_clock(&agent.ledger, now, clock::since_boot());
        }
        if let Err(error) = agent.registry.flush() {
            tracing::warn!(reason = %chain(&error), "the last heartbeats are not on record");
        }
        if !self.ingest.join() {
            still.push("the index's thread");
        }
        agent.engine.recorder.finish();
        if let Some(audit) = &agent.engine.audit
            && let Err(error) = audit.sync()
        {
            tracing::warn!(reason = %chain(&error), "the audit log is not synced");
        }
        if !self.handed {
            socket::remove(&agent.settings().agent.socket);
        }
        if still.is_empty() { Ok(()) } else { Err(ServiceError::StopTooSlow { still: still.join(", ") }) }
    }
}
