//! Shapes of the bodies that go over the socket, and of the CLI's `--json`.
//!
//! Plain values that serialise to the public contract. What cannot be known is
//! absent (`null`), never 0.

mod chunks;
mod explain;
mod health;
mod jobs;
mod page;
mod records;
mod stats;
mod sweeps;

pub use crate::model::{PlanAction, PlanResource};
pub use chunks::{ChunkCompletion, ChunkRequest, NamedPath};
pub use explain::{Explanation, JobReading, PolicyVerdict, Verdict};
pub use health::{
    Health, OpenCheck, PauseRequest, PauseState, RootHealth, RootResource, RootState, TrustState,
};
pub use jobs::{JobPut, JobResource};
pub use page::{Listing, Page};
pub use records::{AuditEntry, AuditFilter, FileEntry};
pub use stats::{
    AgentStats, Holder, HolderName, IndexConfidence, IndexStats, RootStats, Stats, TopHolders, TopList,
};
pub use sweeps::{Progress, SweepResource, SweepState, check_sweep, waited_body};
