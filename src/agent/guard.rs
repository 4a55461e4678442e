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
use crate::sys::{clock, notify_service};

use super::alerts::{CONDITIONS, conditions};
use super::state::{Agent, Slot};
use super::turns::VolumeId;
use super::{commands, presence, status};
use past::Past;
use volume::{Levels, Member, Volume};

mod backoffs;
mod emergency;
mod past;
mod volume;

/// The guard's own state.
pub struct Guard {
    agent: Arc<Agent>,
    volumes: HashMap<VolumeId, Volume>,
    /// Of volumes that had roots a moment ago.
    past: HashMap<VolumeId, Past>,
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
            past: HashMap::new(),
            levels: Levels::default(),
            presence_due: Duration::ZERO,
            alerts_due: Duration::ZERO,
            states: HashMap::new(),
        }
    }

    /// Guards until the agent stops; waits for its emergencies.
    pub fn work(mut self) {
        while !self.agent.stop.is_raised() {
            self.agent.heart.sampling.now();
            fail::fail_point!("sampling");
            let now = clock::since_boot();
            self.check_clock(now);
            self.call_presence(now);
            self.gather();
            self.tell_states();
            let pause = self.look_at_volumes();
            self.tell_alerts(now);
            if notify_service::is_there() && status::renew(&self.agent) {
                self.agent.manager_bell.ring();
            }
            self.agent.heart.rounds.fetch_add(1, Ordering::Relaxed);
            self.agent.heart.sampling.within(pause);
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
        let now = clock::since_boot();
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
                Some(mut volume) if same(&volume, &members) => {
                    volume.monitor.set_longest(longest);
                    volume
                }
                other => {
                    let Some(first) = members.first() else { continue };
                    let probe = first.root.guarded.probe.clone();
                    let past = other.map(|volume| Past::of(volume, now)).or_else(|| self.past.remove(&id));
                    Past::go_on(past, members, probe, longest)
                }
            };
            self.volumes.insert(id, volume);
        }
        self.past.retain(|_, past| past.is_recent(now));
        self.past.extend(old.into_iter().map(|(id, volume)| (id, Past::of(volume, now))));
        let slots = self.agent.slots();
        volume::forget(&self.agent, &mut self.levels, |root| slots.iter().any(|slot| slot.name() == root));
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
                self.agent.heart.sampling.now();
                if let Some(levels) = volume::look(&self.agent, volume, &mut self.levels, now) {
                    emergency::end(&self.agent, volume, now);
                    emergency::begin(&self.agent, volume, now);
                    crossed.extend(levels);
                }
            }
            next = next.min(volume.due(stirred && !looked).saturating_sub(clock::since_boot()));
        }
        let began = clock::since_boot();
        for one in &crossed {
            self.agent.heart.sampling.now();
            volume::tell(&self.agent, one);
        }
        next.saturating_sub(clock::since_boot().saturating_sub(began))
    }
}
