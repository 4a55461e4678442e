//! A preallocated file of frames: length (u32), CRC-32 (u32), payload. The
//! first frame that is not whole ends it; nothing behind is believed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a segment.
pub(super) const SEGMENT: u64 = 2 << 20;
/// Bytes before a payload.
pub(super) const HEAD: u64 = 8;

/// Reserves the space, so that appending needs none. Where the file system
/// cannot (EOPNOTSUPP, fallocate(2)), zeros are written.
fn preallocate(file: &File) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, SEGMENT) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => file.write_all_at(&vec![0; SEGMENT as usize], 0),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) file: File,
    pub(super) end: u64,
}

impl Segment {
    /// Creates and preallocates; leaves nothing behind if there is no room.
    pub(super) fn create(dir: &Path, number: u32) -> io::Result<Self> {
        let path = path(dir, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = preallocate(&file).and_then(|()| file.sync_all()) {
            let _ = std::fs::remove_file(&path); // an empty leftover is only an empty segment
            return Err(error);
        }
        File::open(dir)?.sync_all()?;
        Ok(Self { number, file, end: 0 })
    }

    /// Stands for a segment that there was no room for: it has no room either.
    pub(super) fn absent(dir: &Path) -> io::Result<Self> {
        Ok(Self { number: 0, file: File::open(dir)?, end: SEGMENT })
    }

    /// Opens for appending behind the last whole frame; what a torn write left
    /// behind it is overwritten with zeros, so that it can never be read as a frame.
    pub(super) fn open(dir: &Path, number: u32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path(dir, number))?;
        if file.metadata()?.len() < SEGMENT {
            preallocate(&file)?;
        }
        let bytes = read(&file)?;
        let end = frames(&bytes).last().map_or(0, |(at, payload)| at + HEAD + payload.len() as u64);
        let tail = &bytes[(end as usize).min(bytes.len())..];
        if tail.iter().any(|byte| *byte != 0) {
            file.write_all_at(&vec![0; tail.len()], end)?;
        }
        Ok(Self { number, file, end })
    }

    pub(super) const fn has_room(&self, payload: usize) -> bool {
        self.end + HEAD + payload as u64 <= SEGMENT
    }

    /// Appends a frame with one write: it survives a kill once this returned.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(payload.len() + HEAD as usize);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        frame.extend_from_slice(payload);
        self.file.write_all_at(&frame, self.end)?;
        self.end += frame.len() as u64;
        Ok(())
    }
}

pub(super) fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len().min(SEGMENT) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The bytes of a segment; `None` if it is gone.
pub(super) fn load(dir: &Path, number: u32) -> io::Result<Option<Vec<u8>>> {
    match File::open(path(dir, number)) {
        Ok(file) => read(&file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole frames from the start: offset and payload.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
        if payload.is_empty() || crc32fast::hash(payload) != u32::from_le_bytes(*sum) {
            return None;
        }
        let offset = at as u64;
        at += HEAD as usize + payload.len();
        Some((offset, payload))
    })
}

/// Numbers of the segments in a directory, in order.
pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|n| n.strip_suffix(".seg")?.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
