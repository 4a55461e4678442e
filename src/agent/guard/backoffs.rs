//! How long emergencies in vain put off the next one.

use std::time::Duration;

use crate::model::Resource;
use crate::policy::Backoff;

/// What emergencies in vain put off, for each resource: one that can't be
/// helped must not keep the other waiting.
#[derive(Default)]
pub(super) struct Backoffs {
    pub(super) bytes: Backoff,
    pub(super) inodes: Backoff,
}

/// What an emergency freed of what was needed, for each resource that it was begun for.
pub(super) type Yield = Vec<(Resource, u64, u64)>;

/// How an emergency ended.
pub(super) struct Ended {
    pub(super) yields: Yield,
    /// From outside, by other settings or a root that went.
    pub(super) cut: bool,
}

impl Backoffs {
    pub(super) const fn of(&mut self, resource: Resource) -> &mut Backoff {
        match resource {
            Resource::Bytes => &mut self.bytes,
            Resource::Inodes => &mut self.inodes,
        }
    }

    /// When the next run that waits may begin, if it was put off beyond `after`.
    pub(super) fn again(&self, after: Duration) -> Option<Duration> {
        let both = [self.bytes.not_before(), self.inodes.not_before()];
        both.into_iter().filter(|at| *at > after).min()
    }
}
