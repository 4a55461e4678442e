//! Marks on files that give them an expiry: read where something may have
//! changed, never in the first scan, which they would make twice as long.
//!
//! Setting a mark changes ctime: of a file that the index knows with the same
//! inode and ctime, what it knows of the mark still holds.

use std::collections::HashMap;

use crate::model::FileKind;
use crate::store::index::FileEntry;
use crate::sys::xattr;

use super::root::{Root, World};

impl Root {
    /// Fills in what the marks of a directory's files say.
    pub(super) fn read_marks(&mut self, dir: u64, files: &mut [FileEntry], world: &World) {
        let known = if self.marks_read {
            // What can't be read is looked at.
            world.index.snapshot().and_then(|snapshot| snapshot.files_in(self.key(), dir)).unwrap_or_default()
        } else {
            Vec::new()
        };
        let known: HashMap<&[u8], &FileEntry> = known.iter().map(|entry| (&*entry.name, entry)).collect();
        let unknown = files.iter_mut().filter(|file| file.kind == FileKind::Regular).filter_map(|file| {
            match known.get(&*file.name).filter(|known| (known.ino, known.ctime) == (file.ino, file.ctime)) {
                Some(known) => {
                    file.expires_at = known.expires_at;
                    None
                }
                None => Some(file),
            }
        });
        let unknown: Vec<&mut FileEntry> = unknown.collect();
        if unknown.is_empty() {
            return;
        }
        // One that is not where it was is listed again.
        let Ok(handle) = self.open(dir) else { return };
        for file in unknown {
            file.expires_at = xattr::expires_by_name(handle, &file.name);
        }
    }

    /// Every directory was compared since the first scan: the marks of all files are known.
    pub(super) fn marks_are_read(&mut self, world: &World) {
        if !self.task.marks || self.marks_read {
            return;
        }
        match world.index.set_marks_read(self.key()) {
            Ok(()) => self.marks_read = true,
            // The next comparison reads them again.
            Err(error) => {
                tracing::debug!(root = %self.task.name, error = super::worker::chain(&error), "not noted that marks were read");
            }
        }
    }
}
