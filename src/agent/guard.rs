//! The guard: looks at the volumes, raises alerts, starts emergencies.
//!
//! Promises: looks more often as a volume fills and not more often than the
//! sample interval while nothing happens; never waits for a run, so that it
//! sees a volume fill while another is cleaned. Must not know: how runs remove.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::api::{Event, RootState};
use crate::model::{
    AlertKind, AlertState, Level, Policy, Report, Resource, RootName, SweepRequest, TimeSpan, Trigger,
};
use crate::policy::{Backoff, Crossing, LevelState, Marks, resource_needed};
use crate::sys::clock;
use crate::usage::VolumeMonitor;

use super::alerts::{Alert, CONDITIONS, Subject, conditions};
use super::engine::{Commission, Target};
use super::state::{Agent, ReadyRoot, Seen, Slot};
use super::surroundings::Control;
use super::turns::VolumeId;
use super::{commands, log, presence};

/// Between two looks at a volume that does not answer.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(1);

/// How long one network mount may keep the others waiting, in each look.
const NETWORK_PATIENCE: Duration = Duration::from_millis(50);

/// How many times as long as a look took its volume is then left alone at least.
const SLOW_REST: u32 = 3;

/// A ready root on a volume.
struct Member {
    slot: Arc<Slot>,
    root: Arc<ReadyRoot>,
}

impl Member {
    fn is_network(&self) -> bool {
        self.root.is_network
    }
}

/// One volume.
struct Volume {
    members: Vec<Member>,
    is_network: bool,
    monitor: VolumeMonitor,
    /// When it was last asked, whether it answered or not.
    looked_at: Option<Duration>,
    /// How long that took.
    took: Duration,
    backoff: Backoffs,
    emergency: Option<JoinHandle<Yield>>,
    unreadable: bool,
}

/// What emergencies in vain put off, for each resource: one that can't be
/// helped must not keep the other waiting.
#[derive(Default)]
struct Backoffs {
    bytes: Backoff,
    inodes: Backoff,
}

/// What an emergency freed of what was needed, for each resource that it was begun for.
type Yield = Vec<(Resource, u64, u64)>;

impl Backoffs {
    const fn of(&mut self, resource: Resource) -> &mut Backoff {
        match resource {
            Resource::Bytes => &mut self.bytes,
            Resource::Inodes => &mut self.inodes,
        }
    }

    /// When the next run that waits may begin, if it was put off beyond `after`.
    fn again(&self, after: Duration) -> Option<Duration> {
        let both = [self.bytes.not_before(), self.inodes.not_before()];
        both.into_iter().filter(|at| *at > after).min()
    }
}

/// The guard's own state.
pub struct Guard {
    agent: Arc<Agent>,
    volumes: HashMap<VolumeId, Volume>,
    levels: HashMap<(RootName, Resource), LevelState>,
    presence_due: Duration,
    /// What was last told of the roots.
    states: HashMap<RootName, RootState>,
}

impl Guard {
    /// A guard that has not looked yet.
    pub fn new(agent: Arc<Agent>) -> Self {
        Self {
            agent,
            volumes: HashMap::new(),
            levels: HashMap::new(),
            presence_due: Duration::ZERO,
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
            self.tell_alerts(now);
            let pause = self.look_at_volumes();
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
    fn tell_alerts(&self, now: Duration) {
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
        for slot in self.agent.slots() {
            let (state, reason) = commands::state(&self.agent, &slot);
            if self.states.insert(slot.name().clone(), state) == Some(state) {
                continue;
            }
            let root = slot.name().clone();
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
        let mut looked = false;
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
                look(&self.agent, volume, &mut self.levels, clock::since_boot());
            }
            next = next.min(volume.due(stirred && !looked).saturating_sub(clock::since_boot()));
        }
        next
    }
}

impl Volume {
    /// When to look next.
    fn due(&self, stirred: bool) -> Duration {
        let Some(looked_at) = self.looked_at else { return Duration::ZERO };
        if self.unreadable {
            return looked_at.saturating_add(UNREADABLE_PAUSE);
        }
        let marks: Vec<Marks> = self.members.iter().map(|one| one.root.guarded.marks).collect();
        // One that is slow to answer must not keep the others waiting all the time.
        let rest = self.took.saturating_mul(SLOW_REST);
        let due = looked_at.saturating_add(self.monitor.pause(&marks, stirred).max(rest));
        // An emergency that waits is tried again when its pause is over.
        self.backoff.again(looked_at).map_or(due, |again| due.min(again))
    }
}

fn look(
    agent: &Arc<Agent>,
    volume: &mut Volume,
    levels: &mut HashMap<(RootName, Resource), LevelState>,
    now: Duration,
) {
    let looked = match volume.is_network {
        true => volume.monitor.look_within(now, NETWORK_PATIENCE),
        false => volume.monitor.look(now),
    };
    // Its pause begins when it has answered.
    volume.looked_at = Some(clock::since_boot());
    volume.took = clock::since_boot().saturating_sub(now);
    let look = match looked {
        Ok(look) => look,
        Err(error) => {
            volume.unreadable = true;
            let message = format!("the volume can't be looked at: {}", super::chain(&error));
            for member in &volume.members {
                let subject = Subject::of(AlertKind::VolumeUnreadable, Some(member.slot.name()));
                agent.engine.alerts.raise(&Alert::new(subject, Level::Critical, message.as_str()), now);
            }
            return;
        }
    };
    if std::mem::take(&mut volume.unreadable) {
        for member in &volume.members {
            agent.engine.alerts.end(&Subject::of(AlertKind::VolumeUnreadable, Some(member.slot.name())));
        }
    }
    for member in &volume.members {
        let seen = Seen { at: clock::now(), usage: look.usage, time_to_full: volume.monitor.time_to_full() };
        *member.slot.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        for resource in [Resource::Bytes, Resource::Inodes] {
            let state = levels.entry((member.slot.name().clone(), resource)).or_default();
            let marks = &member.root.guarded.marks;
            let percent = look.usage.percent(resource);
            let crossing = state.observe(now, &look.usage, resource, marks);
            if let Some(crossing) = crossing {
                tell_level(agent, member, resource, crossing, percent);
            }
            if state.level() < Level::Critical {
                let of = |kind| Subject::of(kind, Some(member.slot.name())).part(log::name(resource));
                agent.engine.alerts.end(&of(AlertKind::Shortfall));
                agent.engine.alerts.end(&of(AlertKind::Futile));
            }
        }
    }
    end_emergency(agent, volume, now);
    begin_emergency(agent, volume, now);
}

fn tell_level(agent: &Agent, member: &Member, resource: Resource, crossing: Crossing, percent: f64) {
    let (level, state) = match crossing {
        Crossing::Rose { to, .. } => (to, AlertState::Raised),
        Crossing::Lasts(to) => (to, AlertState::Lasts),
        Crossing::Fell { to: Level::Healthy, .. } => (Level::Healthy, AlertState::Ended),
        Crossing::Fell { to, .. } => (to, AlertState::Eased),
    };
    let (rose, lasts) = (state == AlertState::Raised, state == AlertState::Lasts);
    let name = member.slot.name();
    // Who filled it is of interest while it is full.
    let grown = (rose || lasts).then(|| agent.grown(&member.root)).flatten();
    match state {
        AlertState::Raised | AlertState::Lasts => {
            log::level(name, resource, level, lasts, percent, grown.as_ref());
        }
        AlertState::Eased | AlertState::Ended => log::fell(name, resource, level, percent),
    }
    let usage_percent = (percent * 100.0).round() / 100.0;
    let kind = match resource {
        Resource::Bytes => AlertKind::Usage,
        Resource::Inodes => AlertKind::Inodes,
    };
    let message = format!("usage is {}: {usage_percent}% of {}", level.as_str(), log::name(resource));
    let alert = Alert::new(Subject::of(kind, Some(name)), level, message);
    agent.engine.alerts.announce(&alert, state, grown);
    let (time, root) = (clock::now(), name.clone());
    agent.engine.events.publish(&Event::Level { time, root, resource, level, rose, lasts, usage_percent });
}

fn end_emergency(agent: &Agent, volume: &mut Volume, now: Duration) {
    if !volume.emergency.as_ref().is_some_and(JoinHandle::is_finished) {
        return;
    }
    let Some(ended) = volume.emergency.take() else { return };
    // One that panicked counts as having freed nothing: the next waits longer.
    let in_vain = || vec![(Resource::Bytes, 0, 1), (Resource::Inodes, 0, 1)];
    for (resource, freed, needed) in ended.join().unwrap_or_else(|_| in_vain()) {
        let pause = volume.backoff.of(resource).ended(freed, needed, now);
        for member in &volume.members {
            let subject = Subject::of(AlertKind::Futile, Some(member.slot.name())).part(log::name(resource));
            if pause.is_zero() {
                agent.engine.alerts.end(&subject);
            } else {
                let message = format!(
                    "an emergency freed next to nothing of the {} needed; the next waits {} at most",
                    log::name(resource),
                    TimeSpan(pause)
                );
                agent.engine.alerts.raise(&Alert::new(subject, Level::Warning, message), now);
            }
        }
    }
    volume.monitor.cut();
}

fn begin_emergency(agent: &Arc<Agent>, volume: &mut Volume, now: Duration) {
    let Some(look) = volume.monitor.last() else { return };
    let mut needed: Vec<(Resource, u64)> = Vec::new();
    for resource in [Resource::Bytes, Resource::Inodes] {
        let need = |member: &Member| resource_needed(&look.usage, resource, &member.root.guarded.marks);
        match volume.members.iter().filter_map(need).map(|need| need.amount).max() {
            Some(amount) => needed.push((resource, amount)),
            None => volume.backoff.of(resource).reset(),
        }
    }
    let settings = agent.settings();
    let paused = agent.pause_at(clock::now()).is_some_and(|pause| pause.emergencies);
    let allowed = needed.iter().any(|(resource, _)| volume.backoff.of(*resource).allows(now));
    if volume.emergency.is_some() || !settings.agent.automatic || paused || !allowed {
        return;
    }
    let targets: Vec<Target> = volume
        .members
        .iter()
        .map(|member| Target { root: Arc::clone(&member.root.guarded), key: member.root.key })
        .collect();
    let agent = Arc::clone(agent);
    let thread = std::thread::Builder::new().name("guardian-emergency".to_owned());
    let started = thread.spawn(move || {
        let watch = agent.watch_over(&targets);
        let reports = emergency(&agent, &targets, &watch);
        // One that was ended from outside says nothing about what the next can free.
        let ended = watch().is_some();
        agent.stir.bell.ring();
        let counts = |resource, needed| if ended { needed } else { freed(&reports, resource) };
        needed.into_iter().map(|(resource, needed)| (resource, counts(resource, needed), needed)).collect()
    });
    match started {
        Ok(handle) => volume.emergency = Some(handle),
        Err(error) => tracing::error!(reason = %error, "failed to start the thread of an emergency"),
    }
}

/// What came free of a resource by all runs of an emergency: bytes, or names.
fn freed(reports: &[Report], resource: Resource) -> u64 {
    let of = |report: &Report| match resource {
        Resource::Bytes => report.bytes_freed,
        Resource::Inodes => report.files_deleted,
    };
    reports.iter().map(of).sum()
}

/// Runs one emergency.
fn emergency(agent: &Agent, targets: &[Target], watch: &(dyn Fn() -> Option<String> + Sync)) -> Vec<Report> {
    let request = SweepRequest::of(Policy::Emergency);
    let control = Control::default();
    let stop = || {
        let paused = || agent.pause_at(clock::now()).is_some_and(|pause| pause.emergencies);
        watch().or_else(|| paused().then(|| "paused".to_owned()))
    };
    let commission = Commission {
        request: &request,
        trigger: Trigger::EmergencyThreshold,
        requested_by: None,
        control: &control,
        list: false,
        stop: &stop,
        leave_out: None,
    };
    if agent.settings().agent.dry_run {
        match agent.engine.plan(&commission, targets) {
            Ok(plans) => {
                for (plan, _, _) in plans {
                    super::schedule::log_plan(agent, &plan);
                }
            }
            Err(error) => {
                tracing::error!(reason = %super::chain(&error), "an emergency could not be planned")
            }
        }
        return Vec::new();
    }
    agent.engine.sweep(&commission, targets).unwrap_or_else(|error| {
        tracing::error!(reason = %super::chain(&error), "an emergency could not begin");
        Vec::new()
    })
}
