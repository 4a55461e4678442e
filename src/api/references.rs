//! What is asked about holds, tracked files and sessions.

use super::wire::{
    HoldRequest, HoldResource, Listing, Page, ReleaseRequest, SessionEnd, SessionResource, TrackRequest,
    TrackedFile,
};
use super::{ApiError, PeerIdentity};
use crate::model::{HoldId, SessionId};

/// Holds, tracked files and sessions as the routes see them, and as a command
/// without an agent does.
///
/// Any peer may speak for files that it owns, and for its own holds and
/// sessions; administrators for all: the methods check that. A request that
/// names one wrong path changes nothing.
pub trait ReferenceCommands {
    /// Holds files and directories. Answered only after removals in flight have stopped.
    fn hold(&self, request: HoldRequest, by: &PeerIdentity) -> Result<Listing<HoldResource>, ApiError>;

    /// All holds, in the order in which they began.
    fn holds(&self, page: &Page) -> Result<Listing<HoldResource>, ApiError>;

    /// Ends one hold.
    fn release(&self, id: &HoldId, by: &PeerIdentity) -> Result<HoldResource, ApiError>;

    /// Ends the peer's holds on these paths; an administrator ends all of them.
    fn release_paths(
        &self,
        request: ReleaseRequest,
        by: &PeerIdentity,
    ) -> Result<Listing<HoldResource>, ApiError>;

    /// Takes down expiry, session and job of files.
    fn track(&self, request: TrackRequest, by: &PeerIdentity) -> Result<Listing<TrackedFile>, ApiError>;

    /// A sign of activity; a session that is not known, or has ended, begins.
    fn session_touch(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionResource, ApiError>;

    /// Ends a session, and begins to remove its files.
    fn session_end(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionEnd, ApiError>;

    /// All sessions, the last active first.
    fn sessions(&self, page: &Page) -> Result<Listing<SessionResource>, ApiError>;

    /// One of them.
    fn session(&self, id: &SessionId) -> Result<SessionResource, ApiError>;
}
