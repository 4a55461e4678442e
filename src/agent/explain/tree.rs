//! What is said of a job's directory that goes all or not at all, and of each
//! file in it.
//!
//! Promises: the verdicts come from the very fold that plans and runs use, over
//! the files as they are on disk now; nothing is written, no file is opened.

use std::sync::{Mutex, PoisonError};

use super::Knowledge;
use super::verdicts::{EMERGENCY, QUIET};
use crate::api::{Explanation, PolicyVerdict, Verdict as WireVerdict};
use crate::model::{FileKind, Keep, Phase, RelPath, Skip, TimeSpan, Timestamp, with_causes};
use crate::policy::{
    Detail, DirContext, Moment, TreeFold, TreeVerdict, classify_in_tree, speaks_against, tree_of,
};
use crate::sweep::flocks::{DirectoryLocks, keep};
use crate::sweep::root::GuardedRoot;
use crate::sys::open_check::{OpenCheckKind, OpenFiles};
use crate::sys::walk::{Entry, Found, ProblemKind, Walk};
use crate::sys::xattr::{self, Mark};

/// One phase's verdict on the tree.
struct Said {
    policy: String,
    phase: Phase,
    emergency: bool,
    verdict: TreeVerdict,
}

/// What keeps a tree that policy does not see.
struct Bar {
    path: RelPath,
    skip: Skip,
    why: &'static str,
    in_emergency: bool,
}

/// A directory of the tree, with what its files share.
struct Dir {
    context: DirContext,
    mtime: Timestamp,
    entries: Vec<Entry>,
}

/// What lies in a tree now.
#[derive(Default)]
struct Seen {
    dirs: Vec<Dir>,
    bars: Vec<Bar>,
    failed: Option<String>,
}

/// Says what becomes of the tree that `path` is, or is part of. Without one
/// nothing is changed.
pub(super) fn tell(root: &GuardedRoot, path: &RelPath, with: &Knowledge<'_>, told: &mut Explanation) {
    let is_dir = told.kind.as_deref() == Some("directory");
    let dir = if is_dir { path.clone() } else { path.parent().unwrap_or_default() };
    let Some(top) = tree_of(&root.rules, &dir).filter(|_| is_dir || !told.policies.is_empty()) else {
        return;
    };
    let shown = top.under(root.path()).display().to_string();
    told.notes.push(format!("part of the tree {shown}, which goes all or not at all (unit = \"tree\")"));
    let seen = look(root, &top, with);
    if let Some(why) = seen.failed {
        told.summary = format!("stays with its tree {shown}, which can't be looked at: {why}");
        return;
    }
    let said = judge(root, &top, with, &seen);
    for one in &said {
        let verdict = shown_verdict(root, one, &seen.bars);
        match told.policies.iter_mut().find(|policy| policy.policy == one.policy) {
            Some(policy) => *policy = verdict,
            None if is_dir => told.policies.push(verdict),
            None => {}
        }
    }
    // What goes by name goes by itself.
    let by_name = |policy: &PolicyVerdict| {
        policy.verdict == WireVerdict::Remove && said.iter().all(|one| one.policy != policy.policy)
    };
    let waits = told.given_up.iter().any(|entry| entry.moved != Some(true));
    if !waits && !told.policies.iter().any(by_name) {
        told.summary = summary(root, &shown, &said, &seen.bars);
    }
}

fn look(root: &GuardedRoot, top: &RelPath, with: &Knowledge<'_>) -> Seen {
    let found: Mutex<Vec<Found>> = Mutex::default();
    let walk = Walk::new(&root.dir).start(top.clone()).times(root.rules.age_by);
    let mut seen = Seen::default();
    if let Err(error) = walk.run(|one| found.lock().unwrap_or_else(PoisonError::into_inner).push(one)) {
        seen.failed = Some(with_causes(&error));
    }
    let (open, locks) = (OpenFiles::snapshot(), DirectoryLocks::default());
    for one in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let listing = match one {
            Found::Directory(listing) => listing,
            Found::Unread { path, problem } => {
                seen.problem(path, &problem);
                continue;
            }
        };
        for problem in &listing.problems {
            let at = problem.name.as_ref().map_or(listing.path.clone(), |name| listing.path.join(name));
            seen.problem(at, &problem.kind);
        }
        let Ok(dir) = root.dir.open_dir(&listing.path) else { continue };
        let above = locks.above(root, &listing.path, &dir);
        for emergency in [true, false] {
            if keep(&above.holders, listing.dir.uid, emergency) {
                let (path, why) = (listing.path.clone(), "a directory that somebody has locked (flock)");
                seen.bars.push(Bar { path, skip: Skip::Held, why, in_emergency: emergency });
                break;
            }
        }
        let context = DirContext::new(&root.rules, listing.path.clone()).with_inodes(above.inodes);
        for entry in &listing.entries {
            let (path, facts) = (listing.path.join(&entry.name), &entry.facts);
            let mut bar = |skip, why, in_emergency| {
                seen.bars.push(Bar { path: path.clone(), skip, why, in_emergency });
            };
            if root.own.contains(&facts.id) {
                bar(Skip::Protected, "guardian's own", true);
            }
            match facts.id.kind {
                FileKind::Regular => {}
                FileKind::Directory => {
                    let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
                    let against = speaks_against(
                        &root.rules,
                        with.now,
                        with.jobs,
                        &references,
                        &context,
                        &entry.name,
                        facts,
                    );
                    if against.is_some() {
                        bar(Skip::Held, "a directory that is held, protected or of a living job", true);
                    }
                    continue;
                }
                _ => continue,
            }
            if open.contains(facts.id.dev, facts.id.ino) {
                bar(Skip::InUse, "open or mapped now", true);
            } else if root.open_check == OpenCheckKind::Proc && open.may_contain(facts.uid) {
                bar(Skip::InUse, "perhaps open in a process that could not be looked into", false);
            }
            if root.user_marks.bind(facts.uid, false)
                && xattr::keep_mark_at(&dir, &entry.name) == Mark::Present
            {
                bar(Skip::Held, "marked user.guardian.keep", root.user_marks.bind(facts.uid, true));
            }
        }
        seen.dirs.push(Dir { context, mtime: listing.dir.id.mtime, entries: listing.entries });
    }
    seen
}

impl Seen {
    fn problem(&mut self, path: RelPath, problem: &ProblemKind) {
        let why = match problem {
            ProblemKind::OtherMount => {
                let why = "something is mounted there";
                self.bars.push(Bar { path, skip: Skip::Protected, why, in_emergency: true });
                return;
            }
            ProblemKind::Vanished => "it changes while it is looked at".to_owned(),
            ProblemKind::Denied => format!("{path} may not be read"),
            ProblemKind::Failed(error) => format!("{path}: {error}"),
        };
        self.failed.get_or_insert(why);
    }
}

fn judge(root: &GuardedRoot, top: &RelPath, with: &Knowledge<'_>, seen: &Seen) -> Vec<Said> {
    let ordinary = Moment {
        clock_trusted: with.clock_trusted,
        new_root: root.new_until.is_some_and(|until| with.now < until),
        ..Moment::ordinary(with.now)
    };
    let urgent = Moment { emergency: true, ..ordinary.clone() };
    let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
    let one = |phase: Phase, moment: &Moment| {
        let mut fold = TreeFold::new(top);
        for dir in &seen.dirs {
            for entry in dir.entries.iter().filter(|entry| entry.facts.id.kind != FileKind::Directory) {
                let mut facts = entry.facts;
                if root.xattr_expiry && facts.id.kind == FileKind::Regular {
                    facts.expires_at = expires(root, &dir.context.path, &entry.name);
                }
                let (rules, name) = (&root.rules, &entry.name);
                let judged = classify_in_tree(
                    phase,
                    rules,
                    moment,
                    with.jobs,
                    &references,
                    &dir.context,
                    name,
                    &facts,
                );
                fold.add(&dir.context.path.join(name), &facts, rules.age_by.newest(&facts), judged);
            }
        }
        let empty = seen.dirs.iter().filter(|dir| dir.entries.is_empty());
        empty.fold(fold.end(moment, None, false), |verdict, dir| {
            verdict.with_empty(phase, moment, &dir.context.path, dir.mtime)
        })
    };
    let said = |phase: &Phase, emergency: bool| Said {
        policy: if emergency { format!("emergency:{phase}") } else { phase.as_str().to_owned() },
        phase: *phase,
        emergency,
        verdict: one(*phase, if emergency { &urgent } else { &ordinary }),
    };
    let quiet = QUIET.iter().filter(|phase| phase.takes_trees()).map(|phase| said(phase, false));
    quiet.chain(EMERGENCY.iter().filter(|phase| phase.takes_trees()).map(|phase| said(phase, true))).collect()
}

fn expires(root: &GuardedRoot, dir: &RelPath, name: &[u8]) -> Option<Timestamp> {
    xattr::expires_by_name(&root.dir.open_dir(dir).ok()?, name)
}

/// Why a file keeps its tree, in words.
fn described(keep: &Keep, detail: &Detail) -> String {
    let mut text = match keep {
        Keep::ActiveJob => "its job is pending, active, or only just presumed failed",
        Keep::Held => "held",
        Keep::Protected => "protected",
        Keep::TooYoung => "too young",
        Keep::RegistryGrace => "names a job that may be older than the registry",
        Keep::RegistryLost => "names a job, and the ledger was lost (guardian registry trust)",
        Keep::JobRetention => "its job ended too recently",
        Keep::Result => "a result",
        Keep::Unexpired => "not expired yet",
        Keep::SessionAlive => "its session goes on",
        Keep::NotSubject => return "not subject to this policy".to_owned(),
        Keep::Special => "not a file or a link",
        Keep::Linked => "has links outside the plan",
        Keep::FreesNothing => "occupies no space",
        Keep::ClockUncertain => "the clock is not trusted (guardian clock trust)",
        Keep::IndexIncomplete => "the index is incomplete",
        Keep::Referred => "something refers to it",
    }
    .to_owned();
    if let Some(job) = &detail.job {
        text.push_str(&format!("; job {job}"));
    }
    if let (Some(age), Some(limit)) = (detail.age, detail.limit) {
        text.push_str(&format!("; {}, limit {}", TimeSpan::from_secs(age.as_secs()), TimeSpan(limit)));
    }
    format!("kept: {text}")
}

/// What keeps the tree, in words.
fn obstacle(root: &GuardedRoot, verdict: &TreeVerdict) -> String {
    let TreeVerdict::Keep { obstacle, obstacles, .. } = verdict else { return String::new() };
    if obstacle.keep == Keep::NotSubject {
        return described(&obstacle.keep, &obstacle.detail);
    }
    let path = obstacle.path.under(root.path());
    format!("{}: {}{}", path.display(), described(&obstacle.keep, &obstacle.detail), more(*obstacles))
}

fn more(all: u64) -> String {
    match all {
        0 | 1 => String::new(),
        2 => "; and 1 more keeps it".to_owned(),
        _ => format!("; and {} more keep it", all - 1),
    }
}

/// The first of what keeps it that binds, in words.
fn barred(root: &GuardedRoot, bars: &[Bar], emergency: bool) -> Option<(Skip, String)> {
    let mut binding = bars.iter().filter(|bar| bar.in_emergency || !emergency);
    let first = binding.next()?;
    let path = first.path.under(root.path());
    let text = format!("{}: {}{}", path.display(), first.why, more(1 + binding.count() as u64));
    Some((first.skip, text))
}

fn shown_verdict(root: &GuardedRoot, said: &Said, bars: &[Bar]) -> PolicyVerdict {
    let policy = said.policy.clone();
    match (&said.verdict, barred(root, bars, said.emergency)) {
        (TreeVerdict::Keep { obstacle: first, due_at, .. }, _) => PolicyVerdict {
            policy,
            verdict: WireVerdict::Keep,
            rule: first.keep.as_str().to_owned(),
            reason: obstacle(root, &said.verdict),
            due_at: *due_at,
        },
        (TreeVerdict::Remove { reason, .. }, Some((skip, why))) => PolicyVerdict {
            policy,
            verdict: WireVerdict::Keep,
            rule: skip.as_str().to_owned(),
            reason: format!("kept: {why}; otherwise {reason}"),
            due_at: None,
        },
        (TreeVerdict::Remove { reason, .. }, None) => PolicyVerdict {
            policy,
            verdict: WireVerdict::Remove,
            rule: reason.rule().to_owned(),
            reason: reason.to_string(),
            due_at: None,
        },
    }
}

/// What will happen to the tree, in one sentence.
fn summary(root: &GuardedRoot, shown: &str, said: &[Said], bars: &[Bar]) -> String {
    let goes = |emergency: bool| {
        said.iter().filter(|one| one.emergency == emergency).find_map(|one| match &one.verdict {
            TreeVerdict::Remove { reason, .. } => Some((one.phase, reason)),
            TreeVerdict::Keep { .. } => None,
        })
    };
    let urgent = match (goes(true), barred(root, bars, true)) {
        (Some((phase, reason)), None) => format!("; in an emergency it goes ({phase}): {reason}"),
        _ => String::new(),
    };
    if let Some((phase, reason)) = goes(false) {
        return match barred(root, bars, false) {
            None => format!("goes with its tree {shown} at the next scheduled sweep ({phase}): {reason}"),
            Some((_, why)) => format!("stays with its tree {shown}: {why}; otherwise {reason}{urgent}"),
        };
    }
    let due = |one: &Said| match one.verdict {
        TreeVerdict::Keep { due_at, .. } => due_at,
        TreeVerdict::Remove { .. } => None,
    };
    let subject = |one: &&Said| !matches!(&one.verdict, TreeVerdict::Keep { obstacle, .. } if obstacle.keep == Keep::NotSubject);
    let last = Timestamp::from_nanos(i64::MAX);
    let quiet = said.iter().filter(|one| !one.emergency).filter(subject);
    let Some(first) = quiet.min_by_key(|one| due(one).unwrap_or(last)) else {
        return format!("stays with its tree {shown}: no scheduled sweep takes it{urgent}");
    };
    let when = due(first)
        .map_or_else(String::new, |due| format!("; goes after {due:#} at the earliest ({})", first.policy));
    format!("stays with its tree {shown}: {}{when}{urgent}", obstacle(root, &first.verdict))
}
