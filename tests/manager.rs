//! The agent and the service manager: the socket it hands over, and what it is told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped or failed is told there")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

#[path = "manager/activation.rs"]
mod activation;
#[path = "manager/notify.rs"]
mod notify;
#[path = "manager/reload.rs"]
mod reload;
#[path = "manager/told.rs"]
mod told;
#[path = "manager/watchdog.rs"]
mod watchdog;
