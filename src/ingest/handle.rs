//! How the rest of the agent speaks to ingest.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Instant;

use crate::store::RootKey;
use crate::store::index::Index;
use crate::sys::clock;
use crate::watch::Watcher;

use super::growth::{Growths, RecentGrowth};
use super::root::World;
use super::scan::{ScanError, Scanned};
use super::status::RootStatus;
use super::worker::Worker;
use super::{IngestError, RootTask, Settings};

/// What the thread is told.
pub(super) enum Command {
    AddRoot(Box<RootTask>),
    RemoveRoot(RootKey),
    Exclude(RootKey, Arc<HashSet<(u64, u64)>>),
    Look(RootKey, Vec<(u64, Box<[u8]>)>),
    Rescan(RootKey),
    Settle(Asked),
    Scanned(RootKey, u64, Result<Scanned, ScanError>),
}

/// What it last said of each root.
pub(super) type Statuses = Arc<Mutex<HashMap<RootKey, RootStatus>>>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody who waits until a root has come to rest.
pub(super) struct Asked {
    pub(super) root: RootKey,
    pub(super) measure: bool,
    pub(super) deadline: Instant,
    pub(super) reply: SyncSender<Result<u64, IngestError>>,
}

/// How others speak to ingest. Cheap to clone; every call may come from any thread.
#[derive(Clone)]
pub struct IngestHandle {
    commands: Sender<Command>,
    thread: Thread,
    statuses: Statuses,
    growths: Arc<Mutex<Growths>>,
}

impl IngestHandle {
    fn send(&self, command: Command) -> Result<(), IngestError> {
        self.commands.send(command).map_err(|_| IngestError::Stopped)?;
        self.thread.unpark();
        Ok(())
    }

    /// Begins to index a root: with usable rows from an earlier run it is ready
    /// at once and compared in the background, otherwise it is scanned first.
    pub fn add_root(&self, task: RootTask) -> Result<(), IngestError> {
        lock(&self.statuses).insert(task.key, RootStatus::default());
        self.send(Command::AddRoot(Box::new(task)))
    }

    /// Stops indexing a root. Its rows stay in the index.
    pub fn remove_root(&self, root: RootKey) -> Result<(), IngestError> {
        self.send(Command::RemoveRoot(root))
    }

    /// Replaces the set of guardian's own files; what is in the index of them
    /// goes with the next comparison.
    pub fn exclude(&self, root: RootKey, own: Arc<HashSet<(u64, u64)>>) -> Result<(), IngestError> {
        self.send(Command::Exclude(root, own))
    }

    /// Has names looked at, each as (inode of its directory, name): what the
    /// sweep removed, or found changed. The index follows without waiting for events.
    pub fn look_at(&self, root: RootKey, names: Vec<(u64, Box<[u8]>)>) -> Result<(), IngestError> {
        self.send(Command::Look(root, names))
    }

    /// Has the whole root compared with the disk.
    pub fn request_rescan(&self, root: RootKey) -> Result<(), IngestError> {
        self.send(Command::Rescan(root))
    }

    /// Waits until every change made before the call is in the index.
    ///
    /// # Errors
    /// [`IngestError::TimedOut`] at `deadline`, also when a scan goes on or the
    /// index does not take changes.
    pub fn settle(&self, root: RootKey, deadline: Instant) -> Result<(), IngestError> {
        self.ask(root, false, deadline).map(drop)
    }

    /// Allocated bytes of all files of the root, each inode once, with the files
    /// that are open for writing measured now. The truth for `capacity` roots.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn allocated_now(&self, root: RootKey, deadline: Instant) -> Result<u64, IngestError> {
        self.ask(root, true, deadline)
    }

    fn ask(&self, root: RootKey, measure: bool, deadline: Instant) -> Result<u64, IngestError> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Settle(Asked { root, measure, deadline, reply }))?;
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(IngestError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(IngestError::Stopped),
        }
    }

    /// How indexing a root goes.
    pub fn status(&self, root: RootKey) -> Option<RootStatus> {
        lock(&self.statuses).get(&root).cloned()
    }

    /// What came to a root in the last minutes; `None` while its changes are
    /// not followed.
    pub fn recent_growth(&self, root: RootKey) -> Option<RecentGrowth> {
        lock(&self.growths).recent(root, clock::since_boot())
    }
}

/// The running ingest.
pub struct Ingest {
    handle: IngestHandle,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Ingest {
    /// Starts it, with no roots. Raising `stop` ends it soon after
    /// ([`Self::join`] wakes it to notice).
    pub fn start(index: Index, settings: Settings, stop: Arc<AtomicBool>) -> Result<Self, IngestError> {
        Self::start_telling(index, settings, stop, || {})
    }

    /// The same; `stirred` is called whenever something changes beneath a root.
    /// It must not wait: it is called where the kernel's events are taken in.
    pub fn start_telling(
        index: Index,
        settings: Settings,
        stop: Arc<AtomicBool>,
        stirred: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, IngestError> {
        let (commands, receiver) = channel();
        let statuses = Statuses::default();
        let growths = Arc::<Mutex<Growths>>::default();
        let (own_commands, own_statuses, own_stop) =
            (commands.clone(), Arc::clone(&statuses), Arc::clone(&stop));
        let own_growths = Arc::clone(&growths);
        let name = "guardian-ingest";
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let me = std::thread::current();
                let tell = move || {
                    stirred();
                    me.unpark();
                };
                let watcher = Arc::new(Watcher::start(settings.watch, tell));
                let world = World { watcher, index, settings, growths: own_growths };
                Worker::new(world, receiver, own_commands, own_statuses, own_stop).run();
            })
            .map_err(|source| IngestError::Thread { name, source })?;
        let handle = IngestHandle { commands, thread: thread.thread().clone(), statuses, growths };
        Ok(Self { handle, stop, thread })
    }

    /// A handle to it.
    pub fn handle(&self) -> IngestHandle {
        self.handle.clone()
    }

    /// Whether its thread has ended, by itself or because it was told to.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it: what waits is written, the index is made durable and quick to
    /// open. `false` if its thread had panicked.
    pub fn join(self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().is_ok()
    }
}
