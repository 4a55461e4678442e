//! Which policies are suspended on which roots because their removals fail.
//!
//! Promises: what changes is told to whoever tried; a person's own sweep is
//! never kept back. Must not know: how files are removed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Phase, RootName, TimeSpan};
use crate::policy::{Breaker, SUSPENSION, Switched, TRIES};

/// The breakers of all roots, by policy.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<(RootName, Phase), Breaker>>);

/// What the tries of a batch changed for a policy on a root.
pub enum Changed {
    /// It is suspended from now on; why, in words.
    Opened(String),
    /// It works again, before its time.
    Closed,
}

impl Breakers {
    /// Takes how the removals of a batch ended, true for each that failed.
    pub fn tried(&self, root: &RootName, phase: Phase, failed: &[bool], now: Duration) -> Option<Changed> {
        let switched = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let one = all.entry((root.clone(), phase)).or_default();
            one.tried(failed.iter().copied(), now)
        };
        Some(match switched? {
            Switched::Opened { failures } => Changed::Opened(format!(
                "{phase} is suspended for {}: {failures} of the last {TRIES} removals failed",
                TimeSpan(SUSPENSION)
            )),
            Switched::Closed => Changed::Closed,
        })
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

    /// All that is suspended on a root, and why in words.
    pub fn failing(&self, root: &RootName, now: Duration) -> Vec<(Phase, String)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failing: Vec<(Phase, String)> = all
            .iter()
            .filter(|((name, _), _)| name == root)
            .filter_map(|((_, phase), one)| {
                let left = one.suspended_until(now)?.saturating_sub(now);
                Some((*phase, in_words(*phase, left)))
            })
            .collect();
        failing.sort_by_key(|(phase, _)| *phase);
        failing
    }

    /// The same for its health.
    pub fn remarks(&self, root: &RootName, now: Duration) -> Vec<String> {
        self.failing(root, now).into_iter().map(|(_, why)| why).collect()
    }
}

fn in_words(phase: Phase, left: Duration) -> String {
    let left = TimeSpan::from_secs(left.as_secs().max(1));
    format!("{phase} is suspended for {left} more: its removals failed")
}
