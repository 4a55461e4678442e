//! Waiting for a sweep that the agent carries out.
//!
//! Promises: what is over soon is seen soon, and a long wait costs the agent
//! next to nothing. Must not know: who began the sweep, what its end means.

use std::time::Duration;

use super::client::{Answer, Client, Refusal};
use super::failure::{Exit, Failure};
use super::session::Session;
use crate::api::SweepResource;
use crate::model::RunId;

/// The shortest and the longest pause between two looks at a sweep under way.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Pauses between looks at what is under way, each longer than the one before.
pub(super) struct Looks(Duration);

impl Looks {
    pub(super) const fn new() -> Self {
        Self(LOOKS.0)
    }

    pub(super) fn pause(&mut self) {
        std::thread::sleep(self.0);
        self.0 = (self.0 * 2).min(LOOKS.1);
    }
}

/// Looks at a sweep that this command began.
pub(super) fn look(
    id: &RunId,
    client: &Client,
    session: &mut Session<'_>,
    attempt: &str,
) -> Result<Answer, Failure> {
    let answer = client.get(&format!("/v1/sweeps/{id}"));
    let is_gone = matches!(&answer, Err(Refusal::Silent(_)));
    session.expect(answer, attempt).map_err(|failure| match failure.exit {
        // Nobody mistyped its name: another agent answers than the one that began it.
        Exit::Usage => Failure { exit: Exit::Failures, ..failure },
        _ if is_gone => failure.with_help(
            "a sweep ends with its agent, after its batch: once an agent answers again, \
             `guardian history` and `guardian audit` say what it did",
        ),
        _ => failure,
    })
}

/// Looks again and again until the sweep is over.
pub(super) fn follow(
    sweep: &mut SweepResource,
    client: &Client,
    session: &mut Session<'_>,
    attempt: &str,
) -> Result<(), Failure> {
    let mut looks = Looks::new();
    while !sweep.state.is_over() {
        looks.pause();
        *sweep = look(&sweep.id, client, session, attempt)?.read(attempt)?;
    }
    Ok(())
}
