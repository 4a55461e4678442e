//! One reader of events, and the body that carries them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use hyper::body::{Bytes, Frame};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::{Place, in_text};
use crate::api::Event;

/// Events on their way into a connection.
const ON_THE_WAY: usize = 4;
/// A silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One reader's events.
#[derive(Debug)]
pub struct EventReader {
    /// What it missed before it came.
    missed: VecDeque<Arc<str>>,
    receiver: broadcast::Receiver<Arc<str>>,
    _place: Place,
}

impl EventReader {
    pub(super) fn new(
        missed: VecDeque<Arc<str>>,
        receiver: broadcast::Receiver<Arc<str>>,
        place: Place,
    ) -> Self {
        Self { missed, receiver, _place: place }
    }

    /// What waits for this reader once all is said, for tests.
    #[cfg(test)]
    pub(crate) fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Ok(text) = self.receiver.try_recv() {
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
            all.extend(serde_json::from_str::<Event>(data));
        }
        all
    }

    /// As the body of an answer. On a tokio runtime.
    pub(in crate::api) fn into_body(self) -> EventBody {
        let (out, body) = mpsc::channel(ON_THE_WAY);
        tokio::spawn(self.pump(out));
        EventBody(body)
    }

    async fn pump(mut self, out: mpsc::Sender<Bytes>) {
        // So that the reader knows at once that it is heard.
        let mut text = Bytes::from_static(b": listening\n\n");
        loop {
            if out.send(text).await.is_err() {
                return;
            }
            if let Some(missed) = self.missed.pop_front() {
                text = Bytes::copy_from_slice(missed.as_bytes());
                continue;
            }
            text = tokio::select! {
                () = out.closed() => return,
                received = self.receiver.recv() => match received {
                    Ok(text) => Bytes::copy_from_slice(text.as_bytes()),
                    Err(RecvError::Lagged(count)) => {
                        let lost = in_text(&Event::Lost { count: Some(count) }, None).unwrap_or_default();
                        // A reader that is gone needs no telling.
                        let _ = out.send(lost.into()).await;
                        return;
                    }
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(KEEP_ALIVE) => Bytes::from_static(b": still here\n\n"),
            };
        }
    }
}

/// A stream of events as a body.
#[derive(Debug)]
pub(in crate::api) struct EventBody(pub(super) mpsc::Receiver<Bytes>);

impl HttpBody for EventBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}
