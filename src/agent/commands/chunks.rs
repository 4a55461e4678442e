//! Chunks that jobs report complete.

use serde_json::json;

use crate::agent::runs::Asked;
use crate::agent::{chunks, problems};
use crate::api::{ApiError, ChunkCompletion, ChunkRequest, PeerIdentity};
use crate::model::{ChunkId, JobId, Trigger};

use super::Served;
use super::jobs::caller;

impl Served {
    pub(super) fn complete_chunk(
        &self,
        id: &JobId,
        chunk: &ChunkId,
        request: &ChunkRequest,
        by: &PeerIdentity,
    ) -> Result<ChunkCompletion, ApiError> {
        let agent = &self.agent;
        let job = agent.registry.permitted(id, caller(by)).map_err(|error| problems::job(&error))?;
        let reported =
            chunks::report(&agent.registry, &job, chunk, request, caller(by), &agent.targets(None))?;
        let mut answer = reported.answer;
        if reported.done.is_none() {
            return Ok(answer);
        }
        let what = json!({
            "action": "chunk_complete", "job": id, "chunk": chunk,
            "files": request.files.len() - answer.refused.len(),
        });
        self.record(by, what);
        match agent.runs.ask(chunks::request(id, chunk), Trigger::ChunkCompleted, Some(by.requester())) {
            Asked::New(run) | Asked::Joined(run) => answer.sweep = Some(run.resource()),
            Asked::Refused => {}
        }
        Ok(answer)
    }
}
