//! Directories of jobs that go all or not at all.
//!
//! The first candidate of a tree leads to the judgement of all of it, once in a
//! phase. It comes in the order of its youngest file, among what goes alone. A
//! candidate that stays keeps its tree without anything else being read.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::PoisonError;

use crate::model::{Action, FileKind, FileTimes, Keep, RelPath, Resource, Timestamp};
use crate::policy::{Detail, InTree, TreeFold, TreeVerdict, Verdict, classify_in_tree};
use crate::sweep::SweepError;
use crate::sweep::nominate::Candidate;

use super::{Decided, Planner};

/// What a phase made of the trees that it met.
#[derive(Default)]
pub(super) struct Trees {
    /// Why each stays; `None` for those that go, or are gone.
    judged: HashMap<RelPath, Option<Keep>>,
    /// Those that go, in the order of their youngest files.
    pending: BTreeMap<(Timestamp, RelPath), Action>,
}

impl Trees {
    /// The age moment of the next tree.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.pending.keys().next().map(|(time, _)| *time)
    }
}

impl Planner<'_> {
    /// The tree that a candidate is judged with, where that is what this phase does.
    pub(super) fn tree_of(&mut self, candidate: &Candidate) -> Option<RelPath> {
        let wanted = self.root.rules.whole_trees && self.phase.takes_trees();
        if wanted { self.context(candidate).tree.clone() } else { None }
    }

    /// A file that goes by name is no part of its tree any more.
    pub(super) fn note_by_name(&mut self, action: &Action, decided: &mut Decided) {
        let by_name = !self.phase.takes_trees() && action.reason.kept().is_none();
        if self.root.rules.whole_trees && by_name {
            decided.by_name.insert(action.path.clone());
        }
    }

    /// The next tree, if it comes before the next candidate.
    pub(super) fn due_tree(&mut self, decided: &mut Decided) -> Option<Action> {
        let first = self.trees.first()?;
        match self.source.peek() {
            Some(Ok(next)) if next.age_time < first => return None,
            Some(Err(_)) => return None,
            _ => {}
        }
        let (_, action) = self.trees.pending.pop_first()?;
        decided.trees.insert(action.path.clone());
        Some(action)
    }

    /// Meets a file of the tree at `top`. Why it stays with that, if it does.
    pub(super) fn meet(
        &mut self,
        top: RelPath,
        candidate: &Candidate,
        decided: &Decided,
    ) -> Result<Option<Keep>, SweepError> {
        if decided.trees.contains(&top) || decided.by_name.contains(&candidate.path()) {
            self.tally.scanned += 1;
            return Ok(None);
        }
        if let Some(known) = self.trees.judged.get(&top) {
            // The files of a tree that goes were counted with it.
            self.tally.scanned += u64::from(known.is_some());
            return Ok(known.clone());
        }
        self.tally.scanned += 1;
        let keep = self.judge_tree(&top, candidate, decided)?;
        self.trees.judged.insert(top, keep.clone());
        Ok(keep)
    }

    fn judge_tree(
        &mut self,
        top: &RelPath,
        first: &Candidate,
        decided: &Decided,
    ) -> Result<Option<Keep>, SweepError> {
        if let Verdict::Keep { keep, .. } = self.decide_in_tree(first).verdict {
            return Ok(Some(keep));
        }
        let parent = top.parent().unwrap_or_default();
        let age_by = FileTimes { btime: true, ..self.root.rules.age_by };
        let looked = self.root.dir.handle().open_below(&parent).and_then(|dir| dir.look(top.name(), age_by));
        // One that is gone, or can't be reached, does not go; a run reports nothing of it.
        let Ok(seen) = looked else { return Ok(None) };
        if seen.mount_point || seen.facts.id.kind != FileKind::Directory {
            return Ok(Some(Keep::Protected));
        }
        let mut fold = TreeFold::new(top);
        self.nominator.beneath(top, &mut |file| {
            let path = file.path();
            if decided.by_name.contains(&path) {
                return ControlFlow::Continue(());
            }
            let judged = self.decide_in_tree(&file);
            fold.add(&path, &file.facts, file.age_time, judged);
            if fold.is_kept() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let files = fold.files();
        let (reason, newest, bytes) = match fold.end(self.with.moment, self.cutoff, self.with.aim.is_some()) {
            TreeVerdict::Keep { obstacle, .. } => return Ok(Some(obstacle.keep)),
            TreeVerdict::Remove { bytes: 0, .. } if self.with.aim == Some(Resource::Bytes) => {
                return Ok(Some(Keep::FreesNothing));
            }
            TreeVerdict::Remove { reason, newest, bytes } => (reason, newest, bytes),
        };
        self.tally.scanned += files.saturating_sub(1);
        let action = Action {
            order: 0,
            phase: self.phase,
            path: top.clone(),
            facts: seen.facts,
            age: self.with.moment.age(newest),
            reason,
            expected_bytes: bytes,
        };
        self.trees.pending.insert((newest, top.clone()), action);
        Ok(None)
    }

    fn decide_in_tree(&mut self, candidate: &Candidate) -> InTree {
        let (phase, root, with) = (self.phase, self.root, self.with);
        if root.own.contains(&candidate.facts.id) {
            let verdict = Verdict::Keep { keep: Keep::Protected, detail: Detail::default() };
            return InTree { verdict, is_subject: false };
        }
        let context = self.context(candidate);
        let jobs = with.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
        let (name, facts) = (&candidate.name, &candidate.facts);
        classify_in_tree(phase, &root.rules, with.moment, &jobs, &references, context, name, facts)
    }
}
