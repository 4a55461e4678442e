//! Chunks on the wire.

use serde::{Deserialize, Serialize};

use super::SweepResource;
use crate::model::{ChunkId, JobId, PathFailure, WirePath};

/// Body of `POST /v1/jobs/{id}/chunks/{chunk}/complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRequest {
    /// The files that were processed; absent or empty: all of the chunk's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<NamedPath>,
}

/// An absolute path in a request: a string, or an object that says how it is encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NamedPath {
    /// As it is.
    Plain(String),
    /// With `path_encoding`.
    Encoded(WirePath),
}

impl NamedPath {
    /// Writes bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let wire = WirePath::from_bytes(bytes);
        if wire.path_encoding.is_none() { Self::Plain(wire.path) } else { Self::Encoded(wire) }
    }

    /// As it goes into answers.
    pub fn to_wire(&self) -> WirePath {
        match self {
            Self::Plain(path) => WirePath { path: path.clone(), path_encoding: None },
            Self::Encoded(wire) => wire.clone(),
        }
    }
}

/// A chunk that was reported complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
