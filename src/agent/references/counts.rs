//! How many holds, tracked files and sessions each user has.
//!
//! Promises: one user's are bounded, for they are held in memory and telling of
//! them is never limited by `rate_limit`; an administrator's are not. Must not
//! know: where they are recorded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ReferenceError;

/// Most of each that one user who is no administrator may have.
pub(super) const MOST: usize = 100_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Holds.
    Holds,
    /// Files that something was told of.
    Tracks,
    /// Sessions that have not ended.
    Sessions,
}

impl Counted {
    /// What asking for more of them is, as a verb with its object.
    pub(super) const fn attempt(self) -> &'static str {
        match self {
            Self::Holds => "hold",
            Self::Tracks => "track",
            Self::Sessions => "begin",
        }
    }

    /// What they are called.
    pub(super) const fn called(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Tracks => "tracked files",
            Self::Sessions => "sessions",
        }
    }

    /// How there can be fewer.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Holds => "release some first",
            Self::Tracks => "each counts until its file is gone",
            Self::Sessions => "end some first",
        }
    }
}

/// The counts. Taken for a moment.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) most: usize,
    of: Mutex<HashMap<(Counted, u32), usize>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { most: MOST, of: Mutex::default() }
    }
}

impl Counts {
    fn of(&self) -> MutexGuard<'_, HashMap<(Counted, u32), usize>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many more of `uid`, whoever asks for them; `bounded`: only if
    /// that is not too many.
    pub(super) fn take(
        &self,
        what: Counted,
        uid: u32,
        more: usize,
        bounded: bool,
    ) -> Result<(), ReferenceError> {
        // Who has none needs no row.
        if more == 0 {
            return Ok(());
        }
        let mut of = self.of();
        let has = of.get(&(what, uid)).copied().unwrap_or(0);
        if bounded && has.saturating_add(more) > self.most {
            return Err(ReferenceError::TooMany { what, uid, has, more, most: self.most });
        }
        of.insert((what, uid), has.saturating_add(more));
        Ok(())
    }

    /// Counts what is there already, one of each of these users.
    pub(super) fn add(&self, what: Counted, uids: impl Iterator<Item = u32>) {
        let mut of = self.of();
        for uid in uids {
            *of.entry((what, uid)).or_default() += 1;
        }
    }

    /// Each of these users has one less.
    pub(super) fn give_back(&self, what: Counted, uids: impl Iterator<Item = u32>) {
        let mut of = self.of();
        for uid in uids {
            if let Some(has) = of.get_mut(&(what, uid)) {
                *has = has.saturating_sub(1);
            }
        }
        of.retain(|_, has| *has > 0);
    }
}
