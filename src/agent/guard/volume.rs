//! One volume: how full it is, how often it is looked at, which levels its
//! roots are at.
//!
//! Promises: one that is slow or does not answer keeps the others waiting
//! only briefly; a level is told when it is crossed, and again while it lasts.
//! Must not know: which volumes there are.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agent::alerts::{Alert, Subject};
use crate::agent::forecast::ForecastWatch;
use crate::agent::state::{Agent, ReadyRoot, Seen, Slot};
use crate::agent::{chain, log};
use crate::api::Event;
use crate::model::{AlertKind, AlertState, Level, Resource, RootName};
use crate::policy::{Crossing, LevelState, Marks};
use crate::sys::clock;
use crate::usage::VolumeMonitor;

use super::backoffs::{Backoffs, Ended};

/// Between two looks at a volume that does not answer.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(1);

/// How long one network mount may keep the others waiting, in each look.
const NETWORK_PATIENCE: Duration = Duration::from_millis(50);

/// How many times as long as a look took its volume is then left alone at least.
const SLOW_REST: u32 = 3;

/// The levels of all roots, for each resource.
pub(super) type Levels = HashMap<(RootName, Resource), LevelState>;

/// A ready root on a volume.
pub(super) struct Member {
    pub(super) slot: Arc<Slot>,
    pub(super) root: Arc<ReadyRoot>,
}

impl Member {
    pub(super) fn is_network(&self) -> bool {
        self.root.is_network
    }
}

/// One volume.
pub(super) struct Volume {
    pub(super) members: Vec<Member>,
    pub(super) is_network: bool,
    pub(super) monitor: VolumeMonitor,
    /// When it was last asked, whether it answered or not.
    pub(super) looked_at: Option<Duration>,
    /// How long that took.
    pub(super) took: Duration,
    pub(super) forecast: ForecastWatch,
    pub(super) backoff: Backoffs,
    pub(super) emergency: Option<JoinHandle<Ended>>,
    /// What an emergency unlinked that was cut off may come free only by then.
    pub(super) rests_until: Duration,
    pub(super) unreadable: bool,
}

impl Volume {
    /// When to look next.
    pub(super) fn due(&self, stirred: bool) -> Duration {
        let Some(looked_at) = self.looked_at else { return Duration::ZERO };
        if self.unreadable {
            return looked_at.saturating_add(UNREADABLE_PAUSE);
        }
        let marks: Vec<Marks> = self.members.iter().map(|one| one.root.guarded.marks).collect();
        // One that is slow to answer must not keep the others waiting all the time.
        let rest = self.took.saturating_mul(SLOW_REST);
        let due = looked_at.saturating_add(self.monitor.pause(&marks, stirred).max(rest));
        // An emergency that waits is tried again when its pause is over.
        let rested = Some(self.rests_until).filter(|until| *until > looked_at);
        rested.into_iter().chain(self.backoff.again(looked_at)).fold(due, Duration::min)
    }
}

/// A level that changed, or lasts.
pub(super) struct Crossed {
    member: Arc<ReadyRoot>,
    name: RootName,
    resource: Resource,
    crossing: Crossing,
    percent: f64,
}

/// Forgets the levels of roots that are not there any more, and ends what was told of them.
pub(super) fn forget(agent: &Agent, levels: &mut Levels, is_there: impl Fn(&RootName) -> bool) {
    levels.retain(|(root, resource), state| {
        let stays = is_there(root);
        if !stays && state.level() > Level::Healthy {
            let message = "the root is not configured any more";
            let alert = Alert::new(Subject::of(log::kind(*resource), Some(root)), Level::Healthy, message);
            tracing::info!(root = %root, alert = %alert.subject.kind, "{message}");
            agent.engine.alerts.announce(&alert, AlertState::Ended, None);
        }
        stays
    });
}

/// Asks a volume how full it is: what changed; `None` if it did not answer.
pub(super) fn look(
    agent: &Arc<Agent>,
    volume: &mut Volume,
    levels: &mut Levels,
    now: Duration,
) -> Option<Vec<Crossed>> {
    let roots: Vec<&RootName> = volume.members.iter().map(|member| member.slot.name()).collect();
    volume.forecast.note_removals(agent, &mut volume.monitor, &roots);
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
            let message = format!("the volume can't be looked at: {}", chain(&error));
            for member in &volume.members {
                let subject = Subject::of(AlertKind::VolumeUnreadable, Some(member.slot.name()));
                agent.engine.alerts.raise(&Alert::new(subject, Level::Critical, message.as_str()), now);
            }
            return None;
        }
    };
    if std::mem::take(&mut volume.unreadable) {
        for member in &volume.members {
            agent.engine.alerts.end(&Subject::of(AlertKind::VolumeUnreadable, Some(member.slot.name())));
        }
    }
    let mut crossed = Vec::new();
    for member in &volume.members {
        let (rate, outlook) = (volume.monitor.rate(), volume.monitor.outlook());
        let seen = Seen { at: clock::now(), looked_at: look.at, usage: look.usage, rate, outlook };
        *member.slot.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        for resource in [Resource::Bytes, Resource::Inodes] {
            let state = levels.entry((member.slot.name().clone(), resource)).or_default();
            let marks = &member.root.guarded.marks;
            let percent = look.usage.percent(resource);
            let crossing = state.observe(now, &look.usage, resource, marks);
            crossed.extend(crossing.map(|crossing| Crossed {
                member: Arc::clone(&member.root),
                name: member.slot.name().clone(),
                resource,
                crossing,
                percent,
            }));
            if state.level() < Level::Critical {
                let of = |kind| Subject::of(kind, Some(member.slot.name())).part(log::name(resource));
                agent.engine.alerts.end(&of(AlertKind::Shortfall));
                agent.engine.alerts.end(&of(AlertKind::Futile));
            }
        }
    }
    let marks: Vec<Marks> = volume.members.iter().map(|one| one.root.guarded.marks).collect();
    volume.forecast.look(agent, &volume.monitor, &roots, now);
    volume.forecast.hurry(agent, &volume.monitor, &roots, &marks, now);
    Some(crossed)
}

/// Tells of a level, with who filled the root: after whatever is urgent.
pub(super) fn tell(agent: &Agent, crossed: &Crossed) {
    let Crossed { member, name, resource, crossing, percent } = crossed;
    let (resource, percent) = (*resource, *percent);
    let (level, state) = match *crossing {
        Crossing::Rose { to, .. } => (to, AlertState::Raised),
        Crossing::Lasts(to) => (to, AlertState::Lasts),
        Crossing::Fell { to: Level::Healthy, .. } => (Level::Healthy, AlertState::Ended),
        Crossing::Fell { to, .. } => (to, AlertState::Eased),
    };
    let (rose, lasts) = (state == AlertState::Raised, state == AlertState::Lasts);
    // Who filled it is of interest while it is full.
    let grown = (rose || lasts).then(|| agent.grown(member)).flatten();
    match state {
        AlertState::Raised | AlertState::Lasts => {
            log::level(name, resource, level, lasts, percent, grown.as_ref());
        }
        AlertState::Eased | AlertState::Ended => log::fell(name, resource, level, percent),
    }
    let usage_percent = (percent * 100.0).round() / 100.0;
    let message = format!("usage is {}: {usage_percent}% of {}", level.as_str(), log::name(resource));
    let alert = Alert::new(Subject::of(log::kind(resource), Some(name)), level, message);
    agent.engine.alerts.announce(&alert, state, grown);
    let (time, root) = (clock::now(), name.clone());
    agent.engine.events.publish(&Event::Level { time, root, resource, level, rose, lasts, usage_percent });
}
