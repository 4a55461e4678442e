//! How full a volume is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a volume can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Space.
    Bytes,
    /// Inodes.
    Inodes,
}

/// How full a resource is, by the marks of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below the warning mark.
    Healthy,
    /// At or past the warning mark.
    Warning,
    /// At or past the high-water mark, or below `min_free`.
    Critical,
}

impl Level {
    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Totals of a volume as `statvfs` gives them. `available` is what an ordinary
/// user can still write (`f_bavail`), so root-reserved blocks count as neither
/// used nor available, as in `df`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUsage {
    /// Size in bytes.
    pub total: u64,
    /// Bytes in use (`f_blocks - f_bfree`).
    pub used: u64,
    /// Bytes available to ordinary users.
    pub available: u64,
    /// Number of inodes; 0 where the file system makes them as needed (btrfs).
    pub inodes_total: u64,
    /// Inodes in use.
    pub inodes_used: u64,
    /// Inodes available to ordinary users.
    pub inodes_available: u64,
}

impl VolumeUsage {
    /// Percent used as `df` counts it: used / (used + available). An empty
    /// volume (size 0) is 0.
    pub fn percent(&self, resource: Resource) -> f64 {
        let (used, available) = self.used_and_available(resource);
        let usable = used.saturating_add(available);
        if usable == 0 { 0.0 } else { used as f64 * 100.0 / usable as f64 }
    }

    /// Used and available, in bytes or inodes.
    pub const fn used_and_available(&self, resource: Resource) -> (u64, u64) {
        match resource {
            Resource::Bytes => (self.used, self.available),
            Resource::Inodes => (self.inodes_used, self.inodes_available),
        }
    }

    /// Whether the volume has a fixed number of inodes at all.
    pub const fn counts_inodes(&self) -> bool {
        self.inodes_total > 0
    }

    /// How much must be freed until usage is at or below `percent`; 0 when it is.
    pub fn excess_over(&self, resource: Resource, percent: f64) -> u64 {
        let (used, available) = self.used_and_available(resource);
        let allowed = (used as f64 + available as f64) * percent / 100.0;
        used.saturating_sub(allowed.floor() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: VolumeUsage = VolumeUsage {
        total: 1000,
        used: 850,
        available: 100,
        inodes_total: 0,
        inodes_used: 0,
        inodes_available: 0,
    };

    #[test]
    fn reserved_blocks_are_neither_used_nor_available() {
        assert!((RESERVED.percent(Resource::Bytes) - 89.47).abs() < 0.01);
    }

    #[test]
    fn a_volume_without_fixed_inodes_is_never_full_of_them() {
        assert_eq!(RESERVED.percent(Resource::Inodes), 0.0);
        assert!(!RESERVED.counts_inodes());
    }

    #[test]
    fn freeing_the_excess_reaches_the_target() {
        let excess = RESERVED.excess_over(Resource::Bytes, 80.0);
        let after =
            VolumeUsage { used: RESERVED.used - excess, available: RESERVED.available + excess, ..RESERVED };
        assert!(after.percent(Resource::Bytes) <= 80.0);
        assert_eq!(after.excess_over(Resource::Bytes, 80.0), 0);
    }
}
