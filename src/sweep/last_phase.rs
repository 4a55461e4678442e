//! Whether an emergency's last phase may begin, and how far it may go.
//!
//! It takes files whose only fault is age. So it waits for a complete index
//! (unless space is nearly gone), and it is not begun in vain: when all that
//! it could take does not bring the volume to its target, it aims just below
//! the high mark, and when not even that can be reached, it takes nothing.

use crate::model::{Phase, VolumeUsage};
use crate::policy::{Aim, aim, excess_over_high, is_urgent};

use super::SweepError;
use super::merge::{Merged, Taken, gain};
use super::root::GuardedRoot;
use super::run::{Orders, RunRoot, Shared, circumstances, places};

/// What the last phase may do.
#[derive(Debug, Clone, PartialEq)]
pub enum LastPhase {
    /// Nothing, and why.
    Skip(String),
    /// Take until so much is gained, in the target's resource.
    UpTo {
        /// Bytes or inodes.
        amount: u64,
        /// What to tell people, where it is less than the target asks for.
        note: Option<String>,
    },
}

/// Judges the last phase: `missing` is what the target still asks for, of
/// which nothing was counted against `gained` (planned before it, not yet
/// visible on the volume).
pub fn aim_of(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    shared: Shared<'_>,
    usage: Option<&VolumeUsage>,
    missing: u64,
    gained: u64,
    taken: &Taken,
) -> Result<LastPhase, SweepError> {
    let resource = orders.target.resource;
    let Some(usage) = usage else {
        return Ok(LastPhase::Skip("the volume's usage is unknown".to_owned()));
    };
    let past: Vec<&GuardedRoot> = roots.iter().filter(|one| one.past_its_mark).map(|one| one.root).collect();
    let urgent = past.iter().any(|root| is_urgent(usage, resource, &root.marks));
    if !urgent && roots.iter().any(|one| one.past_its_mark && !one.nominator.is_complete()) {
        return Ok(LastPhase::Skip(
            "the last phase waits: not every file of the root is known yet, and space is not nearly gone"
                .to_owned(),
        ));
    }
    let below_high = past
        .iter()
        .map(|root| excess_over_high(usage, resource, &root.marks))
        .max()
        .unwrap_or(0)
        .saturating_sub(gained);
    let mut counted: u64 = 0;
    let mut seen = taken.clone();
    let mut merged = Merged::new(roots, places(roots, Phase::Oldest, true), Phase::Oldest, |one| {
        circumstances(shared, one, orders.aim())
    })?;
    while counted < missing {
        let Some((_, action)) = merged.next(&mut seen)? else { break };
        counted = counted.saturating_add(gain(&action, resource));
    }
    let anyway = past.iter().any(|root| root.futile == super::root::Futile::Continue);
    Ok(match aim(counted, missing, below_high, anyway) {
        Aim::Target => LastPhase::UpTo { amount: missing, note: None },
        Aim::JustBelowHigh => LastPhase::UpTo {
            amount: below_high,
            note: Some("the target is out of reach: the last phase aims just below the high mark".to_owned()),
        },
        Aim::Nothing => LastPhase::Skip(
            "futile: all that the last phase could take would not bring usage below the high mark; \
             other data fills the volume"
                .to_owned(),
        ),
    })
}
