//! When a volume is too full, and when it is empty enough again.
//!
//! Percentages are as `df` counts them. Bytes and inodes are separate
//! resources with their own marks; `min_free` is about bytes alone.

use crate::model::{Level, Resource, VolumeUsage};

/// The marks of a root: percentages, and bytes for `min_free`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marks {
    /// Warning at or above.
    pub warning: f64,
    /// Emergency at or above.
    pub high: f64,
    /// The emergency ends at or below.
    pub low: f64,
    /// Emergency too while fewer bytes are available; 0: no such rule.
    pub min_free: u64,
    /// `warning` for inodes.
    pub inodes_warning: f64,
    /// `high` for inodes.
    pub inodes_high: f64,
    /// `low` for inodes.
    pub inodes_low: f64,
}

impl Marks {
    /// Warning, high and low mark of a resource.
    pub const fn of(&self, resource: Resource) -> (f64, f64, f64) {
        match resource {
            Resource::Bytes => (self.warning, self.high, self.low),
            Resource::Inodes => (self.inodes_warning, self.inodes_high, self.inodes_low),
        }
    }

    /// `min_free`, where it applies.
    const fn min_free_of(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Bytes => self.min_free,
            Resource::Inodes => 0,
        }
    }

    /// What must be available for an emergency that `min_free` began to end:
    /// one and a half times as much, so that it doesn't begin again at once.
    pub const fn min_free_end(&self) -> u64 {
        self.min_free.saturating_add(self.min_free / 2)
    }
}

/// The level by the raw marks, without memory (what `health` shows).
pub fn level(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> Level {
    if is_critical(usage, resource, marks) {
        Level::Critical
    } else if exists(usage, resource) && usage.percent(resource) >= marks.of(resource).0 {
        Level::Warning
    } else {
        Level::Healthy
    }
}

/// A volume of no size (or without fixed inodes) can't be full.
fn exists(usage: &VolumeUsage, resource: Resource) -> bool {
    let (used, available) = usage.used_and_available(resource);
    match resource {
        Resource::Bytes => used > 0 || available > 0,
        Resource::Inodes => usage.counts_inodes(),
    }
}

fn is_critical(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> bool {
    let cause = Cause::of(usage, resource, marks);
    cause.high_mark || cause.min_free
}

/// Which rules an emergency began by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cause {
    /// Usage stood at or above the high mark.
    pub high_mark: bool,
    /// Less than `min_free` was available.
    pub min_free: bool,
}

impl Cause {
    fn of(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> Self {
        let exists = exists(usage, resource);
        Self {
            high_mark: exists && usage.percent(resource) >= marks.of(resource).1,
            min_free: exists && usage.used_and_available(resource).1 < marks.min_free_of(resource),
        }
    }
}

/// An emergency that is called for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// What runs out.
    pub resource: Resource,
    /// Why it counts as an emergency.
    pub cause: Cause,
    /// Where the emergency ends.
    pub target: Target,
    /// What is missing to there, in bytes or inodes.
    pub amount: u64,
}

/// Whether an emergency must begin: usage at or above the high mark, or less
/// than `min_free` available. Bytes come before inodes.
pub fn emergency_needed(usage: &VolumeUsage, marks: &Marks) -> Option<Need> {
    [Resource::Bytes, Resource::Inodes]
        .into_iter()
        .find_map(|resource| resource_needed(usage, resource, marks))
}

/// The same for one resource: what the other one needs doesn't hide it.
pub fn resource_needed(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> Option<Need> {
    let cause = Cause::of(usage, resource, marks);
    if !cause.high_mark && !cause.min_free {
        return None;
    }
    let target = Target::of_emergency(resource, marks, cause);
    Some(Need { resource, cause, target, amount: target.excess(usage) })
}

/// Which resources an emergency serves, in this order, each with a run of its
/// own: those past a mark of any root. So inodes have their turn also where
/// bytes can't be helped, because somebody else's data fills the volume. If
/// a person asks while neither is past its mark: those above their low mark.
/// Never empty: with nothing to do the run for bytes says so.
pub fn resources_to_serve(usage: &VolumeUsage, marks: &[Marks]) -> Vec<Resource> {
    const BOTH: [Resource; 2] = [Resource::Bytes, Resource::Inodes];
    let of = |wanted: &dyn Fn(Resource, &Marks) -> bool| -> Vec<Resource> {
        BOTH.into_iter().filter(|resource| marks.iter().any(|marks| wanted(*resource, marks))).collect()
    };
    let needed = of(&|resource, marks| resource_needed(usage, resource, marks).is_some());
    if !needed.is_empty() {
        return needed;
    }
    let above_low = of(&|resource, marks| {
        exists(usage, resource) && !Target::of_emergency(resource, marks, Cause::default()).is_reached(usage)
    });
    if above_low.is_empty() { vec![Resource::Bytes] } else { above_low }
}

/// Whether an emergency that began by `cause` is over: usage at or below the
/// low mark and, if `min_free` began it, 1.5 times that available.
pub fn emergency_over(usage: &VolumeUsage, resource: Resource, marks: &Marks, cause: Cause) -> bool {
    Target::of_emergency(resource, marks, cause).is_reached(usage)
}

/// Whether space is so short that the rules of patience are suspended: less
/// is available than a quarter of what the high mark leaves. Then `min_age`
/// no longer binds, and the last phase doesn't wait for a complete index.
pub fn is_urgent(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> bool {
    let (used, available) = usage.used_and_available(resource);
    let usable = used as f64 + available as f64;
    exists(usage, resource) && (available as f64) < usable * (100.0 - marks.of(resource).1) / 100.0 / 4.0
}

/// What must go for usage to fall just below the high mark (and `min_free` to be available).
pub fn excess_over_high(usage: &VolumeUsage, resource: Resource, marks: &Marks) -> u64 {
    let (used, available) = usage.used_and_available(resource);
    let over_mark = if is_critical(usage, resource, marks) && usage.percent(resource) >= marks.of(resource).1
    {
        usage.excess_over(resource, marks.of(resource).1).saturating_add(1).min(used)
    } else {
        0
    };
    over_mark.max(marks.min_free_of(resource).saturating_sub(available))
}

/// Where a run ends. All that is set must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// What is counted.
    pub resource: Resource,
    /// Usage at or below this percentage.
    pub percent: Option<f64>,
    /// At least this much available.
    pub available: Option<u64>,
    /// At most this much used (from "free this many bytes more").
    pub used: Option<u64>,
}

impl Target {
    /// No target: the run takes all that is due.
    pub const fn none(resource: Resource) -> Self {
        Self { resource, percent: None, available: None, used: None }
    }

    /// The end of an emergency.
    pub fn of_emergency(resource: Resource, marks: &Marks, cause: Cause) -> Self {
        let (_, _, low) = marks.of(resource);
        Self {
            percent: Some(low),
            available: (cause.min_free && resource == Resource::Bytes).then(|| marks.min_free_end()),
            ..Self::none(resource)
        }
    }

    /// What a person asked for: `free` bytes more than at `start`, and usage at or below `until`.
    pub fn of_request(start: &VolumeUsage, free: Option<u64>, until: Option<f64>) -> Self {
        Self {
            percent: until,
            used: free.map(|bytes| start.used.saturating_sub(bytes)),
            ..Self::none(Resource::Bytes)
        }
    }

    /// Whether it sets anything.
    pub const fn is_set(&self) -> bool {
        self.percent.is_some() || self.available.is_some() || self.used.is_some()
    }

    /// What must still go; 0 when the target is reached (or none is set).
    pub fn excess(&self, usage: &VolumeUsage) -> u64 {
        let (used, available) = usage.used_and_available(self.resource);
        [
            self.percent.map(|percent| usage.excess_over(self.resource, percent)),
            self.available.map(|wanted| wanted.saturating_sub(available)),
            self.used.map(|most| used.saturating_sub(most)),
        ]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(0)
    }

    /// Whether all that is set holds.
    pub fn is_reached(&self, usage: &VolumeUsage) -> bool {
        self.excess(usage) == 0
    }
}
