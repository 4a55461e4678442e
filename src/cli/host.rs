//! What the command line needs from the rest of the house, so that it knows
//! neither the agent's wiring nor the sweep's internals.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::failure::Failure;
use crate::api::{
    ApiError, ChunkCompletion, ChunkRequest, Explanation, JobPut, JobResource, PlanResource, Progress,
    RootResource, TrustState,
};
use crate::config::Settings;
use crate::model::{ChunkId, JobId, Report, SweepRequest};

/// Where settings come from, besides the environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config FILE`; the usual places, if absent.
    pub config: Option<PathBuf>,
    /// `--socket PATH`.
    pub socket: Option<PathBuf>,
}

/// Reads the settings anew, as the command line was given.
pub type ReadAgain = Box<dyn Fn() -> Result<Settings, String> + Send>;

/// What the process that holds the command line offers.
pub trait Host {
    /// Runs the agent until it is told to stop; `again` reads the settings
    /// anew for a reload, or says in words what is wrong with them.
    fn run(&self, settings: Settings, again: ReadAgain) -> Result<(), Failure>;

    /// Opens own-process mode: the ledger under its lock. Called only when no
    /// agent answers. A held lock is [`ApiError::conflict`].
    fn standalone(&self, settings: Settings) -> Result<Box<dyn Standalone>, ApiError>;

    /// Shows the agent at work on a directory of its own, which stays with
    /// `keep`; `say` takes each line of the story.
    fn demo(&self, keep: bool, say: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure>;
}

/// A sweep in the command's own process.
#[derive(Debug, Clone)]
pub struct StandaloneSweep {
    /// What was asked for; its `root` is one of the settings', `plan` is not set.
    pub request: SweepRequest,
    /// `--plan FILE`: exactly these, as far as they are unchanged.
    pub plan: Option<Vec<PlanResource>>,
    /// `--adopt`: take over a root that another ledger claims.
    pub adopt: bool,
    /// `--list`: the reports carry their actions.
    pub list: bool,
    /// `--unattended`: nobody looks on; what a scheduled sweep leaves to a person is left to one.
    pub unattended: bool,
}

/// What a sweep in the command's own process did.
#[derive(Debug, Clone, Default)]
pub struct SweepOutcome {
    /// One report per root.
    pub reports: Vec<Report>,
    /// In a dry run the plan of each root, in the order of the reports.
    pub plans: Vec<PlanResource>,
    /// What was not done and is for somebody to look at: a root that is suspended,
    /// a plan that takes too much.
    pub not_done: Vec<String>,
}

/// Takes how far a sweep is.
pub type Told = Arc<dyn Fn(&Progress) + Send + Sync>;

/// What works without an agent.
pub trait Standalone: crate::api::KeptCommands + crate::api::ReferenceCommands {
    /// Sweeps; ends after the batch in which `cancelled` is set.
    /// `told` takes how far it is, after each batch.
    fn sweep(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError>;
    /// What each policy says about an absolute path.
    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError>;
    /// Registers or moves a job.
    fn job_put(&self, id: &JobId, job: JobPut) -> Result<JobResource, ApiError>;
    /// A sign of life.
    fn job_heartbeat(&self, id: &JobId) -> Result<JobResource, ApiError>;
    /// One job.
    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError>;
    /// All jobs, by name.
    fn jobs(&self) -> Result<Vec<JobResource>, ApiError>;
    /// Records that a chunk was processed, and removes its files.
    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: &ChunkRequest,
    ) -> Result<ChunkCompletion, ApiError>;
    /// The configured roots.
    fn roots(&self) -> Result<Vec<RootResource>, ApiError>;
    /// Declares the present ledger the right one.
    fn registry_trust(&self) -> Result<TrustState, ApiError>;
}
