//! Shapes of the bodies that go over the socket, and of the CLI's `--json`.
//!
//! Plain values that serialise to the public contract. What cannot be known is
//! absent (`null`), never 0.

mod chunks;
mod events;
mod explain;
mod health;
mod jobs;
mod kept;
mod page;
mod paths;
mod records;
mod references;
mod stats;
mod sweeps;

pub use crate::model::{PlanAction, PlanResource};
pub use chunks::{ChunkCompletion, ChunkRequest};
pub use events::Event;
pub use explain::{Explanation, GivenUp, GivenUpList, JobReading, PolicyVerdict, Verdict};
pub use health::{
    Health, OpenCheck, PauseRequest, PauseState, RootHealth, RootResource, RootState, TrustState,
};
pub use jobs::{JobPut, JobResource};
pub use kept::{
    AttemptCount, DeletionRequest, DeletionResource, DeletionStats, FilePath, Given, GivenPath, RefusedPath,
    RestoreRequest, Returned, RunRequest, TrashRequest, TrashResource, Whereabouts,
};
pub use page::{Listing, Page};
pub use paths::PathText;
pub use records::{AuditEntry, AuditFilter, FileEntry, HistoryFilter, RequestEntry, RequestFilter};
pub use references::{
    HoldRequest, HoldResource, ReleaseRequest, SessionEnd, SessionResource, SessionState, TrackRequest,
    TrackedFile,
};
pub use stats::{
    AgentStats, Holder, HolderName, IndexConfidence, IndexStats, RootStats, Stats, TopHolders, TopList,
};
pub use sweeps::{Progress, SweepResource, SweepState, check_sweep, waited_body};

/// Most characters of a word that is kept with each of the files of a request.
pub(super) const MAX_WORD: usize = 1000;
