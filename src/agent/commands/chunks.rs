//! Chunks that jobs report complete.

use serde_json::json;

use crate::agent::jobs::Now;
use crate::agent::runs::Asked;
use crate::agent::{chunks, problems};
use crate::api::{ApiError, ChunkCompletion, ChunkRequest, PeerIdentity};
use crate::model::{ChunkId, JobId, Trigger};
use crate::sys::clock;

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
        let named = chunks::sort_out(&request.files, &job, chunk, &agent.targets(None));
        let mut answer = ChunkCompletion {
            job: id.clone(),
            chunk: chunk.clone(),
            refused: named.refused.clone(),
            sweep: None,
        };
        if named.is_in_vain() {
            return Ok(answer);
        }
        let what = json!({
            "action": "chunk_complete", "job": id, "chunk": chunk,
            "files": request.files.len() - named.refused.len(),
        });
        let done = agent
            .registry
            .complete_chunk(id, chunk, named.files, caller(by), Now::read())
            .map_err(|error| problems::job(&error))?;
        // What is written after the answer must be told from what was there before.
        clock::wait_until_stamps_pass(done.at);
        self.record(by, what);
        match agent.runs.ask(chunks::request(id, chunk), Trigger::ChunkCompleted, Some(by.requester())) {
            Asked::New(run) | Asked::Joined(run) => answer.sweep = Some(run.resource()),
            Asked::Refused => {}
        }
        Ok(answer)
    }
}
