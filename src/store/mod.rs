//! What guardian keeps on disk: the [`index`] (a cache of what lies in the
//! roots, rebuildable at any time), the [`ledger`] (the durable truth: jobs,
//! roots, history) and the [`audit`] (which file went, why, in which run).
//!
//! Promises: every call answers with a value or a [`StoreError`], also when the
//! volume is full, the file damaged or the database gone; `redb` types never
//! leave the room; nothing here is a reason to remove a file.
//! Must not know: policies, the file systems of the roots, the wall clock
//! (times are arguments).

pub mod audit;
mod database;
mod error;
pub mod index;
pub mod ledger;
mod rounds;
#[cfg(test)]
mod tests;

pub use error::{Cause, StoreError};

use serde::{Deserialize, Serialize};

/// The number under which a root's rows are kept. The ledger gives it out and
/// never uses one twice, so rows of a removed root cannot be taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootKey(pub u16);
