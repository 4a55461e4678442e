//! HTTP over the Unix socket: routes, wire types, who may do what.
//!
//! Promises: every request is answered within its limits (size, time, number
//! of connections), every failure as `application/problem+json`; unknown
//! fields and parameters are refused, never ignored; nothing that changes
//! something is done for a peer who may not.
//!
//! Must not know: system calls, the store, sweeping. It sends [`Commands`].

mod access;
mod answers;
mod body;
mod commands;
mod error;
mod events;
mod kept;
pub mod metrics;
mod openapi;
mod params;
mod patience;
mod places;
mod pulse;
mod references;
mod refusals;
mod routes;
mod seats;
mod segments;
mod server;
mod under_way;
mod wire;

pub use access::PeerIdentity;
pub use commands::Commands;
pub use error::{ApiError, Problem};
pub use events::{EventId, EventReader, Events};
pub use kept::KeptCommands;
pub use pulse::Pulse;
pub use references::ReferenceCommands;
pub use server::serve;
pub use wire::*;
