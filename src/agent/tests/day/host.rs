//! The parts of an agent without its threads: each step happens when the day says so.

use super::*;
use crate::agent::engine::{Engine, Target};
use crate::agent::jobs::{JobBook, JobRegistry};
use crate::agent::references::References;
use crate::agent::roots::{Claim, LockedRoot, Opened, Opener, OwnPlaces, open_root};
use crate::agent::state_dir::StateDir;
use crate::agent::vault::Keeper;
use crate::policy::ClockGuard;
use crate::store::audit::AuditLog;
use crate::store::ledger::Ledger;
use crate::sweep::vault::{RootVault, Turn};
use crate::sys::clock;
use crate::usage::{CapacityCounter, by_walking};

/// What lives from one start to the next.
pub(super) struct Host {
    pub(super) ledger: Arc<Ledger>,
    pub(super) registry: JobRegistry,
    pub(super) references: Arc<References>,
    pub(super) engine: Engine,
    pub(super) target: Target,
    _locked: Box<LockedRoot>,
    _state: StateDir,
}

impl Host {
    /// As an agent starts: what is on record is all that is known.
    pub(super) fn start(settings: &Settings, now: Now) -> Self {
        let state = StateDir::open(&settings.agent.state_dir).unwrap();
        let (ledger, origin) = Ledger::open(state.path(), clock::now()).unwrap();
        let ledger = Arc::new(ledger);
        let book = Arc::clone(&ledger) as Arc<dyn JobBook>;
        let registry = JobRegistry::open(book, false, now).unwrap();
        let references = Arc::new(References::open(Arc::clone(&ledger)).unwrap());
        let audit = AuditLog::open(&state.path().join("audit")).unwrap();
        let opener = Opener { book: ledger.as_ref(), origin: &origin, state_dir: state.path(), socket: None };
        let opened = open_root(&settings.roots[0], Claim::Usual, &opener, clock::now()).unwrap();
        let Opened::Ready(locked) = opened else { panic!("the root is not to be had") };
        let own = OwnPlaces {
            state_dir: Some(state.path().to_owned()),
            files: Vec::new(),
            roots: vec![settings.roots[0].path.clone()],
        }
        .collect();
        let visible = by_walking(locked.dir(), &own.known);
        let (book, name) = (Arc::clone(&ledger), settings.roots[0].name.clone());
        let counter: CapacityCounter =
            Arc::new(move || visible().map(|bytes| bytes + book.moved_bytes(&name).unwrap()));
        let mut guarded = locked.guarded(&own, Some(counter), 2).unwrap();
        let private = Arc::clone(locked.private().unwrap());
        guarded.vault = Some(Arc::new(RootVault::new(private, Arc::clone(&ledger), Turn::default())));
        let clock = ClockGuard::at_start(clock::now(), clock::since_boot(), None, true);
        let mut engine = Engine::new(
            Some(Arc::clone(&ledger)),
            Some(Arc::new(audit)),
            Arc::clone(registry.view()),
            Arc::clone(references.view()),
            clock,
        );
        engine.recorded = Some(Arc::clone(&references));
        let target = Target { root: Arc::new(guarded), key: None };
        let host = Self { ledger, registry, references, engine, target, _locked: locked, _state: state };
        let keeper = host.keeper();
        let found = keeper.replay(&host.target).unwrap();
        let waiting: Vec<_> =
            found.waiting.into_iter().map(|id| (host.target.root.name.clone(), id)).collect();
        assert_eq!(keeper.move_in(&waiting, None).unwrap().left, []);
        drop(keeper);
        host
    }

    pub(super) fn keeper(&self) -> Keeper<'_> {
        Keeper { ledger: &self.ledger, engine: &self.engine, targets: vec![self.target.clone()] }
    }
}
