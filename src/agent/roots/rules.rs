//! From settings to what a run is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::RootError;
use crate::config::{self, RootSettings};
use crate::model::Timestamp;
use crate::policy::{Globs, Marks, Patterns, Retain, RootRules};
use crate::sweep::root::{Futile, GuardedRoot, Limits, OwnFiles, UserMarks};
use crate::sys::dir::RootDir;
use crate::sys::open_check::{OpenCheckKind, OpenFiles};
use crate::sys::volume;
use crate::usage::{CapacityCounter, Probe};

/// Changes when rows of the index mean something else than before.
const ROW_FORMAT: u8 = 1;

/// Hash of what the index's rows of a root depend on: patterns, in their order,
/// `age_by` and `xattr_expiry`. The same in every run and on every host (FNV-1a, 64 bits).
pub fn fingerprint(settings: &RootSettings) -> u64 {
    let age = settings.age_by;
    let times = [age.mtime, age.ctime, age.atime, age.btime].map(u8::from);
    // Without marks the rows hold no expiry of any file.
    let without_marks = (!settings.xattr_expiry).then_some(0);
    // No pattern has a NUL, so that two lists never give the same bytes.
    let patterns = settings.patterns.iter().flat_map(|text| text.bytes().chain([0]));
    [ROW_FORMAT]
        .into_iter()
        .chain(times)
        .chain(patterns)
        .chain(without_marks)
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// How the files of a root are read and how long they stay.
pub(super) fn rules(settings: &RootSettings) -> Result<RootRules, RootError> {
    let bad = |source| RootError::Pattern { name: settings.name.clone(), source };
    let retain = &settings.retain;
    Ok(RootRules {
        root: settings.name.clone(),
        patterns: Patterns::compile(&settings.patterns).map_err(bad)?,
        protect: Globs::compile(&settings.protect).map_err(bad)?,
        results: Globs::compile(&settings.results).map_err(bad)?,
        age_by: settings.age_by,
        retain: Retain {
            orphans: retain.orphans,
            emergency_orphans: retain.emergency_orphans,
            failed_jobs: retain.failed_jobs,
            completed_jobs: retain.completed_jobs,
            results: retain.results,
            trash: retain.trash,
            sessions: retain.sessions,
            max_age: retain.max_age,
            min_age: retain.min_age,
        },
        registry_grace: settings.registry_grace,
        orphans_untracked: settings.orphans_untracked,
        whole_trees: settings.unit == config::Unit::Tree,
    })
}

/// The marks of a root; `min_free` follows from the size of its volume, or from its capacity.
fn marks(settings: &RootSettings, dir: &RootDir) -> Result<Marks, RootError> {
    let total = match settings.capacity {
        Some(capacity) => capacity,
        None => {
            let usage = volume::usage(dir).map_err(|source| RootError::Volume {
                name: settings.name.clone(),
                path: settings.path.clone(),
                source,
            })?;
            usage.total
        }
    };
    let (bytes, inodes) = (settings.marks, settings.inode_marks);
    let min_free = settings.min_free.resolve(total, bytes.low);
    Ok(Marks {
        warning: bytes.warning,
        high: bytes.high,
        low: bytes.low,
        min_free: min_free.map_err(|source| RootError::MinFree { name: settings.name.clone(), source })?,
        inodes_warning: inodes.warning,
        inodes_high: inodes.high,
        inodes_low: inodes.low,
    })
}

/// What a run needs of a root.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a RootSettings,
    pub(super) dir: &'a Arc<RootDir>,
    pub(super) own: &'a OwnFiles,
    pub(super) open_check: OpenCheckKind,
    pub(super) new_until: Option<Timestamp>,
    pub(super) counter: Option<CapacityCounter>,
    pub(super) workers: usize,
}

/// Removal waits for the device, not only for the processor: on ext4 with
/// `discard` each last unlink waits for the device to forget its blocks, and
/// four threads on two cores took 5.3 s where two took 9.3 s.
const MIN_REMOVERS: usize = 4;

/// Whether patterns and globs can be read.
pub(super) fn check(settings: &RootSettings) -> Result<(), RootError> {
    rules(settings).map(drop)
}

/// Whether settings hold for the volume of a directory, as far as can be told
/// before it is opened.
pub(super) fn hold_for(settings: &RootSettings, dir: &RootDir) -> Result<(), RootError> {
    marks(settings, dir)?;
    check(settings)
}

/// The same root by other settings (`(old, new)`), which say neither where it is
/// nor how it is opened, watched and counted.
///
/// # Errors
/// They do not hold for its volume.
pub fn changed(
    root: &GuardedRoot,
    (old, new): (&RootSettings, &RootSettings),
    own: &OwnFiles,
    workers: usize,
) -> Result<GuardedRoot, RootError> {
    let of = |settings: &RootSettings| (settings.marks, settings.inode_marks, settings.min_free);
    // A volume that does not answer is asked only where something new follows from its size.
    let marks = if of(old) == of(new) { root.marks } else { marks(new, &root.dir)? };
    let parts = Parts {
        settings: new,
        dir: &root.dir,
        own,
        open_check: root.open_check,
        new_until: root.new_until,
        counter: None,
        workers,
    };
    let doubted = root.open_doubted.load(Ordering::Relaxed);
    let assembled = assemble(parts, marks, root.probe.clone(), doubted)?;
    Ok(GuardedRoot { vault: root.vault.clone(), ..assembled })
}

pub(super) fn guarded(parts: Parts<'_>) -> Result<GuardedRoot, RootError> {
    let settings = parts.settings;
    let dir = Arc::clone(parts.dir);
    let counter = parts.counter.clone();
    let probe = match settings.capacity {
        None => Probe::Volume(Arc::clone(&dir)),
        Some(size) => Probe::Capacity {
            root: Arc::clone(&dir),
            size,
            // Nobody counts: that is said at each look, never taken for empty.
            counter: counter.unwrap_or_else(|| Arc::new(|| None)),
        },
    };
    let marks = marks(settings, &dir)?;
    let doubted = parts.open_check == OpenCheckKind::Proc && !OpenFiles::snapshot().is_complete();
    assemble(parts, marks, probe, doubted)
}

fn assemble(parts: Parts<'_>, marks: Marks, probe: Probe, doubted: bool) -> Result<GuardedRoot, RootError> {
    let settings = parts.settings;
    Ok(GuardedRoot {
        name: settings.name.clone(),
        rules: rules(settings)?,
        marks,
        limits: Limits {
            batch: settings.limits.batch,
            max_files: settings.limits.max_files,
            max_share: settings.limits.max_share,
            max_attempts: u32::try_from(settings.limits.max_attempts).unwrap_or(u32::MAX),
        },
        probe,
        own: parts.own.clone(),
        open_doubted: AtomicBool::new(doubted),
        open_check: parts.open_check,
        user_marks: match settings.user_marks {
            config::UserMarks::All => UserMarks::All,
            config::UserMarks::NotInEmergency => UserMarks::NotInEmergency,
            config::UserMarks::None => UserMarks::None,
        },
        xattr_expiry: settings.xattr_expiry,
        remove_empty_dirs: settings.remove_empty_dirs,
        futile: match settings.emergency_futile {
            config::Futile::Stop => Futile::Stop,
            config::Futile::Continue => Futile::Continue,
        },
        new_until: parts.new_until,
        vault: None,
        workers: match parts.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from).max(MIN_REMOVERS),
            workers => workers,
        },
        dir: Arc::clone(parts.dir),
    })
}
