//! How often one user may ask for work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::{ApiError, PeerIdentity};
use crate::config::RateLimit;
use crate::model::TimeSpan;
use crate::sys::clock;

use super::Served;

impl Served {
    /// Counts a request that costs work; `what` completes "asked too often to …".
    ///
    /// # Errors
    /// 429 with the time until one more is allowed.
    pub(super) fn limit(&self, by: &PeerIdentity, what: &str) -> Result<(), ApiError> {
        let limit = self.agent.settings().agent.rate_limit;
        self.rates.take(by.uid, limit, clock::since_boot()).map_err(|seconds| {
            let (uid, count, per) = (by.uid, limit.count, TimeSpan(limit.per));
            let detail = format!("uid {uid} asked too often to {what}: the limit is {count} in {per}");
            ApiError::rate_limited(detail, seconds)
        })
    }
}

/// A token bucket for each uid: full at first, refilled evenly.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<u32, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Rates {
    /// Takes one request of `uid` at `now` (boot-time clock); root is exempt.
    ///
    /// # Errors
    /// The seconds until one more is allowed.
    pub(super) fn take(&self, uid: u32, limit: RateLimit, now: Duration) -> Result<(), u64> {
        if uid == 0 {
            return Ok(());
        }
        let most = limit.count as f64;
        let per_second = most / limit.per.as_secs_f64().max(0.001);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &Bucket| {
            (bucket.tokens + now.saturating_sub(bucket.at).as_secs_f64() * per_second).min(most)
        };
        // A full bucket says no more than none.
        buckets.retain(|other, bucket| *other == uid || filled(bucket) < most);
        let bucket = buckets.entry(uid).or_insert(Bucket { tokens: most, at: now });
        let tokens = filled(bucket);
        *bucket = Bucket { tokens, at: now };
        if tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        if per_second <= 0.0 {
            return Err(limit.per.as_secs().max(1));
        }
        Err((((1.0 - tokens) / per_second).ceil() as u64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { count: 2, per: Duration::from_secs(60) };

    #[test]
    fn each_user_has_a_bucket_that_refills_and_root_has_none() {
        let rates = Rates::default();
        let at = Duration::from_secs;
        assert_eq!(rates.take(7, LIMIT, at(0)), Ok(()));
        assert_eq!(rates.take(7, LIMIT, at(0)), Ok(()));
        assert_eq!(rates.take(7, LIMIT, at(0)), Err(30));
        assert_eq!(rates.take(8, LIMIT, at(0)), Ok(()));
        assert_eq!(rates.take(7, LIMIT, at(29)), Err(1));
        assert_eq!(rates.take(7, LIMIT, at(30)), Ok(()));
        assert!((0..100).all(|_| rates.take(0, LIMIT, at(0)).is_ok()));
    }

    #[test]
    fn a_limit_of_nothing_refuses_all() {
        let none = RateLimit { count: 0, per: Duration::from_secs(60) };
        assert_eq!(Rates::default().take(7, none, Duration::ZERO), Err(60));
    }
}
