//! The admin socket's file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::service::ServiceError;

/// The socket's listener; a socket file that nobody listens on any more is replaced.
pub(super) fn listen(path: &Path) -> Result<std::os::unix::net::UnixListener, ServiceError> {
    use std::os::unix::net::{UnixListener, UnixStream};
    let failed = |source| ServiceError::Socket { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|meta| {
        use std::os::unix::fs::FileTypeExt;
        meta.file_type().is_socket()
    }) {
        if UnixStream::connect(path).is_ok() {
            return Err(failed(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "another agent answers there; give this one another --socket",
            )));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Who may do what is decided by the peer's credentials, not by the file.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
