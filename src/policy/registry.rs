//! Which job a file belongs to, and whether that job still lives.
//!
//! Promises: a file is protected as soon as ANY reading of its path names a
//! pending or active job that covers it; nothing a name can contain talks a
//! living job's file out of that. Must not know: where the jobs are stored.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{CompletedChunk, Covers, JobId, JobRecord, JobState, RootName, Timestamp};

/// What a decision needs to know of a registered job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Where it stands.
    pub state: JobState,
    /// Its failure was concluded, not reported.
    pub presumed: bool,
    /// Whose files it protects and cleans.
    pub covers: Covers,
    /// The one root it works in; any, if `None`.
    pub root: Option<RootName>,
    /// When it ended; for a presumed failure when it was presumed.
    pub ended_at: Option<Timestamp>,
    /// The last moment at which it is known to have lived.
    pub last_sign_of_life: Timestamp,
    /// Chunks that it reported complete and of which files may be left.
    pub completed: Vec<Arc<CompletedChunk>>,
}

impl From<&JobRecord> for JobFacts {
    fn from(record: &JobRecord) -> Self {
        Self {
            state: record.state,
            presumed: record.presumed,
            covers: record.covers,
            root: record.root.clone(),
            ended_at: record.ended_at,
            last_sign_of_life: record.last_sign_of_life(),
            completed: Vec::new(),
        }
    }
}

impl JobFacts {
    /// Whether the job speaks for files of `uid` in `root`.
    pub fn covers(&self, root: &RootName, uid: u32) -> bool {
        self.covers.includes(uid) && self.root.as_ref().is_none_or(|only| only == root)
    }

    /// The moment its retention counts from. An ended job without a recorded
    /// end counts from its last sign of life.
    pub fn ended(&self) -> Timestamp {
        self.ended_at.unwrap_or(self.last_sign_of_life)
    }
}

/// The registered jobs as of one moment.
#[derive(Debug, Clone, Default)]
pub struct JobsView {
    /// All registered jobs, living and ended.
    pub jobs: HashMap<JobId, JobFacts>,
    /// When the registry began: nothing is known of jobs from before.
    pub began_at: Timestamp,
    /// Whether the registry can be relied on. `false` after the ledger was
    /// lost, until `guardian registry trust`: then no file that names a job may go.
    pub known: bool,
}

/// What the readings of a path come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership<'a> {
    /// A reading names a pending or active job that covers the file.
    ProtectedBy(&'a JobId, &'a JobFacts),
    /// It belongs to this ended job: the longest registered reading that covers it.
    Belongs(&'a JobId, &'a JobFacts),
    /// It names jobs, none of them registered (or covering); this is the shortest.
    Unknown(&'a JobId),
    /// It names no job.
    None,
}

impl JobsView {
    /// Whose file it is, from every job that it may be read to name.
    pub fn owner_of<'a>(
        &'a self,
        readings: impl IntoIterator<Item = &'a JobId>,
        root: &RootName,
        uid: u32,
    ) -> Ownership<'a> {
        self.owner_where(readings, root, uid, |job| job.state.is_alive())
    }

    /// As [`Self::owner_of`], with a say in which jobs count as living: in an
    /// emergency a job only just presumed failed does.
    pub fn owner_where<'a>(
        &'a self,
        readings: impl IntoIterator<Item = &'a JobId>,
        root: &RootName,
        uid: u32,
        lives: impl Fn(&JobFacts) -> bool,
    ) -> Ownership<'a> {
        let mut longest: Option<(&JobId, &JobFacts)> = None;
        let mut shortest: Option<&JobId> = None;
        for id in readings {
            if let Some(facts) = self.jobs.get(id).filter(|facts| facts.covers(root, uid)) {
                if facts.state.is_alive() || lives(facts) {
                    return Ownership::ProtectedBy(id, facts);
                }
                if longest.is_none_or(|(other, _)| rank(id) > rank(other)) {
                    longest = Some((id, facts));
                }
            }
            if shortest.is_none_or(|other| rank(id) < rank(other)) {
                shortest = Some(id);
            }
        }
        match (longest, shortest) {
            (Some((id, facts)), _) => Ownership::Belongs(id, facts),
            (None, Some(id)) => Ownership::Unknown(id),
            (None, None) => Ownership::None,
        }
    }

    /// Whose file it is once `given_up` has let go of it: a file of a completed
    /// chunk stays when any other job lives that it may be read to name, with a
    /// say in which count as living, as in [`Self::owner_where`].
    pub fn owner_after<'a>(
        &'a self,
        readings: impl IntoIterator<Item = &'a JobId>,
        root: &RootName,
        uid: u32,
        given_up: &JobId,
        lives: impl Fn(&JobFacts) -> bool,
    ) -> Ownership<'a> {
        let mut longest: Option<(&JobId, &JobFacts)> = None;
        for id in readings {
            if let Some(facts) = self.jobs.get(id).filter(|facts| facts.covers(root, uid)) {
                if (facts.state.is_alive() || lives(facts)) && id != given_up {
                    return Ownership::ProtectedBy(id, facts);
                }
                if longest.is_none_or(|(other, _)| rank(id) > rank(other)) {
                    longest = Some((id, facts));
                }
            }
        }
        longest.map_or(Ownership::None, |(id, facts)| Ownership::Belongs(id, facts))
    }
}

/// By length, then by bytes, so that the answer doesn't depend on the order of readings.
fn rank(id: &JobId) -> (usize, &str) {
    (id.as_str().len(), id.as_str())
}
