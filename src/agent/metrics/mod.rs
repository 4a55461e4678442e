//! Figures for monitoring: counted as things happen, and gathered when somebody asks.
//!
//! Promises: a scrape asks no volume, reads no tree and takes no lock that a
//! sweep waits on; nothing that goes wrong here keeps the agent from cleaning.
//! Must not know: HTTP.

mod gather;
mod meters;
pub mod serving;
mod textfile;

#[cfg(test)]
mod tests;

pub use meters::Meters;

use super::state::Agent;
use crate::api::metrics::written;

/// All figures of this moment as OpenMetrics text.
///
/// # Errors
/// Never by itself: writing text to memory.
pub fn text(agent: &Agent) -> Result<String, std::fmt::Error> {
    written(agent.engine.meters.registry(), gather::figures(agent))
}
