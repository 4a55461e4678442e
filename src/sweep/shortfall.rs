//! What holds the space when a target was not reached.

use std::collections::{HashMap, HashSet};

use crate::model::{DirectoryHold, JobId, Phase, RelPath, Shortfall, UserHold, WirePath};
use crate::policy::{DirContext, Verdict, classify};
use crate::sys::open_check::deleted_open;

use super::run::{RunRoot, Shared};

/// How many users, directories and processes a shortfall names.
const NAMED: usize = 10;

/// Goes over all files of a root that the nominator knows and says who holds
/// them. Costs a pass over the root: only ever done after a run fell short.
pub fn shortfall(one: &RunRoot<'_>, shared: Shared<'_>, missing: u64) -> Shortfall {
    let rules = &one.root.rules;
    let mut users: HashMap<u32, u64> = HashMap::new();
    let mut directories: HashMap<RelPath, (DirContext, u64)> = HashMap::new();
    let mut jobs: HashSet<JobId> = HashSet::new();
    let mut counted: HashSet<u64> = HashSet::new();
    let mut protected_bytes: u64 = 0;
    let view = shared.jobs.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    // What can't be read is left out: a shortfall is an explanation, not a decision.
    for candidate in one.nominator.by_age().into_iter().flatten().flatten() {
        if candidate.facts.nlink > 1 && !counted.insert(candidate.facts.id.ino) {
            continue;
        }
        let bytes = candidate.facts.allocated;
        *users.entry(candidate.facts.uid).or_default() += bytes;
        let (context, held) = directories
            .entry(candidate.dir.clone())
            .or_insert_with(|| (DirContext::new(rules, candidate.dir.clone()), 0));
        *held += bytes;
        let verdict = classify(
            Phase::Oldest,
            rules,
            &one.moment,
            &view,
            &shared.references.read().unwrap_or_else(std::sync::PoisonError::into_inner),
            context,
            &candidate.name,
            &candidate.facts,
        );
        if let Verdict::Keep { keep, detail } = verdict
            && !matches!(keep, crate::model::Keep::TooYoung)
        {
            protected_bytes = protected_bytes.saturating_add(bytes);
            if keep == crate::model::Keep::ActiveJob {
                jobs.extend(detail.job);
            }
        }
    }
    let mut users: Vec<UserHold> = users.into_iter().map(|(uid, bytes)| UserHold { uid, bytes }).collect();
    users.sort_by_key(|hold| (std::cmp::Reverse(hold.bytes), hold.uid));
    users.truncate(NAMED);
    let mut directories: Vec<DirectoryHold> = directories
        .into_iter()
        .map(|(path, (_, bytes))| DirectoryHold {
            path: WirePath::from_path(&path.under(one.root.path())),
            bytes,
        })
        .collect();
    directories.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    directories.truncate(NAMED);
    let mut active_jobs: Vec<JobId> = jobs.into_iter().collect();
    active_jobs.sort();
    let mut deleted_open = deleted_open(one.root.dev());
    deleted_open.sort_by_key(|held| std::cmp::Reverse(held.bytes));
    deleted_open.truncate(NAMED);
    Shortfall { bytes: missing, protected_bytes, active_jobs, users, directories, deleted_open }
}
