//! The guard: goes round the volumes, the roots and the clock, and tells what changed.
//!
//! Promises: looks more often as a volume fills and not more often than the
//! sample interval while nothing happens; never waits for a run, so that it
//! sees a volume fill while another is cleaned. Must not know: what
//! a level means for a volume (`volume`), how an emergency goes (`emergency`).

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::api::{Event, RootState};
use crate::model::RootName;
use crate::sys::clock;
use crate::usage::VolumeMonitor;

use super::alerts::{CONDITIONS, conditions};
use super::forecast::ForecastWatch;
use super::state::{Agent, Slot};
use super::turns::VolumeId;
use super::{commands, presence};
use backoffs::Backoffs;
use volume::{Levels, Member, Volume};

mod backoffs;
mod emergency;
mod volume;

/// The guard's own state.
pub struct Guard {
    agent: Arc<Agent>,
    volumes: HashMap<VolumeId, Volume>,
    levels: Levels,
    presence_due: Duration,
    alerts_due: Duration,
    /// What was last told of the roots.
    states: HashMap<RootName, RootState>,
}

impl Guard {
    /// A guard that has not looked yet.
    pub fn new(agent: Arc<Agent>) -> Self {
        Self {
            agent,
            volumes: HashMap::new(),
            levels: Levels::default(),
            presence_due: Duration::ZERO,
            alerts_due: Duration::ZERO,
            states: HashMap::new(),
        }
    }

    /// Guards until the agent stops; waits for its emergencies.
    pub fn work(mut self) {
        while !self.agent.stop.is_raised() {
            let now = clock::since_boot();
            self.check_clock(now);
            self.call_presence(now);
            self.gather();
            self.tell_states();
            let pause = self.look_at_volumes();
            self.tell_alerts(now);
            self.agent.beat.fetch_add(1, Ordering::Relaxed);
            self.agent.stir.bell.wait(pause);
        }
        for (_, volume) in self.volumes.drain() {
            if let Some(emergency) = volume.emergency {
                // A panic there was reported by its own message.
                let _ = emergency.join();
            }
        }
    }

    fn check_clock(&self, now: Duration) {
        let wall = clock::now();
        let mut guard = self.agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner);
        guard.observe(wall, now, clock::time_is_synchronised());
    }

    /// What is alarming as long as it is so, and what lasts for an hour.
    fn tell_alerts(&mut self, now: Duration) {
        if now < self.alerts_due {
            return;
        }
        self.alerts_due = now + presence::INTERVAL;
        let alerts = &self.agent.engine.alerts;
        alerts.observe(CONDITIONS, &conditions(&self.agent), now);
        let slots = self.agent.slots();
        let is_there = |root: &RootName| slots.iter().any(|slot| slot.name() == root);
        alerts.end_where(|subject| subject.root.as_ref().is_some_and(|root| !is_there(root)));
        alerts.remind(now);
    }

    /// While volumes are looked at often, so are the roots.
    fn call_presence(&mut self, now: Duration) {
        if now >= self.presence_due {
            self.presence_due = now + presence::INTERVAL;
            self.agent.presence_bell.ring();
        }
    }

    /// Tells whoever listens what has become of the roots.
    fn tell_states(&mut self) {
        let state = |slot: &Slot| commands::state(&self.agent, slot);
        let is_new = |slot: &Arc<Slot>| self.states.get(slot.name()) != Some(&state(slot).0);
        let changed: Vec<Arc<Slot>> = self.agent.slots().into_iter().filter(is_new).collect();
        if changed.is_empty() {
            return;
        }
        // What is alarming about it comes first, and now.
        self.alerts_due = Duration::ZERO;
        self.tell_alerts(clock::since_boot());
        for slot in changed {
            // Looked at again: what was so before the alert may be over since.
            let (state, reason) = commands::state(&self.agent, &slot);
            let root = slot.name().clone();
            if self.states.insert(root.clone(), state) == Some(state) {
                continue;
            }
            self.agent.engine.events.publish(&Event::Root { time: clock::now(), root, state, reason });
        }
    }

    /// Brings the volumes in line with the roots that are ready now.
    fn gather(&mut self) {
        let longest = self.agent.settings().agent.sample_interval;
        let mut wanted: HashMap<VolumeId, Vec<Member>> = HashMap::new();
        for slot in self.agent.slots() {
            if let Some(root) = slot.ready() {
                wanted.entry(VolumeId::of(&root.guarded)).or_default().push(Member { slot, root });
            }
        }
        let same = |volume: &Volume, members: &[Member]| {
            volume.members.len() == members.len()
                && volume.members.iter().zip(members).all(|(a, b)| Arc::ptr_eq(&a.root, &b.root))
        };
        let mut old = std::mem::take(&mut self.volumes);
        for (id, members) in wanted {
            let kept = old.remove(&id);
            let volume = match kept {
                Some(volume) if same(&volume, &members) => volume,
                other => {
                    let Some(first) = members.first() else { continue };
                    Volume {
                        monitor: VolumeMonitor::new(first.root.guarded.probe.clone(), longest),
                        is_network: members.iter().any(Member::is_network),
                        members,
                        looked_at: None,
                        forecast: ForecastWatch::default(),
                        took: Duration::ZERO,
                        backoff: Backoffs::default(),
                        emergency: other.and_then(|volume| volume.emergency),
                        unreadable: false,
                    }
                }
            };
            self.volumes.insert(id, volume);
        }
        // An emergency on a volume whose roots are gone ends by itself: its
        // descriptors keep it on the file system it began on.
    }

    /// Looks at every volume whose time has come; how long to wait for the
    /// next. While something changes beneath the roots they are looked at sooner.
    fn look_at_volumes(&mut self) -> Duration {
        let mut next = self.agent.settings().agent.sample_interval;
        let stirred = self.agent.stir.is_stirred();
        let (mut looked, mut crossed) = (false, Vec::new());
        let eased = self.agent.eased.swap(false, Ordering::AcqRel);
        for volume in self.volumes.values_mut() {
            if eased {
                volume.backoff.bytes.ease(clock::since_boot());
                volume.backoff.inodes.ease(clock::since_boot());
            }
            if clock::since_boot() >= volume.due(stirred) {
                if !looked {
                    self.agent.stir.settle();
                    looked = true;
                }
                let now = clock::since_boot();
                if let Some(levels) = volume::look(&self.agent, volume, &mut self.levels, now) {
                    emergency::end(&self.agent, volume, now);
                    emergency::begin(&self.agent, volume, now);
                    crossed.extend(levels);
                }
            }
            next = next.min(volume.due(stirred && !looked).saturating_sub(clock::since_boot()));
        }
        let began = clock::since_boot();
        crossed.iter().for_each(|one| volume::tell(&self.agent, one));
        next.saturating_sub(clock::since_boot().saturating_sub(began))
    }
}
