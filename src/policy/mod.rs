//! Pure decisions: what may go and why, when a volume is too full, how fast to
//! look, how much to take at once, and when to stop.
//!
//! Promises: the same arguments give the same answer; every decision returns
//! its reason with the numbers behind it. Must not know: files, clocks (time
//! is an argument), threads, the configuration's text.

mod backoff;
mod batching;
mod breaker;
mod classify;
mod clock_guard;
mod explain;
mod forecast;
mod fuse;
mod futility;
mod given_up;
mod glob_literals;
mod globs;
mod growth;
mod holds;
mod hurry;
mod level;
mod liveness;
mod naming;
mod pace;
mod pressure;
mod pulse;
mod references;
mod registry;
mod retry;
mod rules;
mod schedule;
mod settle;
mod standing;

pub use backoff::{Backoff, FIRST_PAUSE, LONGEST_PAUSE};
pub use batching::next_batch;
pub use breaker::{Breaker, SUSPENSION, Switched, TRIES};
pub use classify::{
    Detail, DirContext, InTree, Obstacle, TreeFold, TreeVerdict, Verdict, classify, classify_in_tree,
    empty_directory_waits, tree_of,
};
pub use clock_guard::{ClockGuard, Doubt, MAX_ABSENCE, MAX_DRIFT};
pub use explain::{CLASSIFIED, Explanation, PhaseVerdict, explain};
pub use forecast::{Forecast, ForecastAlert, ForecastChange, MIN_SAMPLES, MIN_SPAN, Outlook};
pub use fuse::{Amount, Fuse, fuse};
pub use futility::{Aim, POOR_BATCHES, Returns, aim};
pub use given_up::{deferred_until, goes_with_its_tree, speaks_against, trash_until};
pub use glob_literals::literals;
pub use globs::Globs;
pub use growth::Growth;
pub use holds::Holding;
pub use hurry::{HURRY_PAUSE, Haste, hurries};
pub use level::{Crossing, HYSTERESIS_POINTS, LevelState, REPEAT};
pub use liveness::{Presumption, START_GRACE, deadline_after_beat, deadline_after_downtime, presume};
pub use naming::{MAX_PAIRS, PathReadings, PatternError, Patterns, Reading};
pub use pace::{LOOKS, Pace, SHORTEST, SHORTEST_AT_REST, SUDDEN_RATE, next_pause};
pub use pressure::{
    Cause, Marks, Need, Target, emergency_needed, emergency_over, excess_over_high, is_urgent, level,
    resource_needed, resources_to_serve,
};
pub use pulse::{Promise, Silent, silent};
pub use references::{FileAt, ReferenceView, SessionFacts};
pub use registry::{JobFacts, JobsView, Ownership};
pub use retry::pause_after;
pub use rules::{Moment, Retain, RootRules};
pub use schedule::{Due, due, interrupted};
pub use settle::{PATIENCE, Settle, Step, URGENT_PATIENCE};
pub use standing::Standing;

#[cfg(test)]
mod tests;
