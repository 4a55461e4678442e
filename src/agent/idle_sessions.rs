//! Sessions that nobody ended.
//!
//! Promises: one ends only by a clock that can be trusted with ages. Must not know:
//! which files are a session's.

use super::state::Agent;

/// Ends the sessions that had no activity for as long as every root gives them.
/// Their files are for the sweep.
pub fn end_idle_sessions(agent: &Agent) {
    let (now, trusted) = agent.engine.look_at_clock();
    let longest = agent.settings().roots.iter().map(|root| root.retain.sessions).max();
    let Some(limit) = longest.filter(|_| trusted) else { return };
    match agent.references.end_idle(limit, now) {
        Ok(ended) => {
            for session in ended {
                tracing::info!(session = %session.id, last_activity = %session.last_activity, "a session without activity has ended");
            }
        }
        Err(error) => {
            tracing::warn!(reason = %super::chain(&error), "sessions without activity are not ended");
        }
    }
}
