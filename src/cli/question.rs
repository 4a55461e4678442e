//! One question and its answer, whoever gives it: the agent, or this process
//! where there is none.
//!
//! Promises: both answers are shown alike, so that a verb need not care who
//! answered. Must not know: any verb, or what the answers mean.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Answer, Client, Refusal};
use super::failure::Failure;
use super::host::Standalone;
use super::output::Output;
use super::session::{Paging, Session, Worker};
use crate::api::{ApiError, Listing, Page, PeerIdentity};

/// What came of asking the agent.
pub(super) type Asked = Result<Answer, Refusal>;

/// This process, where there is no agent: whoever may write the ledger may
/// change anything in it.
pub(super) fn me() -> PeerIdentity {
    PeerIdentity {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: std::process::id(),
        admin: true,
    }
}

impl Session<'_> {
    /// Has a question answered and shows the answer.
    pub(super) fn answer<T: DeserializeOwned + Serialize>(
        &mut self,
        attempt: &str,
        ask: impl FnOnce(&Client) -> Asked,
        alone: impl FnOnce(&dyn Standalone) -> Result<T, ApiError>,
        show: impl FnOnce(&T, &mut Output) -> Result<(), Failure>,
    ) -> Result<T, Failure> {
        match self.worker(attempt)? {
            Worker::Agent(client) => {
                let answer = self.expect(ask(&client), attempt)?;
                self.show(&answer, attempt, show)
            }
            Worker::Own(own) => {
                let found = alone(own.as_ref()).map_err(|error| Failure::refused(attempt, &error))?;
                self.show_own(&found, show)?;
                Ok(found)
            }
        }
    }

    /// Shows the part of a list that is asked for: of the agent's at `path`, or of this process's own.
    pub(super) fn answer_list<T: DeserializeOwned + Serialize>(
        &mut self,
        attempt: &str,
        path: &str,
        paging: &Paging,
        alone: impl FnOnce(&dyn Standalone, &Page) -> Result<Listing<T>, ApiError>,
        mut show: impl FnMut(&[T], &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.worker(attempt)? {
            Worker::Agent(_) => self.show_list(path, "", paging, attempt, show),
            Worker::Own(own) => {
                let limit = paging.limit.and_then(|limit| usize::try_from(limit).ok());
                // Whoever looks for a next page counts one more.
                let limit = limit.unwrap_or(usize::MAX - 1);
                let page = Page { after: paging.after.clone(), limit };
                let found = alone(own.as_ref(), &page).map_err(|error| Failure::refused(attempt, &error))?;
                self.show_own(&found, |found, out| show(&found.items, out))
            }
        }
    }
}
