//! A filter over the keys of a block: it may say "perhaps" of a key that isn't
//! there, never "no" of one that is.

use std::io;

/// Bits for each key, and how many of them are set: about 1 in 100 wrong guesses.
const BITS_PER_KEY: usize = 10;
const PROBES: u64 = 6;

/// Lengths of the pieces of paths that are keys. A text of at least six bytes
/// is looked for by the long ones, which few paths share.
const SHORT: usize = 3;
const LONG: usize = 6;

/// The hash of something that is looked for. Part of the files' format: never
/// to change without their magic.
pub(super) type Key = u64;

const fn mixed(mut bits: u64) -> Key {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn named(kind: u8, text: &[u8]) -> Key {
    let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(kind);
    mixed(text.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// Two keys each: names are looked for alone, so that a wrong guess must be rarer.
pub(super) fn job(id: &str) -> [Key; 2] {
    [named(1, id.as_bytes()), named(2, id.as_bytes())]
}

/// A run of a root or of a volume.
pub(super) fn run(id: &str) -> [Key; 2] {
    [named(3, id.as_bytes()), named(4, id.as_bytes())]
}

/// The outcome of a batch.
pub(super) fn outcome(batch: u64) -> [Key; 2] {
    [named(5, &batch.to_le_bytes()), named(6, &batch.to_le_bytes())]
}

fn piece(bytes: &[u8]) -> Key {
    // The length beside the bytes: a short piece is not the beginning of a long one.
    mixed(bytes.iter().fold(bytes.len() as u64, |hash, byte| hash << 8 | u64::from(*byte)))
}

fn pieces<'a>(text: &'a [u8], length: usize, from: usize) -> impl Iterator<Item = Key> + 'a {
    text.windows(length).skip(from).map(piece)
}

/// The keys of a path; `shared` bytes at its start were given with another one.
pub(super) fn of_path(path: &[u8], shared: usize, keys: &mut Vec<Key>) {
    keys.extend(pieces(path, SHORT, (shared + 1).saturating_sub(SHORT)));
    keys.extend(pieces(path, LONG, (shared + 1).saturating_sub(LONG)));
}

/// The keys of every path that contains `text`.
pub(super) fn of_text(text: &[u8], keys: &mut Vec<Key>) {
    keys.extend(pieces(text, if text.len() >= LONG { LONG } else { SHORT }, 0));
}

fn places(key: Key, bits: u64) -> impl Iterator<Item = u64> {
    let step = key.rotate_left(32) | 1;
    (0..PROBES).map(move |n| key.wrapping_add(n.wrapping_mul(step)) % bits)
}

/// The filter over `keys`, which come out sorted and each once.
pub(super) fn make(keys: &mut Vec<Key>) -> Vec<u8> {
    keys.sort_unstable();
    keys.dedup();
    let mut bytes = vec![0_u8; (keys.len() * BITS_PER_KEY).div_ceil(8).max(8)];
    let bits = bytes.len() as u64 * 8;
    for place in keys.iter().flat_map(|key| places(*key, bits)) {
        if let Some(byte) = bytes.get_mut((place / 8) as usize) {
            *byte |= 1 << (place % 8);
        }
    }
    bytes
}

/// Whether a filter of `length` bytes may hold `key`; `byte` reads one of them.
pub(super) fn may_hold(
    key: Key,
    length: u64,
    mut byte: impl FnMut(u64) -> io::Result<u8>,
) -> io::Result<bool> {
    for place in places(key, length * 8) {
        if byte(place / 8)? & 1 << (place % 8) == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &[u8], key: Key) -> bool {
        may_hold(key, filter.len() as u64, |at| Ok(filter[at as usize])).unwrap()
    }

    #[test]
    fn every_part_of_a_path_is_found_and_few_others_are() {
        let (mut keys, mut before) = (Vec::new(), Vec::new());
        for n in 0..1000 {
            let path = format!("/scratch/dir/file-{n:06}/").into_bytes();
            let shared = path.iter().zip(&before).take_while(|(a, b)| a == b).count();
            of_path(&path, shared, &mut keys);
            before = path;
        }
        let filter = make(&mut keys);
        let all = |text: &str| {
            let mut keys = Vec::new();
            of_text(text.as_bytes(), &mut keys);
            keys.iter().all(|key| holds(&filter, *key))
        };
        for n in 0..1000 {
            assert!(all(&format!("/file-{n:06}/")) && all(&format!("{n:06}/")) && all("dir/file"));
        }
        let wrong = (1000..2000).filter(|n| all(&format!("file-{n:06}/"))).count();
        assert!(wrong < 10, "{wrong} of 1000 that are not there");
    }
}
