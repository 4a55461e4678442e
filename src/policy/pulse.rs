//! Whether the parts of a long-running process live, by when each promised to
//! be heard again.
//!
//! A part promises before it sleeps or works: "heard again within 30 s". One
//! that is late by more than the judge's patience is silent. Time in which the
//! judge itself did not run (the process was stopped, the host had nothing
//! left) is nobody's fault. The clock must stand while the host is suspended.

use std::time::Duration;

/// What a part promised last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Which part.
    pub part: &'static str,
    /// When it is heard again at the latest.
    pub by: Duration,
}

/// A part that did not keep its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    /// Which.
    pub part: &'static str,
    /// How late it is.
    pub late: Duration,
}

/// The part that is silent for longest, if one is. `overslept` is how much later
/// than intended the judge looks.
pub fn silent(
    promises: &[Promise],
    now: Duration,
    patience: Duration,
    overslept: Duration,
) -> Option<Silent> {
    promises
        .iter()
        .map(|one| Silent { part: one.part, late: now.saturating_sub(one.by) })
        .filter(|one| one.late.saturating_sub(overslept) > patience)
        .max_by_key(|one| one.late)
}
