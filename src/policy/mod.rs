//! Pure decisions: what may go and why, when a volume is too full, how fast to
//! look, how much to take at once, and when to stop.
//!
//! Promises: the same arguments give the same answer; every decision returns
//! its reason with the numbers behind it. Must not know: files, clocks (time
//! is an argument), threads, the configuration's text.

mod classify;
mod globs;
mod naming;
mod registry;
mod rules;

pub use classify::{Detail, DirContext, Verdict, classify};
pub use globs::Globs;
pub use naming::{MAX_PAIRS, PathReadings, PatternError, Patterns, Reading};
pub use registry::{JobFacts, JobsView, Ownership};
pub use rules::{Moment, NoReferences, References, Retain, RootRules};
