//! Counting what no counter knows: orphans, files of failed jobs, the largest
//! holders. They depend on time and on the states of jobs.
//!
//! Promises: only when somebody asked, on a thread of its own, and never more
//! than a twentieth of one core; whoever asks gets what was counted last, with
//! its time, and waits only a moment when nothing was counted yet.
//! Must not know: HTTP.

mod growth;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::api::{Holder, HolderName, TopHolders, TopList};
use crate::model::{Phase, RelPath, RootName, Timestamp, WirePath};
use crate::policy::{DirContext, FileAt, Moment, Ownership, PathReadings, classify};
use crate::store::RootKey;
use crate::sweep::SweepError;
use crate::sweep::indexed::Indexed;
use crate::sweep::named;
use crate::sweep::nominate::{Candidate, Nominator};
use crate::sweep::planner::Circumstances;
use crate::sys::clock;

use super::engine::Target;
use super::state::Agent;
use growth::{Held, Look, Looks};

/// The pause between two counts is so many times what the last one took,
const SHARE: u32 = 20;
/// but not shorter than this
const SHORTEST: Duration = Duration::from_secs(1);
/// and not longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the first to ask waits: a small root is counted by then.
const FIRST: Duration = Duration::from_millis(200);
/// Holders in a list.
const LISTED: usize = 10;

/// What was counted in one root.
#[derive(Debug, Clone)]
pub struct Counted {
    /// When.
    pub as_of: Timestamp,
    /// Files that the policy `orphans` would take.
    pub orphans: u64,
    /// Their allocated bytes, each inode once.
    pub orphan_bytes: u64,
    /// Results past their retention.
    pub old_results: u64,
    /// Files whose expiry has come.
    pub expired: u64,
    /// The largest holders.
    pub top: TopHolders,
}

/// The last counts of all roots.
#[derive(Default)]
pub struct Census {
    counted: Mutex<HashMap<RootName, Counted>>,
    /// Earlier counts, for growth; of each root by its key, which no other directory gets.
    looks: Mutex<HashMap<RootKey, Looks>>,
    /// When the next count may begin, by the boot-time clock.
    due: Mutex<Duration>,
    busy: AtomicBool,
    ended: Condvar,
}

#[derive(Default)]
struct Sum {
    files: u64,
    bytes: u64,
}

impl Sum {
    const fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Census {
    /// What was counted last; and has it counted anew, if that is due.
    pub fn of(census: &Arc<Self>, agent: &Arc<Agent>, root: &RootName) -> Option<Counted> {
        Self::refresh(census, agent);
        let counted = census.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |all: &mut HashMap<RootName, Counted>| {
            !all.contains_key(root) && census.busy.load(Ordering::Acquire)
        };
        let (counted, _) =
            census.ended.wait_timeout_while(counted, FIRST, waits).unwrap_or_else(PoisonError::into_inner);
        counted.get(root).cloned()
    }

    fn refresh(census: &Arc<Self>, agent: &Arc<Agent>) {
        let now = clock::since_boot();
        {
            let mut due = census.due.lock().unwrap_or_else(PoisonError::into_inner);
            if now < *due || census.busy.swap(true, Ordering::AcqRel) {
                return;
            }
            *due = now + SHORTEST;
        }
        let (its, agent) = (Arc::clone(census), Arc::clone(agent));
        let thread = std::thread::Builder::new().name("guardian-census".to_owned());
        let started = thread.spawn(move || {
            for target in agent.targets(None) {
                let mut looks = its.looks.lock().unwrap_or_else(PoisonError::into_inner);
                match count(&agent, &target, &mut looks) {
                    Ok(Some(counted)) => {
                        drop(looks);
                        let mut all = its.counted.lock().unwrap_or_else(PoisonError::into_inner);
                        all.insert(target.root.name.clone(), counted);
                        its.ended.notify_all();
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(root = %target.root.name, reason = %super::chain(&error), "files could not be counted");
                    }
                }
            }
            let end = clock::since_boot();
            let pause = (end.saturating_sub(now) * SHARE).clamp(SHORTEST, LONGEST);
            *its.due.lock().unwrap_or_else(PoisonError::into_inner) = end + pause;
            its.busy.store(false, Ordering::Release);
            its.ended.notify_all();
        });
        if let Err(error) = started {
            census.busy.store(false, Ordering::Release);
            tracing::warn!(reason = %error, "failed to start the thread that counts files");
        }
    }
}

/// Counts one root; `None` when there is nothing to count by, or the agent stops.
fn count(
    agent: &Agent,
    target: &Target,
    looks: &mut HashMap<RootKey, Looks>,
) -> Result<Option<Counted>, SweepError> {
    let (Some(index), Some(key)) = (&agent.engine.index, target.key) else { return Ok(None) };
    if !(agent.engine.complete)(key) {
        return Ok(None);
    }
    let root = &target.root;
    let now = clock::now();
    let trusted = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt().is_none();
    let moment = Moment { clock_trusted: trusted, ..Moment::ordinary(now) };
    let (mut orphans, mut seen) = (Sum::default(), HashSet::new());
    let (mut jobs, mut users) = (HashMap::<String, Sum>::new(), HashMap::<u32, Sum>::new());
    let mut directories = HashMap::<RelPath, Sum>::new();
    let mut context: Option<DirContext> = None;
    let (has_results, mut old_results) = (!root.rules.results.is_empty(), 0);
    let source = Indexed::new(index.clone(), key, root, true);
    for candidate in source.by_age()? {
        if agent.stop.is_raised() {
            return Ok(None);
        }
        let candidate = candidate?;
        let facts = &candidate.facts;
        let bytes = if facts.nlink <= 1 || seen.insert(facts.id.ino) { facts.allocated } else { 0 };
        users.entry(facts.uid).or_default().add(bytes);
        directories.entry(candidate.dir.clone()).or_default().add(bytes);
        let here = match context.take() {
            Some(dir) if dir.path == candidate.dir => dir,
            _ => DirContext::new(&root.rules, candidate.dir.clone()),
        };
        {
            let view = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
            let references = agent.engine.references.read().unwrap_or_else(PoisonError::into_inner);
            let goes = |phase| {
                let (rules, name) = (&root.rules, &candidate.name);
                classify(phase, rules, &moment, &view, &references, &here, name, facts).is_remove()
            };
            if goes(Phase::Orphans) {
                orphans.add(bytes);
            }
            old_results += u64::from(has_results && goes(Phase::Results));
            let readings = PathReadings::of(&root.rules.patterns, &candidate.path());
            match view.owner_of(readings.jobs(), &root.name, facts.uid) {
                Ownership::ProtectedBy(job, _) | Ownership::Belongs(job, _) | Ownership::Unknown(job) => {
                    jobs.entry(job.as_str().to_owned()).or_default().add(bytes);
                }
                Ownership::None => {}
            }
        }
        context = Some(here);
    }
    let at = clock::since_boot();
    let looks = looks.entry(key).or_default();
    let (before, span) = (looks.before(), at.saturating_sub(looks.before().map_or(at, |before| before.at)));
    let look = Look { at, jobs: held(&jobs), users: held(&users), directories: held(&directories) };
    let place = |dir: RelPath| HolderName::Directory(WirePath::from_path(&dir.under(root.path())));
    let top = TopHolders {
        jobs: top(jobs, before.map(|look| &look.jobs), span, |job| HolderName::Job { job }),
        users: top(users, before.map(|look| &look.users), span, |uid| HolderName::User { uid }),
        directories: top(directories, before.map(|look| &look.directories), span, place),
    };
    looks.take(look);
    Ok(Some(Counted {
        as_of: now,
        orphans: orphans.files,
        orphan_bytes: orphans.bytes,
        old_results,
        expired: expired(agent, target, &moment),
        top,
    }))
}

/// Files that are there and past their expiry, also those that something keeps.
fn expired(agent: &Agent, target: &Target, moment: &Moment) -> u64 {
    let root = &target.root;
    let with =
        Circumstances { jobs: &agent.engine.jobs, references: &agent.engine.references, moment, aim: None };
    let is_due = |candidate: &Candidate| {
        let view = agent.engine.references.read().unwrap_or_else(PoisonError::into_inner);
        let at = FileAt {
            root: &root.name,
            dir: &candidate.dir,
            name: &candidate.name,
            facts: Some(&candidate.facts),
            above: &[],
        };
        view.expires_at(&at).is_some_and(|expiry| expiry <= moment.now)
    };
    named::expired(root, with).flatten().filter(is_due).count() as u64
}

fn held<K: Clone + Eq + Hash>(sums: &HashMap<K, Sum>) -> Held<K> {
    Held::of(sums.iter().map(|(key, sum)| (key, sum.bytes)))
}

/// The largest holders and, if that can be told of any, those that grow fastest.
fn top<K: Clone + Eq + Hash>(
    sums: HashMap<K, Sum>,
    before: Option<&Held<K>>,
    span: Duration,
    name: impl Fn(K) -> HolderName,
) -> TopList {
    let rate = |(key, sum): &(K, Sum)| before.and_then(|before| before.rate(key, sum.bytes, span));
    let holder = |one: &(K, Sum)| Holder {
        name: name(one.0.clone()),
        bytes: one.1.bytes,
        files: one.1.files,
        growth_bytes_per_hour: rate(one),
    };
    let mut sums: Vec<(K, Sum)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
    let by_bytes = sums.iter().take(LISTED).map(holder).collect();
    let mut growing: Vec<(i64, &(K, Sum))> = sums.iter().filter_map(|one| Some((rate(one)?, one))).collect();
    let known = !growing.is_empty();
    growing.retain(|(rate, _)| *rate > 0);
    growing.sort_by_key(|(rate, _)| std::cmp::Reverse(*rate));
    let by_growth = known.then(|| growing.iter().take(LISTED).map(|(_, one)| holder(one)).collect());
    TopList { by_bytes, by_growth }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_grows_fastest_comes_first_and_before_there_are_two_counts_nobody_is_listed() {
        let sums = |of: &[(u32, u64)]| -> HashMap<u32, Sum> {
            of.iter().map(|(uid, bytes)| (*uid, Sum { files: 1, bytes: *bytes })).collect()
        };
        let name = |uid| HolderName::User { uid };
        let hour = Duration::from_secs(3600);
        let first = top(sums(&[(1, 900), (2, 50)]), None, Duration::ZERO, name);
        assert!(first.by_growth.is_none() && first.by_bytes.len() == 2);
        assert!(!serde_json::to_string(&first).unwrap().contains("by_growth"), "absent, not empty");
        let before = held(&sums(&[(1, 900), (2, 50), (3, 80)]));
        let later = top(sums(&[(1, 910), (2, 400), (3, 10)]), Some(&before), hour, name);
        let growing: Vec<_> =
            later.by_growth.unwrap().into_iter().map(|one| one.growth_bytes_per_hour).collect();
        assert_eq!(growing, [Some(350), Some(10)]);
        assert_eq!(later.by_bytes[0].growth_bytes_per_hour, Some(10));
        let still = top(sums(&[(1, 900)]), Some(&before), hour, name);
        assert_eq!(still.by_growth, Some(Vec::new()), "it is known that nothing grows");
    }
}
