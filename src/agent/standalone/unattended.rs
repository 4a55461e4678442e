//! A scheduled sweep that a timer began, without the agent.
//!
//! Promises: what the agent's own scheduled sweeps leave to a person is left to
//! one here, too: a new root is only planned for, and a plan that takes too much
//! waits. Must not know: how roots are opened.

use std::collections::HashMap;
use std::slice::from_ref;

use crate::agent::chain;
use crate::agent::dry;
use crate::agent::engine::{Commission, Engine, EngineError, Target};
use crate::agent::schedule::{Consent, consent};
use crate::cli::SweepOutcome;
use crate::model::Report;
use crate::sys::clock;

/// Sweeps what may be swept unasked; of the rest the outcome has the plan, and why.
pub(super) fn sweep(
    engine: &Engine,
    commission: &Commission<'_>,
    targets: &[Target],
) -> Result<SweepOutcome, EngineError> {
    let mut outcome = SweepOutcome::default();
    let mut failed = None;
    let mut allowed: Vec<Target> = Vec::new();
    // What the fuse judged is all that may go: the sweep plans again.
    let mut judged = HashMap::new();
    for target in targets {
        let planned = engine.share(commission, target).and_then(|(plan, root)| {
            let is_new = target.root.new_until.is_some_and(|until| clock::now() < until);
            let share = target.root.limits.max_share;
            match consent(plan, root, share, is_new) {
                Consent::Carry => {
                    judged.insert(target.root.name.clone(), plan);
                    allowed.push(target.clone());
                    Ok(Vec::new())
                }
                Consent::Plan => {
                    planned(engine, commission, target, "removed nothing: the root is new (adoption_grace)")
                }
                Consent::Ask { percent } => {
                    let command = format!("guardian sweep scheduled --root {}", target.root.name);
                    let why = format!(
                        "a scheduled plan would take {percent:.0}% of the root (limits.max_share is {share:.0}%): \
                         look at it with `{command} --dry-run --list`, carry it out with `{command}`"
                    );
                    outcome.not_done.push(format!("{}: {why}", target.root.name));
                    planned(engine, commission, target, &why)
                }
            }
        });
        match planned {
            Ok(reports) => outcome.reports.extend(reports),
            Err(error) => {
                outcome.not_done.push(format!("{}: left out: {}", target.root.name, chain(&error)));
                failed = Some(error);
            }
        }
    }
    if !allowed.is_empty() {
        match engine.sweep_at_most(commission, &allowed, &judged) {
            Ok(reports) => outcome.reports.extend(reports),
            Err(error) => {
                outcome.not_done.push(format!("failed to sweep: {}", chain(&error)));
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if outcome.reports.is_empty() => Err(error),
        _ => Ok(outcome),
    }
}

/// What would go, and why it stays.
fn planned(
    engine: &Engine,
    commission: &Commission<'_>,
    target: &Target,
    why: &str,
) -> Result<Vec<Report>, EngineError> {
    let begun = clock::since_boot();
    let plans = engine.plan(commission, from_ref(target))?;
    let took = clock::since_boot().saturating_sub(begun);
    let reports = dry::reports(&plans, commission.request, from_ref(target), clock::now(), took)
        .into_iter()
        .map(|(mut report, _)| {
            report.notes.push(why.to_owned());
            report
        });
    Ok(reports.collect())
}
