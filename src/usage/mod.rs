//! How full the volumes are, how fast they fill, and when to look again.
//!
//! Promises: a figure is what the volume said at that moment (`fstatvfs` of the
//! root's own descriptor, so never the directory underneath an unmounted one),
//! or for a root with a capacity what its counters say; never a sum of
//! removals. Must not know: what is done about it.

mod counting;
mod monitor;
mod probe;

pub use counting::{by_walking, by_walking_told};
pub use monitor::{Look, SoFar, VolumeMonitor};
pub use probe::{CapacityCounter, Probe, UsageError};
