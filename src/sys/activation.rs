//! A listening socket that the service manager has handed over (sd_listen_fds(3)).
//!
//! Promises: what is handed out is a Unix stream socket that listens, closed in
//! programs that are started from here; the variables that told of it are gone
//! for these programs as well. Must not know: which path it should have.

#![expect(unsafe_code, reason = "descriptors that are inherited are known by number alone")]

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

/// Why what was handed over can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The descriptors are not there, or their number can't be read.
    #[error("failed to take over the service manager's descriptors (LISTEN_FDS)")]
    Descriptors(#[source] std::io::Error),
    /// More than the admin socket.
    #[error(
        "failed to take over the service manager's descriptors: there are {0}; help: one ListenStream= alone, the admin socket"
    )]
    Several(usize),
    /// Not such a socket.
    #[error(
        "failed to take over descriptor {name} of the service manager: it is {found}; help: ListenStream= with the path of a Unix socket"
    )]
    Wrong {
        /// Its name (`LISTEN_FDNAMES`), or number.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
}

/// The first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The variables of the protocol.
const VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Takes over the socket that was handed to this very process; `None` if none
/// was. To be called once, before there are threads: a second call finds none.
///
/// # Errors
/// Anything else was handed over than one Unix stream socket that listens.
pub fn take() -> Result<Option<UnixListener>, ActivationError> {
    let name = std::env::var("LISTEN_FDNAMES").ok().filter(|name| !name.is_empty());
    // It has them closed in programs that are started.
    let handed = sd_notify::listen_fds().map(|all| all.collect::<Vec<_>>());
    forget();
    let handed = handed.map_err(ActivationError::Descriptors)?;
    let fd = match *handed.as_slice() {
        [] => return Ok(None),
        [fd] if fd == FIRST => fd,
        ref several => return Err(ActivationError::Several(several.len())),
    };
    // SAFETY: the manager has made it ours by naming our process (LISTEN_PID), and
    // sd_notify has found it open. Nothing else of this process has it: it was open
    // before the first line of this program ran, and the variables are gone, so that
    // nobody takes it a second time.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    listening(fd, name.unwrap_or_else(|| FIRST.to_string())).map(Some)
}

/// Takes the variables out of the environment, where nobody else can be reading it.
fn forget() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads == 1 {
        for name in VARIABLES {
            // SAFETY: this is the only thread of the process, so that nobody reads
            // or writes the environment meanwhile.
            unsafe { std::env::remove_var(name) };
        }
    }
}

fn listening(fd: OwnedFd, name: String) -> Result<UnixListener, ActivationError> {
    let wrong = |found| Err(ActivationError::Wrong { name: name.clone(), found });
    match socket_domain(&fd) {
        Err(_) => return wrong("no socket"),
        Ok(AddressFamily::UNIX) => {}
        Ok(_) => return wrong("a socket of another family than Unix"),
    }
    if !socket_type(&fd).is_ok_and(|kind| kind == SocketType::STREAM) {
        return wrong("no stream socket");
    }
    if !socket_acceptconn(&fd).unwrap_or(false) {
        return wrong("a socket that does not listen (Accept=yes?)");
    }
    Ok(UnixListener::from(fd))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn found(fd: impl Into<OwnedFd>) -> &'static str {
        match listening(fd.into(), "3".to_owned()) {
            Err(ActivationError::Wrong { found, .. }) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_unix_stream_socket_that_listens_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(listening(listener.into(), "3".to_owned()).is_ok());
        assert_eq!(found(std::fs::File::open("/dev/null").unwrap()), "no socket");
        assert_eq!(found(TcpListener::bind("127.0.0.1:0").unwrap()), "a socket of another family than Unix");
        assert_eq!(found(UnixDatagram::bind(dir.path().join("d")).unwrap()), "no stream socket");
        let connected = UnixStream::pair().unwrap().0;
        assert_eq!(found(connected), "a socket that does not listen (Accept=yes?)");
    }
}
