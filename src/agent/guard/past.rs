//! What was seen of a volume whose roots changed.
//!
//! Promises: growth, forecast and an emergency under way go on where it is the
//! same volume, also over the moment in which a root is opened anew; nothing here
//! keeps a file system from being unmounted. Must not know: why roots change.

use std::collections::HashSet;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agent::forecast::ForecastWatch;
use crate::usage::{Probe, SoFar, VolumeMonitor};

use super::backoffs::{Backoffs, Ended};
use super::volume::{Member, Volume};

/// So long a root may be away that is opened anew.
const KEPT: Duration = Duration::from_secs(60);

/// Device, inode and mount of a root: the same within a run only for the same directory.
type Place = (u64, u64, u64);

fn places(members: &[Member]) -> HashSet<Place> {
    let place = |member: &Member| {
        let dir = &member.root.guarded.dir;
        (dir.dev(), dir.ino(), dir.mount_id())
    };
    members.iter().map(place).collect()
}

/// What is left of a volume.
pub(super) struct Past {
    places: HashSet<Place>,
    seen: SoFar,
    forecast: ForecastWatch,
    emergency: Option<JoinHandle<Ended>>,
    rests_until: Duration,
    unreadable: bool,
    since: Duration,
}

impl Past {
    /// Of one that is let go at `now`.
    pub(super) fn of(volume: Volume, now: Duration) -> Self {
        Self {
            places: places(&volume.members),
            seen: volume.monitor.end(),
            forecast: volume.forecast,
            emergency: volume.emergency,
            rests_until: volume.rests_until,
            unreadable: volume.unreadable,
            since: now,
        }
    }

    /// Whether it may still be of use.
    pub(super) fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < KEPT
    }

    /// The volume of these roots, which goes on if one of them was there before:
    /// a device's number alone may be that of another file system by now. What
    /// was in vain by other settings is tried at once.
    pub(super) fn go_on(past: Option<Self>, members: Vec<Member>, probe: Probe, longest: Duration) -> Volume {
        let mut new = Volume {
            monitor: VolumeMonitor::new(probe.clone(), longest),
            is_network: members.iter().any(Member::is_network),
            looked_at: None,
            forecast: ForecastWatch::default(),
            took: Duration::ZERO,
            backoff: Backoffs::default(),
            emergency: None,
            rests_until: Duration::ZERO,
            unreadable: false,
            members,
        };
        let Some(past) = past else { return new };
        // One that is under way is waited for, wherever it is.
        new.emergency = past.emergency;
        if !past.places.is_disjoint(&places(&new.members)) {
            new.monitor = VolumeMonitor::going_on(probe, longest, past.seen);
            new.forecast = past.forecast;
            new.rests_until = past.rests_until;
            new.unreadable = past.unreadable;
        }
        new
    }
}
