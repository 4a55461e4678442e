//! Asking the socket as somebody else: a thread takes on another user for good
//! (the kernel keeps credentials by thread), connects and asks.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde_json::Value;

/// What the socket said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head, in lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// A user at the socket, alone in its own group.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    socket: PathBuf,
}

impl Peer {
    pub(crate) fn of(uid: u32, socket: &Path) -> Self {
        Self { uid, socket: socket.to_owned() }
    }

    /// Asks as this user. Needs root.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let (uid, socket) = (self.uid, self.socket.clone());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: guardian\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        as_user(uid, move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            answer(&mut stream)
        })
    }
}

/// Does something as a user, alone in its own group.
pub(crate) fn as_user<T: Send + 'static>(uid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let working = std::thread::spawn(move || {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        set_thread_groups(&[group]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        work()
    });
    working.join().unwrap()
}

/// Reads the head, and of the body what the head promises: a stream of events has no end.
fn answer(stream: &mut UnixStream) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "no answer: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length.unwrap_or(0) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the answer ends early");
        body.extend_from_slice(&piece[..read]);
    }
    Answer { status, head, body: serde_json::from_slice(&body).unwrap_or_default() }
}

/// Lets everybody into these directories.
pub(crate) fn open_to_all(paths: &[&Path]) {
    for path in paths {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Gives a file or directory to a user.
pub(crate) fn give(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
}

/// Whether this is root; says that the test is skipped if not.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can ask as somebody else");
    }
    root
}
