//! What else speaks for or against a file: holds, expiries, sessions, jobs
//! given by `track`, entries that wait in its place.
//!
//! Promises: asking costs nothing while nothing is recorded, and never
//! depends on how much is; what is due comes in order without reading the
//! rest. What guards a file is found by its path and by its inode; what lets
//! it go only by both. Must not know: where the records are stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::holds::{HoldSet, Holding};
use crate::model::{
    EntryId, FileFacts, HoldRecord, Identity, JobId, RelPath, RootName, SessionId, SessionRecord, Timestamp,
    TrackRecord,
};

/// The file that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct FileAt<'a> {
    /// Its root.
    pub root: &'a RootName,
    /// Its directory.
    pub dir: &'a RelPath,
    /// Its name there.
    pub name: &'a [u8],
    /// The file itself, where it is known.
    pub facts: Option<&'a FileFacts>,
    /// Inodes of its directory and of those above it, where they are known.
    pub above: &'a [u64],
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Who began it.
    pub uid: u32,
    /// The last time that anybody touched it.
    pub last_activity: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl From<&SessionRecord> for SessionFacts {
    fn from(record: &SessionRecord) -> Self {
        Self { uid: record.uid, last_activity: record.last_activity, ended_at: record.ended_at }
    }
}

/// All references as of one moment.
#[derive(Debug, Clone, Default)]
pub struct ReferenceView {
    roots: HashMap<RootName, RootReferences>,
    sessions: HashMap<SessionId, SessionFacts>,
}

/// Those of one root.
#[derive(Debug, Clone, Default)]
struct RootReferences {
    tracks: Tracks,
    holds: HoldSet,
    /// What waits in its own place, by entries of the queue or the trash: an
    /// inode with two names can have two.
    waiting: HashMap<Identity, Vec<EntryId>>,
}

#[derive(Debug, Clone, Default)]
struct Tracks {
    /// By directory and name, so that asking allocates nothing.
    by_place: HashMap<RelPath, HashMap<Box<[u8]>, TrackRecord>>,
    by_inode: HashMap<u64, BTreeSet<RelPath>>,
    due: BTreeSet<(Timestamp, RelPath)>,
    members: HashMap<SessionId, BTreeSet<RelPath>>,
    of_job: HashMap<JobId, BTreeSet<RelPath>>,
    count: u64,
}

fn drop_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<RelPath>>, key: &K, path: &RelPath) {
    if let Some(paths) = map.get_mut(key) {
        paths.remove(path);
        if paths.is_empty() {
            map.remove(key);
        }
    }
}

impl Tracks {
    fn at(&self, dir: &RelPath, name: &[u8]) -> Option<&TrackRecord> {
        if self.count == 0 { None } else { self.by_place.get(dir)?.get(name) }
    }

    fn of_path(&self, path: &RelPath) -> Option<&TrackRecord> {
        self.at(&path.parent()?, path.name())
    }

    /// The records that guard a file: of its path, and of itself elsewhere.
    fn guarding<'a>(&'a self, at: &FileAt<'_>) -> impl Iterator<Item = &'a TrackRecord> {
        let here = self.at(at.dir, at.name);
        let paths = at.facts.filter(|_| self.count > 0).and_then(|facts| self.by_inode.get(&facts.id.ino));
        let elsewhere = paths.into_iter().flatten().filter_map(|path| self.of_path(path));
        let facts = at.facts.copied();
        let same = move |record: &&TrackRecord| facts.is_some_and(|facts| record.recorded.is(&facts));
        here.into_iter().chain(elsewhere.filter(same))
    }

    fn insert(&mut self, record: TrackRecord) {
        let path = record.path.clone();
        self.remove(&path);
        let Some(dir) = path.parent() else { return };
        self.by_inode.entry(record.recorded.ino).or_default().insert(path.clone());
        if let Some(at) = record.expires_at {
            self.due.insert((at, path.clone()));
        }
        if let Some(session) = &record.session {
            self.members.entry(session.clone()).or_default().insert(path.clone());
        }
        for job in &record.jobs {
            self.of_job.entry(job.clone()).or_default().insert(path.clone());
        }
        self.count += 1;
        self.by_place.entry(dir).or_default().insert(path.name().into(), record);
    }

    fn remove(&mut self, path: &RelPath) -> Option<TrackRecord> {
        let dir = path.parent()?;
        let names = self.by_place.get_mut(&dir)?;
        let record = names.remove(path.name())?;
        if names.is_empty() {
            self.by_place.remove(&dir);
        }
        drop_from(&mut self.by_inode, &record.recorded.ino, path);
        if let Some(at) = record.expires_at {
            self.due.remove(&(at, path.clone()));
        }
        if let Some(session) = &record.session {
            drop_from(&mut self.members, session, path);
        }
        for job in &record.jobs {
            drop_from(&mut self.of_job, job, path);
        }
        self.count -= 1;
        Some(record)
    }
}

impl ReferenceView {
    fn root(&self, root: &RootName) -> Option<&RootReferences> {
        // Most hosts have none, and then nothing is even hashed.
        if self.roots.is_empty() { None } else { self.roots.get(root) }
    }

    fn root_mut(&mut self, root: &RootName) -> &mut RootReferences {
        self.roots.entry(root.clone()).or_default()
    }

    /// The hold that keeps a file at `now`, on its path or inode or on a directory above.
    pub fn hold(&self, at: &FileAt<'_>, now: Timestamp) -> Option<&Holding> {
        self.root(at.root)?.holds.keeping(at, now)
    }

    /// Whether a hold keeps a file at `now`.
    pub fn is_held(&self, at: &FileAt<'_>, now: Timestamp) -> bool {
        self.hold(at, now).is_some()
    }

    /// Whether a later expiry, a session that goes on, or an entry of queue or
    /// trash refers to a file at `now`.
    pub fn refers(&self, at: &FileAt<'_>, now: Timestamp) -> bool {
        if at.facts.and_then(|facts| facts.expires_at).is_some_and(|expiry| expiry > now) {
            return true;
        }
        let Some(root) = self.root(at.root) else { return false };
        let lives = |id: &SessionId| self.sessions.get(id).is_some_and(|facts| facts.ended_at.is_none());
        self.waits(at)
            || root.tracks.guarding(at).any(|record| {
                record.expires_at.is_some_and(|expiry| expiry > now)
                    || record.session.as_ref().is_some_and(lives)
            })
    }

    /// Whether an entry of queue or trash waits in the place of a file.
    pub fn waits(&self, at: &FileAt<'_>) -> bool {
        let root = self.root(at.root);
        root.zip(at.facts).is_some_and(|(root, facts)| root.waiting.contains_key(&facts.id.waiting()))
    }

    /// The jobs that `track --job` gave a file.
    pub fn tracked_jobs<'a>(&'a self, at: &FileAt<'_>) -> Vec<&'a JobId> {
        let tracks = self.root(at.root).map(|root| &root.tracks).filter(|tracks| !tracks.of_job.is_empty());
        tracks.into_iter().flat_map(|tracks| tracks.guarding(at)).flat_map(|record| &record.jobs).collect()
    }

    /// What was told of this very file at this very path, by somebody who may speak for it.
    pub fn track(&self, at: &FileAt<'_>) -> Option<&TrackRecord> {
        let facts = at.facts?;
        let record = self.root(at.root)?.tracks.at(at.dir, at.name)?;
        (record.recorded.is(facts) && record.covers.includes(facts.uid)).then_some(record)
    }

    /// When a file may go: the later of what was told and of what its own mark says.
    pub fn expires_at(&self, at: &FileAt<'_>) -> Option<Timestamp> {
        let told = self.track(at).and_then(|record| record.expires_at);
        told.max(at.facts.and_then(|facts| facts.expires_at))
    }

    /// The session that a file is a member of, so that its end lets it go.
    pub fn session(&self, at: &FileAt<'_>) -> Option<(&SessionId, &SessionFacts)> {
        self.sessions.get_key_value(self.track(at)?.session.as_ref()?)
    }

    /// Tracked paths whose expiry is at or before `now`, in order of expiry.
    pub fn expired_before(&self, root: &RootName, now: Timestamp) -> impl Iterator<Item = &RelPath> {
        let due = self.root(root).map(|root| &root.tracks.due);
        due.into_iter().flatten().take_while(move |(at, _)| *at <= now).map(|(_, path)| path)
    }

    /// The paths of a session's members in one root.
    pub fn members(&self, root: &RootName, session: &SessionId) -> impl Iterator<Item = &RelPath> {
        self.root(root).and_then(|root| root.tracks.members.get(session)).into_iter().flatten()
    }

    /// The paths that `track --job` gave to a job in one root.
    pub fn files_of_job(&self, root: &RootName, job: &JobId) -> impl Iterator<Item = &RelPath> {
        self.root(root).and_then(|root| root.tracks.of_job.get(job)).into_iter().flatten()
    }

    /// The roots in which anything is recorded.
    pub fn roots(&self) -> impl Iterator<Item = &RootName> {
        self.roots.keys()
    }

    /// How many files are tracked in a root.
    pub fn tracked_count(&self, root: &RootName) -> u64 {
        self.root(root).map_or(0, |root| root.tracks.count)
    }

    /// What was told of a path, whatever lies there now.
    pub fn told_of(&self, root: &RootName, path: &RelPath) -> Option<&TrackRecord> {
        self.root(root)?.tracks.of_path(path)
    }

    fn tracks(&self, root: &RootName) -> impl Iterator<Item = &TrackRecord> {
        let tracks = self.root(root).map(|root| &root.tracks.by_place);
        tracks.into_iter().flat_map(HashMap::values).flat_map(HashMap::values)
    }

    /// Paths of a root of which nothing that was told guards a file any more:
    /// past its expiry, of a session that has ended, of no living job.
    pub fn spent(&self, root: &RootName, now: Timestamp, lives: impl Fn(&JobId) -> bool) -> Vec<RelPath> {
        let goes_on = |id: &SessionId| self.sessions.get(id).is_some_and(|facts| facts.ended_at.is_none());
        let guards = |told: &TrackRecord| {
            told.expires_at.is_some_and(|expiry| expiry > now)
                || told.session.as_ref().is_some_and(goes_on)
                || told.jobs.iter().any(&lives)
        };
        self.tracks(root).filter(|told| !guards(told)).map(|told| told.path.clone()).collect()
    }

    /// All sessions, by name.
    pub fn sessions(&self) -> BTreeMap<&SessionId, &SessionFacts> {
        self.sessions.iter().collect()
    }

    /// One session.
    pub fn session_facts(&self, id: &SessionId) -> Option<&SessionFacts> {
        self.sessions.get(id)
    }

    /// Takes up what was told of a file, in place of what was told of that path before.
    pub fn put_track(&mut self, record: TrackRecord) {
        self.root_mut(&record.root.clone()).tracks.insert(record);
    }

    /// Forgets what was told of a path.
    pub fn remove_track(&mut self, root: &RootName, path: &RelPath) -> Option<TrackRecord> {
        self.roots.get_mut(root)?.tracks.remove(path)
    }

    /// Takes up a hold.
    pub fn put_hold(&mut self, record: &HoldRecord) {
        self.root_mut(&record.root).holds.insert(record);
    }

    /// Ends a hold.
    pub fn remove_hold(&mut self, record: &HoldRecord) {
        if let Some(root) = self.roots.get_mut(&record.root) {
            root.holds.remove(record);
        }
    }

    /// Takes up a session as it is now.
    pub fn put_session(&mut self, record: &SessionRecord) {
        self.sessions.insert(record.id.clone(), SessionFacts::from(record));
    }

    /// Forgets a session.
    pub fn remove_session(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    /// An entry of the queue or the trash waits in its own place from now on, or
    /// no longer: while it does no other policy takes the file.
    pub fn set_waiting(&mut self, root: &RootName, entry: &EntryId, file: Identity, waits: bool) {
        let waiting = &mut self.root_mut(root).waiting;
        let entries = waiting.entry(file).or_default();
        entries.retain(|other| other != entry);
        if waits {
            entries.push(entry.clone());
        } else if entries.is_empty() {
            waiting.remove(&file);
        }
    }
}
