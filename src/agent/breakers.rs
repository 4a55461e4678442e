//! Which policies are suspended on which roots because their removals fail.
//!
//! Promises: one line in the log when one opens; a person's own sweep is never
//! kept back. Must not know: how files are removed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Phase, RootName, TimeSpan};
use crate::policy::{Breaker, SUSPENSION, Switched, TRIES};

/// The breakers of all roots, by policy.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<(RootName, Phase), Breaker>>);

/// A policy is suspended on a root from now on, in words.
pub struct Opened(pub String);

impl Breakers {
    /// Takes how the removals of a batch ended, true for each that failed.
    pub fn tried(&self, root: &RootName, phase: Phase, failed: &[bool], now: Duration) -> Option<Opened> {
        let switched = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let one = all.entry((root.clone(), phase)).or_default();
            one.tried(failed.iter().copied(), now)
        };
        match switched? {
            Switched::Opened { failures } => {
                let what = format!(
                    "{phase} is suspended for {}: {failures} of the last {TRIES} removals failed",
                    TimeSpan(SUSPENSION)
                );
                tracing::error!(root = %root, policy = %phase, "{what}");
                Some(Opened(what))
            }
            Switched::Closed => {
                tracing::info!(root = %root, policy = %phase, "removals succeed again: no longer suspended");
                None
            }
        }
    }

    /// Why a policy is left out on a root now.
    pub fn suspended(&self, root: &RootName, phase: Phase, now: Duration) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = all.get(&(root.clone(), phase))?.suspended_until(now)?;
        Some(in_words(phase, until.saturating_sub(now)))
    }

    /// Which policies are left out on a root now.
    pub fn suspensions(&self, root: &RootName, now: Duration) -> Vec<Phase> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_out = |(_, one): &(&(RootName, Phase), &Breaker)| one.suspended_until(now).is_some();
        all.iter()
            .filter(|((name, _), _)| name == root)
            .filter(is_out)
            .map(|((_, phase), _)| *phase)
            .collect()
    }

    /// All that is suspended on a root, for its health.
    pub fn remarks(&self, root: &RootName, now: Duration) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut remarks: Vec<String> = all
            .iter()
            .filter(|((name, _), _)| name == root)
            .filter_map(|((_, phase), one)| {
                Some(in_words(*phase, one.suspended_until(now)?.saturating_sub(now)))
            })
            .collect();
        remarks.sort();
        remarks
    }
}

fn in_words(phase: Phase, left: Duration) -> String {
    let left = TimeSpan::from_secs(left.as_secs().max(1));
    format!("{phase} is suspended for {left} more: its removals failed")
}
