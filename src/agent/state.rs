//! What the agent holds: settings, roots, registry, engine, runs. Its parts
//! (guard, socket, supervision) work on this and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::{RootSettings, Settings};
use crate::ingest::IngestHandle;
use crate::model::{Grown, Policy, RootName, Timestamp, VolumeUsage};
use crate::policy::{Outlook, Patterns};
use crate::store::RootKey;
use crate::store::index::Readings;
use crate::store::ledger::{Ledger, LedgerOrigin, Pause};
use crate::sweep::root::GuardedRoot;

use super::engine::{Engine, Target};
use super::heart::Heart;
use super::jobs::JobRegistry;
use super::pauses::Pauses;
use super::references::References;
use super::roots::LockedRoot;

/// Told once to stop; everything that runs holds one.
#[derive(Debug, Clone, Default)]
pub struct StopToken {
    raised: Arc<AtomicBool>,
}

impl StopToken {
    /// Ends everything that holds this token.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
    }

    /// Whether to end.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// The flag, for parts that take a bare one.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }
}

/// Told when something changes beneath a root; wakes the guard once for each
/// of its looks, however many changes there are.
#[derive(Debug, Default)]
pub struct Stir {
    /// Something changed since the guard last looked.
    stirred: AtomicBool,
    /// Wakes the guard.
    pub bell: Bell,
}

impl Stir {
    /// Something changed.
    pub fn tell(&self) {
        if !self.stirred.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// Whether something changed since the last [`Self::settle`].
    pub fn is_stirred(&self) -> bool {
        self.stirred.load(Ordering::Acquire)
    }

    /// The guard looks now.
    pub fn settle(&self) {
        self.stirred.store(false, Ordering::Release);
    }
}

/// Wakes a thread before its pause is over.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Wakes whoever waits, or lets the next wait return at once.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the bell or until `limit` is over; whether it rang.
    pub fn wait(&self, limit: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(rung, limit, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

/// How long a request waits for changes that were made before it.
const SETTLE: Duration = Duration::from_secs(1);

/// Why a root is suspended for the moment between being guarded for want of room
/// and being adopted: it is the same root by the same rules.
pub const BEING_ADOPTED: &str = "being adopted";

/// A root that is locked and ready.
pub struct ReadyRoot {
    /// Its lock and identity.
    pub locked: Arc<Mutex<LockedRoot>>,
    /// As runs see it.
    pub guarded: Arc<GuardedRoot>,
    /// Whether its file system is another host's, who may not answer.
    pub is_network: bool,
    /// The key of its rows; `None` while the ledger could not give one out.
    pub key: Option<RootKey>,
}

impl ReadyRoot {
    /// Whether something of its adoption waits for room.
    pub fn awaits_adoption(&self) -> bool {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).awaits_adoption()
    }
}

/// Where a configured root stands.
#[derive(Clone)]
pub enum SlotState {
    /// Guarded.
    Ready(Arc<ReadyRoot>),
    /// Not touched, and why.
    Suspended(String),
}

/// One configured root.
pub struct Slot {
    /// As configured.
    pub settings: RootSettings,
    /// Where it stands.
    pub state: RwLock<SlotState>,
    /// Held by whoever opens or suspends it, or puts another in its place: what a
    /// second one who opens found would be the first one's lock.
    pub opening: Mutex<()>,
    /// What its volume showed last, and when it would be full; by the guard.
    pub seen: RwLock<Option<Seen>>,
}

/// The last look at a root's volume.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// When, by the boot-time clock.
    pub looked_at: Duration,
    /// What it showed.
    pub usage: VolumeUsage,
    /// How fast it fills, in bytes a second; `None` while unknown.
    pub rate: Option<f64>,
    /// When it is full.
    pub outlook: Outlook,
}

impl Slot {
    /// Its name.
    pub const fn name(&self) -> &RootName {
        &self.settings.name
    }

    /// Where it stands.
    pub fn state(&self) -> SlotState {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The root, if it is ready.
    pub fn ready(&self) -> Option<Arc<ReadyRoot>> {
        match self.state() {
            SlotState::Ready(root) => Some(root),
            SlotState::Suspended(_) => None,
        }
    }

    /// What its volume showed last.
    pub fn seen(&self) -> Option<Seen> {
        *self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The agent's state.
pub struct Agent {
    /// Settings in force; replaced as a whole by a reload.
    pub settings: RwLock<Arc<Settings>>,
    /// When it started.
    pub started_at: Timestamp,
    /// Jobs, roots, history.
    pub ledger: Arc<Ledger>,
    /// Where the ledger came from.
    pub origin: LedgerOrigin,
    /// Jobs.
    pub registry: Arc<JobRegistry>,
    /// Holds, tracked files, sessions.
    pub references: Arc<References>,
    /// Runs.
    pub engine: Engine,
    /// The index's only writer.
    pub ingest: IngestHandle,
    /// The configured roots, in their order.
    pub slots: RwLock<Vec<Arc<Slot>>>,
    /// Whether removals are stopped.
    pub pause: Pauses,
    /// Sweeps that were asked for: queued, running, ended.
    pub runs: super::runs::Runs,
    /// Plans that are kept.
    pub plans: super::plans::Plans,
    /// Wakes the guard, and tells it of changes.
    pub stir: Arc<Stir>,
    /// Has the roots' presence checked.
    pub presence_bell: Bell,
    /// Wakes the scheduler.
    pub schedule_bell: Bell,
    /// Queue and trash.
    pub desk: super::vault::Desk,
    /// A volume fills so fast that what is due is to go now.
    pub hurried: AtomicBool,
    /// Something may go now that had to stay: emergencies that wait try again.
    pub eased: AtomicBool,
    /// Signs of life of the parts.
    pub heart: Arc<Heart>,
    /// The agent in one line.
    pub status: super::status::Status,
    /// Wakes whoever talks to the service manager.
    pub manager_bell: Bell,
    /// What was last logged of plans that are not carried out, so that each is logged once.
    pub logged_plans: Mutex<HashMap<(RootName, Policy), u64>>,
    /// Ends everything.
    pub stop: StopToken,
    /// How names are read as jobs, by the key of a root: the index asks.
    pub readings: SharedReadings,
    /// Health remarks by root, from the guard (blown fuse, futile runs, unwatched parts).
    pub remarks: Mutex<HashMap<RootName, Vec<String>>>,
}

/// How names are read as jobs, by the key of a root.
pub type SharedReadings = Arc<RwLock<HashMap<RootKey, Readings>>>;

impl Agent {
    /// Tells the index how names of a root are read as jobs.
    pub fn know_readings(&self, key: RootKey, patterns: &Patterns) {
        let patterns = patterns.clone();
        let readings: Readings = Arc::new(move |name, out| patterns.shortest(name, out));
        self.readings.write().unwrap_or_else(PoisonError::into_inner).insert(key, readings);
    }

    /// A job ended: what it kept may go, so that an emergency in vain until now
    /// need not wait out its pause.
    pub fn ease(&self) {
        self.eased.store(true, Ordering::Release);
        self.stir.bell.ring();
        // When its files go by themselves is known now.
        self.schedule_bell.ring();
    }

    /// Has the scheduled sweeps come now.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::Release);
        self.schedule_bell.ring();
    }

    /// Settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls the configured alert hooks from now on.
    pub fn take_hooks(&self) {
        let settings = self.settings();
        self.engine.alerts.hooks().take(&settings.alert_hooks, &settings.agent.socket);
    }

    /// Who filled a root in the last minutes, if that is known.
    pub fn grown(&self, root: &ReadyRoot) -> Option<Grown> {
        self.engine.grown(&root.guarded, root.key)
    }

    /// The configured roots.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One of them.
    pub fn slot(&self, name: &RootName) -> Option<Arc<Slot>> {
        self.slots().into_iter().find(|slot| slot.name() == name)
    }

    /// What runs go over: all ready roots, or the one that is named.
    pub fn targets(&self, only: Option<&RootName>) -> Vec<Target> {
        self.slots()
            .iter()
            .filter(|slot| only.is_none_or(|name| slot.name() == name))
            .filter_map(|slot| {
                let root = slot.ready()?;
                Some(Target { root: Arc::clone(&root.guarded), key: root.key })
            })
            .collect()
    }

    /// Waits a moment for what happened before a request to be in the index: who
    /// asks right after making a file means that file too. A root that is being
    /// scanned is not waited for, nor is one that is being swept: it does not
    /// come to rest until that is over.
    pub fn settle(&self, keys: impl IntoIterator<Item = RootKey>) {
        let began = Instant::now();
        let slots = self.slots();
        let is_swept = |key: RootKey| {
            let its = slots.iter().filter_map(|slot| slot.ready()).find(|root| root.key == Some(key));
            its.is_some_and(|root| self.engine.is_at_work_on(&root.guarded.name))
        };
        for key in keys {
            let scanning =
                self.ingest.status(key).is_none_or(|root| root.state == crate::ingest::RootState::Scanning);
            if !scanning
                && !is_swept(key)
                && let Err(error) = self.ingest.settle(key, began + SETTLE)
            {
                tracing::debug!(reason = %super::chain(&error), "the index is not up to date");
            }
        }
    }

    /// Why a run over `targets` must end after its batch, if it must: what it
    /// removes by are the rules of when it began. To be made before the run begins.
    pub fn watch_over(&self, targets: &[Target]) -> impl Fn() -> Option<String> + Sync + '_ {
        let of = |target: &Target| {
            let is_its =
                |slot: &&Arc<Slot>| slot.ready().is_some_and(|root| Arc::ptr_eq(&root.guarded, &target.root));
            (target.root.name.clone(), self.slots().iter().find(is_its).cloned())
        };
        let began: Vec<_> = targets.iter().map(of).collect();
        move || {
            if self.stop.is_raised() {
                return Some("the agent stops".to_owned());
            }
            let now = self.slots();
            began.iter().find_map(|(name, slot)| {
                // A reload keeps the slots whose settings did not change.
                let Some(slot) = slot.as_ref().filter(|slot| now.iter().any(|one| Arc::ptr_eq(one, slot)))
                else {
                    return Some(format!("stopped: root {name} was configured anew"));
                };
                match slot.state() {
                    SlotState::Suspended(why) if why != BEING_ADOPTED => {
                        Some(format!("stopped: root {name} is suspended: {why}"))
                    }
                    _ => None,
                }
            })
        }
    }

    /// The pause in force at `now`.
    pub fn pause_at(&self, now: Timestamp) -> Option<Pause> {
        self.pause.at(now)
    }
}
