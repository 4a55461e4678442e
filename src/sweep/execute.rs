//! Removal: the only place from which files go.
//!
//! Promises: nothing goes that was not decided, recorded and looked at again a
//! moment before. For every file, in this order and within microseconds: its
//! jobs' states are read now, policy judges the facts on disk now, the
//! descriptor is compared with the plan and asked whether anybody else holds
//! it, its directory must still be at the planned path beneath the root, and
//! the name is compared once more. The locks of jobs and references are held
//! from the first of these until the file is gone, so that a job or a hold that
//! was answered can't lose a file to a decision made before.
//!
//! A job's directory that goes as one is looked at as a whole ([`tree`]), and
//! leaves by one rename ([`tree_out`]).
//!
//! One failing file never stops the rest.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::model::{Action, FileFacts, FileKind, FileTimes, Keep, Phase, RelPath, Skip, with_causes};
use crate::policy::{DirContext, Verdict, classify, classify_in_tree, speaks_against};
use crate::sys::open_check::OpenCheck;
use crate::sys::remove::{Refusal, Removed, Unit, Verified, verify};
use crate::sys::xattr::Mark;
use crate::sys::{DirHandle, SysError};

pub use super::conditions::{Conditions, Known};
use super::flocks::{DirectoryLocks, keep};
use super::root::GuardedRoot;
use super::vault::Rooms;
pub use inspector::Inspector;

mod inspector;
mod kept;
mod tree;
mod tree_out;

#[cfg(test)]
pub(crate) use tree_out::{Step, seam};

/// How one action ended.
#[derive(Debug)]
pub enum Ended {
    /// The name is gone; so many bytes with it (0 while other links remain).
    Removed {
        /// Allocated bytes of the inode, on its last link.
        freed: u64,
    },
    /// A tree that was given up is gone, with so many names of files.
    RemovedTree {
        /// Names of files in it.
        files: u64,
        /// Allocated bytes, of the last links.
        freed: u64,
    },
    /// Of such a tree something stayed.
    RemovedPart {
        /// Names of files that went.
        files: u64,
        /// Their allocated bytes.
        freed: u64,
        /// Why not all.
        why: String,
    },
    /// It stays.
    Skipped(Skip),
    /// It could not be removed.
    Failed(String),
}

/// A directory from which something was removed, as it was before.
#[derive(Debug, Clone, Copy)]
pub struct DirBefore {
    /// Its facts before the first removal of this batch.
    pub facts: FileFacts,
}

/// What became of a batch: one entry for each action, in their order.
#[derive(Debug, Default)]
pub struct BatchEnd {
    /// How each action ended.
    pub ended: Vec<Option<Ended>>,
    /// Directories that lost entries, with their facts from before.
    pub directories: HashMap<RelPath, DirBefore>,
    /// Files of trees that are not what was planned: as they were found.
    pub differ: Vec<Action>,
}

/// Actions of one directory, or the links of one inode.
struct Work {
    places: Vec<usize>,
}

/// Carries out decided removals of one root. Each action must be on record already.
pub fn execute(root: &GuardedRoot, actions: &[Action], with: Conditions<'_>) -> BatchEnd {
    let work = divide(actions);
    let state = State::new(root, actions, with);
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            state.carry_out(item);
        }
    };
    let threads = root.workers.clamp(1, work.len().max(1));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let thread = std::thread::Builder::new().name("guardian-remove".to_owned());
            // Fewer threads than wished for are slower, not wrong.
            if thread.spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    let mut end = state.end.into_inner().unwrap_or_else(PoisonError::into_inner);
    // What others emptied while we looked is not ours to tidy up.
    let lost_from = state.lost_from.into_inner().unwrap_or_else(PoisonError::into_inner);
    end.directories.retain(|path, _| lost_from.contains(path));
    end
}

/// Groups actions so that one worker has a directory, and one worker has all
/// links of an inode: our own unlinks change what the others expect of it.
fn divide(actions: &[Action]) -> Vec<Work> {
    let mut by_dir: HashMap<RelPath, Vec<usize>> = HashMap::new();
    let mut by_inode: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, action) in actions.iter().enumerate() {
        if action.facts.nlink > 1 {
            by_inode.entry(action.facts.id.ino).or_default().push(place);
        } else {
            by_dir.entry(action.path.parent().unwrap_or_default()).or_default().push(place);
        }
    }
    // The oldest action's directory first: a run that is cancelled or short of
    // time has then taken what is safest.
    let mut work: Vec<Work> =
        by_dir.into_values().chain(by_inode.into_values()).map(|places| Work { places }).collect();
    work.sort_by_key(|item| item.places.first().copied());
    work
}

struct State<'a> {
    root: &'a GuardedRoot,
    actions: &'a [Action],
    with: Conditions<'a>,
    how: OpenCheck,
    /// guardian's own single files as they were when the batch began.
    own_files: HashSet<(u64, u64)>,
    locks: DirectoryLocks,
    /// Where queue and trash lie, opened by the first that needs it.
    rooms: OnceLock<Result<Rooms, String>>,
    /// The actions are the files of one tree, of which each was looked at: the
    /// first that stays ends it.
    of_a_tree: bool,
    end: Mutex<BatchEnd>,
    /// Directories from which something was removed.
    lost_from: Mutex<HashSet<RelPath>>,
}

/// The directory that a worker has open.
struct Place {
    path: RelPath,
    dir: DirHandle,
    context: DirContext,
    /// Who holds it, or a directory above it, by `flock`.
    holders: Arc<[u32]>,
}

impl<'a> State<'a> {
    fn new(root: &'a GuardedRoot, actions: &'a [Action], with: Conditions<'a>) -> Self {
        Self {
            root,
            actions,
            with,
            own_files: root.own.files_now(),
            how: root.prepare_open_check(with.moment.emergency),
            locks: DirectoryLocks::default(),
            rooms: OnceLock::new(),
            of_a_tree: false,
            end: Mutex::new(BatchEnd {
                ended: actions.iter().map(|_| None).collect(),
                ..BatchEnd::default()
            }),
            lost_from: Mutex::default(),
        }
    }
}

impl State<'_> {
    fn carry_out(&self, work: &Work) {
        let mut at: Option<Place> = None;
        // The inode whose first name was removed, held for its other names.
        let mut unit: Option<Unit> = None;
        for &number in &work.places {
            let Some(action) = self.actions.get(number) else { continue };
            if self.of_a_tree && self.first_that_stayed().is_some() {
                return;
            }
            if let Some((id, true)) = action.reason.kept() {
                self.note(number, self.remove_moved(action, id));
                continue;
            }
            let parent = action.path.parent().unwrap_or_default();
            if at.as_ref().is_none_or(|place| place.path != parent) {
                // Its descriptor would lead on to wherever the root was moved.
                if !self.root.dir.is_in_place() {
                    self.note(number, Ended::Skipped(Skip::Changed));
                    continue;
                }
                match self.enter(parent) {
                    Ok(place) => at = Some(place),
                    Err(error) => {
                        self.note(number, refused_directory(&error));
                        continue;
                    }
                }
            }
            let Some(place) = &at else { continue };
            let ended = self.remove_one(action, place, &mut unit);
            let tree_went = action.reason.is_tree() && matches!(ended, Ended::RemovedTree { .. });
            if tree_went || matches!(ended, Ended::Removed { .. }) {
                let mut lost_from = self.lost_from.lock().unwrap_or_else(PoisonError::into_inner);
                if !lost_from.contains(&place.path) {
                    lost_from.insert(place.path.clone());
                }
            }
            self.note(number, ended);
        }
    }

    fn enter(&self, path: RelPath) -> Result<Place, SysError> {
        let dir = self.root.dir.open_dir(&path)?;
        if let Ok(facts) = dir.facts() {
            self.note_directory(&path, facts);
        }
        let above = self.locks.above(self.root, &path, &dir);
        let context = DirContext::new(&self.root.rules, path.clone()).with_inodes(above.inodes);
        Ok(Place { path, dir, context, holders: above.holders })
    }

    fn remove_one(&self, action: &Action, place: &Place, unit: &mut Option<Unit>) -> Ended {
        let name = action.path.name();
        if action.reason.is_tree() {
            return self.remove_whole(action, place);
        }
        if self.goes_with_its_tree(action, place) {
            return Ended::Skipped(Skip::Changed);
        }
        if action.facts.id.kind == FileKind::Directory
            && let Some((id, _)) = action.reason.kept()
        {
            return self.remove_tree_in_place(action, id, place);
        }
        // Held until the file is gone: see the module's promise.
        let known = self.with.read();
        if let Some(held) = unit.as_mut().filter(|held| held.facts().id.ino == action.facts.id.ino) {
            // Planned facts: the times on disk are our own doing by now.
            return match self.objection(action, place, name, &action.facts, &known) {
                Some(why) => Ended::Skipped(why),
                None if !self.is_in_place(place) => Ended::Skipped(Skip::Changed),
                None => held.remove_link(&place.dir, name).map_or_else(refused, removed),
            };
        }
        let verified = match self.confirm(action, place, name, &known) {
            Ok(verified) => verified,
            Err(refusal) => return refused(refusal),
        };
        if action.facts.nlink <= 1 {
            return verified.remove().map_or_else(refused, removed);
        }
        match verified.remove_first() {
            Ok((gone, held)) => {
                *unit = Some(held);
                removed(gone)
            }
            Err(refusal) => refused(refusal),
        }
    }

    /// Whether the open directory is still what the planned path leads to. Whoever
    /// moves a tree out of the root, or to where it is protected, changes no file
    /// in it: only the way there tells.
    fn is_in_place(&self, place: &Place) -> bool {
        self.root.dir.leads_to(&place.path, &place.dir)
    }

    /// Everything that must be so for a file to go, looked at now.
    fn confirm<'p>(
        &self,
        action: &Action,
        place: &'p Place,
        name: &[u8],
        known: &Known<'_>,
    ) -> Result<Verified<'p>, Refusal> {
        let verified = verify(&place.dir, name, &action.facts.id, &self.how)?;
        let bind = self.root.user_marks.bind(verified.facts().uid, self.with.moment.emergency);
        // A mark that can't be read may be there.
        if bind && !matches!(verified.keep_mark(), Mark::Absent) {
            return Err(Refusal::Skip(Skip::Held));
        }
        // A later expiry refers to the file, and spares it from what references do;
        // what its job has processed goes before it expires.
        let last_resort = self.with.moment.emergency && action.phase == Phase::Oldest;
        // What its owner gave up goes before it expires.
        if self.root.xattr_expiry
            && !last_resort
            && action.phase != Phase::Chunks
            && action.reason.kept().is_none()
            && verified.expires().is_some_and(|at| at > self.with.moment.at_the_earliest())
        {
            return Err(Refusal::Skip(Skip::Held));
        }
        let facts = self.facts_now(action, place, &verified).map_err(Refusal::Skip)?;
        match self.objection(action, place, name, &facts, known) {
            Some(why) => Err(Refusal::Skip(why)),
            None if !self.is_in_place(place) => Err(Refusal::Skip(Skip::Changed)),
            None => Ok(verified),
        }
    }

    /// The facts that the decision needs and that are no part of a file's
    /// identity: access and creation where `age_by` names them, creation where
    /// it tells a tracked file from a later one, and the file's own expiry mark.
    fn facts_now(&self, action: &Action, place: &Place, verified: &Verified<'_>) -> Result<FileFacts, Skip> {
        let held = verified.facts();
        let age_by = self.root.rules.age_by;
        let told = matches!(action.phase, Phase::Expired | Phase::Sessions);
        let mut facts = *held;
        if told || age_by.atime || age_by.btime {
            let times = FileTimes { btime: age_by.btime || told, ..age_by };
            facts = place.dir.stat(action.path.name(), times).map_err(|_| Skip::Vanished)?;
            if facts.id != held.id {
                return Err(Skip::Changed);
            }
        }
        if self.root.xattr_expiry {
            facts.expires_at = verified.expires();
        }
        Ok(facts)
    }

    /// Why the file must stay after all, by policy on what is so now.
    fn objection(
        &self,
        action: &Action,
        place: &Place,
        name: &[u8],
        facts: &FileFacts,
        known: &Known<'_>,
    ) -> Option<Skip> {
        // Whatever lies directly in a directory of ours is ours, also if it was made since.
        let id = &facts.id;
        let own = &self.root.own;
        if own.contains(id)
            || own.contains_dir(place.dir.dev(), place.dir.ino())
            || self.own_files.contains(&(id.dev, id.ino))
        {
            return Some(Skip::Protected);
        }
        if keep(&place.holders, facts.uid, self.with.moment.emergency) {
            return Some(Skip::Held);
        }
        if action.reason.kept().is_some() {
            let against = speaks_against(
                &self.root.rules,
                self.with.moment.at_the_earliest(),
                &known.jobs,
                &known.references,
                &place.context,
                name,
                facts,
            );
            return against.map(|(keep, _)| skip_for(&keep));
        }
        self.policy_against(action.phase, &place.context, name, facts, known)
    }

    /// Why policy keeps a file, with its tree where that is the unit.
    fn policy_against(
        &self,
        phase: Phase,
        context: &DirContext,
        name: &[u8],
        facts: &FileFacts,
        known: &Known<'_>,
    ) -> Option<Skip> {
        let (rules, moment) = (&self.root.rules, self.with.moment);
        let Known { jobs, references } = known;
        let verdict = if context.tree.is_some() && phase.takes_trees() {
            classify_in_tree(phase, rules, moment, jobs, references, context, name, facts).verdict
        } else {
            classify(phase, rules, moment, jobs, references, context, name, facts)
        };
        match verdict {
            Verdict::Remove { .. } => None,
            Verdict::Keep { keep, .. } => Some(skip_for(&keep)),
        }
    }

    fn note(&self, place: usize, ended: Ended) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = end.ended.get_mut(place) {
            *slot = Some(ended);
        }
    }

    fn note_directory(&self, path: &RelPath, facts: FileFacts) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.directories.entry(path.clone()).or_insert(DirBefore { facts });
    }
}

const fn skip_for(keep: &Keep) -> Skip {
    match keep {
        Keep::ActiveJob => Skip::ActiveJob,
        Keep::Held | Keep::Referred => Skip::Held,
        Keep::Protected => Skip::Protected,
        _ => Skip::Changed,
    }
}

fn removed(gone: Removed) -> Ended {
    Ended::Removed { freed: gone.freed_if_last }
}

fn refused(refusal: Refusal) -> Ended {
    match refusal {
        Refusal::Skip(why) => Ended::Skipped(why),
        Refusal::Failed(error) => Ended::Failed(with_causes(&error)),
    }
}

/// A directory on the way is gone, became something else, or leads elsewhere:
/// the plan no longer fits. Anything else is a failure.
fn refused_directory(error: &SysError) -> Ended {
    match error.kind() {
        std::io::ErrorKind::NotFound => Ended::Skipped(Skip::Vanished),
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::CrossesDevices => {
            Ended::Skipped(Skip::Changed)
        }
        // ELOOP has no stable name in std: a link where a directory was.
        _ if error.errno() == Some(libc::ELOOP) => Ended::Skipped(Skip::Changed),
        _ => Ended::Failed(with_causes(error)),
    }
}
