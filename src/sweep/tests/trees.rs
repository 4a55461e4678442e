//! Directories of jobs that go all or not at all.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::{HOUR, Observer, World};
use crate::model::{Covers, HoldId, HoldRecord, JobState, Policy, Recorded, RelPath, Report};
use crate::store::ledger::Ledger;
use crate::sweep::execute::{Step, seam};
use crate::sweep::named::look;
use crate::sweep::run::Orders;
use crate::sweep::vault::replay::replay;
use crate::sweep::vault::{RootVault, Turn};
use crate::sys::clock;
use crate::sys::private_dir::PrivateDir;

/// A world where directories are the unit, on one thread; `private`: with a private directory.
struct Trees {
    world: World,
    ledger: Arc<Ledger>,
    _state: tempfile::TempDir,
}

impl Trees {
    fn new(private: bool) -> Self {
        Self::on(World::new(), private)
    }

    fn on(mut world: World, private: bool) -> Self {
        let (state, now) = (tempfile::tempdir().unwrap(), clock::now());
        let ledger = Arc::new(Ledger::open(state.path(), now).unwrap().0);
        (world.root.rules.whole_trees, world.root.workers) = (true, 1);
        let mut trees = Self { world, ledger, _state: state };
        if private {
            trees.take_private();
        }
        trees
    }

    /// As a process begins: the private directory and the ledger are brought to one account.
    fn take_private(&mut self) {
        let private = Arc::new(PrivateDir::open_or_create(&self.world.root.dir).unwrap());
        let vault = RootVault::new(private, Arc::clone(&self.ledger), Turn::default());
        replay(&self.world.root, &vault, &self.ledger, clock::now()).unwrap();
        self.world.root.vault = Some(Arc::new(vault));
    }

    /// A failed job with three files in two directories.
    fn failed(&self, id: &str, age: u64) -> Vec<PathBuf> {
        self.world.job(id, JobState::Failed, age);
        ["a", "b", "sub/c"].map(|name| self.world.file(&format!("job_{id}/{name}"), 5000, age)).to_vec()
    }

    fn run(&self, policy: Policy) -> Report {
        self.world.run(&self.world.orders(policy)).0
    }

    /// What lies in the queue's directory.
    fn queued(&self) -> Vec<PathBuf> {
        let dir = self.world.path(".guardian/queue");
        fs::read_dir(dir).map_or_else(|_| Vec::new(), |all| all.map(|one| one.unwrap().path()).collect())
    }

    fn hold(&self, path: &str) {
        let path = RelPath::from_bytes(path.as_bytes()).unwrap();
        self.world.references.write().unwrap().put_hold(&HoldRecord {
            id: HoldId::new("1"),
            root: self.world.root.name.clone(),
            recorded: Recorded::of(&look(self.world.root.dir.handle(), &path).unwrap()),
            path,
            until: None,
            reason: None,
            uid: 0,
            covers: Covers::AnyOwner,
            created_at: clock::now(),
        });
    }
}

#[test]
fn a_failed_jobs_tree_goes_whole_and_is_one_removal_on_record() {
    for private in [true, false] {
        let trees = Trees::new(private);
        trees.failed("1", 2 * HOUR);
        let alone = trees.world.file("job_1_alone", 10, 2 * HOUR);
        let other = trees.world.file("other", 10, 0);
        let planned = trees.world.planned(&trees.world.orders(Policy::FailedJobs));
        assert_eq!(HashSet::from_iter(planned), HashSet::from([trees.world.path("job_1"), alone]));
        let (report, observer) = trees.world.run(&trees.world.orders(Policy::FailedJobs));
        assert_eq!((report.files_deleted, report.errors_total), (4, 0), "{report:?}");
        assert_eq!(observer.intended.lock().unwrap()[0].1.len(), 2);
        assert!(!trees.world.path("job_1").exists());
        assert_eq!(trees.world.files(), HashSet::from([other]));
        assert!(trees.queued().is_empty(), "{:?}", trees.queued());
    }
}

#[test]
fn one_file_that_must_stay_keeps_the_whole_tree_in_plan_and_run() {
    type Case = (&'static str, Box<dyn Fn(&Trees) -> Option<File>>, &'static str);
    let cases: Vec<Case> = vec![
        (
            "another job at work in it",
            Box::new(|t| {
                t.world.job("2", JobState::Active, 0);
                t.world.file("job_1/sub/job_2_x", 10, 2 * HOUR);
                None
            }),
            "active_job",
        ),
        (
            "a directory of a job at work, with nothing in it",
            Box::new(|t| {
                t.world.job("2", JobState::Active, 0);
                fs::create_dir(t.world.path("job_1/job_2")).unwrap();
                None
            }),
            "active_job",
        ),
        (
            "a held file",
            Box::new(|t| {
                t.hold("job_1/sub/c");
                None
            }),
            "held",
        ),
        (
            "a held directory",
            Box::new(|t| {
                t.hold("job_1/sub");
                None
            }),
            "held",
        ),
        (
            "a protected file",
            Box::new(|t| {
                t.world.file("job_1/x.keep", 10, 2 * HOUR);
                None
            }),
            "protected",
        ),
        (
            "a FIFO",
            Box::new(|t| {
                let name = t.world.path("job_1/fifo");
                assert!(std::process::Command::new("mkfifo").arg(name).status().unwrap().success());
                None
            }),
            "special",
        ),
        ("an open file", Box::new(|t| Some(File::open(t.world.path("job_1/sub/c")).unwrap())), "in_use"),
    ];
    for (what, prepare, why) in cases {
        let trees = Trees::new(true);
        trees.failed("1", 2 * HOUR);
        let _open = prepare(&trees);
        let (before, orders) = (trees.world.files(), trees.world.orders(Policy::FailedJobs));
        assert!(trees.world.planned(&orders).is_empty(), "{what}");
        let report = trees.run(Policy::FailedJobs);
        assert_eq!((report.files_deleted, report.errors_total), (0, 0), "{what}: {report:?}");
        if why != "special" {
            assert!(report.skipped[why] > 0, "{what}: {:?}", report.skipped);
        }
        assert_eq!(trees.world.files(), before, "{what}");
        assert!(trees.queued().is_empty());
    }
}

#[test]
fn a_young_file_keeps_an_orphaned_tree_and_trees_come_by_their_youngest_file() {
    let trees = Trees::new(true);
    for (name, age) in
        [("job_a/1", 90), ("job_a/2", 30), ("job_b/1", 60), ("job_b/2", 50), ("job_c/1", 99), ("job_c/2", 1)]
    {
        trees.world.file(name, 10, age * HOUR);
    }
    trees.world.file("loose", 10, 40 * HOUR);
    let planned = trees.world.planned(&trees.world.orders(Policy::Orphans));
    let paths = ["job_b", "loose", "job_a"].map(|name| trees.world.path(name));
    assert_eq!(planned, paths);
    assert_eq!(trees.run(Policy::Orphans).files_deleted, 5);
    assert!(trees.world.path("job_c/1").exists() && trees.world.path("job_c/2").exists());
}

#[test]
fn what_is_added_or_changed_after_the_plan_keeps_the_tree() {
    let change: [fn(&World); 3] = [
        |world| drop(world.file("job_1/sub/new", 10, 2 * HOUR)),
        |world| drop(world.file("job_1/a", 77, 2 * HOUR)),
        |world| fs::rename(world.path("job_1/a"), world.path("job_1/z")).unwrap(),
    ];
    for (number, change) in change.into_iter().enumerate() {
        let trees = Arc::new(Trees::new(true));
        trees.failed("1", 2 * HOUR);
        let (observer, inner) = (Observer::default(), Arc::downgrade(&trees));
        let once = std::sync::Once::new();
        let hook = move || once.call_once(|| change(&inner.upgrade().unwrap().world));
        *observer.before_removal.lock().unwrap() = Some(Box::new(hook));
        let report = trees.world.run_with(&trees.world.orders(Policy::FailedJobs), &observer);
        assert_eq!(report.files_deleted, 0, "{number}");
        assert!(report.skipped["changed"] > 0, "{number}: {:?}", report.skipped);
        assert!(trees.world.path("job_1/b").exists() && trees.queued().is_empty());
        // The next sweep takes it as it is then.
        assert!(trees.run(Policy::FailedJobs).files_deleted >= 3, "{number}");
    }
}

/// Sweeps failed jobs, with `hook` at one step of the removal.
fn with_hook(trees: &Rc<Trees>, at: Step, hook: impl Fn(&Trees) + 'static) -> Report {
    let (inner, came) = (Rc::downgrade(trees), Rc::new(Cell::new(false)));
    let reached = Rc::clone(&came);
    seam::set(move |step| {
        if step == at {
            reached.set(true);
            hook(&inner.upgrade().unwrap());
        }
    });
    let report = trees.run(Policy::FailedJobs);
    seam::clear();
    assert!(came.get(), "the step was reached");
    report
}

#[test]
fn a_hold_or_a_start_answered_before_the_rename_keeps_the_tree_where_it_is() {
    let change: [fn(&Trees); 3] = [
        |trees| trees.hold("job_1/sub/c"),
        |trees| trees.hold("job_1"),
        |trees| trees.world.job("1", JobState::Active, 0),
    ];
    for change in change {
        let trees = Rc::new(Trees::new(true));
        trees.failed("1", 2 * HOUR);
        let before = trees.world.files();
        let report = with_hook(&trees, Step::Described, change);
        assert_eq!((report.files_deleted, report.errors_total), (0, 0), "{report:?}");
        assert_eq!(trees.world.files(), before);
        assert!(trees.queued().is_empty());
    }
}

#[test]
fn a_file_opened_or_written_on_the_way_brings_the_tree_back() {
    type Change = fn(&Trees) -> Option<File>;
    let open: Change = |trees| Some(File::open(trees.world.path("job_1/sub/c")).unwrap());
    let write: Change = |trees| {
        trees.world.file("job_1/sub/new", 10, 0);
        None
    };
    for (change, why) in [(open, "in_use"), (write, "changed")] {
        let trees = Rc::new(Trees::new(true));
        trees.failed("1", 2 * HOUR);
        let before = trees.world.files();
        let held: Rc<std::cell::RefCell<Option<File>>> = Rc::default();
        let kept = Rc::clone(&held);
        let report = with_hook(&trees, Step::Described, move |trees| *kept.borrow_mut() = change(trees));
        assert_eq!((report.files_deleted, report.errors_total), (0, 0), "{report:?}");
        assert_eq!(report.skipped[why], 3, "{:?}", report.skipped);
        assert!(before.is_subset(&trees.world.files()), "it is back");
        assert!(trees.queued().is_empty());
        held.borrow_mut().take();
        assert!(trees.run(Policy::FailedJobs).files_deleted >= 3);
    }
}

#[test]
fn a_job_that_starts_after_the_rename_gets_its_tree_back() {
    let trees = Rc::new(Trees::new(true));
    trees.failed("1", 2 * HOUR);
    let before = trees.world.files();
    let report = with_hook(&trees, Step::Out, |trees| {
        assert!(!trees.world.path("job_1").exists(), "its name is free");
        trees.world.job("1", JobState::Active, 0);
    });
    assert_eq!((report.files_deleted, report.skipped["active_job"]), (0, 3), "{report:?}");
    assert_eq!(trees.world.files(), before);
}

#[test]
fn a_tree_whose_name_is_taken_meanwhile_lies_in_the_trash() {
    let trees = Rc::new(Trees::new(true));
    trees.failed("1", 2 * HOUR);
    let report = with_hook(&trees, Step::Out, |trees| {
        trees.world.job("1", JobState::Active, 0);
        trees.world.file("job_1/of the new start", 10, 0);
    });
    assert_eq!((report.files_deleted, report.errors_total), (0, 1), "{report:?}");
    assert!(report.errors[0].error.contains("trash"), "{:?}", report.errors);
    let name = &trees.world.root.name;
    let entries =
        trees.ledger.trash_due(name, crate::model::Timestamp::from_nanos(i64::MAX), None, 9).unwrap();
    assert_eq!((entries.len(), entries[0].kept.files), (1, 3));
    let at = trees.world.path(".guardian/trash").join(entries[0].kept.id.as_str());
    assert!(at.join("sub/c").exists() && at.join("a").exists());
    assert!(trees.queued().is_empty() && trees.world.path("job_1/of the new start").exists());
}

#[test]
fn what_a_killed_sweep_left_in_the_private_directory_is_trash_at_the_next_start() {
    for described in [true, false] {
        let mut trees = Trees::new(true);
        trees.failed("1", 2 * HOUR);
        // As a kill between the rename and the second look leaves it.
        let new = trees.world.path("job_1/written on the way");
        seam::set(move |step| match step {
            Step::Described => fs::write(&new, b"").unwrap(),
            step => assert!(step != Step::Out, "killed"),
        });
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trees.run(Policy::FailedJobs)));
        seam::clear();
        assert!(killed.is_err());
        assert!(!trees.world.path("job_1").exists());
        let queued = trees.queued();
        assert_eq!(queued.len(), 2, "the tree and what describes it: {queued:?}");
        if !described {
            let info = queued.iter().find(|path| path.extension().is_some()).unwrap();
            fs::remove_file(info).unwrap();
        }
        trees.take_private();
        let name = &trees.world.root.name;
        let always = crate::model::Timestamp::from_nanos(i64::MAX);
        let waits = trees.ledger.queue_due(name, always, None, 9).unwrap();
        let trash = trees.ledger.trash_due(name, always, None, 9).unwrap();
        // Nobody looked at it again: its owner can have it back.
        assert_eq!((waits.len(), trash.len()), (0, 1));
        let path = if described { "job_1".to_owned() } else { format!("recovered-{}", trash[0].kept.id) };
        assert_eq!(trash[0].kept.path.path, path);
        let at = trees.world.path(".guardian/trash").join(trash[0].kept.id.as_str());
        assert!(at.join("sub/c").exists() && at.join("written on the way").exists());
        assert!(trees.queued().is_empty(), "{:?}", trees.queued());
    }
}

#[test]
fn what_somebody_writes_into_a_tree_that_is_out_already_lies_in_the_trash() {
    let trees = Rc::new(Trees::new(true));
    trees.failed("1", 2 * HOUR);
    let link = trees.world.path("job_1/link");
    fs::hard_link(trees.world.path("job_1/b"), &link).unwrap();
    trees.world.age(&link, 2 * HOUR);
    let report = with_hook(&trees, Step::LookedAt, |trees| {
        // As a process does that stands in the directory.
        let at = trees.queued().into_iter().find(|path| path.is_dir()).unwrap();
        fs::write(at.join("sub/new"), b"not judged").unwrap();
        fs::write(at.join("a"), b"written anew").unwrap();
    });
    assert_eq!((report.files_deleted, report.errors_total), (3, 1), "{report:?}");
    let always = crate::model::Timestamp::from_nanos(i64::MAX);
    let name = &trees.world.root.name;
    assert!(trees.ledger.queue_due(name, always, None, 9).unwrap().is_empty());
    let trash = trees.ledger.trash_due(name, always, None, 9).unwrap();
    assert_eq!((trash.len(), trash[0].kept.files), (1, 1));
    let at = trees.world.path(".guardian/trash").join(trash[0].kept.id.as_str());
    assert_eq!(fs::read(at.join("sub/new")).unwrap(), b"not judged");
    assert_eq!(fs::read(at.join("a")).unwrap(), b"written anew");
    assert!(!at.join("b").exists() && !at.join("sub/c").exists());
}

#[test]
fn a_bound_on_files_counts_those_of_trees_and_a_greater_tree_goes_first_of_a_run() {
    let trees = Trees::new(true);
    for (id, age) in [("1", 9), ("2", 8), ("3", 7)] {
        trees.failed(id, age * HOUR);
    }
    let orders = Orders { max_files: Some(4), ..trees.world.orders(Policy::FailedJobs) };
    assert_eq!(trees.world.planned(&orders), [trees.world.path("job_1")]);
    let report = trees.world.run(&orders).0;
    assert_eq!(report.files_deleted, 3);
    assert!(report.notes.iter().any(|note| note.contains("job_2")), "{:?}", report.notes);
    let small = Orders { max_files: Some(2), ..orders };
    assert_eq!(trees.world.planned(&small), [trees.world.path("job_2")]);
    assert_eq!(trees.world.run(&small).0.files_deleted, 3);
    assert!(trees.world.path("job_3/a").exists());
}

#[test]
fn an_emergency_takes_trees_whole_the_one_with_the_oldest_youngest_file_first() {
    let trees = Trees::on(World::with_capacity(Some(1 << 20)), true);
    for (name, age) in [("job_a/old", 90), ("job_a/new", 20), ("job_b/1", 50), ("job_b/2", 40)] {
        trees.world.file(name, 200_000, age * HOUR);
    }
    trees.world.file("loose", 250_000, 0);
    let report = trees.run(Policy::Emergency);
    assert_eq!((report.target_reached, report.files_deleted), (Some(true), 2), "{report:?}");
    assert!(!trees.world.path("job_b").exists() && trees.world.path("job_a/old").exists());
}

#[test]
fn a_tree_that_frees_nothing_stays_where_the_aim_is_space() {
    let trees = Trees::on(World::with_capacity(Some(1 << 20)), true);
    let file = trees.world.file("job_a/f", 500_000, 90 * HOUR);
    fs::hard_link(&file, trees.world.path("outside.keep")).unwrap();
    trees.world.age(&file, 90 * HOUR);
    trees.world.file("big.keep", 520_000, 0);
    let report = trees.run(Policy::Emergency);
    assert_eq!((report.files_deleted, report.target_reached), (0, Some(false)), "{report:?}");
    assert!(report.skipped["linked"] > 0, "{:?}", report.skipped);
    assert_eq!(trees.run(Policy::Orphans).files_deleted, 1);
    assert!(trees.world.path("outside.keep").exists());
}

#[test]
fn a_file_planned_alone_does_not_leave_its_tree_and_a_tree_not_where_files_are_the_unit() {
    let mut trees = Trees::new(true);
    trees.failed("1", 2 * HOUR);
    let orders = trees.world.orders(Policy::FailedJobs);
    let plan = |trees: &Trees| {
        let roots = [trees.world.run_root(false)];
        let shared =
            crate::sweep::run::Shared { jobs: &trees.world.jobs, references: &trees.world.references };
        crate::sweep::run::plan(&orders, &roots, shared, None, &mut Vec::new()).unwrap().remove(0).actions
    };
    for whole in [true, false] {
        trees.world.root.rules.whole_trees = whole;
        let actions = plan(&trees);
        assert_eq!(actions.len(), if whole { 1 } else { 3 });
        trees.world.root.rules.whole_trees = !whole;
        let roots = [trees.world.run_root(false)];
        let mut rest = actions.into_iter().map(|action| (0, action)).collect();
        let shared =
            crate::sweep::run::Shared { jobs: &trees.world.jobs, references: &trees.world.references };
        let observer = Observer::default();
        let reports = crate::sweep::carry_out::carry_out_plan(&orders, &roots, shared, &observer, &mut rest);
        assert_eq!(reports[0].files_deleted, 0, "{:?}", reports[0]);
    }
}

#[test]
fn a_file_that_expired_goes_by_name_and_the_rest_of_its_tree_as_planned() {
    let trees = Trees::new(true);
    let files = trees.failed("1", 2 * HOUR);
    trees.failed("2", 2 * HOUR);
    for file in [&files[0], &trees.world.path("job_2/a")] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(file, "user.guardian.expires", b"1000000000", flags).unwrap();
        trees.world.age(file, 2 * HOUR);
    }
    // An expired file that is open stays, and so does its tree.
    let _open = File::open(trees.world.path("job_2/a")).unwrap();
    let orders = trees.world.orders(Policy::Scheduled);
    let planned = trees.world.planned(&orders);
    assert_eq!(planned, [files[0].clone(), trees.world.path("job_1")]);
    let report = trees.run(Policy::Scheduled);
    assert_eq!((report.files_deleted, report.errors_total), (3, 0), "{report:?}");
    assert!(!trees.world.path("job_1").exists());
    assert!(trees.world.path("job_2/a").exists() && trees.world.path("job_2/sub/c").exists());
}

#[test]
fn where_age_decides_a_directory_just_made_keeps_its_tree_though_nothing_lies_in_it() {
    let trees = Trees::new(true);
    trees.world.file("job_9/a", 10, 90 * HOUR);
    let empty = trees.world.path("job_9/new");
    fs::create_dir(&empty).unwrap();
    assert!(trees.world.planned(&trees.world.orders(Policy::Orphans)).is_empty());
    let report = trees.run(Policy::Orphans);
    assert_eq!((report.files_deleted, report.skipped["changed"]), (0, 1), "{report:?}");
    trees.world.age(&empty, 25 * HOUR);
    assert_eq!(trees.run(Policy::Orphans).files_deleted, 1);
    // Where a job ended, its directories are its own.
    trees.failed("1", 2 * HOUR);
    fs::create_dir(trees.world.path("job_1/new")).unwrap();
    assert_eq!(trees.run(Policy::FailedJobs).files_deleted, 3);
    assert!(!trees.world.path("job_1").exists());
}
