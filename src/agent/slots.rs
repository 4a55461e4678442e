//! Configured roots coming and going: opened, suspended, taken back, closed.

pub mod in_place;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::{RootSettings, Settings, Watch};
use crate::ingest::{RootState::Scanning, RootTask};
use crate::model::{AlertKind, Level, RootName};
use crate::sweep::root::OwnFiles;
use crate::sweep::vault::RootVault;
use crate::sys::clock;
use crate::usage::{CapacityCounter, by_walking_told};
use crate::watch::Kinds;

use super::alerts::{Alert, Subject};
use super::roots::{
    Adoption, Claim, LockedRoot, Opened, Opener, OwnPlaces, Refusal, RootError, RootPresence, open_root,
};
use super::state::{Agent, BEING_ADOPTED, ReadyRoot, Slot, SlotState};
use super::vault::Keeper;

/// How long a look at a root with a capacity may wait for its counters.
const COUNT_PATIENCE: Duration = Duration::from_millis(500);

/// Why a slot is not ready.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// It can't be guarded as configured.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Something outside stands against it.
    #[error("failed to open root {name}: {why}")]
    Refused {
        /// Which.
        name: RootName,
        /// What.
        refusal: Refusal,
        /// In words, with what to do.
        why: String,
    },
    /// Another thread is about to.
    #[error("failed to open root {0}: it is being opened")]
    Opening(RootName),
    /// The index does not follow it.
    #[error("failed to index root {name}")]
    Ingest {
        /// Which.
        name: RootName,
        /// Why.
        #[source]
        source: crate::ingest::IngestError,
    },
}

impl SlotError {
    /// Whether it may pass by itself, without anybody deciding anything.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Root(error) => !error.is_configuration(),
            Self::Refused { .. } => self.is_suspension(),
            Self::Opening(_) => true,
            Self::Ingest { .. } => false,
        }
    }

    /// Whether the root is merely not there, or not as it was.
    pub const fn is_suspension(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::Suspended(_), .. })
    }
}

/// A refusal in words, with what to do.
pub fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Suspended(why) => why.to_string(),
        Refusal::Held(holder) => {
            let pid = holder.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            match &holder.socket {
                Some(socket) => {
                    format!("another agent{pid} guards it: ask that one with --socket {}", socket.display())
                }
                None => format!("another guardian{pid} works on it"),
            }
        }
        Refusal::Claimed(ledger) => {
            format!("it belongs to another ledger ({ledger}); if that one is gone: guardian sweep --adopt")
        }
    }
}

/// A slot that was not opened yet.
pub fn waiting(settings: RootSettings) -> Arc<Slot> {
    Arc::new(Slot {
        settings,
        state: RwLock::new(SlotState::Suspended("not opened yet".to_owned())),
        opening: Mutex::default(),
        seen: RwLock::default(),
    })
}

fn opener(agent: &Agent) -> (PathBuf, PathBuf) {
    let settings = agent.settings();
    (settings.agent.state_dir.clone(), settings.agent.socket.clone())
}

/// Guardian's own files as they are now.
pub fn own_files(agent: &Agent) -> OwnFiles {
    own_files_by(&agent.settings())
}

/// The same, by settings that may not be in force yet.
pub fn own_files_by(settings: &Settings) -> OwnFiles {
    OwnPlaces {
        state_dir: Some(settings.agent.state_dir.clone()),
        files: std::iter::once(settings.agent.socket.clone()).chain(settings.files.iter().cloned()).collect(),
        roots: settings.roots.iter().map(|root| root.path.clone()).collect(),
    }
    .collect()
}

/// Opens a slot, so that it is guarded from now on.
pub fn open(agent: &Agent, slot: &Arc<Slot>, claim: Claim) -> Result<(), SlotError> {
    let Some(_opening) = in_place::held(slot) else {
        return Err(SlotError::Opening(slot.name().clone()));
    };
    if slot.ready().is_some() {
        return Ok(());
    }
    let (state_dir, socket) = opener(agent);
    let by = Opener {
        book: agent.ledger.as_ref(),
        origin: &agent.origin,
        state_dir: &state_dir,
        socket: Some(&socket),
    };
    match open_root(&slot.settings, claim, &by, clock::now())? {
        Opened::Ready(locked) => guard(agent, slot, *locked),
        Opened::Refused(refusal) => {
            let why = in_words(&refusal);
            set(slot, SlotState::Suspended(why.clone()));
            Err(SlotError::Refused { name: slot.name().clone(), refusal, why })
        }
    }
}

fn guard(agent: &Agent, slot: &Arc<Slot>, locked: LockedRoot) -> Result<(), SlotError> {
    let name = slot.name().clone();
    if locked.calls_for_distrust() {
        tracing::error!(
            root = %name,
            "the ledger that knew this root's jobs is lost: files that name jobs are spared; \
             help: register the jobs that run, then `guardian registry trust`"
        );
        if let Err(error) = agent.registry.distrust() {
            tracing::error!(reason = %super::chain(&error), "the loss is not on record; it holds while the agent runs");
        }
    }
    let own = own_files(agent);
    let settings = &slot.settings;
    let counter = settings.capacity.is_some().then(|| counter(agent, &locked, &own));
    let mut guarded = locked.guarded(&own, counter, agent.settings().agent.workers)?;
    guarded.vault = locked.private().map(|private| {
        let (private, ledger) = (Arc::clone(private), Arc::clone(&agent.ledger));
        Arc::new(RootVault::new(private, ledger, agent.desk.turn(&name)))
    });
    let guarded = Arc::new(guarded);
    let keeper = Keeper { ledger: &agent.ledger, engine: &agent.engine, targets: Vec::new() };
    // Before any sweep sees the root.
    if let Err(error) = keeper.guard(&guarded) {
        tracing::error!(root = %name, reason = %error.detail, "files in queue or trash that lie in their place are kept only once ledger and private directory were compared");
    }
    if let Some(key) = locked.key() {
        agent.know_readings(key, &guarded.rules.patterns);
        let watch = settings.watch != Watch::None && !locked.is_network();
        let task = RootTask {
            key,
            name: name.clone(),
            dir: Arc::clone(locked.dir()),
            exclusions: Arc::clone(&own.known),
            watch,
            // A time set by hand (`touch -d`, unpacking) is only seen as a change of attributes.
            kinds: Kinds { writes: settings.capacity.is_some(), attributes: true },
            marks: settings.xattr_expiry && crate::sys::xattr::may_be_marked(locked.dir().handle()),
            age_by: settings.age_by,
            fingerprint: locked.fingerprint(),
        };
        agent.ingest.add_root(task).map_err(|source| SlotError::Ingest { name: name.clone(), source })?;
    }
    tracing::info!(
        root = %name, path = %settings.path.display(), open_check = guarded.open_check.as_str(),
        new_until = locked.new_until().map(|until| until.to_string()), "guarding"
    );
    let (key, is_network) = (locked.key(), locked.is_network());
    let ready = ReadyRoot { locked: Arc::new(Mutex::new(locked)), guarded, is_network, key };
    set(slot, SlotState::Ready(Arc::new(ready)));
    // What was left of queue and trash is looked through.
    agent.desk.mover.ring();
    Ok(())
}

/// Counts by the index; by a walk where that can't be had, because there is no
/// room for it or it is damaged: such a root must be cleaned all the same.
fn counter(agent: &Agent, locked: &LockedRoot, own: &OwnFiles) -> CapacityCounter {
    let (ledger, name) = (Arc::clone(&agent.ledger), locked.settings().name.clone());
    // What lies in the private directory is in no index, and full of the same bytes.
    let kept = move || ledger.moved_bytes(&name).unwrap_or(0);
    let visible = visible(agent, locked, own);
    Arc::new(move || visible().map(|bytes| bytes.saturating_add(kept())))
}

fn visible(agent: &Agent, locked: &LockedRoot, own: &OwnFiles) -> CapacityCounter {
    let heart = Arc::clone(&agent.heart);
    let walk = by_walking_told(locked.dir(), &own.known, move || heart.sampling.helped());
    let Some(key) = locked.key() else { return walk };
    let ingest = agent.ingest.clone();
    Arc::new(move || match ingest.allocated_now(key, Instant::now() + COUNT_PATIENCE) {
        Ok(bytes) => Some(bytes),
        // A scan under way comes to its count by itself.
        Err(_) if ingest.status(key).is_some_and(|root| root.state == Scanning && root.trouble.is_none()) => {
            None
        }
        Err(_) => walk(),
    })
}

fn set(slot: &Slot, state: SlotState) {
    *slot.state.write().unwrap_or_else(PoisonError::into_inner) = state;
}

/// Has a slot whose root another one has taken over let go of it: whoever still
/// has the slot must not keep the root's lock.
pub fn give_up(slot: &Slot) {
    set(slot, SlotState::Suspended("configured anew".to_owned()));
}

/// Leaves a root alone from now on. A run that is under way ends after its batch
/// ([`Agent::watch_over`]).
pub fn suspend(agent: &Agent, slot: &Slot, why: String) {
    // Whoever takes other settings in place meanwhile either sees that the root
    // is suspended, or is seen to have it.
    let _held = slot.opening.lock().unwrap_or_else(PoisonError::into_inner);
    // Where other settings were taken in place, another slot has the root.
    let is_anothers = |key| {
        let has = |other: &Arc<Slot>| other.ready().is_some_and(|root| root.key == Some(key));
        agent.slots().iter().any(|other| !std::ptr::eq(Arc::as_ptr(other), slot) && has(other))
    };
    if let Some(root) = slot.ready()
        && let Some(key) = root.key
        && !is_anothers(key)
        && let Err(error) = agent.ingest.remove_root(key)
    {
        tracing::warn!(root = %slot.name(), reason = %super::chain(&error), "failed to stop indexing");
    }
    set(slot, SlotState::Suspended(why));
    *slot.seen.write().unwrap_or_else(PoisonError::into_inner) = None;
}

fn is_configured(agent: &Agent, slot: &Arc<Slot>) -> bool {
    agent.slots().iter().any(|one| Arc::ptr_eq(one, slot))
}

/// One tick of a slot: suspended when its root is not where it was, taken back
/// when it is, adopted when there is room.
pub fn check(agent: &Agent, slot: &Arc<Slot>) {
    let Some(root) = slot.ready() else {
        // Taken back alone; what needs a person stays as it is.
        if is_configured(agent, slot) && open(agent, slot, Claim::Usual).is_ok() {
            tracing::debug!(root = %slot.name(), "the root is back");
            // Taken out of the configuration while it was opened.
            if !is_configured(agent, slot) {
                suspend(agent, slot, "no longer configured".to_owned());
            }
        }
        return;
    };
    let mut locked = root.locked.lock().unwrap_or_else(PoisonError::into_inner);
    let gone = match locked.still_there() {
        RootPresence::Ready => {
            agent.engine.alerts.end(&Subject::of(AlertKind::PrivateDirectory, Some(slot.name())));
            None
        }
        RootPresence::PrivateLost(why) => {
            let note = format!("the private directory is not usable: {why}");
            let mut remarks = agent.remarks.lock().unwrap_or_else(PoisonError::into_inner);
            let known = remarks.entry(slot.name().clone()).or_default();
            if !known.contains(&note) {
                known.push(note.clone());
            }
            let subject = Subject::of(AlertKind::PrivateDirectory, Some(slot.name()));
            agent.engine.alerts.raise(&Alert::new(subject, Level::Critical, note), clock::since_boot());
            None
        }
        RootPresence::Suspended(why) => Some(why.to_string()),
        RootPresence::Vanished => Some("its directory is gone".to_owned()),
    };
    let adopted = gone.is_none() && locked.awaits_adoption() && adopt(agent, slot, &mut locked);
    drop(locked);
    if adopted {
        drop(root);
        reopen(agent, slot);
        return;
    }
    if let Some(why) = gone {
        suspend(agent, slot, why);
    }
}

/// Whether the root is to be opened anew: adopted now, or somebody else's.
fn adopt(agent: &Agent, slot: &Arc<Slot>, locked: &mut LockedRoot) -> bool {
    let (state_dir, socket) = opener(agent);
    let by = Opener {
        book: agent.ledger.as_ref(),
        origin: &agent.origin,
        state_dir: &state_dir,
        socket: Some(&socket),
    };
    match locked.try_adopt_later(&by, clock::now()) {
        Ok(Adoption::Waits) => false,
        Ok(Adoption::Complete | Adoption::Overtaken) => {
            suspend(agent, slot, BEING_ADOPTED.to_owned());
            true
        }
        Err(error) => {
            tracing::debug!(root = %slot.name(), reason = %super::chain(&error), "not adopted yet");
            false
        }
    }
}

/// Opens a root again that was guarded until now. Its lock comes free when the
/// guard has let go of it: asked again for a moment, then on the next check.
fn reopen(agent: &Agent, slot: &Arc<Slot>) {
    // A run that goes on meanwhile needs to see that this is the same root.
    let waits = || set(slot, SlotState::Suspended(BEING_ADOPTED.to_owned()));
    // What stands against it is in the slot.
    let _ = open_after(agent, slot, waits);
}

/// Opens a root whose lock the guard may still have for a moment.
pub fn open_after(agent: &Agent, slot: &Arc<Slot>, waits: impl Fn()) -> Result<(), SlotError> {
    agent.stir.bell.ring();
    let mut tries = 0;
    loop {
        tries += 1;
        match open(agent, slot, Claim::Usual) {
            Err(SlotError::Refused { refusal: Refusal::Held(_), .. } | SlotError::Opening(_))
                if tries < 50 && !agent.stop.is_raised() =>
            {
                if slot.ready().is_none() {
                    waits();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // Whoever does so takes it, or says why not.
            Err(SlotError::Opening(_)) => return Ok(()),
            done => return done,
        }
    }
}
