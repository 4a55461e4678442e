//! Chunks on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PathText, SweepResource};
use crate::model::{ChunkId, JobId, PathFailure};

/// Body of `POST /v1/jobs/{id}/chunks/{chunk}/complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunkRequest {
    /// The files that were processed; absent or empty: all of the chunk's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathText>,
}

/// A chunk that was reported complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkCompletion {
    /// The job.
    pub job: JobId,
    /// The chunk.
    pub chunk: ChunkId,
    /// Files that were named and are not of this chunk, with why. The others go.
    pub refused: Vec<PathFailure>,
    /// The sweep that removes its files. `null`: none was begun, because every
    /// file was refused or too much waits; what is on record goes at the next sweep.
    pub sweep: Option<SweepResource>,
}
