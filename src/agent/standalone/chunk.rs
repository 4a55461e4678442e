//! Chunks that are reported complete where no agent runs.

use crate::agent::chunks::Reported;
use crate::agent::engine::Commission;
use crate::agent::roots::Claim;
use crate::agent::surroundings::{Control, new_id};
use crate::agent::{chunks, forbidden, problems};
use crate::api::{ApiError, ChunkCompletion, ChunkRequest, Progress, SweepResource, SweepState};
use crate::cli::StandaloneSweep;
use crate::model::{ChunkId, JobId, RunId, Trigger};
use crate::sys::clock;

use super::Alone;
use super::sweeping::commission;
use super::workplace::pause_at;

impl Alone {
    pub(super) fn complete_chunk(
        &self,
        id: &JobId,
        chunk: &ChunkId,
        request: &ChunkRequest,
    ) -> Result<ChunkCompletion, ApiError> {
        let work = self.workplace()?;
        let job = work.registry.permitted(id, Self::caller()).map_err(|error| problems::job(&error))?;
        let wanted = chunks::request(id, chunk);
        let audit = work.audit();
        let opened = self.open_targets(&work, &wanted, Claim::Usual, &|_| true)?;
        let reported = chunks::report(&work.registry, &job, chunk, request, Self::caller(), &opened.targets)?;
        let Reported { mut answer, done: Some(done) } = reported else { return Ok(reported.answer) };
        // It is on record: what must not go now goes at a later sweep.
        if forbidden::is_dry(&self.settings.agent, &wanted, wanted.policy)
            || pause_at(work.ledger.pause(), clock::now()).is_some()
        {
            return Ok(answer);
        }
        let sweep =
            StandaloneSweep { request: wanted, plan: None, adopt: false, list: false, unattended: false };
        let engine = work.engine(audit);
        let control = Control::default();
        let commission =
            Commission { trigger: Trigger::ChunkCompleted, ..commission(&sweep, &control, &|| None) };
        let reports = engine.sweep(&commission, &opened.targets).map_err(|error| problems::engine(&error))?;
        if opened.left_out.is_empty() {
            chunks::forget_served(&engine, &work.registry, vec![done], &opened.targets);
        }
        let progress = Progress {
            files: reports.iter().map(|report| report.files_deleted).sum(),
            bytes: reports.iter().map(|report| report.bytes_freed).sum(),
            ..Progress::default()
        };
        answer.sweep = Some(SweepResource::new(RunId::new(new_id()), SweepState::Done, progress, reports));
        Ok(answer)
    }
}
