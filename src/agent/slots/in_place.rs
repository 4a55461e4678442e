//! Settings of a guarded root that change while it stays open.
//!
//! Promises: what is judged anew at each look and at each run (marks, retention,
//! limits, protection) is taken without letting go of the root: its lock, its
//! watch, its index and what was seen of its volume go on. What was used when
//! it was opened needs opening. Must not know: where settings come from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use crate::agent::roots::{RootError, changed};
use crate::agent::state::{ReadyRoot, Slot, SlotState};
use crate::config::RootSettings;
use crate::sweep::root::OwnFiles;

/// Whether a root has to be opened anew for these settings.
pub fn needs_opening(old: &RootSettings, new: &RootSettings) -> bool {
    // By name, so that whoever adds one has to judge it.
    let RootSettings {
        name,
        path,
        require_mount,
        allow_system_root,
        capacity,
        patterns,
        age_by,
        watch,
        xattr_expiry,
        // Used anew at each look, or in each run.
        marks: _,
        inode_marks: _,
        min_free: _,
        results: _,
        protect: _,
        registry_grace: _,
        orphans_untracked: _,
        unit: _,
        user_marks: _,
        remove_empty_dirs: _,
        emergency_futile: _,
        retain: _,
        limits: _,
        // A line more above it in the file changes nothing.
        path_origin: _,
        // Counted once, when the root was adopted; that time is in the ledger.
        adoption_grace: _,
    } = new;
    // Where it is, and how its usage is counted.
    *name != old.name
        || *path != old.path
        || *require_mount != old.require_mount
        || *allow_system_root != old.allow_system_root
        || *capacity != old.capacity
        // The rows of the index mean what these say.
        || *patterns != old.patterns
        || *age_by != old.age_by
        || *xattr_expiry != old.xattr_expiry
        || *watch != old.watch
}

/// The same root by other settings, as a slot in the old one's place; `None` where
/// it has to be opened anew.
///
/// # Errors
/// The settings do not hold for its volume.
pub fn taken(
    old: &Slot,
    new: &RootSettings,
    own: &OwnFiles,
    workers: usize,
) -> Result<Option<Arc<Slot>>, RootError> {
    let Some(root) = old.ready() else { return Ok(None) };
    // One that waits for room is opened anew once it is adopted, on another
    // thread, which knows the old slot.
    if needs_opening(&old.settings, new) || root.awaits_adoption() {
        return Ok(None);
    }
    let guarded = changed(&root.guarded, (&old.settings, new), own, workers)?;
    let ready = ReadyRoot {
        locked: Arc::clone(&root.locked),
        guarded: Arc::new(guarded),
        is_network: root.is_network,
        key: root.key,
    };
    Ok(Some(Arc::new(Slot {
        settings: new.clone(),
        state: RwLock::new(SlotState::Ready(Arc::new(ready))),
        opening: Mutex::default(),
        seen: RwLock::new(*old.seen.read().unwrap_or_else(PoisonError::into_inner)),
    })))
}

/// Keeps others from suspending or opening a slot; `None`: somebody is at it.
pub fn held(slot: &Slot) -> Option<MutexGuard<'_, ()>> {
    match slot.opening.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Whether both are ready, and have the same root under the same lock.
pub fn is_same_root(one: &Slot, other: &Slot) -> bool {
    let locked = |slot: &Slot| slot.ready().map(|root| Arc::as_ptr(&root.locked));
    locked(one).is_some() && locked(one) == locked(other)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides, load};

    /// The settings of one root with these lines more, some of them above it.
    fn settings(dir: &Path, above: &str, keys: &str) -> RootSettings {
        let file = dir.join("guardian.toml");
        let text = format!("{above}[[root]]\nname = \"r\"\npath = {dir:?}\n{keys}\n");
        std::fs::write(&file, text).unwrap();
        let environment = Environment { vars: Default::default(), is_root: true, uid: 0 };
        load(Some(&file), &environment, &Overrides::default(), Path::new("/")).unwrap().roots.remove(0)
    }

    #[test]
    fn a_root_is_opened_anew_only_for_what_its_opening_depends_on() {
        let dir = tempfile::tempdir().unwrap();
        let of = |keys: &str| settings(dir.path(), "", keys);
        let old = of("");
        for keys in [
            "require_mount = true",
            "allow_system_root = true",
            "capacity = \"1GiB\"",
            "patterns = [\"other_{job}\"]",
            "age_by = [\"mtime\"]",
            "watch = \"none\"",
            "xattr_expiry = false",
        ] {
            assert!(needs_opening(&old, &of(keys)), "{keys}");
        }
        for keys in [
            "warning = 50",
            "high_water = 90\nlow_water = 70",
            "inodes_warning = 50",
            "min_free = \"1MiB\"",
            "results = [\"*.out\"]",
            "protect = [\"*.keep\"]",
            "registry_grace = \"5m\"",
            "adoption_grace = \"5m\"",
            "orphans_untracked = true",
            "unit = \"tree\"",
            "user_marks = \"all\"",
            "remove_empty_dirs = false",
            "emergency_futile = \"continue\"",
            "[root.retain]\norphans = \"5h\"\ntrash = \"5d\"",
            "[root.limits]\nbatch = 7\nmax_attempts = 9",
        ] {
            let new = of(keys);
            assert!(new != old && !needs_opening(&old, &new), "{keys}");
        }
        let lower = settings(dir.path(), "# a line\n# and another\n", "");
        assert!(!needs_opening(&old, &lower));
    }
}
