//! The pipeline on real files: what goes, what stays, in which order, and
//! what is on record.

mod emergencies;
mod fixed_sets;
mod given_up;
pub(crate) mod guarded;
mod moved;
mod plans;
mod told;
mod trees;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use crate::model::{Action, Covers, JobId, JobState, Policy, Report, RootName, RunId, Timestamp, Trigger};
use crate::policy::{JobFacts, JobsView, Moment, ReferenceView, Target};
use crate::sys::RootDir;
use crate::usage::Probe;

use super::carry_out::carry_out;
use super::record::RunHead;
use super::root::GuardedRoot;
use super::run::{IntendedBatch, Orders, RunRoot, Shared, Surroundings, phases_of, plan};
use super::walked::Walked;
use guarded::guarded;

pub(super) const HOUR: u64 = 3600;

/// A root of real files in a temporary directory, and the jobs that are registered.
pub(super) struct World {
    dir: tempfile::TempDir,
    pub(super) jobs: RwLock<JobsView>,
    pub(super) references: RwLock<ReferenceView>,
    pub(super) root: GuardedRoot,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_capacity(None)
    }

    /// `capacity`: the root counts as a volume of that size.
    pub(super) fn with_capacity(capacity: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let handle = Arc::new(RootDir::open(dir.path()).unwrap());
        let probe = match capacity {
            None => Probe::Volume(Arc::clone(&handle)),
            Some(size) => {
                let path = dir.path().to_owned();
                Probe::Capacity {
                    root: Arc::clone(&handle),
                    size,
                    counter: Arc::new(move || Some(allocated_below(&path))),
                }
            }
        };
        let jobs =
            RwLock::new(JobsView { jobs: Default::default(), began_at: Timestamp::EPOCH, known: true });
        Self { dir, jobs, references: RwLock::default(), root: guarded("scratch", &handle, probe) }
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A file of `bytes` whose content is `age` seconds old.
    pub(super) fn file(&self, relative: &str, bytes: usize, age: u64) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        self.age(&path, age);
        path
    }

    pub(super) fn age(&self, path: &Path, age: u64) {
        let then = SystemTime::now() - Duration::from_secs(age);
        fs::File::options().read(true).open(path).unwrap().set_modified(then).unwrap();
    }

    /// Registers a job that ended (or not) `ended` seconds ago.
    pub(super) fn job(&self, id: &str, state: JobState, ended: u64) {
        let then = crate::sys::clock::now().minus(Duration::from_secs(ended));
        let facts = JobFacts {
            state,
            presumed: false,
            covers: Covers::AnyOwner,
            root: None,
            ended_at: (!state.is_alive()).then_some(then),
            last_sign_of_life: then,
            completed: Vec::new(),
        };
        self.jobs.write().unwrap().jobs.insert(JobId::parse(id).unwrap(), facts);
    }

    fn run_root(&self, emergency: bool) -> RunRoot<'_> {
        let now = crate::sys::clock::now();
        let moment = if emergency { Moment::emergency(now) } else { Moment::ordinary(now) };
        RunRoot {
            root: &self.root,
            nominator: Box::new(Walked::walk(&self.root).unwrap()),
            moment,
            past_its_mark: true,
        }
    }

    pub(super) fn orders(&self, policy: Policy) -> Orders {
        let target = if policy == Policy::Emergency {
            Target { percent: Some(self.root.marks.low), ..Target::none(crate::model::Resource::Bytes) }
        } else {
            Target::none(crate::model::Resource::Bytes)
        };
        Orders {
            head: RunHead {
                volume_run: RunId::new("volume"),
                policy,
                trigger: Trigger::Manual,
                requested_by: None,
                started: crate::sys::clock::now(),
            },
            phases: phases_of(policy).to_vec(),
            target,
            max_files: None,
            at_most: Default::default(),
            batch: None,
            list: true,
            max_attempts: None,
        }
    }

    /// What a dry run says would go, as absolute paths in order.
    pub(super) fn planned(&self, orders: &Orders) -> Vec<PathBuf> {
        let roots = [self.run_root(orders.is_emergency())];
        let usage = self.root.probe.look().unwrap();
        let shared = Shared { jobs: &self.jobs, references: &self.references };
        let plans = plan(orders, &roots, shared, Some(&usage), &mut Vec::new()).unwrap();
        plans[0].actions.iter().map(|action| action.path.under(self.dir.path())).collect()
    }

    /// Carries a run out.
    pub(super) fn run(&self, orders: &Orders) -> (Report, Observer) {
        let observer = Observer::default();
        let report = self.run_with(orders, &observer);
        (report, observer)
    }

    pub(super) fn run_with(&self, orders: &Orders, observer: &Observer) -> Report {
        let roots = [self.run_root(orders.is_emergency())];
        let shared = Shared { jobs: &self.jobs, references: &self.references };
        carry_out(orders, &roots, shared, observer).remove(0)
    }

    /// Paths of all files that are there now.
    pub(super) fn files(&self) -> HashSet<PathBuf> {
        walkdir::WalkDir::new(self.dir.path())
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(walkdir::DirEntry::into_path)
            .collect()
    }
}

fn allocated_below(path: &Path) -> u64 {
    let mut seen = HashSet::new();
    walkdir::WalkDir::new(path)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| seen.insert(meta.ino()))
        .map(|meta| meta.blocks() * 512)
        .sum()
}

/// Sees everything that a run tells the world, and can interfere before each batch.
#[derive(Default)]
pub(super) struct Observer {
    pub(super) intended: Mutex<Vec<(super::super::model::Phase, Vec<PathBuf>)>>,
    /// Paths that were there when they were put on record.
    on_record: Mutex<HashSet<PathBuf>>,
    pub(super) cancel_after: Mutex<Option<usize>>,
    pub(super) before_removal: Mutex<Option<Box<dyn FnMut() + Send>>>,
    ids: AtomicU64,
}

impl Surroundings for Observer {
    fn now(&self) -> Timestamp {
        crate::sys::clock::now()
    }

    fn elapsed(&self) -> Duration {
        crate::sys::clock::since_boot()
    }

    fn new_run_id(&self) -> RunId {
        RunId::new(format!("run-{}", self.ids.fetch_add(1, Ordering::Relaxed)))
    }

    fn intend(&self, batch: &IntendedBatch<'_>) -> Option<u64> {
        let paths: Vec<PathBuf> = batch.actions.iter().map(|a| a.path.under(batch.root.path())).collect();
        let there = paths.iter().filter(|path| path.symlink_metadata().is_ok()).cloned();
        self.on_record.lock().unwrap().extend(there);
        self.intended.lock().unwrap().push((batch.phase, paths));
        if let Some(interfere) = self.before_removal.lock().unwrap().as_mut() {
            interfere();
        }
        None
    }

    fn carried_out(&self, _: Option<u64>, _: &[(usize, String)]) {}

    fn removed(&self, _: &RootName, actions: &[&Action]) {
        let on_record = self.on_record.lock().unwrap();
        // What lay in the private directory was not at its path.
        for action in actions.iter().filter(|action| action.reason.kept().is_none_or(|(_, moved)| !moved)) {
            let recorded = on_record.iter().any(|path| path.ends_with(action.path.under(Path::new(""))));
            assert!(recorded, "on record before it went: {:?}", action.path);
        }
    }

    fn found_different(&self, _: &RootName, _: &[&Action]) {}

    fn progress(&self, _: u64, _: u64) {}

    fn stop(&self) -> Option<String> {
        let after = (*self.cancel_after.lock().unwrap())?;
        (self.intended.lock().unwrap().len() >= after).then(|| "cancelled".to_owned())
    }
}
