//! Who may do what.
//!
//! Reading, plans and dry runs: whoever can open the socket. Its own jobs: any
//! peer. Everything else that changes something: administrators.

use super::ApiError;
use crate::model::{Covers, JobId, Requester};

/// The peer at the other end of a connection, as the kernel vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Effective user when the peer connected.
    pub uid: u32,
    /// Effective group when the peer connected.
    pub gid: u32,
    /// Process; 0 where the kernel does not tell (another pid namespace).
    pub pid: u32,
    /// Whether it is an administrator (uid 0, the agent's uid, a member of `admin_group`).
    pub admin: bool,
}

impl PeerIdentity {
    /// The part that goes into reports and audit.
    pub const fn requester(&self) -> Requester {
        Requester { uid: self.uid, gid: self.gid, pid: self.pid }
    }

    /// Whose files a job registered by this peer covers.
    pub const fn covers(&self) -> Covers {
        if self.admin { Covers::AnyOwner } else { Covers::Owner(self.uid) }
    }

    /// Refuses everybody but administrators. `what` completes "uid 1000 may not …".
    pub fn require_admin(&self, what: &str) -> Result<(), ApiError> {
        if self.admin {
            return Ok(());
        }
        Err(ApiError::not_permitted(format!("uid {} may not {what}: only administrators may", self.uid))
            .with_help("run it as root or as a member of the administrators' group (`admin_group`)"))
    }

    /// Refuses a job that somebody else registered. To be asked with the owner
    /// read in the same transaction as the change; `None` for a new job.
    pub fn may_change_job(&self, job: &JobId, owner: Option<u32>) -> Result<(), ApiError> {
        match owner {
            Some(uid) if !self.admin && uid != self.uid => Err(ApiError::not_permitted(format!(
                "uid {} may not change job {job}: it belongs to uid {uid}",
                self.uid
            ))),
            _ => Ok(()),
        }
    }
}
