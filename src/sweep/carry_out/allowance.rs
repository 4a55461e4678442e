//! How much may go now: the target, less what was unlinked and isn't visible yet.

use std::time::Duration;

use crate::model::VolumeUsage;
use crate::policy::{Step, is_urgent};
use crate::usage::Probe;

use super::{PhaseEnd, Running};

/// Between two looks at a volume that does not show yet what was freed.
pub(super) const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// How long a volume may take to show what was freed, by its file system.
/// tmpfs and ext4 show it at once (measured), so waiting for them would only
/// wait for other writers.
pub(super) fn patience(probe: &Probe) -> Duration {
    match probe {
        Probe::Capacity { .. } => Duration::ZERO,
        Probe::Volume(root) => match crate::sys::volume::fs_kind(root.handle()) {
            Ok(kind) if matches!(kind.name, "tmpfs" | "ramfs" | "ext4") => Duration::ZERO,
            _ => crate::policy::PATIENCE,
        },
    }
}

impl Running<'_, '_> {
    /// How much may go now: `None` without a target. Waits while what was
    /// unlinked and isn't visible yet would cover the need.
    pub(super) fn allowance(&mut self) -> Result<Option<u64>, PhaseEnd> {
        if !self.orders.target.is_set() {
            return Ok(None);
        }
        let mut syncing = false;
        let since = self.around.elapsed();
        loop {
            let Ok(usage) = self.probe.look() else {
                // Counters may be busy with our own removals: one look is not the end.
                let waited = self.around.elapsed().saturating_sub(since);
                if waited < crate::policy::PATIENCE && self.around.stop().is_none() {
                    std::thread::sleep(SETTLE_PAUSE);
                    continue;
                }
                self.note_all("stopped: the volume's usage can no longer be read");
                self.ended = Some("usage unknown".to_owned());
                return Err(PhaseEnd::Stopped);
            };
            self.settle.sampled(usage.used);
            let need = self.orders.target.excess(&usage);
            match self.settle.next(need, self.urgent(&usage), self.around.elapsed()) {
                Step::Done => {
                    self.reached = Some(usage);
                    return Err(PhaseEnd::Reached);
                }
                Step::Proceed { bytes } => return Ok(Some(bytes)),
                Step::GiveUp { missing } => self.missing = self.missing.saturating_add(missing),
                Step::Wait => {
                    if !syncing {
                        syncing = true;
                        self.sync_aside();
                    }
                    if let Some(why) = self.around.stop() {
                        self.note_all(&why);
                        self.ended = Some(why);
                        return Err(PhaseEnd::Stopped);
                    }
                    std::thread::sleep(SETTLE_PAUSE);
                }
            }
        }
    }

    /// `syncfs` can take seconds, and is only a hint: on a thread of its own,
    /// never waited for.
    pub(super) fn sync_aside(&self) {
        let probe = self.probe.clone();
        // Without the thread the volume shows its space a little later.
        let _ = std::thread::Builder::new().name("guardian-syncfs".to_owned()).spawn(move || {
            let _ = probe.settle();
        });
    }

    pub(super) fn urgent(&self, usage: &VolumeUsage) -> bool {
        self.roots.iter().any(|one| is_urgent(usage, self.orders.target.resource, &one.root.marks))
    }
}
