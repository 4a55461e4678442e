//! Who is at the other end of the socket, and whether it is an administrator.

use crate::api::PeerIdentity;
use crate::sys::{peer, process};

/// Root, the agent's own uid, and the members of a group.
pub struct Administrators {
    own_uid: u32,
    /// As the settings say at the moment.
    group: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Administrators {
    /// With the members of the group that `group` names whenever somebody comes, if it names one.
    pub fn new(group: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        let (own_uid, _) = process::own_ids();
        Self { own_uid, group: Box::new(group) }
    }

    /// The peer by the credentials that the kernel took when it connected (`SO_PEERCRED`).
    pub fn identify(&self, stream: &tokio::net::UnixStream) -> std::io::Result<PeerIdentity> {
        let peer = peer::peer(stream)?;
        let admin = peer.uid == 0
            || peer.uid == self.own_uid
            // A group that does not exist or can't be read has no members.
            || (self.group)().is_some_and(|group| peer::is_member(peer.uid, &group).unwrap_or(false));
        Ok(PeerIdentity { uid: peer.uid, gid: peer.gid, pid: peer.pid, admin })
    }
}
