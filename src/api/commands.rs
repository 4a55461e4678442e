//! What the socket asks of the agent.

use super::wire::{
    AuditEntry, AuditFilter, ChunkCompletion, ChunkRequest, Explanation, FileEntry, Health, HistoryFilter,
    JobPut, JobResource, Listing, Page, PauseRequest, PauseState, PlanResource, RequestEntry, RequestFilter,
    RootResource, Stats, SweepResource, TrustState,
};
use super::{ApiError, EventId, EventReader, PeerIdentity};
use crate::model::{ChunkId, JobId, PlanId, Report, RootName, RunId, SweepRequest};

/// The agent as the routes see it.
///
/// Methods block: the router calls each on tokio's blocking threads, so they
/// may take locks, read the store and wait. A panic in one becomes a 500 and
/// ends nothing else. Administrators' methods are called only for
/// administrators; jobs check their owner themselves, in the transaction that
/// changes them ([`PeerIdentity::may_change_job`]).
///
/// Limits and rates are the agent's ([`ApiError::rate_limited`]); so is
/// recording each change with its [`PeerIdentity::requester`]. A root or plan
/// that a body or query names and that does not exist is
/// [`ApiError::invalid`]; what the path of the URL names is
/// [`ApiError::not_found`].
pub trait Commands: super::KeptCommands + super::ReferenceCommands + Send + Sync + 'static {
    /// How the roots are, by the raw marks.
    fn health(&self) -> Result<Health, ApiError>;

    /// Figures of each root and of the agent.
    fn stats(&self) -> Result<Stats, ApiError>;

    /// Figures for monitoring, in OpenMetrics; without a look at a volume or a file.
    fn metrics(&self) -> Result<String, ApiError>;

    /// The configured roots.
    fn roots(&self) -> Result<Vec<RootResource>, ApiError>;

    /// Takes the file system that is now mounted at a suspended root for its own.
    fn accept_root(&self, root: &RootName, by: &PeerIdentity) -> Result<RootResource, ApiError>;

    /// What the index holds, of one root or of all.
    fn files(&self, root: Option<&RootName>, page: &Page) -> Result<Listing<FileEntry>, ApiError>;

    /// Queues a sweep, or joins an equal one that is queued or running; returns at once.
    /// The request is already consistent ([`super::check_sweep`]).
    fn sweep(&self, request: SweepRequest, by: &PeerIdentity) -> Result<SweepResource, ApiError>;

    /// Waits until a sweep is done, cancelled or failed. Must return
    /// ([`super::Problem::Unavailable`]) when the agent stops.
    fn await_sweep(&self, id: &RunId) -> Result<SweepResource, ApiError>;

    /// Queued, running and recent sweeps, newest first, without their actions.
    fn sweeps(&self, page: &Page) -> Result<Listing<SweepResource>, ApiError>;

    /// One of them.
    fn sweep_get(&self, id: &RunId) -> Result<SweepResource, ApiError>;

    /// Ends a sweep after the current batch; one that ended already stays as it is.
    fn sweep_cancel(&self, id: &RunId, by: &PeerIdentity) -> Result<SweepResource, ApiError>;

    /// Makes a plan and keeps it for an hour.
    fn plan(&self, request: SweepRequest, by: &PeerIdentity) -> Result<PlanResource, ApiError>;

    /// A kept plan.
    fn plan_get(&self, id: &PlanId) -> Result<PlanResource, ApiError>;

    /// Registers a job or moves it to another state. A start is answered only
    /// after removals in flight for it have stopped.
    fn job_put(&self, id: &JobId, job: JobPut, by: &PeerIdentity) -> Result<JobResource, ApiError>;

    /// One job.
    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError>;

    /// All jobs, by name.
    fn jobs(&self, page: &Page) -> Result<Listing<JobResource>, ApiError>;

    /// A sign of life. 409 when the job has ended.
    fn job_heartbeat(&self, id: &JobId, by: &PeerIdentity) -> Result<JobResource, ApiError>;

    /// Records that a job has processed a chunk, of which the named files or
    /// all may go now, and queues their removal. What is written after the
    /// answer is not what was processed.
    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: ChunkRequest,
        by: &PeerIdentity,
    ) -> Result<ChunkCompletion, ApiError>;

    /// Queues the removal of one failed job's files now.
    fn job_sweep(&self, id: &JobId, by: &PeerIdentity) -> Result<SweepResource, ApiError>;

    /// Queues the removal of all failed jobs' files now.
    fn failed_jobs_sweep(&self, by: &PeerIdentity) -> Result<SweepResource, ApiError>;

    /// What each policy says about an absolute path (bytes as the kernel has them).
    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError>;

    /// Stops removals; watching and alerts go on.
    fn pause(&self, request: PauseRequest, by: &PeerIdentity) -> Result<PauseState, ApiError>;

    /// Ends a pause.
    fn resume(&self, by: &PeerIdentity) -> Result<PauseState, ApiError>;

    /// Reports of past runs, newest first, without their actions.
    fn history(&self, filter: &HistoryFilter, page: &Page) -> Result<Listing<Report>, ApiError>;

    /// Removals on record, newest first.
    fn audit(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<AuditEntry>, ApiError>;

    /// Requests on record that changed something, newest first.
    fn requests(&self, filter: &RequestFilter, page: &Page) -> Result<Listing<RequestEntry>, ApiError>;

    /// What happens from now on, or from behind the event that the peer heard last. Does not block.
    fn events(&self, by: &PeerIdentity, last: Option<&EventId>) -> Result<EventReader, ApiError>;

    /// Declares the present ledger the right one after a loss.
    fn registry_trust(&self, by: &PeerIdentity) -> Result<TrustState, ApiError>;

    /// Declares the wall clock right after a jump.
    fn clock_trust(&self, by: &PeerIdentity) -> Result<TrustState, ApiError>;
}
