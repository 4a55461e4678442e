//! Who filled a root: the jobs, owners and directories that grew most in the
//! last minutes, by the changes that were followed.
//!
//! Promises: costs what changed, not what the root holds; what is not known is
//! absent.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{RwLock, TryLockError};

use crate::ingest::RecentGrowth;
use crate::model::{DirectoryHold, Grown, JobGrowth, JobId, RelPath, UserHold, WirePath};
use crate::policy::{JobsView, Ownership, PathReadings};
use crate::store::RootKey;
use crate::store::index::Index;
use crate::sweep::root::GuardedRoot;

/// How many of each are named.
const NAMED: usize = 5;

/// Directories are looked up of those that count most: somebody waits for the answer.
const LOOKED_UP: usize = 512;

/// Puts names to what came. `None` when nothing did, or the index can't be asked.
pub fn grown(
    recent: &RecentGrowth,
    index: &Index,
    key: RootKey,
    root: &GuardedRoot,
    jobs: &RwLock<JobsView>,
) -> Option<Grown> {
    let snapshot = index.snapshot().ok()?;
    let mut dirs: HashMap<u64, Option<RelPath>> = HashMap::new();
    let (mut by_job, mut by_user) = (HashMap::<JobId, i64>::new(), HashMap::<u32, i64>::new());
    let mut by_directory = HashMap::<RelPath, i64>::new();
    for (maker, sum) in &recent.sums.sums {
        *by_user.entry(maker.uid).or_default() += sum.bytes;
    }
    let mut makers: Vec<_> = recent.sums.sums.iter().collect();
    makers.sort_unstable_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes.unsigned_abs()));
    // Who changes a job waits for removals in flight: nobody waits for that here.
    let view = match jobs.try_read() {
        Ok(view) => Some(view),
        Err(TryLockError::Poisoned(view)) => Some(view.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    for (maker, sum) in makers.into_iter().take(LOOKED_UP) {
        let dir = dirs.entry(maker.dir).or_insert_with(|| snapshot.path_of(key, maker.dir).ok().flatten());
        // A directory that is gone has no name; nor what was in it.
        let Some(dir) = dir else { continue };
        *by_directory.entry(dir.clone()).or_default() += sum.bytes;
        let readings = PathReadings::of(&root.rules.patterns, &dir.join(&sum.name));
        let Some(view) = &view else { continue };
        match view.owner_of(readings.jobs(), &root.name, maker.uid) {
            Ownership::ProtectedBy(job, _) | Ownership::Belongs(job, _) | Ownership::Unknown(job) => {
                *by_job.entry(job.clone()).or_default() += sum.bytes;
            }
            Ownership::None => {}
        }
    }
    let grown = Grown {
        seconds: recent.span.as_secs() + u64::from(recent.span.subsec_nanos() > 0),
        jobs: most(by_job).into_iter().map(|(job, bytes)| JobGrowth { job, bytes }).collect(),
        users: most(by_user).into_iter().map(|(uid, bytes)| UserHold { uid, bytes }).collect(),
        directories: most(by_directory)
            .into_iter()
            .map(|(dir, bytes)| DirectoryHold { path: WirePath::from_path(&dir.under(root.path())), bytes })
            .collect(),
    };
    let is_nobody = grown.jobs.is_empty() && grown.users.is_empty() && grown.directories.is_empty();
    (!is_nobody).then_some(grown)
}

/// Those that grew most, the first of equals by name.
fn most<K: Ord + Hash>(sums: HashMap<K, i64>) -> Vec<(K, u64)> {
    let mut grown: Vec<(K, u64)> =
        sums.into_iter().filter_map(|(who, bytes)| Some((who, u64::try_from(bytes).ok()?))).collect();
    grown.retain(|(_, bytes)| *bytes > 0);
    grown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    grown.truncate(NAMED);
    grown
}
