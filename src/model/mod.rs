//! The nouns that every room shares: units, paths, facts of files, jobs,
//! usage, requests, plans and reports.
//!
//! Promises: plain values, comparable and printable, that serialise to the
//! shapes of the public contract. Must not know: files, clocks, threads, the
//! store, logging. Time always arrives as a value.

mod alert;
mod causes;
mod chunk;
mod file;
mod grown;
mod ids;
mod job;
mod keep;
mod kept;
mod path;
mod plan;
mod plan_wire;
mod policy;
mod queue;
mod references;
mod report;
mod request;
mod schema;
mod time;
mod trash;
mod tree_print;
mod units;
mod usage;

pub use alert::{AlertKind, AlertState};
pub use causes::with_causes;
pub use chunk::{ChunkFiles, CompletedChunk};
pub use file::{FileFacts, FileKind, FileTimes, Identity};
pub use grown::{Grown, JobGrowth};
pub use ids::{ChunkId, EntryId, HoldId, IdError, JobId, LedgerId, PlanId, RootName, RunId, SessionId};
pub use job::{Covers, JobRecord, JobState, ProcessId};
pub use keep::{Keep, Skip};
pub use kept::{Kept, Stage};
pub use path::{PathError, RelPath, WirePath, escape_control};
pub use plan::{Action, Plan, Reason};
pub use plan_wire::{PlanAction, PlanResource};
pub use policy::{Phase, Policy, Trigger};
pub use queue::{QueueEntry, QueueStats};
pub use references::{HoldRecord, Recorded, SessionRecord, TrackRecord};
pub use report::{
    DeletedOpen, DirectoryHold, PathFailure, PhaseReport, Reclaim, Report, Requester, Shortfall, UserHold,
};
pub use request::{Selection, SweepRequest};
pub use schema::some_span;
pub use time::Timestamp;
pub use trash::{TrashEntry, TrashTotals};
pub use tree_print::TreePrint;
pub use units::{ByteSize, Percent, TimeSpan, UnitError};
pub use usage::{Level, Resource, VolumeUsage};
