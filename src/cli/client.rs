//! The client: one HTTP request per connection over the agent's Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::failure::{Exit, Failure, NoAgent};
use crate::api::ApiError;
use crate::model::with_causes;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest wait for a plan: it may walk millions of files.
const PLAN_TIMEOUT: Duration = Duration::from_secs(900);

/// The longest wait for an answer about very many files.
const MANY_TIMEOUT: Duration = Duration::from_secs(900);

/// The largest answer that is taken, in bytes; a plan of a million files has some 500 MB.
const MAX_ANSWER: usize = 1 << 30;

/// Speaks to one agent.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as a value.
    pub fn read<T: DeserializeOwned>(&self, attempt: &str) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|why| {
            Failure::new(Exit::Failures, attempt, format!("the agent's answer cannot be read: {why}"))
                .with_help("the agent and this command may be of different versions")
        })
    }
}

/// Why a request was not answered as hoped.
#[derive(Debug)]
pub enum Refusal {
    /// The agent said no; the body as it came, for `--json`.
    Problem(Box<ApiError>, Vec<u8>),
    /// It did not answer.
    Silent(NoAgent),
}

impl Refusal {
    /// As a failure of `attempt`.
    pub fn into_failure(self, attempt: &str) -> Failure {
        match self {
            Self::Problem(error, _) => Failure::refused(attempt, &error),
            Self::Silent(none) => none.into_failure(attempt),
        }
    }
}

impl Client {
    /// Finds the first of `candidates` that takes a connection.
    pub fn find(candidates: &[PathBuf]) -> Result<Self, NoAgent> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| NoAgent { tried: vec![(PathBuf::new(), why.to_string())], absent: false })?;
        let mut tried = Vec::new();
        let mut absent = true;
        for socket in candidates {
            match runtime.block_on(connect(socket)) {
                Ok(_) => return Ok(Self { socket: socket.clone(), runtime }),
                Err(why) => {
                    absent &= says_absent(&why);
                    tried.push((socket.clone(), why.to_string()));
                }
            }
        }
        Err(NoAgent { tried, absent })
    }

    /// Where the agent listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Result<Answer, Refusal> {
        self.send(Method::GET, path, Vec::new(), ANSWER_TIMEOUT)
    }

    /// Asks for something to be done.
    pub fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Answer, Refusal> {
        let timeout = match path {
            "/v1/plans" => PLAN_TIMEOUT,
            "/v1/deletions" | "/v1/trash" | "/v1/deletions/run?wait=true" => MANY_TIMEOUT,
            "/v1/files/track" | "/v1/holds" | "/v1/holds/release" => MANY_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        self.send(Method::POST, path, encode(body), timeout)
    }

    /// Puts something in its place.
    pub fn put<T: Serialize>(&self, path: &str, body: &T) -> Result<Answer, Refusal> {
        self.send(Method::PUT, path, encode(body), ANSWER_TIMEOUT)
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> Result<Answer, Refusal> {
        let many = matches!(path, "/v1/deletions" | "/v1/trash?wait=true");
        self.send(Method::DELETE, path, Vec::new(), if many { MANY_TIMEOUT } else { ANSWER_TIMEOUT })
    }

    /// Takes what the agent tells as it happens (server-sent events), the data of
    /// each, until `each` says no or the stream ends.
    pub(super) fn listen(&self, path: &str, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        self.runtime.block_on(async {
            let mut sender = open(&self.socket).await?;
            let request = request(Method::GET, path, Vec::new())?;
            let response = sender.send_request(request).await.map_err(|why| told(&why))?;
            if !response.status().is_success() {
                return Err(io::Error::other(format!("status {}", response.status())));
            }
            let mut body = response.into_body();
            let mut waiting = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|why| told(&why))?;
                waiting.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = waiting.drain(..=end).collect();
                    if let Some(data) = line.strip_prefix(b"data: ")
                        && !each(data.trim_ascii_end())
                    {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    fn send(&self, method: Method, path: &str, body: Vec<u8>, timeout: Duration) -> Result<Answer, Refusal> {
        let silent = |why: io::Error| {
            let absent = says_absent(&why);
            Refusal::Silent(NoAgent { tried: vec![(self.socket.clone(), why.to_string())], absent })
        };
        let (status, body) = self
            .runtime
            .block_on(async {
                tokio::time::timeout(timeout, exchange(&self.socket, method, path, body))
                    .await
                    .unwrap_or_else(|_| {
                        let why = format!("no answer within {} s", timeout.as_secs());
                        Err(io::Error::new(io::ErrorKind::TimedOut, why))
                    })
            })
            .map_err(silent)?;
        if (200..300).contains(&status) {
            return Ok(Answer { body });
        }
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| ApiError {
            kind: "about:blank".to_owned(),
            title: "unexpected answer".to_owned(),
            status,
            detail: format!("the agent answered with status {status}"),
            help: None,
            retry_after_seconds: None,
        });
        Err(Refusal::Problem(Box::new(problem), body))
    }
}

fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    // The wire types hold nothing that JSON cannot: no maps with other keys than text.
    serde_json::to_vec(body).unwrap_or_default()
}

/// Whether an error means that no agent is there, rather than one that cannot be spoken to.
fn says_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | NotADirectory)
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(socket))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s")))
}

fn told(error: &dyn std::error::Error) -> io::Error {
    io::Error::other(with_causes(error))
}

/// A connection, which ends when the sender is dropped.
async fn open(socket: &Path) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = connect(socket).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| told(&why))?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(method: Method, path: &str, body: Vec<u8>) -> io::Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "guardian")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|why| told(&why))
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> io::Result<(u16, Vec<u8>)> {
    let mut sender = open(socket).await?;
    let response = sender.send_request(request(method, path, body)?).await.map_err(|why| told(&why))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|why| io::Error::other(why.to_string()))?
        .to_bytes();
    Ok((status, body.into()))
}

/// Percent-encodes what stands in a path or query (RFC 3986, unreserved stays).
pub(super) fn quote(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_can_stand_in_a_query() {
        assert_eq!(quote(b"/tmp/a b&c\xff+"), "/tmp/a%20b%26c%FF%2B");
    }
}
