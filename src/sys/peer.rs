//! Who is at the other end of a socket, and what groups he is in.

#![expect(unsafe_code, reason = "the user database is reached only through libc (it may be LDAP)")]

use std::ffi::{CStr, CString};
use std::io;

use rustix::fd::{AsFd, AsRawFd};

/// The credentials of a peer, as the kernel took them down at connect (unix(7), `SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Process; 0 when it lives in a pid namespace that we cannot see.
    pub pid: u32,
}

/// Asks for the peer of a connected Unix socket.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    // rustix' answer has no room for the pid 0 of a foreign pid namespace.
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `found`, which is that long.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<libc::ucred>() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Peer { uid: found.uid, gid: found.gid, pid: u32::try_from(found.pid).unwrap_or(0) })
}

/// Largest record of the user database that is read, in bytes.
const MAX_RECORD: usize = 1 << 20;

/// Calls a `get…_r` function with a growing buffer until the record fits.
fn with_buffer<T>(
    mut call: impl FnMut(&mut [libc::c_char]) -> Result<Option<T>, i32>,
) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            Err(libc::ERANGE) if buffer.len() < MAX_RECORD => {
                let longer = buffer.len() * 4;
                buffer.resize(longer, 0);
            }
            Err(libc::EINTR) => {}
            Err(code) => return Err(io::Error::from_raw_os_error(code)),
            Ok(found) => return Ok(found),
        }
    }
}

/// The number of a group by name; `None` when there is no such group.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    with_buffer(|buffer| {
        // SAFETY: `group` is plain data for which zeroes are valid; every pointer
        // outlives the call and the length is that of the buffer. Only the
        // number is read afterwards, no pointer into the buffer.
        unsafe {
            let mut group: libc::group = std::mem::zeroed();
            let mut found = std::ptr::null_mut();
            let (start, length) = (buffer.as_mut_ptr(), buffer.len());
            match libc::getgrnam_r(name.as_ptr(), &raw mut group, start, length, &raw mut found) {
                0 if found.is_null() => Ok(None),
                0 => Ok(Some(group.gr_gid)),
                code => Err(code),
            }
        }
    })
}

/// Login name and primary group of a user; `None` for one that the database does not know.
fn login(uid: u32) -> io::Result<Option<(CString, u32)>> {
    with_buffer(|buffer| {
        // SAFETY: as in `group_id`; `pw_name` points into the buffer, is
        // NUL-terminated on success, and is copied before the buffer goes.
        unsafe {
            let mut user: libc::passwd = std::mem::zeroed();
            let mut found = std::ptr::null_mut();
            let (start, length) = (buffer.as_mut_ptr(), buffer.len());
            match libc::getpwuid_r(uid, &raw mut user, start, length, &raw mut found) {
                0 if found.is_null() => Ok(None),
                0 => Ok(Some((CStr::from_ptr(user.pw_name).to_owned(), user.pw_gid))),
                code => Err(code),
            }
        }
    })
}

/// Whether a user is in a group, as primary or supplementary member, by the
/// user database of this host. Unknown users and groups: no.
///
/// May ask a directory server: not for a thread that must not wait.
pub fn is_member(uid: u32, group: &str) -> io::Result<bool> {
    let Some(wanted) = group_id(group)? else { return Ok(false) };
    let Some((name, primary)) = login(uid)? else { return Ok(false) };
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: `name` is NUL-terminated, and at most `count` numbers are written into `groups`.
        let answer =
            unsafe { libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &raw mut count) };
        let needed = usize::try_from(count).unwrap_or(0);
        if answer >= 0 {
            return Ok(groups.iter().take(needed).any(|gid| *gid == wanted));
        }
        if needed <= groups.len() || needed > MAX_RECORD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        groups.resize(needed, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_of_a_socket_pair_is_ourselves() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (uid, gid) = crate::sys::process::own_ids();
        assert_eq!(peer(&one).unwrap(), Peer { uid, gid, pid: std::process::id() });
        assert!(peer(std::fs::File::open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn membership_is_that_of_the_user_database() {
        assert!(is_member(0, "root").unwrap());
        assert!(!is_member(0, "no-such-group-here").unwrap());
        assert!(!is_member(4_000_000_000, "root").unwrap());
        assert!(!is_member(0, "nul\0inside").unwrap());
    }
}
