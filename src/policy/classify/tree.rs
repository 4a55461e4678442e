//! A job's directory as one: it goes all, or not at all.
//!
//! Promises: a tree may go in a phase only if each of its files may, by the
//! same classification as a single file; in whatever order they are taken up.
//! One that may not keeps the whole tree, and is named with its numbers.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::{Detail, DirContext, Verdict, classify};
use crate::model::{FileFacts, JobId, Keep, Phase, Reason, RelPath, Timestamp, TreePrint};
use crate::policy::{JobsView, Moment, ReferenceView, RootRules};

/// The tree that files in the directory `dir` are part of, where a job's
/// directory is the unit: the topmost one on the way there whose name names a job.
pub fn tree_of(rules: &RootRules, dir: &RelPath) -> Option<RelPath> {
    if !rules.whole_trees {
        return None;
    }
    let mut top = RelPath::root();
    for component in dir.components() {
        top = top.join(component);
        if !rules.patterns.readings(component).is_empty() {
            return Some(top);
        }
    }
    None
}

/// The judgement of one file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InTree {
    /// Whether the file may go with its tree.
    pub verdict: Verdict,
    /// The phase is about this file too, not only about its tree.
    pub is_subject: bool,
}

/// Judges one file of a tree in one phase. It may go if the phase takes it, and
/// also where its tree goes for the sake of other files: a result past its
/// retention, and, where results are what the phase is about, what is left of
/// its job. An age that was asked for or planned by is that of the phase, not of these.
#[expect(clippy::too_many_arguments, reason = "each is a fact of its own, as for a single file")]
pub fn classify_in_tree(
    phase: Phase,
    rules: &RootRules,
    moment: &Moment,
    jobs: &JobsView,
    references: &ReferenceView,
    dir: &DirContext,
    name: &[u8],
    facts: &FileFacts,
) -> InTree {
    let judge = |phase, moment: &Moment| classify(phase, rules, moment, jobs, references, dir, name, facts);
    let own = judge(phase, moment);
    let others: &[Phase] = match &own {
        Verdict::Remove { .. } => return InTree { verdict: own, is_subject: true },
        Verdict::Keep { keep: Keep::Result, .. } => &[Phase::Results],
        Verdict::Keep { keep: Keep::NotSubject, .. } if phase == Phase::Results => {
            &[Phase::CompletedJobs, Phase::FailedJobs, Phase::Orphans]
        }
        Verdict::Keep { keep, .. } => {
            let is_subject = *keep != Keep::NotSubject;
            return InTree { verdict: own, is_subject };
        }
    };
    let retention = Moment { older_than: None, at_least: Duration::ZERO, ..moment.clone() };
    let mut verdict = own;
    for other in others {
        let said = judge(*other, &retention);
        let done = said.is_remove();
        // Of those that keep it the last is the one that all files come to.
        if done || !matches!(said, Verdict::Keep { keep: Keep::NotSubject, .. }) {
            verdict = said;
        }
        if done {
            break;
        }
    }
    InTree { verdict, is_subject: false }
}

/// Why a tree stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The file on whose account, or the tree itself.
    pub path: RelPath,
    /// Why that stays.
    pub keep: Keep,
    /// The numbers.
    pub detail: Detail,
}

/// What a phase may do with a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeVerdict {
    /// It may go.
    Remove {
        /// Why, with what it holds.
        reason: Reason,
        /// The time that its youngest file's age counts from.
        newest: Timestamp,
        /// What should come free.
        bytes: u64,
    },
    /// It stays.
    Keep {
        /// The weightiest reason.
        obstacle: Obstacle,
        /// How many files there are that keep it.
        obstacles: u64,
        /// When all of these will have ended, if time alone ends them (a lower bound).
        due_at: Option<Timestamp>,
    },
}

/// Whether a directory of a tree in which nothing lies may still be wanted:
/// where age decides, whoever made or emptied it within the phase's age is
/// perhaps at work there. Where a job ended, its directories are its own.
pub fn empty_directory_waits(phase: Phase, moment: &Moment, because: &Reason, mtime: Timestamp) -> bool {
    matches!(phase, Phase::Orphans | Phase::MaxAge | Phase::Oldest) && moment.age(mtime) < because.limit()
}

impl TreeVerdict {
    /// With the directory at `path` in the tree, in which nothing lies.
    #[must_use]
    pub fn with_empty(self, phase: Phase, moment: &Moment, path: &RelPath, mtime: Timestamp) -> Self {
        let Self::Remove { reason, .. } = &self else { return self };
        if !empty_directory_waits(phase, moment, reason, mtime) {
            return self;
        }
        let (limit, due_at) = (reason.limit(), Some(mtime.min(moment.now).plus(reason.limit())));
        let detail = Detail { job: None, age: Some(moment.age(mtime)), limit: Some(limit), due_at };
        let obstacle = Obstacle { path: path.clone(), keep: Keep::TooYoung, detail };
        Self::Keep { obstacle, obstacles: 1, due_at }
    }
}

/// An inode with several links: those seen in the tree, all that there are, and its bytes.
#[derive(Debug, Clone, Copy)]
struct Linked {
    seen: u32,
    all: u32,
    bytes: u64,
}

/// The judgement of a tree while its files are taken up, one by one.
#[derive(Debug, Clone)]
pub struct TreeFold<'a> {
    top: &'a RelPath,
    files: u64,
    /// There is a file that the phase is about.
    is_subject: bool,
    bytes: u64,
    /// Inodes that lie wholly inside, those with several links aside.
    inside: u64,
    links: HashMap<u64, Linked>,
    print: TreePrint,
    newest: Option<(Timestamp, RelPath)>,
    because: Option<(Timestamp, RelPath, Reason)>,
    results_of: BTreeSet<JobId>,
    obstacle: Option<Obstacle>,
    obstacles: u64,
    /// When the last of them ends; `None` once there is one that time doesn't end.
    due_at: Option<Timestamp>,
}

impl<'a> TreeFold<'a> {
    /// Nothing of the tree at `top` was seen yet.
    pub fn new(top: &'a RelPath) -> Self {
        Self {
            top,
            files: 0,
            is_subject: false,
            bytes: 0,
            inside: 0,
            links: HashMap::new(),
            print: TreePrint::default(),
            newest: None,
            because: None,
            results_of: BTreeSet::new(),
            obstacle: None,
            obstacles: 0,
            due_at: None,
        }
    }

    /// Takes up the file at `path`, whose age counts from `age_time`.
    pub fn add(&mut self, path: &RelPath, facts: &FileFacts, age_time: Timestamp, judged: InTree) {
        self.files += 1;
        self.is_subject |= judged.is_subject;
        let beneath = path.as_bytes().get(self.top.as_bytes().len() + 1..).unwrap_or_default();
        self.print.add(beneath, &facts.id);
        if facts.nlink <= 1 {
            self.bytes = self.bytes.saturating_add(facts.allocated);
            self.inside += 1;
        } else {
            let new = Linked { seen: 0, all: facts.nlink, bytes: facts.allocated };
            self.links.entry(facts.id.ino).or_insert(new).seen += 1;
        }
        if self.newest.as_ref().is_none_or(|(time, at)| (age_time, path) > (*time, at)) {
            self.newest = Some((age_time, path.clone()));
        }
        match judged.verdict {
            Verdict::Keep { keep, detail } => self.keep(path, keep, detail),
            Verdict::Remove { reason, .. } => {
                if let Reason::OldResult { job, .. } = &reason {
                    self.results_of.insert(job.clone());
                }
                let youngest = |(time, at, _): &(Timestamp, RelPath, Reason)| (age_time, path) > (*time, at);
                if judged.is_subject && self.because.as_ref().is_none_or(youngest) {
                    self.because = Some((age_time, path.clone(), reason));
                }
            }
        }
    }

    /// Something at `path` keeps the tree.
    pub fn keep(&mut self, path: &RelPath, keep: Keep, detail: Detail) {
        let due = detail.due_at.filter(|_| self.obstacles == 0 || self.due_at.is_some());
        self.due_at = due.map(|due| due.max(self.due_at.unwrap_or(due)));
        self.obstacles += 1;
        let key = |keep: &Keep| weight(keep);
        let first = self.obstacle.as_ref();
        if first.is_none_or(|known| (key(&keep), path) < (key(&known.keep), &known.path)) {
            self.obstacle = Some(Obstacle { path: path.clone(), keep, detail });
        }
    }

    /// Whether something keeps it already.
    pub const fn is_kept(&self) -> bool {
        self.obstacle.is_some()
    }

    /// Files taken up.
    pub const fn files(&self) -> u64 {
        self.files
    }

    /// What its files were.
    pub const fn print(&self) -> TreePrint {
        self.print
    }

    /// The judgement, when all files were taken up. `cutoff`: files newer than
    /// this are no subject of the phase. `for_space`: the aim is space.
    pub fn end(mut self, moment: &Moment, cutoff: Option<Timestamp>, for_space: bool) -> TreeVerdict {
        let (top, none) = (self.top, Detail::default());
        for linked in self.links.values().filter(|linked| linked.seen >= linked.all) {
            self.bytes = self.bytes.saturating_add(linked.bytes);
            self.inside += 1;
        }
        let newest = self.newest.take();
        if let (Some(cutoff), Some((time, path))) = (cutoff, &newest)
            && *time > cutoff
            && self.obstacle.is_none()
        {
            let (age, limit) = (Some(moment.age(*time)), Some(cutoff.age_at(moment.now)));
            self.keep(path, Keep::TooYoung, Detail { age, limit, ..Detail::default() });
        }
        if for_space && self.inside == 0 && self.files > 0 && self.obstacle.is_none() {
            self.keep(top, Keep::Linked, none.clone());
        }
        let (Some((newest, _)), Some((_, _, because)), None) = (newest, self.because, &self.obstacle) else {
            // Nothing in it that the phase is about.
            let nothing = || Obstacle { path: top.clone(), keep: Keep::NotSubject, detail: none };
            let obstacles = self.obstacles.max(1);
            let said = self.obstacle.filter(|_| self.is_subject);
            let due_at = self.due_at.filter(|_| said.is_some());
            return TreeVerdict::Keep { obstacle: said.unwrap_or_else(nothing), obstacles, due_at };
        };
        let reason = Reason::Tree {
            files: self.files,
            bytes: self.bytes,
            print: self.print,
            age: moment.age(newest),
            results_of: self.results_of.into_iter().collect(),
            because: Box::new(because),
        };
        TreeVerdict::Remove { reason, newest, bytes: self.bytes }
    }
}

/// Which of two reasons is told: the one that lasts longer by itself comes first.
const fn weight(keep: &Keep) -> u8 {
    match keep {
        Keep::ActiveJob => 0,
        Keep::Held => 1,
        Keep::Protected => 2,
        Keep::Special => 3,
        Keep::RegistryLost | Keep::ClockUncertain => 4,
        Keep::Referred | Keep::Unexpired | Keep::SessionAlive => 5,
        Keep::JobRetention | Keep::Result | Keep::RegistryGrace => 6,
        Keep::TooYoung => 7,
        Keep::NotSubject | Keep::Linked | Keep::FreesNothing | Keep::IndexIncomplete => 8,
    }
}
