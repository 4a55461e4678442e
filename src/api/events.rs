//! What happens, told to whoever listens: server-sent events.
//!
//! Promises: whoever publishes never waits; each reader gets every event from
//! when it came, in order, or is told how many it lost and cut off. A bounded
//! number of events waits, for a bounded number of readers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use hyper::body::{Bytes, Frame};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::{ApiError, Event, Problem};

/// Events that wait for the slowest reader.
const WAITING: usize = 256;
/// Events on their way into a connection.
const ON_THE_WAY: usize = 4;
/// Readers at once; the rest of the connections is for requests.
const MAX_READERS: usize = 64;
/// Readers at once of one uid other than root.
const MAX_READERS_PER_UID: usize = 8;
/// A silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where events are published.
#[derive(Debug)]
pub struct Events {
    /// `None` once closed.
    sender: Mutex<Option<broadcast::Sender<Arc<str>>>>,
    readers: Arc<Mutex<HashMap<u32, usize>>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(broadcast::channel(WAITING).0)), readers: Arc::default() }
    }
}

impl Events {
    fn sender(&self) -> Option<broadcast::Sender<Arc<str>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anybody listens: what nobody hears need not be put together.
    pub fn has_readers(&self) -> bool {
        self.sender().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells all readers.
    pub fn publish(&self, event: &Event) {
        if let Some(sender) = self.sender().filter(|sender| sender.receiver_count() > 0)
            && let Some(text) = in_text(event)
        {
            // The last reader may have left this moment.
            let _ = sender.send(text.into());
        }
    }

    /// A reader of what happens from now on.
    ///
    /// # Errors
    /// 503 where too many read already, or the agent stops.
    pub fn read(&self, uid: u32) -> Result<EventReader, ApiError> {
        let sender = self.sender().ok_or_else(|| unavailable("the agent is stopping"))?;
        let place =
            Place::take(&self.readers, uid).ok_or_else(|| unavailable("too many read events already"))?;
        Ok(EventReader { receiver: sender.subscribe(), _place: place })
    }

    /// Ends all streams.
    pub fn close(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn unavailable(why: &str) -> ApiError {
    ApiError::new(Problem::Unavailable, why)
}

fn in_text(event: &Event) -> Option<String> {
    // JSON has no line ends: one line of data is one event.
    let data = serde_json::to_string(event).ok()?;
    Some(format!("event: {}\ndata: {data}\n\n", event.name()))
}

/// One of the readers, counted until it is gone.
#[derive(Debug)]
struct Place {
    readers: Arc<Mutex<HashMap<u32, usize>>>,
    uid: u32,
}

impl Place {
    fn take(readers: &Arc<Mutex<HashMap<u32, usize>>>, uid: u32) -> Option<Self> {
        let mut counts = readers.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.entry(uid).or_default();
        if all >= MAX_READERS || (uid != 0 && *own >= MAX_READERS_PER_UID) {
            return None;
        }
        *own += 1;
        Some(Self { readers: Arc::clone(readers), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
        }
        counts.retain(|_, count| *count > 0);
    }
}

/// One reader's events.
#[derive(Debug)]
pub struct EventReader {
    receiver: broadcast::Receiver<Arc<str>>,
    _place: Place,
}

impl EventReader {
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
    pub(super) fn into_body(self) -> EventBody {
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
            text = tokio::select! {
                () = out.closed() => return,
                received = self.receiver.recv() => match received {
                    Ok(text) => Bytes::copy_from_slice(text.as_bytes()),
                    Err(RecvError::Lagged(count)) => {
                        let lost = in_text(&Event::Lost { count }).unwrap_or_default();
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
pub(super) struct EventBody(mpsc::Receiver<Bytes>);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AlertKind, AlertState, Level};

    fn alert(message: String) -> Event {
        Event::Alert {
            time: crate::model::Timestamp::EPOCH,
            kind: AlertKind::Clock,
            state: AlertState::Raised,
            level: Level::Warning,
            root: None,
            message,
            grown: None,
        }
    }

    async fn rest(mut body: EventBody) -> String {
        let mut all = String::new();
        while let Some(text) = body.0.recv().await {
            all.push_str(std::str::from_utf8(&text).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_reader_gets_every_event_in_order_and_ends_with_the_agent() {
        let events = Events::default();
        events.publish(&alert("nobody listens".to_owned()));
        let body = events.read(1000).unwrap().into_body();
        for n in 0..10 {
            events.publish(&alert(format!("number {n}\n")));
        }
        events.close();
        let text = rest(body).await;
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("data: ")).collect();
        assert_eq!(lines.len(), 10, "{text}");
        assert!((0..10).all(|n| lines[n].contains(&format!("number {n}"))), "{text}");
        assert!(text.starts_with(": listening\n\nevent: alert\n"), "{text}");
        assert_eq!(events.read(0).unwrap_err().status, 503);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_it_lost_and_the_others_lose_none() {
        let events = Events::default();
        let (slow, fast) = (events.read(1).unwrap().into_body(), events.read(2).unwrap().into_body());
        let fast = tokio::spawn(rest(fast));
        for n in 0..1000 {
            events.publish(&alert(format!("number {n}")));
            tokio::task::yield_now().await;
        }
        events.close();
        let text = rest(slow).await;
        let told = text.lines().filter(|line| line.contains("number")).count();
        let last = text.lines().rfind(|line| line.starts_with("data: ")).unwrap();
        let lost: Event = serde_json::from_str(&last["data: ".len()..]).unwrap();
        let Event::Lost { count } = lost else { panic!("{lost:?}") };
        // What was still waiting when it was cut off is lost as well.
        assert!(told + count as usize <= 1000 && count > 500, "{told} told, {count} lost");
        assert_eq!(fast.await.unwrap().matches("number").count(), 1000);
    }

    #[test]
    fn readers_are_bounded_for_each_user_and_root_finds_a_place() {
        let events = Events::default();
        let mut mine: Vec<_> = (0..MAX_READERS_PER_UID).map(|_| events.read(1000).unwrap()).collect();
        assert_eq!(events.read(1000).unwrap_err().status, 503);
        let roots: Vec<_> = (mine.len()..MAX_READERS).map(|_| events.read(0).unwrap()).collect();
        assert!(events.read(0).is_err());
        drop((roots, mine.pop()));
        assert!(events.read(1000).is_ok());
    }
}
