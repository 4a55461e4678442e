//! Candidates in, decided removals out: the one place where plans come from.
//!
//! A dry run collects what this yields and prints it; a run takes it batch by
//! batch; both therefore decide the same in the same order. Must not know
//! whether anything will be removed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::iter::Peekable;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::model::{Action, FileKind, Keep, Phase, RelPath, Resource, Timestamp};
use crate::policy::{DirContext, JobsView, Moment, ReferenceView, Verdict, classify, trash_until};

use super::SweepError;
use super::given_up::of_completed_chunks;
use super::named;
use super::nominate::{Candidate, Candidates, Nominator};
use super::root::GuardedRoot;
use super::vault::KeptActions;
use sources::{ended_jobs_files, once_each, sorted};
use trees::Trees;

mod sources;
mod trees;

/// What decisions are made with, beside the facts of each file.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The registered jobs; read anew for each decision.
    pub jobs: &'a RwLock<JobsView>,
    /// Holds and other references; read anew for each decision.
    pub references: &'a RwLock<ReferenceView>,
    /// Time and circumstances.
    pub moment: &'a Moment,
    /// What is to come free, if that is the aim: a name whose removal frees none of it stays.
    pub aim: Option<Resource>,
}

/// What one phase of a run decided so far, over one root.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Files looked at.
    pub scanned: u64,
    /// Files that stay, by reason.
    pub kept: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn keep(&mut self, why: &Keep) {
        *self.kept.entry(why.as_str()).or_default() += 1;
    }
}

/// What a run decided on in one root: files by inode, trees by path.
#[derive(Debug, Default, Clone)]
pub struct Decided {
    /// To go: decided on once, by the first phase that may take it.
    taken: HashSet<u64>,
    /// To stay whatever the phase: counted once, though each phase meets it.
    spared: HashSet<u64>,
    /// Trees that go.
    trees: HashSet<RelPath>,
    /// Files that go by name out of a tree: what is left of it is judged without them.
    by_name: HashSet<RelPath>,
}

impl Decided {
    /// For another run: what goes is gone, what stays is counted anew.
    pub fn begin_anew(&mut self) {
        self.spared.clear();
    }

    /// Files that go by name out of a tree.
    pub const fn by_name(&self) -> &HashSet<RelPath> {
        &self.by_name
    }

    /// What was decided on stays after all.
    pub fn stays(&mut self, action: &Action) {
        if !self.by_name.is_empty() {
            self.by_name.remove(&action.path);
        }
    }
}

/// Directories whose readings are remembered. Candidates in order of age come
/// in runs from the same few directories; this bounds the memory where they don't.
const REMEMBERED_DIRECTORIES: usize = 4096;

/// Yields the removals of one phase over one root, in order.
pub struct Planner<'a> {
    root: &'a GuardedRoot,
    nominator: &'a dyn Nominator,
    with: Circumstances<'a>,
    phase: Phase,
    /// Files younger than this are no subject of the phase; candidates come by
    /// age, so the first one ends it.
    cutoff: Option<Timestamp>,
    source: Peekable<Candidates<'a>>,
    /// In the phases about queue and trash: their entries, in place of candidates.
    kept: Option<KeptActions<'a>>,
    contexts: HashMap<RelPath, DirContext>,
    /// Further links of an inode whose first link was just decided on.
    unit: VecDeque<Action>,
    /// Directories of jobs, where they are the unit.
    trees: Trees,
    tally: Tally,
}

/// The least age at which anything can be due in `phase`; `None` where age alone says nothing.
fn least_age(root: &GuardedRoot, phase: Phase, moment: &Moment) -> Option<Duration> {
    let rules = &root.rules;
    match phase {
        Phase::Orphans => Some(moment.limit(rules.orphan_age(moment.emergency))),
        Phase::Oldest if moment.min_age_suspended => None,
        Phase::Oldest => Some(moment.limit(rules.retain.min_age)),
        Phase::MaxAge => moment.older_than.or(rules.retain.max_age),
        Phase::Trash => trash_until(rules, moment).map(|(_, limit)| limit),
        _ => None,
    }
}

impl<'a> Planner<'a> {
    /// Begins a phase over a root.
    pub fn new(
        root: &'a GuardedRoot,
        nominator: &'a dyn Nominator,
        with: Circumstances<'a>,
        phase: Phase,
    ) -> Result<Self, SweepError> {
        let source = match phase {
            Phase::Results if root.rules.results.is_empty() => Box::new(std::iter::empty()),
            Phase::FailedJobs | Phase::CompletedJobs | Phase::Results => {
                ended_jobs_files(root, nominator, with, phase)?
            }
            Phase::Expired => {
                let marked = nominator.due(with.moment.at_the_earliest())?;
                Box::new(once_each(named::expired(root, with).chain(marked))?.into_iter().map(Ok))
            }
            Phase::Sessions => named::of_sessions(root, with),
            Phase::MaxAge if least_age(root, phase, with.moment).is_none() => Box::new(std::iter::empty()),
            Phase::Orphans | Phase::Oldest | Phase::MaxAge => match &with.moment.forced_job {
                Some(job) => {
                    let all = nominator.of_job(job)?.chain(named::of_job(root, with, job));
                    sorted(once_each(all)?)
                }
                None => nominator.by_age()?,
            },
            Phase::Chunks => of_completed_chunks(root, nominator, with)?,
            // Their data comes with the records they are about.
            Phase::Deferred | Phase::Trash => Box::new(std::iter::empty()),
        };
        Ok(Self {
            root,
            nominator,
            with,
            phase,
            cutoff: least_age(root, phase, with.moment).map(|age| with.moment.now.minus(age)),
            source: source.peekable(),
            kept: KeptActions::new(root, phase, with.moment),
            contexts: HashMap::new(),
            unit: VecDeque::new(),
            trees: Trees::default(),
            tally: Tally::default(),
        })
    }

    /// Files at or before this time were due; absent where age alone says nothing.
    pub const fn cutoff(&self) -> Option<Timestamp> {
        self.cutoff
    }

    /// Takes nothing more; what was looked at stays counted.
    pub fn end(&mut self) {
        self.source = (Box::new(std::iter::empty()) as Candidates<'a>).peekable();
        self.unit.clear();
        self.trees = Trees::default();
    }

    /// Whether further links of the last removal's inode follow: a batch must not part them.
    pub fn is_mid_unit(&self) -> bool {
        !self.unit.is_empty()
    }

    /// What was looked at so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The age moment of the next candidate, so that several roots can be merged oldest first.
    pub fn peek_age(&mut self) -> Option<Timestamp> {
        if !self.unit.is_empty() {
            // The rest of a unit comes before everything else.
            return Some(Timestamp::from_nanos(i64::MIN));
        }
        if let Some(kept) = &mut self.kept {
            return kept.peek();
        }
        let next = self.source.peek().map(|next| match next {
            Ok(candidate) => candidate.age_time,
            // An error is taken up first, not put off.
            Err(_) => Timestamp::from_nanos(i64::MIN),
        });
        next.into_iter().chain(self.trees.first()).min()
    }

    /// The next removal, leaving out what `decided` has (from earlier in
    /// this run) and adding its own. `order` is left at 0: the run numbers.
    pub fn next(&mut self, decided: &mut Decided) -> Result<Option<Action>, SweepError> {
        let next = self.decide_next(decided);
        if let Ok(Some(action)) = &next {
            self.note_by_name(action, decided);
        }
        next
    }

    fn decide_next(&mut self, decided: &mut Decided) -> Result<Option<Action>, SweepError> {
        if let Some(action) = self.unit.pop_front() {
            return Ok(Some(action));
        }
        if let Some(kept) = &mut self.kept {
            let next = kept.take();
            if let Ok(Some(action)) = &next {
                self.tally.scanned += action.reason.files();
            }
            return next;
        }
        loop {
            if let Some(tree) = self.due_tree(decided) {
                return Ok(Some(tree));
            }
            let Some(next) = self.source.next() else { return Ok(None) };
            let candidate = next?;
            if self.cutoff.is_some_and(|cutoff| candidate.age_time > cutoff) {
                self.end_at_age()?;
                return Ok(None);
            }
            if let Some(top) = self.tree_of(&candidate) {
                if let Some(keep) = self.meet(top, &candidate, decided)? {
                    self.keep(&keep, &candidate, decided);
                }
                continue;
            }
            self.tally.scanned += 1;
            if decided.taken.contains(&candidate.facts.id.ino) {
                continue;
            }
            if self.root.own.contains(&candidate.facts.id) {
                self.tally.keep(&Keep::Protected);
                continue;
            }
            match self.decide(&candidate) {
                Verdict::Keep { keep, .. } => self.keep(&keep, &candidate, decided),
                Verdict::Remove { reason, age } => {
                    let first = Action {
                        order: 0,
                        phase: self.phase,
                        path: candidate.path(),
                        facts: candidate.facts,
                        reason,
                        age,
                        expected_bytes: candidate.facts.allocated,
                    };
                    if let Some(action) = self.with_links(first, decided)? {
                        return Ok(Some(action));
                    }
                }
            }
        }
    }

    /// Counts a file that stays.
    fn keep(&mut self, keep: &Keep, candidate: &Candidate, decided: &mut Decided) {
        let for_good = matches!(keep, Keep::ActiveJob | Keep::Held | Keep::Protected);
        // Each name of a linked file counts, as it does where files go.
        if !for_good || candidate.facts.nlink > 1 || decided.spared.insert(candidate.facts.id.ino) {
            self.tally.keep(keep);
        }
    }

    /// What the files of one directory share.
    fn context(&mut self, candidate: &Candidate) -> &DirContext {
        if !self.contexts.contains_key(&candidate.dir) && self.contexts.len() >= REMEMBERED_DIRECTORIES {
            self.contexts.clear();
        }
        let root = self.root;
        self.contexts
            .entry(candidate.dir.clone())
            .or_insert_with_key(|dir| DirContext::new(&root.rules, dir.clone()))
    }

    fn decide(&mut self, candidate: &Candidate) -> Verdict {
        let (phase, root, with) = (self.phase, self.root, self.with);
        let context = self.context(candidate);
        let jobs = with.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
        let (name, facts) = (&candidate.name, &candidate.facts);
        classify(phase, &root.rules, with.moment, &jobs, &references, context, name, facts)
    }

    /// All links of one inode that may go form one unit, taken together. Where
    /// the aim is space and a link stays, none goes: nothing would come free.
    fn with_links(&mut self, first: Action, decided: &mut Decided) -> Result<Option<Action>, SweepError> {
        let ino = first.facts.id.ino;
        decided.taken.insert(ino);
        if self.with.aim == Some(Resource::Bytes) && first.facts.allocated == 0 {
            self.tally.keep(&Keep::FreesNothing);
            return Ok(None);
        }
        if first.facts.nlink <= 1 || first.facts.id.kind != FileKind::Regular {
            return Ok(Some(first));
        }
        let mut unit = vec![first];
        for link in self.nominator.links_of(ino)? {
            let path = link.path();
            if unit.iter().any(|action| action.path == path) {
                continue;
            }
            self.tally.scanned += 1;
            if self.tree_of(&link).is_some() {
                // It goes with its tree, or stays with it.
                self.tally.keep(&Keep::Linked);
                continue;
            }
            match self.decide(&link) {
                Verdict::Remove { reason, age } => unit.push(Action {
                    order: 0,
                    phase: self.phase,
                    path,
                    facts: link.facts,
                    reason,
                    age,
                    expected_bytes: 0,
                }),
                Verdict::Keep { keep, .. } => self.tally.keep(&keep),
            }
        }
        let all = unit.len() >= unit[0].facts.nlink as usize;
        if !all && self.with.aim.is_some() {
            for _ in &unit {
                self.tally.keep(&Keep::Linked);
            }
            return Ok(None);
        }
        // The bytes come free with the last link, and only if every link goes.
        let bytes = unit[0].facts.allocated;
        let last = unit.len() - 1;
        for (place, action) in unit.iter_mut().enumerate() {
            action.expected_bytes = if all && place == last { bytes } else { 0 };
        }
        self.unit.extend(unit);
        Ok(self.unit.pop_front())
    }

    /// Everything not yet looked at is younger still: it counts, without being read.
    fn end_at_age(&mut self) -> Result<(), SweepError> {
        self.source = (Box::new(std::iter::empty()) as Candidates<'a>).peekable();
        if self.with.moment.forced_job.is_none() {
            let rest = self.nominator.totals()?.files.saturating_sub(self.tally.scanned);
            if rest > 0 {
                *self.tally.kept.entry(Keep::TooYoung.as_str()).or_default() += rest;
            }
        }
        Ok(())
    }
}
