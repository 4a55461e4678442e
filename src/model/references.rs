//! What speaks for or against files beside their jobs, as the ledger records
//! it: holds, tracked files, sessions.

use serde::{Deserialize, Serialize};

use super::{Covers, FileFacts, HoldId, JobId, RelPath, RootName, SessionId, Timestamp};

/// What a path led to when it was recorded. Within a root the inode number
/// says which file it is: nothing on another file system is ever looked at,
/// and device numbers change with every mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Inode number.
    pub ino: u64,
    /// When it was created, where the file system tells: inode numbers are used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<Timestamp>,
}

impl Recorded {
    /// What was found; `facts` with its time of creation, where there is one.
    pub const fn of(facts: &FileFacts) -> Self {
        Self { ino: facts.id.ino, born: facts.btime }
    }

    /// Whether `facts` are of the same file, as far as they tell.
    pub fn is(&self, facts: &FileFacts) -> bool {
        let same_birth = self.born.zip(facts.btime).is_none_or(|(then, now)| then == now);
        self.ino == facts.id.ino && same_birth
    }
}

/// Somebody wants a file, or all that lies in a directory, to stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRecord {
    /// Its name.
    pub id: HoldId,
    /// The root it lies in.
    pub root: RootName,
    /// The file or directory, below the root.
    #[serde(flatten)]
    pub path: RelPath,
    /// What was there: it is held also where it is renamed to.
    pub recorded: Recorded,
    /// Until when; until released, if `None`.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Who holds it.
    pub uid: u32,
    /// Whose files it keeps.
    pub covers: Covers,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a client told of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// The root it lies in.
    pub root: RootName,
    /// The file, below the root.
    #[serde(flatten)]
    pub path: RelPath,
    /// What was there. What guards the file is good for its path and for
    /// itself; what lets it go is good for this file at this path alone.
    pub recorded: Recorded,
    /// When it may go.
    pub expires_at: Option<Timestamp>,
    /// The session it is a member of.
    pub session: Option<SessionId>,
    /// Jobs it belongs to, whatever its name says.
    pub jobs: Vec<JobId>,
    /// Who told.
    pub uid: u32,
    /// Whose file it must be for it to go.
    pub covers: Covers,
    /// When it was last told.
    pub tracked_at: Timestamp,
}

/// A session: files that go together, when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// Who began it.
    pub uid: u32,
    /// When it began, or began again.
    pub created_at: Timestamp,
    /// The last time that anybody touched it or gave it a file.
    pub last_activity: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_name_paths_of_any_bytes_and_read_back() {
        for bytes in [&b"d/f"[..], b"d/\xff\xfe f"] {
            let record = TrackRecord {
                root: RootName::parse("scratch").unwrap(),
                path: RelPath::from_bytes(bytes).unwrap(),
                recorded: Recorded { ino: 7, born: None },
                expires_at: Some(Timestamp::from_unix(9, 0)),
                session: Some(SessionId::parse("s").unwrap()),
                jobs: Vec::new(),
                uid: 0,
                covers: Covers::AnyOwner,
                tracked_at: Timestamp::EPOCH,
            };
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<TrackRecord>(&text).unwrap(), record, "{text}");
        }
    }
}
