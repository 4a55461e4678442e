//! A root as the tests of runs have it, here and in the rooms above.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{FileTimes, RootName};
use crate::policy::{Globs, Marks, Patterns, Retain, RootRules};
use crate::sweep::root::{Futile, GuardedRoot, Limits, OwnFiles, UserMarks};
use crate::sys::RootDir;
use crate::sys::open_check::OpenCheckKind;
use crate::usage::Probe;

/// With the usual patterns and marks, ages by the time of the last write, no
/// grace, and small batches.
pub(crate) fn guarded(name: &str, dir: &Arc<RootDir>, probe: Probe) -> GuardedRoot {
    let name = RootName::parse(name).unwrap();
    let patterns = ["job_{job}_chunk_{chunk}_*", "job_{job}_*", "job_{job}"].map(str::to_owned);
    GuardedRoot {
        name: name.clone(),
        dir: Arc::clone(dir),
        rules: RootRules {
            root: name,
            patterns: Patterns::compile(&patterns).unwrap(),
            protect: Globs::compile(&["*.keep".to_owned()]).unwrap(),
            results: Globs::compile(&[]).unwrap(),
            age_by: FileTimes { mtime: true, ctime: false, atime: false, btime: false },
            retain: Retain::default(),
            registry_grace: Some(Duration::ZERO),
            orphans_untracked: false,
            whole_trees: false,
        },
        marks: Marks {
            warning: 85.0,
            high: 95.0,
            low: 85.0,
            min_free: 0,
            inodes_warning: 85.0,
            inodes_high: 95.0,
            inodes_low: 85.0,
        },
        limits: Limits { batch: 10, max_files: 10_000, max_share: 50.0, max_attempts: 3 },
        probe,
        own: OwnFiles::default(),
        open_check: OpenCheckKind::Lease,
        open_doubted: Default::default(),
        user_marks: UserMarks::NotInEmergency,
        xattr_expiry: true,
        remove_empty_dirs: true,
        futile: Futile::Stop,
        new_until: None,
        vault: None,
        workers: 2,
    }
}
