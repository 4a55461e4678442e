//! What happens, told to whoever listens: server-sent events.
//!
//! Promises: whoever publishes never waits; each reader gets every event from
//! when it came, or from behind the one it heard last, in order, or is told
//! how many it lost. A bounded number of events is kept and waits, for a
//! bounded number of readers.

mod id;
mod reader;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::{ApiError, Event, Problem};
use crate::model::Timestamp;
pub use id::EventId;
pub(super) use id::LastEvent;
pub(super) use reader::EventBody;
pub use reader::EventReader;

/// Events that wait for the slowest reader.
const WAITING: usize = 256;
/// Events that are kept for readers that come back.
const KEPT: usize = 1000;
/// Readers at once; the rest of the connections is for requests.
const MAX_READERS: usize = 64;
/// Readers at once of one uid other than root.
const MAX_READERS_PER_UID: usize = 8;

/// Where events are published.
#[derive(Debug)]
pub struct Events {
    state: Mutex<State>,
    readers: Arc<Mutex<HashMap<u32, usize>>>,
}

#[derive(Debug)]
struct State {
    /// `None` once closed.
    sender: Option<broadcast::Sender<Arc<str>>>,
    /// The last ones, without gaps, as they were told.
    kept: VecDeque<Arc<str>>,
    /// What the next is called.
    next: EventId,
}

impl Events {
    /// Those of an agent that starts at this moment.
    pub fn begun(at: Timestamp) -> Self {
        let state = State {
            sender: Some(broadcast::channel(WAITING).0),
            kept: VecDeque::new(),
            next: EventId::first_of(at),
        };
        Self { state: Mutex::new(state), readers: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody listens: what passes by need not be put together for nobody.
    pub fn has_readers(&self) -> bool {
        self.state().sender.as_ref().is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Tells all readers, and those that come back later.
    pub fn publish(&self, event: &Event) {
        let mut state = self.state();
        let Some(sender) = state.sender.clone() else { return };
        let Some(text) = in_text(event, Some(state.next)) else { return };
        state.next.number += 1;
        let text: Arc<str> = text.into();
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&text));
        // Still under the lock: nobody gets an event twice, or out of order. Nobody need listen.
        let _ = sender.send(text);
    }

    /// Tells those who listen now; of what passes by, nobody needs to hear later.
    pub fn mention(&self, event: &Event) {
        let state = self.state();
        if let Some(sender) = state.sender.as_ref().filter(|sender| sender.receiver_count() > 0)
            && let Some(text) = in_text(event, None)
        {
            let _ = sender.send(text.into());
        }
    }

    /// A reader of what happens from now on, or from behind the event that it heard last.
    ///
    /// # Errors
    /// 503 where too many read already, or the agent stops.
    pub fn read(&self, uid: u32, last: Option<&EventId>) -> Result<EventReader, ApiError> {
        let state = self.state();
        let sender = state.sender.as_ref().ok_or_else(|| unavailable("the agent is stopping"))?;
        let place =
            Place::take(&self.readers, uid).ok_or_else(|| unavailable("too many read events already"))?;
        let missed = last.map_or_else(VecDeque::new, |last| state.missed(last));
        Ok(EventReader::new(missed, sender.subscribe(), place))
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.state().sender = None;
    }
}

impl State {
    /// What came after `last`; first how many of it are gone, where some are.
    fn missed(&self, last: &EventId) -> VecDeque<Arc<str>> {
        let first = self.next.number - self.kept.len() as u64;
        let known = last.start == self.next.start && last.number < self.next.number;
        let (lost, from) = if !known {
            // Of another start, or never told: how many came between nobody knows.
            (Some(None), 0)
        } else if last.number + 1 < first {
            (Some(Some(first - last.number - 1)), 0)
        } else {
            (None, last.number + 1 - first)
        };
        let lost = lost.and_then(|count| in_text(&Event::Lost { count }, None)).map(Arc::from);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        lost.into_iter().chain(self.kept.iter().skip(from).cloned()).collect()
    }
}

fn unavailable(why: &str) -> ApiError {
    ApiError::new(Problem::Unavailable, why)
}

fn in_text(event: &Event, id: Option<EventId>) -> Option<String> {
    // JSON has no line ends: one line of data is one event.
    let data = serde_json::to_string(event).ok()?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Some(format!("event: {}\n{id}data: {data}\n\n", event.name()))
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

#[cfg(test)]
mod tests;
