//! What the files of a tree were, in one number.
//!
//! Two looks at a tree agree in it exactly if they saw the same files, each
//! with the same inode, kind, size, mtime and ctime, in whatever order. The
//! same in every process and on every host, because plans are written down.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FileKind, Identity};

/// A sum over the files of a tree. On paper 16 hexadecimal digits: as a number
/// it would lose some of them in other people's JSON.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePrint(u64);

impl TreePrint {
    /// Takes up a file; `beneath` is its path below the top of the tree. The
    /// device is no part of it: its number lasts only until the next mount.
    pub fn add(&mut self, beneath: &[u8], id: &Identity) {
        let kind = match id.kind {
            FileKind::Regular => 0_u64,
            FileKind::Symlink => 1,
            FileKind::Directory => 2,
            FileKind::Special => 3,
        };
        let numbers = [
            id.ino,
            kind,
            id.size,
            id.mtime.as_nanos().cast_unsigned(),
            id.ctime.as_nanos().cast_unsigned(),
            beneath.len() as u64,
        ];
        // FNV-1a, 64 bits, then mixed so that a sum of them says as much as each.
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes);
        let hash = numbers.chain(beneath.iter().copied()).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        self.0 = self.0.wrapping_add(mixed(hash));
    }
}

const fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 30;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 27;
    hash = hash.wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl fmt::Debug for TreePrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<TreePrint> for String {
    fn from(print: TreePrint) -> Self {
        format!("{print:?}")
    }
}

impl TryFrom<String> for TreePrint {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Timestamp;

    fn id(ino: u64, size: u64, ctime: i64) -> Identity {
        Identity {
            dev: 1,
            ino,
            kind: FileKind::Regular,
            size,
            mtime: Timestamp::EPOCH,
            ctime: Timestamp::from_nanos(ctime),
        }
    }

    type File = (Vec<u8>, u64, u64, i64);

    fn print(files: &[File]) -> TreePrint {
        let mut print = TreePrint::default();
        files.iter().for_each(|(path, ino, size, ctime)| print.add(path, &id(*ino, *size, *ctime)));
        print
    }

    #[test]
    fn it_is_the_same_on_paper() {
        let print = print(&[(b"a".to_vec(), 1, 2, 3)]);
        let text = serde_json::to_string(&print).unwrap();
        assert_eq!(text.len(), 18, "{text}");
        assert_eq!(serde_json::from_str::<TreePrint>(&text).unwrap(), print);
        assert!(serde_json::from_str::<TreePrint>("\"no number\"").is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_files_does_not_matter_and_everything_else_does(
            files in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..9), any::<u64>(), any::<u64>(), any::<i64>()), 1..9),
            at in any::<prop::sample::Index>(),
            what in 0..5,
        ) {
            let mut turned = files.clone();
            turned.rotate_left(at.index(files.len()));
            prop_assert_eq!(print(&turned), print(&files));
            let mut other = files.clone();
            let one = &mut other[at.index(files.len())];
            match what {
                0 => one.0.push(b'x'),
                1 => one.1 = one.1.wrapping_add(1),
                2 => one.2 = one.2.wrapping_add(1),
                3 => one.3 = one.3.wrapping_add(1),
                _ => { other.remove(at.index(files.len())); }
            }
            prop_assert_ne!(print(&other), print(&files));
        }
    }
}
