//! guardian keeps storage hosts from running full.
//!
//! The index nominates, policy decides, the filesystem confirms, the ledger
//! remembers. Each of these has one room (a top-level module), and imports
//! point downward only; `tests/architecture.rs` holds the floors:
//!
//! | floor | rooms |
//! |---|---|
//! | 0 | [`model`] |
//! | 1 | [`policy`], [`config`] |
//! | 2 | [`sys`] |
//! | 3 | [`store`] |
//! | 4 | [`watch`], [`ingest`], [`usage`], [`sweep`] |
//! | 5 | [`api`] |
//! | 6 | [`agent`], [`cli`] |

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod ingest;
pub mod model;
pub mod policy;
pub mod store;
pub mod sweep;
pub mod sys;
pub mod usage;
pub mod watch;
