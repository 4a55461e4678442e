//! HTTP as bytes over the socket: what no well-behaved client would send, too.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::PATIENCE;

/// A user who is neither root nor the agent's.
pub(crate) const SOMEBODY: u32 = 65_534;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads a whole answer; `None` where the connection ended before one was there.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        Some(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }
}

pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes as they are, and reads to the end.
pub(crate) fn exchange(socket: &Path, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(socket);
    // A server that has heard enough closes before all is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut part = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
    }
    answer
}

pub(crate) fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: guardian\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

pub(crate) fn call(socket: &Path, method: &str, path: &str, body: &[u8]) -> Answer {
    let bytes = exchange(socket, &request(method, path, body));
    Answer::read(&bytes).unwrap_or_else(|| panic!("{method} {path}: no answer: {bytes:?}"))
}

/// Does something as another user: on a thread of its own, which then ends.
pub(crate) fn as_somebody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let (uid, gid) = (Uid::from_raw(SOMEBODY), Gid::from_raw(SOMEBODY));
    std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            work()
        });
        other.join().unwrap()
    })
}

/// Whether the agent takes us for an administrator, and there is another user to be.
pub(crate) fn can_be_somebody() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: refusals to another user, for which root is needed");
    }
    root
}
