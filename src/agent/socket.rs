//! The admin socket: made here, or handed over by the service manager.
//!
//! Promises: no socket that somebody listens on is replaced; one that was
//! handed over is the configured one, and its file is its owner's: mode and end
//! are not touched. Must not know: what is said over it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::sys::activation::{self, ActivationError};

/// Why a socket that was handed over is not served.
///
/// Jobs would register at one of two sockets and nobody would hear them: what
/// they work on would be unprotected. So that ends the start.
#[derive(Debug, thiserror::Error)]
pub enum HandedError {
    /// It can't be.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// It is another one than the configuration says.
    #[error(
        "failed to serve the socket that the service manager listens on: it is {found}, and `socket` is {}; help: make `socket` the same, or give guardian.socket that path (`systemctl edit guardian.socket`, below [Socket] a line ListenStream= and a line ListenStream={}), then `systemctl stop guardian.socket guardian.service` and `systemctl start guardian`",
        configured.display(),
        configured.display()
    )]
    Elsewhere {
        /// Where it is.
        found: String,
        /// Where it should be.
        configured: PathBuf,
    },
    /// It can't be set up.
    #[error("failed to set up the socket that the service manager listens on")]
    SetUp(#[source] std::io::Error),
}

/// The socket that the service manager handed to this process, if it did: it
/// must be the configured one. Before there are threads.
pub(super) fn handed(configured: &Path) -> Result<Option<UnixListener>, HandedError> {
    let Some(listener) = activation::take()? else { return Ok(None) };
    check(&listener, configured)?;
    listener.set_nonblocking(true).map_err(HandedError::SetUp)?;
    Ok(Some(listener))
}

fn check(listener: &UnixListener, configured: &Path) -> Result<(), HandedError> {
    let address = listener.local_addr().map_err(HandedError::SetUp)?;
    let found = match address.as_pathname() {
        Some(path) if is_same(path, configured) => return Ok(()),
        Some(path) => path.display().to_string(),
        None => "no file".to_owned(),
    };
    Err(HandedError::Elsewhere { found, configured: configured.to_owned() })
}

/// Whether both name the same file: `/var/run` is `/run` on most hosts.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

/// The socket's listener; a socket file that nobody listens on any more is replaced.
pub(super) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::net::UnixStream;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|meta| {
        use std::os::unix::fs::FileTypeExt;
        meta.file_type().is_socket()
    }) {
        if UnixStream::connect(path).is_ok() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "another agent answers there; give this one another --socket",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Who may do what is decided by the peer's credentials, not by the file.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Removes the socket's file at the stop; one that stays is replaced at the next start.
pub(super) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, "the socket's file stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_handed_over_is_the_configured_one_by_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let listener = UnixListener::bind(real.join("s")).unwrap();
        let other = UnixListener::bind(real.join("t")).unwrap();
        assert!(check(&listener, &real.join("s")).is_ok());
        assert!(check(&listener, &link.join("s")).is_ok());
        assert!(matches!(check(&other, &link.join("s")), Err(HandedError::Elsewhere { .. })));
        assert!(matches!(check(&listener, &dir.path().join("none")), Err(HandedError::Elsewhere { .. })));
    }
}
