//! One description for many deferred deletions that were taken in together: a
//! file for each would cost more than moving what it describes.
//!
//! A line of JSON for each entry, as the ledger has it. The file goes with the
//! last of its entries. The trash, which may be had back for weeks, has a file
//! for each entry ([`super::info`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{EntryId, QueueEntry, Stage};
use crate::sys::{SysError, clock, own_file};

use super::{Room, Rooms};

/// How such a file's name ends.
pub const SUFFIX: &str = ".infos";

/// Which entries such files describe. Shared by all who have the rooms open.
#[derive(Debug, Clone, Default)]
pub struct Manifests(Arc<Mutex<Described>>);

#[derive(Debug, Default)]
struct Described {
    /// By entry: the file that describes it.
    by: HashMap<EntryId, Arc<str>>,
    /// How many entries of a file are still there.
    left: HashMap<Arc<str>, usize>,
}

impl Manifests {
    fn lock(&self) -> MutexGuard<'_, Described> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What describes what was found when the rooms were taken stock of, in
    /// place of what was known before.
    pub fn begin_anew(&self) {
        *self.lock() = Described::default();
    }

    /// Takes up that the file `name` describes `ids`. Returns those that describe
    /// nothing else: a kill between description and move has an entry described
    /// once more, and one description is enough.
    pub fn add(&self, name: &str, ids: impl IntoIterator<Item = EntryId>) -> Vec<Arc<str>> {
        let name: Arc<str> = name.into();
        let mut known = self.lock();
        let mut needless = Vec::new();
        for id in ids {
            *known.left.entry(Arc::clone(&name)).or_default() += 1;
            if let Some(before) = known.by.insert(id, Arc::clone(&name)) {
                needless.extend(known.less(&before).then_some(before));
            }
        }
        needless
    }

    /// The file that describes an entry.
    pub fn of(&self, id: &EntryId) -> Option<Arc<str>> {
        self.lock().by.get(id).cloned()
    }

    /// Takes up that an entry is gone. `None`: no such file describes it;
    /// else the file that may go now, if this was its last entry.
    pub fn remove(&self, id: &EntryId) -> Option<Option<Arc<str>>> {
        let mut known = self.lock();
        let name = known.by.remove(id)?;
        Some(known.less(&name).then_some(name))
    }
}

impl Described {
    /// One entry less of a file; whether that was its last.
    fn less(&mut self, name: &Arc<str>) -> bool {
        let Some(left) = self.left.get_mut(name) else { return false };
        *left = left.saturating_sub(1);
        let was_last = *left == 0;
        if was_last {
            self.left.remove(name);
        }
        was_last
    }
}

/// Describes `entries`, which are about to be moved, in one file.
///
/// # Errors
/// Then there is no such file.
pub fn write(rooms: &Rooms, entries: &[&QueueEntry]) -> Result<(), SysError> {
    let Some(first) = entries.first() else { return Ok(()) };
    // Another try of the same entries must not take the place of what describes the first.
    let name = format!("{}-{}{SUFFIX}", first.kept.id, clock::now().as_nanos());
    let mut text = Vec::new();
    for entry in entries {
        // On record as what it is once it was moved: so a lost ledger is rebuilt.
        let mut moved = QueueEntry::clone(entry);
        moved.kept.stage = Stage::Moved;
        serde_json::to_writer(&mut text, &moved)
            .map_err(|error| SysError::named("describe entry", name.as_bytes(), error))?;
        text.push(b'\n');
    }
    let dir = rooms.of(Room::Queue);
    if let Err(error) = own_file::write(dir, &name, &text, false) {
        // Half of it would only be in the way on a full volume.
        let _ = own_file::discard(dir, &name);
        return Err(error);
    }
    for needless in rooms.manifests.add(&name, entries.iter().map(|entry| entry.kept.id.clone())) {
        // What stays behind is seen to at the next start.
        let _ = own_file::discard(dir, &needless);
    }
    Ok(())
}

/// What the file `name` describes, as far as it can be read.
///
/// # Errors
/// When it can't be.
pub fn read(rooms: &Rooms, name: &str) -> Result<Vec<QueueEntry>, SysError> {
    let text = own_file::read(rooms.of(Room::Queue), name)?.unwrap_or_default();
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(all: &[&str]) -> Vec<EntryId> {
        all.iter().map(|id| EntryId::new(*id)).collect()
    }

    #[test]
    fn a_description_goes_with_the_last_entry_that_no_other_describes() {
        let known = Manifests::default();
        assert!(known.add("first", ids(&["1", "2", "3"])).is_empty());
        // Killed before 2 and 3 were moved.
        assert!(known.add("second", ids(&["2", "3", "4"])).is_empty());
        assert_eq!(known.remove(&EntryId::new("2")), Some(None));
        assert_eq!(known.remove(&EntryId::new("1")), Some(Some("first".into())));
        assert_eq!(known.add("third", ids(&["3", "4"])), ["second".into()]);
        assert_eq!(known.remove(&EntryId::new("3")), Some(None));
        assert_eq!(known.remove(&EntryId::new("4")), Some(Some("third".into())));
        assert_eq!(known.remove(&EntryId::new("4")), None);
    }
}
