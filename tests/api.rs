//! The interface over the socket, as its own document tells it: every route,
//! whoever asks, whatever is sent, and however slowly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped is told there")]
#![expect(clippy::print_stdout, reason = "the table of routes is for people")]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;

#[path = "api/bounds.rs"]
mod bounds;
#[path = "api/events.rs"]
mod events;
#[path = "api/fuzz.rs"]
mod fuzz;
#[path = "api/judge.rs"]
mod judge;
#[path = "api/sweeps.rs"]
mod sweeps;
#[path = "api/table.rs"]
mod table;
#[path = "api/wire.rs"]
mod wire;
