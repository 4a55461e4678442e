//! The fuse: a scheduled plan that would take too much of a root waits for a person.

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files.
    pub files: u64,
    /// Allocated bytes.
    pub bytes: u64,
}

/// What the fuse says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fuse {
    /// The plan may be executed.
    Holds,
    /// It may not: it would take more than `max_share` percent.
    Blown {
        /// Its share of the root's files, in percent.
        files_percent: f64,
        /// Its share of the root's bytes, in percent.
        bytes_percent: f64,
        /// The limit, in percent.
        max_share: f64,
    },
}

/// Compares a scheduled plan with what its root holds. Exactly the share is still allowed.
pub fn fuse(plan: Amount, root: Amount, max_share: f64) -> Fuse {
    let percent = |part: u64, whole: u64| {
        if part == 0 { 0.0 } else { part as f64 * 100.0 / whole.max(1) as f64 }
    };
    let files_percent = percent(plan.files, root.files);
    let bytes_percent = percent(plan.bytes, root.bytes);
    // A counter of the root that lags must not blow a fuse that was taken out.
    if max_share >= 100.0 || (files_percent <= max_share && bytes_percent <= max_share) {
        Fuse::Holds
    } else {
        Fuse::Blown { files_percent, bytes_percent, max_share }
    }
}
