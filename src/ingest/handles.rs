//! Open directories, kept for the next look.

use std::collections::HashMap;

use crate::sys::DirHandle;

/// A few directories are where nearly everything happens; each costs a descriptor.
const KEPT: usize = 128;

/// The most recently used directory handles.
#[derive(Debug, Default)]
pub(super) struct Handles {
    open: HashMap<u64, (DirHandle, u64)>,
    clock: u64,
}

impl Handles {
    pub(super) fn get(&mut self, ino: u64) -> Option<&DirHandle> {
        self.clock += 1;
        let (handle, used) = self.open.get_mut(&ino)?;
        *used = self.clock;
        Some(handle)
    }

    pub(super) fn put(&mut self, handle: DirHandle) {
        if self.open.len() >= KEPT {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(ino, _)| *ino);
            oldest.map(|ino| self.open.remove(&ino));
        }
        self.clock += 1;
        self.open.insert(handle.ino(), (handle, self.clock));
    }

    pub(super) fn forget(&mut self, ino: u64) {
        self.open.remove(&ino);
    }
}
