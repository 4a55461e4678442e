//! What was given up at a path and is not gone yet: deferred deletions and trash.

use crate::api::{GivenUp, GivenUpList};
use crate::model::{EntryId, FileFacts, Kept, RelPath, RootName, Stage, Timestamp, WirePath};
use crate::policy::RootRules;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, LedgerReader};
use crate::sweep::root::GuardedRoot;
use crate::sweep::vault::info::Entry;

use super::Knowledge;
use super::place::Place;
use super::told::{when, whole};

/// Entries told of one path; a name may have been given up often.
const MOST: usize = 10;

/// Where entries of queue and trash are on record.
pub trait KeptBook {
    /// Those of `path`, or of a tree that it lay in, newest first; and how many there are.
    fn at(&self, root: &RootName, path: &RelPath) -> Result<(Vec<Entry>, u64), StoreError>;

    /// One of them.
    fn named(&self, id: &EntryId) -> Result<Option<Entry>, StoreError>;
}

macro_rules! book {
    ($ledger:ty) => {
        impl KeptBook for $ledger {
            fn at(&self, root: &RootName, path: &RelPath) -> Result<(Vec<Entry>, u64), StoreError> {
                let queue = self.deferred_at(root, path, MOST)?;
                let trash = self.trashed_at(root, path, MOST)?;
                let total = queue.total + trash.total;
                let queue = queue.newest.into_iter().map(Entry::Queue);
                let mut all: Vec<Entry> = queue.chain(trash.newest.into_iter().map(Entry::Trash)).collect();
                all.sort_by_key(|entry| std::cmp::Reverse(entry.given_up_at()));
                all.truncate(MOST);
                Ok((all, total))
            }

            fn named(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
                match self.queue_entry(id)? {
                    Some(entry) => Ok(Some(Entry::Queue(entry))),
                    None => Ok(self.trash_entry(id)?.map(Entry::Trash)),
                }
            }
        }
    };
}

book!(Ledger);
book!(LedgerReader);

/// What was given up at one path.
pub(super) struct Heap {
    /// The newest first.
    entries: Vec<Entry>,
    total: u64,
    /// Why it can't be told.
    trouble: Option<String>,
}

impl Heap {
    pub(super) fn at(root: &GuardedRoot, path: &RelPath, with: &Knowledge<'_>) -> Self {
        match with.kept.map(|book| book.at(&root.name, path)) {
            None => Self { entries: Vec::new(), total: 0, trouble: None },
            Some(Ok((entries, total))) => Self { entries, total, trouble: None },
            Some(Err(error)) => {
                let why = format!("queue and trash could not be asked: {}", crate::agent::chain(&error));
                Self { entries: Vec::new(), total: 0, trouble: Some(why) }
            }
        }
    }

    pub(super) fn shown(&self, root: &GuardedRoot) -> Vec<GivenUp> {
        self.entries.iter().map(|entry| shown(entry, root)).collect()
    }

    /// The entry that what lies at `path` now, with these facts, belongs to.
    pub(super) fn here(&self, root: &GuardedRoot, path: &RelPath, facts: &FileFacts) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let kept = entry.kept();
            let Ok(at) = kept.rel() else { return false };
            kept.stage != Stage::Moved
                && if at == *path {
                    kept.is_untouched(facts)
                } else {
                    // The tree above it is still the one that was given up.
                    Place::find(root, &at).is_ok_and(|top| kept.is_untouched(&top.seen.facts))
                }
        })
    }

    /// What is said of a path where nothing lies.
    pub(super) fn in_place_of_nothing(&self, root: &GuardedRoot, path: &RelPath, now: Timestamp) -> String {
        match self.entries.first() {
            None => "does not exist".to_owned(),
            Some(entry) => format!("does not lie here any more: {}", sentence(entry, path, root, now)),
        }
    }

    /// Remarks on entries that the summary does not tell: it tells of `told`, or,
    /// where nothing lies (`None`), of the newest.
    pub(super) fn notes(
        &self,
        root: &GuardedRoot,
        path: &RelPath,
        told: Option<Option<&Entry>>,
        now: Timestamp,
    ) -> Vec<String> {
        let told = told.unwrap_or_else(|| self.entries.first());
        let mut notes: Vec<String> = self.trouble.iter().cloned().collect();
        notes.extend(told.map(way_back));
        if let Some(newest) = self.entries.first().filter(|_| told.is_none()) {
            let what = sentence(newest, path, root, now);
            notes.push(format!("what lay here before: {what}; {}", way_back(newest)));
        }
        let more = self.total.saturating_sub(self.entries.len() as u64);
        if more > 0 {
            notes.push(format!("{more} more were given up here before and are not gone yet"));
        }
        notes
    }
}

/// What is said of a path in the private directory.
pub(super) fn of_private(root: &GuardedRoot, path: &RelPath, with: &Knowledge<'_>) -> String {
    const OWN: &str = "kept: guardian's own";
    let mut names = path.components().skip(1);
    let room = matches!(names.next(), Some(b"queue" | b"trash"));
    let Some(name) = names.next().filter(|_| room) else { return OWN.to_owned() };
    let name = String::from_utf8_lossy(name);
    let (id, part) = match name.strip_suffix(".info") {
        Some(id) => (id, "it describes"),
        None => (&*name, "it is"),
    };
    match with.kept.map(|book| book.named(&EntryId::new(id))) {
        Some(Ok(Some(entry))) if entry.kept().root == root.name => {
            let Ok(at) = entry.kept().rel() else { return OWN.to_owned() };
            let lay = WirePath::from_path(&at.under(root.path())).path;
            format!("{OWN}; {part} what lay at {lay}: {}", sentence(&entry, &at, root, with.now))
        }
        Some(Err(error)) => {
            format!("{OWN}; queue and trash could not be asked: {}", crate::agent::chain(&error))
        }
        _ => format!("{OWN}; an entry that nobody knows (any more)"),
    }
}

/// An entry as it is shown.
fn shown(entry: &Entry, root: &GuardedRoot) -> GivenUp {
    let kept = entry.kept();
    let at =
        kept.rel().map_or_else(|_| kept.path.clone(), |path| WirePath::from_path(&path.under(root.path())));
    let (list, client_id, attempts, last_error, moved) = match entry {
        Entry::Queue(one) => (
            GivenUpList::Queue,
            one.client_id.clone(),
            Some(one.attempts),
            one.last_error.clone(),
            one.moved(),
        ),
        Entry::Trash(one) => (GivenUpList::Trash, None, None, one.failed.clone(), one.moved()),
    };
    GivenUp {
        id: kept.id.clone(),
        list,
        path: at.into(),
        uid: kept.by.uid,
        client_id,
        since: entry.given_up_at(),
        attempts,
        last_error,
        due_at: Some(due_at(entry, &root.rules)),
        moved,
        files: kept.files,
        size_bytes: kept.bytes,
    }
}

fn due_at(entry: &Entry, rules: &RootRules) -> Timestamp {
    match entry {
        Entry::Queue(entry) => entry.next_try_at,
        Entry::Trash(entry) => entry.deleted_at.plus(rules.retain.trash),
    }
}

/// What becomes of it, in one sentence about "it".
pub(super) fn sentence(entry: &Entry, path: &RelPath, root: &GuardedRoot, now: Timestamp) -> String {
    let kept = entry.kept();
    let ago = whole(entry.given_up_at().age_at(now));
    let due = due_at(entry, &root.rules);
    let what = what(kept, path, root);
    match entry {
        Entry::Queue(entry) => {
            let client = entry.client_id.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            let tried = match entry.attempts {
                0 => String::new(),
                1 => ", tried once".to_owned(),
                n => format!(", tried {n} times"),
            };
            let next = if due <= now { "due now".to_owned() } else { format!("next try {}", when(due, now)) };
            format!(
                "{what}deleted by uid {}{client} {ago} ago, deferred{tried}; {}; {next}",
                kept.by.uid,
                place(entry.moved(), entry.last_error.as_deref())
            )
        }
        Entry::Trash(entry) => {
            let until = if due <= now {
                "goes at the next scheduled sweep".to_owned()
            } else {
                format!(
                    "kept until {due:#}, for {} more, unless an emergency needs the space",
                    whole(now.age_at(due))
                )
            };
            format!(
                "{what}put into the trash by uid {} {ago} ago; {}; {until}",
                kept.by.uid,
                place(entry.moved(), entry.failed.as_deref())
            )
        }
    }
}

/// Names the tree, where the path lay in one.
fn what(kept: &Kept, path: &RelPath, root: &GuardedRoot) -> String {
    match kept.rel() {
        Ok(at) if at == *path => String::new(),
        Ok(at) => format!(
            "{} was given up with all that was in it: ",
            WirePath::from_path(&at.under(root.path())).path
        ),
        Err(_) => String::new(),
    }
}

fn place(moved: Option<bool>, error: Option<&str>) -> String {
    let error = error.map_or_else(String::new, |why| format!(" ({why})"));
    match moved {
        Some(true) => format!("moved away{error}"),
        Some(false) => format!("still in its place{error}"),
        None => format!("about to be moved away{error}"),
    }
}

/// How to have it back.
fn way_back(entry: &Entry) -> String {
    match entry {
        Entry::Queue(entry) => format!("`guardian queue drop {}` gives it back", entry.kept.id),
        Entry::Trash(entry) => format!("`guardian trash restore {}` gives it back", entry.kept.id),
    }
}
