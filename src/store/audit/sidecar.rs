//! What lies in a full segment, block by block: so that a query reads only the
//! blocks that may hold what it asks for.
//!
//! Promises: made from the segment alone, at any time; believed only whole, and
//! only for the segment as it was. Says "perhaps", never what a record holds.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::filter_bits::{self, Key};
use super::records::{ReadFrame, RowFacts};
use super::segment;

const MAGIC: &[u8; 8] = b"grdnidx1";
/// Bytes before the blocks: magic, number, blocks, and the segment's stamp.
const HEAD: usize = 8 + 4 + 4 + 24;
/// Bytes of a block: where it begins and ends, its newest time, its filter.
const BLOCK: usize = 4 + 4 + 8 + 4 + 4;
/// A block ends with the frame that reaches so many bytes.
const BLOCK_BYTES: u64 = 128 << 10;

/// Which file, as it was: a segment that was changed or replaced has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    ino: u64,
    length: u64,
    mtime: i64,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let mtime = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Self { ino: meta.ino(), length: meta.len(), mtime }
    }
}

/// A run of whole frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The newest time in it, in nanoseconds; least where it has none.
    pub(super) newest: i64,
    filter_at: u32,
    filter_bytes: u32,
}

impl Block {
    /// Whether it may hold `key`, by its filter in `file`.
    pub(super) fn may_hold(&self, file: &File, key: Key) -> io::Result<bool> {
        filter_bits::may_hold(key, self.filter_bytes.into(), |at| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, u64::from(self.filter_at) + at)?;
            Ok(byte[0])
        })
    }

    /// Whether it may hold all of `keys`.
    pub(super) fn may_hold_all(&self, file: &File, keys: &[Key]) -> io::Result<bool> {
        /// Up to so many are looked up sooner than the filter is read.
        const FEW: usize = 4;
        if keys.len() <= FEW {
            for key in keys {
                if !self.may_hold(file, *key)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let mut filter = vec![0; self.filter_bytes as usize];
        file.read_exact_at(&mut filter, self.filter_at.into())?;
        for key in keys {
            let byte = |at: u64| {
                let byte = usize::try_from(at).ok().and_then(|at| filter.get(at));
                byte.copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            };
            if !filter_bits::may_hold(*key, self.filter_bytes.into(), byte)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.idx"))
}

/// A block as it is gathered.
#[derive(Default)]
struct Gathering {
    start: u64,
    end: u64,
    newest: Option<i64>,
    keys: Vec<Key>,
    /// The path before, whose beginning was given already.
    before: Vec<u8>,
    jobs: HashSet<String>,
}

impl Gathering {
    fn add(&mut self, payload: &[u8]) {
        let Ok(frame) = serde_json::from_slice::<ReadFrame<'_>>(payload) else { return };
        if let Some((batch, _)) = frame.outcome() {
            self.keys.extend(filter_bits::outcome(batch));
        } else if let Some(change) = &frame.change {
            self.newest = self.newest.max(Some(change.time.as_nanos()));
        } else if let Some(header) = &frame.header {
            self.newest = self.newest.max(Some(header.time.as_nanos()));
            self.keys.extend(filter_bits::run(header.run.as_str()));
            self.keys.extend(filter_bits::run(header.volume_run.as_str()));
            for row in &frame.entries {
                let Ok(facts) = serde_json::from_str::<RowFacts>(row.get()) else { continue };
                let mut path = header.absolute(&facts.path());
                path.push(b'/');
                let shared = path.iter().zip(&self.before).take_while(|(a, b)| a == b).count();
                filter_bits::of_path(&path, shared, &mut self.keys);
                self.before = path;
                if let Some(job) = facts.reason.job()
                    && self.jobs.insert(job.as_str().to_owned())
                {
                    self.keys.extend(filter_bits::job(job.as_str()));
                }
            }
        }
    }
}

/// The index of segment `number`, from the segment alone; `None` if it is gone.
pub(super) fn build(dir: &Path, number: u32) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(segment::path(dir, number)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let stamp = Stamp::of(&file.metadata()?);
    let bytes = segment::read(&file)?;
    let mut blocks: Vec<(Block, Vec<u8>)> = Vec::new();
    let mut open = Gathering::default();
    let mut close = |open: Gathering| {
        let Gathering { start, end, newest, mut keys, .. } = open;
        let filter = filter_bits::make(&mut keys);
        let block = Block {
            start: start as u32,
            end: end as u32,
            newest: newest.unwrap_or(i64::MIN),
            filter_at: 0,
            filter_bytes: filter.len() as u32,
        };
        blocks.push((block, filter));
    };
    for (offset, payload) in segment::frames(&bytes) {
        open.add(payload);
        open.end = offset + segment::HEAD + payload.len() as u64;
        if open.end - open.start >= BLOCK_BYTES {
            let next = Gathering { start: open.end, end: open.end, ..Gathering::default() };
            close(std::mem::replace(&mut open, next));
        }
    }
    if open.end > open.start {
        close(open);
    }
    Ok(Some(encode(number, stamp, &blocks)))
}

fn encode(number: u32, stamp: Stamp, blocks: &[(Block, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    text.extend_from_slice(MAGIC);
    text.extend_from_slice(&number.to_le_bytes());
    text.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
    text.extend_from_slice(&stamp.ino.to_le_bytes());
    text.extend_from_slice(&stamp.length.to_le_bytes());
    text.extend_from_slice(&stamp.mtime.to_le_bytes());
    let mut filter_at = (HEAD + blocks.len() * BLOCK) as u32;
    for (block, filter) in blocks {
        text.extend_from_slice(&block.start.to_le_bytes());
        text.extend_from_slice(&block.end.to_le_bytes());
        text.extend_from_slice(&block.newest.to_le_bytes());
        text.extend_from_slice(&filter_at.to_le_bytes());
        text.extend_from_slice(&(filter.len() as u32).to_le_bytes());
        filter_at += filter.len() as u32;
    }
    for (_, filter) in blocks {
        text.extend_from_slice(filter);
    }
    let sum = crc32fast::hash(&text);
    text.extend_from_slice(&sum.to_le_bytes());
    text
}

/// Takes the first `N` bytes off.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

/// The blocks of segment `number`, if `bytes` are whole and about the segment
/// as `stamp` shows it now.
pub(super) fn decode(bytes: &[u8], number: u32, stamp: Stamp) -> Option<Vec<Block>> {
    let (text, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(text) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = text;
    if take(&mut rest)? != *MAGIC || u32::from_le_bytes(take(&mut rest)?) != number {
        return None;
    }
    let count = u32::from_le_bytes(take(&mut rest)?);
    let ino = u64::from_le_bytes(take(&mut rest)?);
    let length = u64::from_le_bytes(take(&mut rest)?);
    let mtime = i64::from_le_bytes(take(&mut rest)?);
    if (Stamp { ino, length, mtime }) != stamp {
        return None;
    }
    let mut blocks = Vec::new();
    for _ in 0..count {
        let block = Block {
            start: u32::from_le_bytes(take(&mut rest)?),
            end: u32::from_le_bytes(take(&mut rest)?),
            newest: i64::from_le_bytes(take(&mut rest)?),
            filter_at: u32::from_le_bytes(take(&mut rest)?),
            filter_bytes: u32::from_le_bytes(take(&mut rest)?),
        };
        let within = u64::from(block.filter_at) + u64::from(block.filter_bytes) <= text.len() as u64;
        if !within || block.filter_bytes == 0 || block.start >= block.end {
            return None;
        }
        blocks.push(block);
    }
    Some(blocks)
}
