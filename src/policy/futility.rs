//! When deleting everything would not help.

/// Where the last phase of an emergency aims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The target of the emergency.
    Target,
    /// The target is out of reach: only until usage is just below the high mark.
    JustBelowHigh,
    /// Not even that can be reached: somebody else's data fills the volume.
    Nothing,
}

/// Compares what could be taken with what must go: `to_target` for the end of
/// the emergency, `below_high` to come just below its beginning.
/// `take_anyway` (`emergency_futile = "continue"`) takes what there is.
pub const fn aim(candidates: u64, to_target: u64, below_high: u64, take_anyway: bool) -> Aim {
    if candidates >= to_target || take_anyway {
        Aim::Target
    } else if candidates >= below_high {
        Aim::JustBelowHigh
    } else {
        Aim::Nothing
    }
}

/// How many poor batches in a row end the last phase.
pub const POOR_BATCHES: u32 = 3;

/// Watches whether removing brings space at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Returns {
    poor: u32,
}

impl Returns {
    /// Takes a settled batch: what it unlinked, and what came free on the
    /// volume. Under a tenth is poor; [`POOR_BATCHES`] in a row end the phase (`true`).
    pub const fn settled(&mut self, unlinked: u64, came_free: u64) -> bool {
        if unlinked > 0 {
            // Divided, not multiplied: the numbers may be as large as they like.
            self.poor = if came_free < unlinked.div_ceil(10) { self.poor.saturating_add(1) } else { 0 };
        }
        self.poor >= POOR_BATCHES
    }
}
