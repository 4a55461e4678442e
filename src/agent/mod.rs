//! Wiring and supervision: what turns settings into guarded roots and a
//! registry of jobs, for the resident agent and for a command that works alone.

pub mod access;
pub mod alerts;
pub mod blame;
pub mod breakers;
pub mod census;
pub mod chunks;
pub mod chunks_served;
pub mod clock;
pub mod commands;
pub mod demo;
pub mod dry;
pub mod ended;
pub mod engine;
pub mod explain;
pub mod failures;
pub mod feed;
pub mod forbidden;
pub mod forecast;
pub mod guard;
pub mod heart;
pub mod idle_sessions;
pub mod jobs;
pub mod journal;
pub mod log;
pub mod logging;
pub mod metrics;
pub mod pauses;
pub mod plans;
pub mod presence;
pub mod problems;
pub mod recorder;
pub mod references;
pub mod reload;
pub mod roots;
pub mod runs;
pub mod schedule;
pub mod service;
pub mod signals;
pub mod slots;
mod socket;
pub mod standalone;
pub mod state;
pub mod state_dir;
pub mod status;
pub mod surroundings;
pub mod sweeper;
pub mod telling;
pub mod turns;
pub mod vault;

#[cfg(test)]
mod tests;

pub(crate) use crate::model::with_causes as chain;
