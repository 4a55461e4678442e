//! The thread that owns all roots.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use crate::store::RootKey;
use crate::store::index;
use crate::sys::clock;

use super::IngestError;
use super::handle::{Asked, Command, Statuses, lock};
use super::hints::Heard;
use super::root::{Root, World};
use super::scan::{self, Scan, ScanError, Scanned};

/// Pause between two rounds while changes keep coming: what is heard together
/// is looked at and written together.
const PACE: Duration = Duration::from_millis(20);
/// How long directories are listed before hints are looked at again.
const LISTING_SLICE: Duration = Duration::from_millis(25);
/// Pause before a scan that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

pub(super) use crate::model::with_causes as chain;

/// The owner of all roots.
pub(super) struct Worker {
    world: World,
    roots: Vec<Root>,
    scans: HashMap<RootKey, (u64, Scan)>,
    asked: Vec<Asked>,
    /// Scans that failed, and when to try again.
    retries: Vec<(RootKey, Instant)>,
    receiver: Receiver<Command>,
    commands: Sender<Command>,
    statuses: Statuses,
    stop: Arc<AtomicBool>,
    losses: u64,
    flush_at: Option<Instant>,
    /// Why what was written would not survive a power cut.
    flush_trouble: Option<String>,
    scan_number: u64,
}

impl Worker {
    pub(super) fn new(
        world: World,
        receiver: Receiver<Command>,
        commands: Sender<Command>,
        statuses: Statuses,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let losses = world.index.losses();
        Self {
            world,
            roots: Vec::new(),
            scans: HashMap::new(),
            asked: Vec::new(),
            retries: Vec::new(),
            receiver,
            commands,
            statuses,
            stop,
            losses,
            flush_at: None,
            flush_trouble: None,
            scan_number: 0,
        }
    }

    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let commanded = self.obey();
            self.check_losses();
            let started = Instant::now();
            let heard = self.round();
            let next = self.tick();
            self.publish();
            self.answer();
            let busy = heard || self.roots.iter().any(|root| !root.scanning && root.has_work());
            self.pause(busy || commanded, started, next);
        }
        self.finish();
    }

    /// One round: what was heard is looked at, what waits is listed, and all is written.
    fn round(&mut self) -> bool {
        // A directory that was renamed away is given up only when everything
        // that the kernel had to say meanwhile was heard.
        if !self.asked.is_empty() || self.roots.iter().any(|root| !root.limbo.is_empty()) {
            self.world.watcher.drain();
        }
        let batch = self.world.watcher.take();
        let heard = !batch.is_empty();
        Root::distribute(&mut self.roots, batch);
        for asked in self.asked.iter_mut().filter(|asked| asked.measure) {
            asked.measure = false;
            if let Some(root) = self.roots.iter_mut().find(|root| root.key() == asked.root) {
                root.look_at_open();
            }
        }
        let until = Instant::now() + LISTING_SLICE;
        let generation = self.roots.iter().map(|root| root.written).sum::<u64>();
        for root in self.roots.iter_mut().filter(|root| !root.scanning) {
            root.look_at_hints(&self.world);
            root.end_limbo(&self.world.watcher);
            if root.commit(&self.world, false) {
                root.follow_links(&self.world);
            }
            root.list_waiting(&self.world, until);
            root.hunt_links(&self.world);
            if root.commit(&self.world, false) && root.reconciling && root.background.is_empty() {
                root.reconciled(clock::now());
                root.marks_are_read(&self.world);
            }
        }
        if self.roots.iter().map(|root| root.written).sum::<u64>() != generation {
            self.flush_at.get_or_insert(Instant::now() + self.world.settings.flush_interval);
        }
        heard
    }

    fn pause(&mut self, busy: bool, started: Instant, next: Option<Instant>) {
        let now = Instant::now();
        if let Some(deadline) = self.asked.iter().map(|asked| asked.deadline).min() {
            // Somebody waits. Without progress (a scan, an index that is away) there is no hurry.
            let pause = if busy { Duration::ZERO } else { Duration::from_millis(2) };
            std::thread::park_timeout(pause.min(deadline.saturating_duration_since(now)));
            return;
        }
        let working = self.roots.iter().any(|root| !root.background.is_empty());
        if busy || working {
            // Work in the background takes at most half the time.
            let spent = now.saturating_duration_since(started);
            let pause = if busy { PACE.saturating_sub(spent) } else { PACE.max(spent) };
            std::thread::park_timeout(pause);
            return;
        }
        match next {
            Some(next) => std::thread::park_timeout(next.saturating_duration_since(now)),
            None => std::thread::park(),
        }
    }

    fn tick(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due: Vec<RootKey> =
            self.retries.iter().filter(|(_, at)| *at <= now).map(|(root, _)| *root).collect();
        self.retries.retain(|(_, at)| *at > now);
        for root in due {
            self.begin(root);
        }
        let settings = self.world.settings;
        let mut next: Vec<Instant> =
            self.roots.iter_mut().filter_map(|root| root.tick(now, &settings)).collect();
        next.extend(self.retries.iter().map(|(_, at)| *at));
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            self.flush_trouble = self.world.index.flush().err().map(|error| chain(&error));
            if let Some(error) = &self.flush_trouble {
                tracing::debug!(error, "the index was not made durable");
                self.flush_at = Some(now + settings.flush_interval);
            }
        }
        next.extend(self.flush_at);
        next.into_iter().min()
    }

    /// After the database was given up and opened again, the last changes may be missing from it.
    fn check_losses(&mut self) {
        let losses = self.world.index.losses();
        if losses != self.losses {
            self.losses = losses;
            let keys: Vec<RootKey> = self.roots.iter().filter(|root| !root.scanning).map(Root::key).collect();
            for key in keys {
                self.begin(key);
            }
        }
    }

    fn obey(&mut self) -> bool {
        let mut any = false;
        loop {
            match self.receiver.try_recv() {
                Ok(command) => self.obey_one(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return any,
            }
            any = true;
        }
    }

    fn obey_one(&mut self, command: Command) {
        match command {
            Command::AddRoot(task) => {
                let key = task.key;
                self.remove(key);
                lock(&self.world.growths).begin(key, clock::since_boot());
                self.roots.push(Root::new(*task, Instant::now(), &self.world.settings));
                self.begin(key);
            }
            Command::RemoveRoot(key) => {
                self.remove(key);
                lock(&self.world.growths).forget(key);
                lock(&self.statuses).remove(&key);
            }
            Command::Exclude(key, own) => {
                if let Some(root) = self.root(key) {
                    root.task.exclusions = own;
                }
            }
            Command::Look(key, names) => {
                if let Some(root) = self.root(key) {
                    for (dir, name) in names {
                        root.hints.add(dir, name, Heard::default());
                    }
                }
            }
            Command::Rescan(key) => {
                if let Some(root) = self.root(key).filter(|root| !root.scanning) {
                    root.reconcile();
                }
            }
            Command::Settle(asked) => self.asked.push(asked),
            Command::Scanned(key, number, result) => self.scanned(key, number, result),
        }
    }

    fn root(&mut self, key: RootKey) -> Option<&mut Root> {
        self.roots.iter_mut().find(|root| root.key() == key)
    }

    /// Serves the rows of an earlier run, or builds new ones.
    fn begin(&mut self, key: RootKey) {
        let Some(root) = self.roots.iter_mut().find(|root| root.key() == key) else { return };
        let known = match self.world.index.snapshot().and_then(|snapshot| snapshot.root(key)) {
            Ok(known) => known,
            Err(error) => {
                root.set_trouble(Some(chain(&error)));
                None
            }
        };
        let usable = known.as_ref().is_some_and(|known| {
            known.fingerprint == root.task.fingerprint && known.state == index::RootState::Complete
        });
        if usable {
            // What the rows hold was not looked at yet.
            root.has_links = true;
            root.marks_read = known.is_some_and(|known| known.marks_read);
            root.reconcile();
        } else {
            self.scan(key);
        }
    }

    fn scan(&mut self, key: RootKey) {
        self.scan_number += 1;
        let number = self.scan_number;
        let Some(root) = self.roots.iter_mut().find(|root| root.key() == key) else { return };
        root.begin_scan();
        let (commands, thread) = (self.commands.clone(), std::thread::current());
        let done = move |result| {
            // Nobody listens any more: then nobody needs it.
            let _ = commands.send(Command::Scanned(key, number, result));
            thread.unpark();
        };
        match scan::start(&root.task, &self.world.watcher, &self.world.index, self.world.settings, done) {
            Ok(scan) => {
                self.scans.insert(key, (number, scan));
            }
            Err(error) => {
                root.set_trouble(Some(chain(&error)));
                self.retries.push((key, Instant::now() + RETRY));
            }
        }
    }

    fn scanned(&mut self, key: RootKey, number: u64, result: Result<Scanned, ScanError>) {
        if self.scans.get(&key).is_none_or(|(running, _)| *running != number) {
            return;
        }
        self.scans.remove(&key);
        let Some(root) = self.roots.iter_mut().find(|root| root.key() == key) else { return };
        match result {
            Ok(scanned) if !scanned.end.stopped => {
                let (directories, entries) = (scanned.end.directories, scanned.end.entries);
                tracing::info!(root = %root.task.name, directories, entries, "scanned");
                root.set_trouble(None);
                root.has_links |= scanned.has_links;
                root.scanned(scanned.dirs, scanned.limit, clock::now());
                root.marks_read = false;
                if root.task.marks {
                    root.reconcile();
                }
            }
            Ok(_) => {}
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(root = %root.task.name, error, "the scan failed and will be tried again");
                root.set_trouble(Some(error));
                self.retries.push((key, Instant::now() + RETRY));
            }
        }
    }

    fn remove(&mut self, key: RootKey) {
        if let Some((_, scan)) = self.scans.remove(&key) {
            scan.stop.store(true, Ordering::Relaxed);
            // A scan looks at its flag before each directory.
            let _ = scan.thread.join();
        }
        self.roots.retain(|root| root.key() != key);
        self.retries.retain(|(root, _)| *root != key);
        self.world.watcher.remove_root(u32::from(key.0));
    }

    /// Answers whoever waits for a root that has come to rest.
    fn answer(&mut self) {
        let (roots, index) = (&self.roots, &self.world.index);
        self.asked.retain(|asked| {
            let answer = match roots.iter().find(|root| root.key() == asked.root) {
                None => Err(IngestError::UnknownRoot(asked.root)),
                Some(root) if root.is_settled() => index
                    .snapshot()
                    .and_then(|snapshot| snapshot.counters(asked.root))
                    .map(|counters| counters.allocated_bytes)
                    .map_err(IngestError::Index),
                Some(_) => return Instant::now() < asked.deadline,
            };
            // Whoever gave up waiting does not hear it.
            let _ = asked.reply.try_send(answer);
            false
        });
    }

    fn publish(&mut self) {
        let snapshot = self.world.index.snapshot();
        let mut statuses = lock(&self.statuses);
        for root in &self.roots {
            let key = root.key();
            let entries = snapshot.as_ref().ok().and_then(|snapshot| snapshot.counters(key).ok());
            let mut status = root.status(entries.map(|counters| counters.files), statuses.get(&key));
            if status.trouble.is_none() {
                status.trouble.clone_from(&self.flush_trouble);
            }
            statuses.insert(key, status);
        }
    }

    fn finish(mut self) {
        for (_, (_, scan)) in self.scans.drain() {
            scan.stop.store(true, Ordering::Relaxed);
            let _ = scan.thread.join();
        }
        for root in &mut self.roots {
            root.commit(&self.world, false);
        }
        if let Err(error) = self.world.index.checkpoint() {
            tracing::warn!(error = chain(&error), "the index was not made durable at the end");
        }
    }
}
