//! Refused attempts, in the log.
//!
//! Promises: who tried what he may not, or too often, is told; nobody fills the
//! log by trying: what is left out of one user's attempts is counted with the
//! next that is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::PeerIdentity;
use super::error::Refused;

/// Attempts of one user that are told within each span.
const TOLD: u32 = 10;
/// That span.
const SPAN: Duration = Duration::from_secs(60);
/// Users whose attempts are counted apart; the others share.
const USERS: usize = 256;
/// Under whom the others are counted: no user has this number (chown(2) takes it for "leave it").
const OTHERS: u32 = u32::MAX;

/// How much was told of whose attempts.
#[derive(Debug)]
pub(super) struct Refusals {
    began: Instant,
    users: Mutex<HashMap<u32, Told>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { began: Instant::now(), users: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Told {
    /// When the span began.
    since: Duration,
    /// Told in it.
    told: u32,
    /// Left out since the last that was told.
    left_out: u64,
}

impl Refusals {
    /// Whether an attempt is to be told, and then how many before it were left out.
    fn count(&self, uid: u32, now: Duration) -> Option<u64> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS {
            users.retain(|_, told| now.saturating_sub(told.since) < SPAN || told.left_out > 0);
        }
        let known = users.contains_key(&uid) || users.len() < USERS;
        let one = users.entry(if known { uid } else { OTHERS }).or_default();
        if now.saturating_sub(one.since) >= SPAN {
            (one.since, one.told) = (now, 0);
        }
        if one.told >= TOLD {
            one.left_out += 1;
            return None;
        }
        one.told += 1;
        Some(std::mem::take(&mut one.left_out))
    }
}

/// Answers as the routes do, and tells refusals.
pub(super) async fn tell(State(refusals): State<Arc<Refusals>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<PeerIdentity>().copied();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let is_refusal = matches!(response.status().as_u16(), 403 | 429);
    if let Some(peer) = peer.filter(|_| is_refusal)
        && let Some(left_out) = refusals.count(peer.uid, refusals.began.elapsed())
    {
        let why = response.extensions().get::<Refused>().map(|why| why.0.as_str());
        tracing::warn!(
            uid = peer.uid, gid = peer.gid, pid = peer.pid,
            request = %format_args!("{method} {}", crate::model::escape_control(&path)),
            status = response.status().as_u16(),
            reason = why.unwrap_or_default(), not_told_before = left_out,
            "a request was refused"
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_keeps_trying_is_told_of_a_few_times_a_minute_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        let at = Duration::from_secs;
        let told = (0..1000).filter(|_| refusals.count(7, at(1)).is_some()).count();
        assert_eq!(told, TOLD as usize);
        assert_eq!(refusals.count(8, at(1)), Some(0), "another user is told of all the same");
        assert_eq!(refusals.count(7, at(61)), Some(990));
        assert_eq!(refusals.count(7, at(61)), Some(0));
    }

    #[test]
    fn many_users_take_no_more_room_than_a_few() {
        let refusals = Refusals::default();
        for uid in 0..100_000 {
            refusals.count(uid, Duration::from_secs(1));
        }
        assert!(refusals.users.lock().unwrap().len() <= USERS + 1);
    }
}
