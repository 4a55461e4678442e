//! A job's directory that goes all or not at all: what is looked at before.
//!
//! Promises: it goes only if each file in it is what was planned, may go by
//! policy as of now, and is in nobody's use; nothing else is in it; and nothing
//! speaks for one of its directories. The same looks serve a dry run, which
//! ends after them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::model::{Action, FileFacts, FileKind, Reason, RelPath, Skip, TreePrint, with_causes};
use crate::policy::{DirContext, empty_directory_waits, speaks_against};
use crate::sweep::flocks::keep;
use crate::sys::SysError;
use crate::sys::remove::Refusal;
use crate::sys::walk::{Found, Listing, ProblemKind, Walk};

use super::{Ended, Known, Place, State, refused, refused_directory, skip_for};

/// A tree in which nothing speaks against its going.
pub(super) struct Whole {
    /// Its files, each as a removal of its own.
    pub(super) files: Vec<Action>,
    /// Its directories, the top first, and what their files share.
    pub(super) dirs: Vec<(RelPath, FileFacts)>,
    pub(super) contexts: HashMap<RelPath, DirContext>,
}

/// What was found at the places of a tree, one directory after the other.
pub(super) fn found_beneath(state: &State<'_>, top: &RelPath) -> Result<Vec<Listing>, Ended> {
    let all: Mutex<Vec<Found>> = Mutex::default();
    let times = state.root.rules.age_by;
    let walk = Walk::new(&state.root.dir).start(top.clone()).times(times);
    walk.run(|found| all.lock().unwrap_or_else(PoisonError::into_inner).push(found))
        .map_err(|error| refused_directory(&error))?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut listings = Vec::with_capacity(all.len());
    for found in all {
        match found {
            Found::Unread { path, problem } => return Err(problem_at(&path, &problem)),
            Found::Directory(listing) => {
                if let Some(problem) = listing.problems.first() {
                    let at = problem.name.as_ref().map(|name| listing.path.join(name));
                    return Err(problem_at(at.as_ref().unwrap_or(&listing.path), &problem.kind));
                }
                listings.push(listing);
            }
        }
    }
    Ok(listings)
}

fn problem_at(path: &RelPath, problem: &ProblemKind) -> Ended {
    let failed = |error| Ended::Failed(with_causes(&SysError::named("look into", path.as_bytes(), error)));
    match problem {
        ProblemKind::OtherMount => Ended::Skipped(Skip::Protected),
        ProblemKind::Vanished => Ended::Skipped(Skip::Changed),
        ProblemKind::Denied => failed(std::io::Error::from_raw_os_error(libc::EACCES)),
        ProblemKind::Failed(error) => failed(std::io::Error::from(error.kind())),
    }
}

/// The part of `path` below `top`.
pub(super) fn beneath<'p>(top: &RelPath, path: &'p RelPath) -> &'p [u8] {
    path.as_bytes().get(top.as_bytes().len() + 1..).unwrap_or_default()
}

impl State<'_> {
    /// Whether a file that was planned by itself is part of a tree, by the rules of now.
    pub(super) fn goes_with_its_tree(&self, action: &Action, place: &Place) -> bool {
        !self.of_a_tree && action.phase.takes_trees() && place.context.tree.is_some()
    }

    /// Looks at everything in a tree, now. `by_name`: files that are no part of it any more.
    ///
    /// # Errors
    /// Why it stays.
    pub(super) fn look_through(
        &self,
        action: &Action,
        place: &Place,
        by_name: &HashSet<RelPath>,
    ) -> Result<Whole, Ended> {
        let Reason::Tree { print: planned, files: count, because, .. } = &action.reason else {
            return Err(Ended::Skipped(Skip::Changed));
        };
        self.check_top(action, place)?;
        let mut whole = Whole { files: Vec::new(), dirs: Vec::new(), contexts: HashMap::new() };
        let mut print = TreePrint::default();
        for listing in found_beneath(self, &action.path)? {
            let is_top = listing.path == action.path;
            if is_top && listing.dir.id.ino != action.facts.id.ino {
                return Err(Ended::Skipped(Skip::Changed));
            }
            let here = self.enter(listing.path.clone()).map_err(|error| refused_directory(&error))?;
            self.check_directory(action, &here, &listing)?;
            for entry in listing.entries {
                let path = listing.path.join(&entry.name);
                if by_name.contains(&path) {
                    continue;
                }
                let known = self.with.read();
                if entry.facts.id.kind == FileKind::Directory {
                    self.check_named(&here.context, &entry.name, &entry.facts, &known)?;
                    continue;
                }
                print.add(beneath(&action.path, &path), &entry.facts.id);
                let file = Action {
                    order: action.order,
                    phase: action.phase,
                    path,
                    facts: entry.facts,
                    reason: (**because).clone(),
                    age: action.age,
                    expected_bytes: 0,
                };
                let confirmed = self.confirm(&file, &here, &entry.name, &known).map(drop);
                whole.files.push(file);
                if let Err(refusal) = confirmed {
                    if matches!(refusal, Refusal::Skip(Skip::Changed)) {
                        self.note_different(whole.files.pop());
                    }
                    return Err(refused(refusal));
                }
            }
            whole.contexts.insert(listing.path.clone(), here.context);
            whole.dirs.push((listing.path, listing.dir));
        }
        if print != *planned || whole.files.len() as u64 != *count {
            self.note_different(whole.files);
            return Err(Ended::Skipped(Skip::Changed));
        }
        Ok(whole)
    }

    /// The top itself: still a tree by the rules of now, the very directory, ours to take.
    fn check_top(&self, action: &Action, place: &Place) -> Result<(), Ended> {
        let name = action.path.name();
        let whole_trees = self.root.rules.whole_trees && action.phase.takes_trees();
        let is_top = place.context.tree.is_none() && !self.root.rules.patterns.readings(name).is_empty();
        if !(whole_trees && is_top) {
            return Err(Ended::Skipped(Skip::Changed));
        }
        let seen = place
            .dir
            .look(name, self.root.rules.age_by)
            .map_err(|error| refused_directory(&SysError::named("look at directory", name, error)))?;
        let (then, now) = (&action.facts.id, &seen.facts.id);
        if seen.mount_point {
            return Err(Ended::Skipped(Skip::Protected));
        }
        if (then.dev, then.ino, then.kind) != (now.dev, now.ino, now.kind) {
            return Err(Ended::Skipped(Skip::Changed));
        }
        self.check_named(&place.context, name, &seen.facts, &self.with.read())
    }

    /// Whether anything speaks for the directory `name`, be there files in it or not.
    pub(super) fn check_named(
        &self,
        context: &DirContext,
        name: &[u8],
        facts: &FileFacts,
        known: &Known<'_>,
    ) -> Result<(), Ended> {
        if self.root.own.contains(&facts.id) {
            return Err(Ended::Skipped(Skip::Protected));
        }
        let now = self.with.moment.at_the_earliest();
        let Known { jobs, references } = known;
        match speaks_against(&self.root.rules, now, jobs, references, context, name, facts) {
            Some((keep, _)) => Err(Ended::Skipped(skip_for(&keep))),
            None => Ok(()),
        }
    }

    /// A directory of the tree, open: nobody holds it, and if nothing lies in it,
    /// it is not too young.
    fn check_directory(&self, action: &Action, here: &Place, listing: &Listing) -> Result<(), Ended> {
        if here.dir.ino() != listing.dir.id.ino {
            return Err(Ended::Skipped(Skip::Changed));
        }
        if self.root.own.contains_dir(here.dir.dev(), here.dir.ino()) {
            return Err(Ended::Skipped(Skip::Protected));
        }
        let moment = self.with.moment;
        if keep(&here.holders, listing.dir.uid, moment.emergency) {
            return Err(Ended::Skipped(Skip::Held));
        }
        let waits = || empty_directory_waits(action.phase, moment, &action.reason, listing.dir.id.mtime);
        if listing.entries.is_empty() && waits() {
            return Err(Ended::Skipped(Skip::Changed));
        }
        Ok(())
    }

    /// Asks policy once more of every file, by what is so now.
    pub(super) fn policy_against_any(
        &self,
        action: &Action,
        whole: &Whole,
        known: &Known<'_>,
    ) -> Option<Skip> {
        for (path, facts) in &whole.dirs {
            let parent = path.parent().unwrap_or_default();
            let context = whole.contexts.get(&parent);
            if let Some(Err(Ended::Skipped(why))) =
                context.map(|context| self.check_named(context, path.name(), facts, known))
            {
                return Some(why);
            }
        }
        whole.files.iter().find_map(|file| {
            let context = whole.contexts.get(&file.path.parent()?)?;
            self.policy_against(action.phase, context, file.path.name(), &file.facts, known)
        })
    }

    /// Files that are not what was planned, so that the index looks at them again.
    pub(super) fn note_different(&self, files: impl IntoIterator<Item = Action>) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).differ.extend(files);
    }
}
