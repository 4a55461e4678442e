//! What the policies say of a file, and what follows from it, in one sentence.

use std::sync::{Arc, PoisonError};

use crate::api::{PolicyVerdict, Verdict as WireVerdict};
use crate::model::{FileFacts, Keep, Phase, RelPath, Timestamp};
use crate::policy::{self, Moment, PhaseVerdict, Verdict};
use crate::sweep::root::GuardedRoot;

use super::Knowledge;
use super::place::{Bar, Obstacles};
use super::told::whole;

/// The phases that scheduled cleanup and people's sweeps go through.
pub(super) const QUIET: [Phase; 8] = [
    Phase::Chunks,
    Phase::Expired,
    Phase::Sessions,
    Phase::FailedJobs,
    Phase::CompletedJobs,
    Phase::Orphans,
    Phase::Results,
    Phase::MaxAge,
];
/// The phases of an emergency that are decided from facts.
pub(super) const EMERGENCY: [Phase; 5] =
    [Phase::Expired, Phase::Chunks, Phase::Orphans, Phase::FailedJobs, Phase::Oldest];

pub(super) fn verdicts(
    root: &GuardedRoot,
    path: &RelPath,
    (facts, above): (&FileFacts, Arc<[u64]>),
    with: &Knowledge<'_>,
) -> (Vec<PhaseVerdict>, Vec<PhaseVerdict>) {
    let ordinary = Moment {
        clock_trusted: with.clock_trusted,
        new_root: root.new_until.is_some_and(|until| with.now < until),
        ..Moment::ordinary(with.now)
    };
    let emergency = Moment { emergency: true, ..ordinary.clone() };
    let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
    let ask = |moment: &Moment, phases: &[Phase]| {
        let said =
            policy::explain(&root.rules, moment, with.jobs, &references, path, (facts, Arc::clone(&above)));
        let mut said: Vec<PhaseVerdict> =
            said.phases.into_iter().filter(|one| phases.contains(&one.phase)).collect();
        said.sort_by_key(|one| phases.iter().position(|phase| *phase == one.phase));
        said
    };
    (ask(&ordinary, &QUIET), ask(&emergency, &EMERGENCY))
}

pub(super) fn shown(one: &PhaseVerdict, policy: String, bar: Option<Bar>) -> PolicyVerdict {
    if let (Verdict::Remove { .. }, Some(bar)) = (&one.verdict, bar) {
        let (rule, reason) =
            (bar.skip.as_str().to_owned(), format!("kept: {}; otherwise {}", bar.why, one.text));
        return PolicyVerdict { policy, verdict: WireVerdict::Keep, rule, reason, due_at: None };
    }
    let (verdict, rule) = match &one.verdict {
        Verdict::Remove { reason, .. } => (WireVerdict::Remove, reason.rule()),
        Verdict::Keep { keep, .. } => (WireVerdict::Keep, keep.as_str()),
    };
    PolicyVerdict { policy, verdict, rule: rule.to_owned(), reason: one.text.clone(), due_at: one.due_at }
}

/// What will happen, in one sentence.
pub(super) fn summary(
    quiet: &[PhaseVerdict],
    urgent: &[PhaseVerdict],
    found: &Obstacles,
    new_until: Option<Timestamp>,
) -> String {
    let removes = |said: &[PhaseVerdict]| said.iter().find(|one| one.verdict.is_remove()).cloned();
    let first_due = |said: &[PhaseVerdict]| said.iter().filter_map(|one| one.due_at).min();
    let since =
        |one: &PhaseVerdict| one.due_for.map_or_else(String::new, |span| format!(" since {}", whole(span)));
    let text = if let Some(one) = removes(quiet) {
        let when = match new_until {
            None => "at the next scheduled sweep".to_owned(),
            // Until then such sweeps only plan.
            Some(until) => format!("at the first scheduled sweep after {until:#}"),
        };
        format!("goes {when} ({}): {}", one.phase, one.text)
    } else if let Some(one) = removes(urgent) {
        let first = quiet.iter().filter(|one| one.due_at.is_some()).min_by_key(|one| one.due_at);
        let stays = match first.and_then(|first| Some((first, first.due_at?))) {
            Some((first, due)) => format!("stays until {due:#} at least: {}", bare(&first.text)),
            None => binding(quiet).unwrap_or_else(|| "no scheduled sweep takes it".to_owned()),
        };
        format!("{stays}; eligible in an emergency ({}){}", one.phase, since(&one))
    } else {
        match (first_due(quiet), first_due(urgent)) {
            (None, None) => binding(quiet).unwrap_or_else(|| "kept: no policy takes it".to_owned()),
            (Some(due), None) => format!("stays until {due:#} at least{}", why(quiet, due)),
            (None, Some(due)) => {
                format!("stays, in an emergency until {due:#} at least{}", why(urgent, due))
            }
            (Some(due), Some(urgent)) => {
                format!("stays until {due:#} at least, in an emergency until {urgent:#}{}", why(quiet, due))
            }
        }
    };
    match (found.quiet, found.urgent) {
        (None, None) => text,
        (Some(bar), Some(_)) => format!("{}; otherwise: {text}", bar.why),
        (Some(bar), None) => format!("{}, but not in an emergency; otherwise: {text}", bar.why),
        (None, Some(bar)) => format!("{}, in an emergency; otherwise: {text}", bar.why),
    }
}

/// What it waits for until `due`.
fn why(said: &[PhaseVerdict], due: Timestamp) -> String {
    let first = said.iter().find(|one| one.due_at == Some(due));
    first.map_or_else(String::new, |one| format!(": {}", bare(&one.text)))
}

/// What is said of a file that stays, without the word for that.
fn bare(text: &str) -> &str {
    text.strip_prefix("kept: ").unwrap_or(text)
}

/// The reason that every phase gives, or else the first that is one.
fn binding(said: &[PhaseVerdict]) -> Option<String> {
    said.iter()
        .find(|one| !matches!(&one.verdict, Verdict::Keep { keep: Keep::NotSubject, .. }))
        .map(|one| one.text.clone())
}
