//! Files of a directory packed into one value: sorted by name, each entry told
//! by its difference from the one before, behind a checksum.
//!
//! Promises: a value that was damaged, or belongs to another key, is refused
//! and never believed; any bytes are read without a panic. The checksum covers
//! the key too.

use std::hash::Hasher;

use super::FileEntry;
use crate::model::{FileKind, Timestamp};

/// A chunk is split before its value grows past this. redb keeps pages of
/// 4096 bytes; value, key and page header must fit into one.
pub(super) const MAX_CHUNK: usize = 3600;
/// Longest name taken, in bytes (NAME_MAX is 255; some file systems list more).
pub(super) const MAX_NAME: usize = 2048;

const KIND: u8 = 0b11;
const LINKED: u8 = 1 << 2;
const ROUNDED: u8 = 1 << 3;
const SAME_UID: u8 = 1 << 4;
const AGE_IS_NEWEST: u8 = 1 << 5;
const EXPIRES: u8 = 1 << 6;
const SAME_TIMES: u8 = 1 << 7;

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_delta(out: &mut Vec<u8>, value: u64, base: u64) {
    let delta = value.wrapping_sub(base) as i64;
    put(out, ((delta << 1) ^ (delta >> 63)) as u64);
}

const fn nanos(time: Timestamp) -> u64 {
    time.as_nanos() as u64
}

fn put_entry(out: &mut Vec<u8>, entry: &FileEntry, before: Option<&FileEntry>) {
    let base: &[u8] = before.map_or(&[], |b| &b.name);
    let shared = entry.name.iter().zip(base).take_while(|(a, b)| a == b).count();
    let kind = match entry.kind {
        FileKind::Regular => 0,
        FileKind::Symlink => 1,
        FileKind::Special | FileKind::Directory => 2,
    };
    let mut flags: u8 = kind;
    let mut set = |on: bool, flag: u8| flags |= if on { flag } else { 0 };
    set(entry.nlink != 1, LINKED);
    set(entry.size.checked_next_multiple_of(4096) == Some(entry.allocated), ROUNDED);
    set(before.is_some_and(|b| b.uid == entry.uid), SAME_UID);
    set(entry.age_time == entry.mtime.max(entry.ctime), AGE_IS_NEWEST);
    set(entry.expires_at.is_some(), EXPIRES);
    set(entry.mtime == entry.ctime, SAME_TIMES);
    out.push(flags);
    put(out, shared as u64);
    put(out, (entry.name.len() - shared) as u64);
    out.extend_from_slice(&entry.name[shared..]);
    put_delta(out, entry.ino, before.map_or(0, |b| b.ino));
    put(out, entry.size);
    if flags & ROUNDED == 0 {
        put(out, entry.allocated);
    }
    if flags & LINKED != 0 {
        put(out, u64::from(entry.nlink));
    }
    if flags & SAME_UID == 0 {
        put(out, u64::from(entry.uid));
    }
    put_delta(out, nanos(entry.ctime), before.map_or(0, |b| nanos(b.ctime)));
    if flags & SAME_TIMES == 0 {
        put_delta(out, nanos(entry.mtime), nanos(entry.ctime));
    }
    if flags & AGE_IS_NEWEST == 0 {
        put_delta(out, nanos(entry.age_time), nanos(entry.ctime));
    }
    if let Some(expires) = entry.expires_at {
        put_delta(out, nanos(expires), nanos(entry.ctime));
    }
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.write(key);
    crc.write(body);
    crc.finalize()
}

/// Cuts sorted entries into pieces that each fit a chunk; gives for each its
/// first entry's position, its end, and its body.
pub(super) fn split(entries: &[FileEntry], limit: usize) -> Vec<(usize, usize, Vec<u8>)> {
    let mut pieces = Vec::new();
    let (mut start, mut body, mut one) = (0, Vec::new(), Vec::new());
    for (at, entry) in entries.iter().enumerate() {
        one.clear();
        put_entry(&mut one, entry, (at > start).then(|| &entries[at - 1]));
        if at > start && body.len() + one.len() + 4 > limit {
            pieces.push((start, at, std::mem::take(&mut body)));
            start = at;
            one.clear();
            put_entry(&mut one, entry, None);
        }
        body.extend_from_slice(&one);
    }
    if start < entries.len() {
        pieces.push((start, entries.len(), body));
    }
    pieces
}

/// A body with its checksum: the value of the row `key`.
pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(body.len() + 4);
    value.extend_from_slice(&checksum(key, body).to_le_bytes());
    value.extend_from_slice(body);
    value
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn int(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn delta(&mut self, base: u64) -> Option<u64> {
        let raw = self.int()?;
        Some(base.wrapping_add((raw >> 1) ^ (raw & 1).wrapping_neg()))
    }

    fn time(&mut self, base: Timestamp) -> Option<Timestamp> {
        Some(Timestamp::from_nanos(self.delta(nanos(base))? as i64))
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn entry(&mut self, before: Option<&FileEntry>) -> Option<FileEntry> {
        let flags = self.byte()?;
        let kind = match flags & KIND {
            0 => FileKind::Regular,
            1 => FileKind::Symlink,
            2 => FileKind::Special,
            _ => return None,
        };
        let shared = usize::try_from(self.int()?).ok()?;
        let own = usize::try_from(self.int()?).ok()?;
        let base = before.map_or(&[][..], |b| &b.name).get(..shared)?;
        let name: Box<[u8]> = [base, self.take(own)?].concat().into();
        let ino = self.delta(before.map_or(0, |b| b.ino))?;
        let size = self.int()?;
        let allocated = if flags & ROUNDED == 0 { self.int()? } else { size.checked_next_multiple_of(4096)? };
        let nlink = if flags & LINKED == 0 { 1 } else { u32::try_from(self.int()?).ok()? };
        let uid = match before {
            Some(before) if flags & SAME_UID != 0 => before.uid,
            _ => u32::try_from(self.int()?).ok()?,
        };
        let ctime = self.time(before.map_or(Timestamp::EPOCH, |b| b.ctime))?;
        let mtime = if flags & SAME_TIMES == 0 { self.time(ctime)? } else { ctime };
        let age_time = if flags & AGE_IS_NEWEST == 0 { self.time(ctime)? } else { mtime.max(ctime) };
        let expires_at = if flags & EXPIRES == 0 { None } else { Some(self.time(ctime)?) };
        let sound = is_name(&name) && before.is_none_or(|b| b.name < name);
        sound.then_some(FileEntry {
            name,
            ino,
            kind,
            size,
            allocated,
            nlink,
            uid,
            mtime,
            ctime,
            age_time,
            expires_at,
        })
    }
}

/// Whether bytes can be the name of a directory entry that the index takes.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.iter().any(|b| matches!(b, 0 | b'/'))
        && name != b"."
        && name != b".."
}

/// The entries of the row `key`; `None` if it was damaged.
pub(super) fn unseal(key: &[u8], value: &[u8]) -> Option<Vec<FileEntry>> {
    let (sum, body) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(key, body) {
        return None;
    }
    let mut reader = Reader(body);
    let mut entries: Vec<FileEntry> = Vec::with_capacity(body.len() / 40 + 1);
    while !reader.0.is_empty() {
        let entry = reader.entry(entries.last())?;
        entries.push(entry);
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<FileEntry>> {
        let one = (any::<[u64; 3]>(), any::<[i64; 3]>(), any::<(u32, u32, Option<i64>)>(), 0..3_u8);
        proptest::collection::btree_map("[^/\\x00.]{1,40}", one, 1..80).prop_map(|map| {
            let time = Timestamp::from_nanos;
            map.into_iter()
                .map(|(name, (n, t, (nlink, uid, expires), kind))| FileEntry {
                    name: name.as_bytes().into(),
                    ino: n[0],
                    kind: [FileKind::Regular, FileKind::Symlink, FileKind::Special][usize::from(kind)],
                    size: n[1],
                    allocated: n[2],
                    nlink,
                    uid,
                    mtime: time(t[0]),
                    ctime: time(t[1]),
                    age_time: time(t[2]),
                    expires_at: expires.map(time),
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn entries_read_back_as_they_were_packed(entries in entries()) {
            let mut back = Vec::new();
            for (start, end, body) in split(&entries, MAX_CHUNK) {
                prop_assert!(end > start);
                back.extend(unseal(b"key", &seal(b"key", &body)).unwrap());
            }
            prop_assert_eq!(back, entries);
        }

        #[test]
        fn a_damaged_or_foreign_chunk_is_refused(entries in entries(), at in any::<usize>(), bit in 0..8_u8) {
            for (_, _, body) in split(&entries, MAX_CHUNK) {
                let mut value = seal(b"key", &body);
                prop_assert_eq!(unseal(b"other", &value), None);
                let at = at % value.len();
                value[at] ^= 1 << bit;
                prop_assert_eq!(unseal(b"key", &value), None);
            }
        }

        #[test]
        fn any_bytes_with_a_right_checksum_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = unseal(b"key", &seal(b"key", &body));
        }
    }
}
