//! Sidecars are made and looked up here, beside the log's own work: nothing
//! that appends ever waits for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::sidecar::{self, Block, Stamp};
use super::{AuditLog, segment};

/// Where a sidecar is written before it takes its name. One name for all: what
/// a full volume leaves behind is emptied, and the next one begins with it.
const UNFINISHED: &str = "index.new";

/// A sidecar that was checked as a whole, and is the same file still.
#[derive(Debug)]
struct Known {
    sidecar: Stamp,
    segment: Stamp,
    blocks: Arc<[Block]>,
}

/// What is known of the sidecars, and the bell of whoever makes them.
#[derive(Debug, Default)]
pub(super) struct Indexing {
    known: Mutex<HashMap<u32, Known>>,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Indexing {
    /// A segment is full, or a sidecar was missed.
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    pub(super) fn forget(&self, number: u32) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

/// A segment's index, ready to be asked.
#[derive(Debug)]
pub(super) struct Indexed {
    pub(super) file: File,
    pub(super) blocks: Arc<[Block]>,
}

impl AuditLog {
    /// The sidecar of a full segment that is open as `segment`; `None` where there
    /// is none to be believed. Read as a whole only when it is first met.
    pub(super) fn indexed(&self, number: u32, segment: &File) -> Option<Indexed> {
        let file = File::open(sidecar::path(&self.dir, number)).ok()?;
        let (own, of) = (Stamp::of(&file.metadata().ok()?), Stamp::of(&segment.metadata().ok()?));
        let mut known = self.indexing.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = known.get(&number)
            && (one.sidecar, one.segment) == (own, of)
        {
            return Some(Indexed { file, blocks: Arc::clone(&one.blocks) });
        }
        known.remove(&number);
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut &file, &mut bytes).ok()?;
        let blocks: Arc<[Block]> = sidecar::decode(&bytes, number, of)?.into();
        known.insert(number, Known { sidecar: own, segment: of, blocks: Arc::clone(&blocks) });
        Some(Indexed { file, blocks })
    }

    /// Makes the sidecars that full segments lack, newest first, until `stop`;
    /// how many. What can't be made now is made another time.
    pub fn index_sealed(&self, stop: &dyn Fn() -> bool) -> u32 {
        let current = self.lock().current.number;
        let Ok(numbers) = segment::numbers(&self.dir) else { return 0 };
        let mut made = 0;
        for number in numbers.into_iter().rev().filter(|number| *number < current) {
            if stop() {
                break;
            }
            let Ok(segment) = File::open(segment::path(&self.dir, number)) else { continue };
            if self.indexed(number, &segment).is_some() {
                continue;
            }
            match self.make(number) {
                Ok(true) => made += 1,
                Ok(false) => {}
                Err(error) => {
                    // A query reads the segment itself: slower, and all there is to lose.
                    tracing::debug!(segment = number, reason = %error, "a part of the audit log stays without index");
                    break;
                }
            }
        }
        made
    }

    fn make(&self, number: u32) -> io::Result<bool> {
        let Some(bytes) = sidecar::build(&self.dir, number)? else { return Ok(false) };
        let unfinished = self.dir.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        if let Err(error) = file.write_all(&bytes) {
            // The room that it took is needed elsewhere.
            file.set_len(0)?;
            return Err(error);
        }
        drop(file);
        std::fs::rename(&unfinished, sidecar::path(&self.dir, number))?;
        Ok(true)
    }

    /// Waits until a segment is full, [`Self::wake`] is called, or `limit` is over.
    pub fn wait_for_sealed(&self, limit: Duration) {
        let rung = self.indexing.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .indexing
            .bell
            .wait_timeout_while(rung, limit, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }

    /// Ends a wait for full segments.
    pub fn wake(&self) {
        self.indexing.ring();
    }
}
