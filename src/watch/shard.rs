//! One inotify instance and the directories it watches.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKindMask, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Event, EventKind, INotifyWatcher, RecursiveMode, Watcher as _};

use super::inbox::Inbox;
use super::{DirId, Kinds, Seen, What, key};

/// Where the watch of a directory is. `born` tells a place from a later one
/// that has the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: usize,
    pub(super) slot: u32,
    pub(super) born: u64,
}

/// Which watch a directory has: the one table that all shards share.
///
/// Lock order: `Places`, then a shard's slots; and never one of them while
/// waiting for a shard's thread (its event handler takes both).
pub(super) type Places = Mutex<HashMap<DirId, Place>>;

/// Locks a table whose changes are single steps, so that there is nothing to
/// repair after a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Slot {
    dir: DirId,
    born: u64,
    fd: i32,
    /// Its watch is being taken away: only who does so may free the slot.
    leaving: bool,
}

/// The slots of a shard.
#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    births: u64,
}

impl Slots {
    fn reserve(&mut self, dir: DirId, fd: i32) -> (u32, u64) {
        self.births += 1;
        let slot = Some(Slot { dir, born: self.births, fd, leaving: false });
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                // A shard never holds 2^32 directories: the kernel's own numbers end earlier.
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        (number, self.births)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    fn holds(&mut self, number: u32, born: u64) -> bool {
        self.get_mut(number).is_some_and(|slot| slot.born == born)
    }

    fn release(&mut self, number: u32) -> Option<Slot> {
        let slot = self.slots.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(slot)
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// One inotify instance.
pub(super) struct Shard {
    number: usize,
    notify: Mutex<INotifyWatcher>,
    slots: Arc<Mutex<Slots>>,
}

impl Shard {
    pub(super) fn start(
        number: usize,
        kinds: Kinds,
        inbox: Arc<Inbox>,
        places: Arc<Places>,
        overflowed: impl Fn() + Send + 'static,
    ) -> Result<Self, notify::Error> {
        let slots = Arc::new(Mutex::new(Slots::default()));
        let hearing = Hearing { number, inbox, places, slots: Arc::clone(&slots), overflowed };
        let config = Config::default().with_follow_symlinks(false).with_event_kinds(mask_of(kinds));
        let notify = INotifyWatcher::new(move |event| hearing.hear(event), config)?;
        Ok(Self { number, notify: Mutex::new(notify), slots })
    }

    /// How many directories are watched here.
    pub(super) fn len(&self) -> usize {
        lock(&self.slots).len()
    }

    /// Watches the directory open as `fd`. Not to be called with a table locked.
    pub(super) fn watch(&self, dir: DirId, fd: BorrowedFd<'_>) -> Result<Place, notify::Error> {
        let fd = fd.as_raw_fd();
        let (slot, born) = lock(&self.slots).reserve(dir, fd);
        let watched = match key::path_of(slot, fd) {
            Some(key) => lock(&self.notify).watch(&key, RecursiveMode::NonRecursive),
            None => Err(notify::Error::path_not_found()),
        };
        match watched {
            Ok(()) => Ok(Place { shard: self.number, slot, born }),
            Err(error) => {
                lock(&self.slots).release(slot);
                Err(error)
            }
        }
    }

    /// Whether the watch at `place` still stands.
    pub(super) fn holds(&self, place: Place) -> bool {
        lock(&self.slots).holds(place.slot, place.born)
    }

    /// Ends the watch at `place`, if it still stands. Not to be called with a
    /// table locked.
    pub(super) fn unwatch(&self, place: Place) {
        let key = {
            let mut slots = lock(&self.slots);
            match slots.get_mut(place.slot) {
                Some(slot) if slot.born == place.born && !slot.leaving => {
                    // From here on the number cannot be given to another directory under our hands.
                    slot.leaving = true;
                    key::path_of(place.slot, slot.fd)
                }
                _ => return,
            }
        };
        if let Some(key) = key {
            // Not found: the directory went away meanwhile, and its watch with it.
            let _ = lock(&self.notify).unwatch(&key);
        }
        lock(&self.slots).release(place.slot);
    }

    /// Returns when everything that the kernel had queued for this shard is in
    /// the inbox.
    pub(super) fn drain(&self) {
        let mut notify = lock(&self.notify);
        // An empty batch makes notify read its queue and hand the events on
        // after it has answered; the second answer comes after that.
        for _ in 0..2 {
            if notify.update_paths(Vec::new()).is_err() {
                return;
            }
        }
    }
}

fn mask_of(kinds: Kinds) -> EventKindMask {
    let mut mask = EventKindMask::CREATE
        | EventKindMask::REMOVE
        | EventKindMask::MODIFY_NAME
        | EventKindMask::ACCESS_CLOSE;
    if kinds.writes {
        mask |= EventKindMask::MODIFY_DATA;
    }
    if kinds.attributes {
        mask |= EventKindMask::MODIFY_META;
    }
    mask
}

/// The handler of a shard's events, on the thread of its instance.
struct Hearing<F> {
    number: usize,
    inbox: Arc<Inbox>,
    places: Arc<Places>,
    slots: Arc<Mutex<Slots>>,
    overflowed: F,
}

impl<F: Fn()> Hearing<F> {
    fn hear(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !event.need_rescan() => self.hint(&event),
            // Overflow, or the queue could not be read: anything may have been missed.
            Ok(_) | Err(_) => {
                (self.overflowed)();
                let dirs: Vec<DirId> =
                    lock(&self.slots).slots.iter().flatten().map(|slot| slot.dir).collect();
                self.inbox.lose(dirs);
            }
        }
    }

    fn hint(&self, event: &Event) {
        let Some((slot, name)) = event.paths.first().and_then(|path| key::parse(path)) else { return };
        if name.is_empty() {
            // Our mask asks for nothing of the directory itself but its end; MOVE_SELF, which
            // notify adds, changes nothing for a watch that belongs to the inode.
            if matches!(event.kind, EventKind::Remove(_)) {
                self.gone(slot);
            }
            return;
        }
        let Some((what, is_dir)) = what(event) else { return };
        let dir = match lock(&self.slots).get_mut(slot) {
            Some(slot) if !slot.leaving => slot.dir,
            _ => return,
        };
        self.inbox.put(Seen { dir, name: name.into(), what, is_dir });
    }

    fn gone(&self, slot: u32) {
        let released = {
            let mut slots = lock(&self.slots);
            match slots.get_mut(slot) {
                Some(held) if !held.leaving => slots.release(slot),
                _ => None,
            }
        };
        let Some(Slot { dir, born, .. }) = released else { return };
        let place = Place { shard: self.number, slot, born };
        {
            let mut places = lock(&self.places);
            if places.get(&dir) == Some(&place) {
                places.remove(&dir);
            }
        }
        self.inbox.put(Seen { dir, name: Box::default(), what: What::DirectoryGone, is_dir: Some(true) });
    }
}

fn what(event: &Event) -> Option<(What, Option<bool>)> {
    // The kernel's cookie has 32 bits.
    let cookie = u32::try_from(event.tracker().unwrap_or(0)).unwrap_or(0);
    Some(match event.kind {
        EventKind::Create(kind) => (What::Created, Some(kind == CreateKind::Folder)),
        EventKind::Remove(kind) => (What::Removed, Some(kind == RemoveKind::Folder)),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => (What::MovedFrom { cookie }, None),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => (What::MovedTo { cookie }, None),
        EventKind::Modify(ModifyKind::Data(_)) => (What::Written, Some(false)),
        EventKind::Modify(ModifyKind::Metadata(_)) => (What::Attributes, None),
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => (What::Closed, Some(false)),
        // A rename told a second time as a pair, and kinds that the mask leaves out.
        _ => return None,
    })
}
