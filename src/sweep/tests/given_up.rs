//! What was given up and waits in its place.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Observer, World};
use crate::model::{
    Covers, EntryId, HoldId, HoldRecord, Kept, Policy, QueueEntry, Recorded, RelPath, Requester, Skip, Stage,
    Timestamp, TrashEntry, WirePath,
};
use crate::policy::Moment;
use crate::store::ledger::{KeptChange, Ledger};
use crate::sweep::carry_out::carry_out;
use crate::sweep::execute::{Conditions, Ended, Step, execute, seam};
use crate::sweep::named::look;
use crate::sweep::run::Shared;
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::moving::{lies_in, take_in};
use crate::sweep::vault::replay::replay;
use crate::sweep::vault::{KeptActions, Room, RootVault, Turn};
use crate::sys::clock;
use crate::sys::private_dir::PrivateDir;

/// A world in which the deletion of `path`, a file that can't be moved, is due.
fn waiting(path: &str) -> (World, Arc<Ledger>, EntryId, tempfile::TempDir) {
    let world = World::new();
    world.file(path, 10, 0);
    waiting_in(world, path)
}

fn waiting_in(mut world: World, path: &str) -> (World, Arc<Ledger>, EntryId, tempfile::TempDir) {
    let (state, now) = (tempfile::tempdir().unwrap(), clock::now());
    let ledger = Arc::new(Ledger::open(state.path(), now).unwrap().0);
    let path = RelPath::from_bytes(path.as_bytes()).unwrap();
    let id = EntryId::new("1");
    let kept = Kept {
        id: id.clone(),
        root: world.root.name.clone(),
        facts: look(world.root.dir.handle(), &path).unwrap(),
        path: WirePath::from_bytes(path.as_bytes()),
        files: 1,
        bytes: 4096,
        stage: Stage::InPlace,
        by: Requester { uid: 0, gid: 0, pid: 1 },
        asked_at: Some(now),
        moved_at: None,
    };
    let entry = QueueEntry {
        kept,
        client_id: None,
        queued_at: now,
        attempts: 0,
        last_error: None,
        next_try_at: Timestamp::EPOCH,
    };
    ledger.change_kept(&[KeptChange::Queue(entry)]).unwrap();
    let private = Arc::new(PrivateDir::open_or_create(&world.root.dir).unwrap());
    let vault = RootVault::new(private, Arc::clone(&ledger), Turn::default());
    replay(&world.root, &vault, &ledger, now).unwrap();
    world.root.vault = Some(Arc::new(vault));
    (world, ledger, id, state)
}

#[test]
fn trash_that_could_not_be_brought_there_is_not_forgotten_when_it_is_not_found_there() {
    let (world, ledger, id, _state) = waiting("d/f");
    let mut kept = ledger.queue_entry(&id).unwrap().unwrap().kept;
    let vault = Arc::clone(world.root.vault.as_ref().unwrap());
    let rooms = vault.open(&world.root.dir).unwrap();
    // On record as trash, and in the queue's directory still: the volume was full.
    fs::rename(world.path("d/f"), world.path(".guardian/queue/1")).unwrap();
    kept.stage = Stage::Moved;
    let failed = Some("in vain".to_owned());
    let entry = TrashEntry { kept, deleted_at: Timestamp::EPOCH, failed };
    ledger.change_kept(&[KeptChange::Trash(entry.clone())]).unwrap();
    let (report, _) = world.run(&world.orders(Policy::Trash));
    assert_eq!(report.files_deleted, 0);
    assert!(ledger.trash_entry(&id).unwrap().is_some(), "it was said to be in the trash");
    assert!(lies_in(&rooms, Room::Trash, &entry.kept).is_some(), "and now it is");
}

#[test]
fn a_deletion_stays_on_record_while_its_root_is_moved_away() {
    let (world, ledger, id, _state) = waiting("d/f");
    let (root, away) = (world.path(""), world.path("").with_extension("kept"));
    let observer = Observer::default();
    let (from, to) = (root.clone(), away.clone());
    *observer.before_removal.lock().unwrap() = Some(Box::new(move || fs::rename(&from, &to).unwrap()));
    world.run_with(&world.orders(Policy::Deferred), &observer);
    assert!(away.join("d/f").exists());
    fs::rename(&away, &root).unwrap();
    assert!(ledger.queue_entry(&id).unwrap().is_some(), "it was asked for, and nobody took that back");
    let again = crate::sweep::run::Orders { max_attempts: Some(9), ..world.orders(Policy::Deferred) };
    world.run_with(&again, &Observer::default());
    assert!(!world.path("d/f").exists() && ledger.queue_entry(&id).unwrap().is_none());
}

#[test]
fn a_hold_is_not_over_because_a_file_claims_to_be_from_the_future() {
    let (world, _ledger, _id, _state) = waiting("d/f");
    let (wall, path) = (clock::now(), RelPath::from_bytes(&b"d/f"[..]).unwrap());
    world.references.write().unwrap().put_hold(&HoldRecord {
        id: HoldId::new("1"),
        root: world.root.name.clone(),
        recorded: Recorded::of(&look(world.root.dir.handle(), &path).unwrap()),
        path,
        until: Some(wall.plus(Duration::from_secs(3600))),
        reason: None,
        uid: 0,
        covers: Covers::AnyOwner,
        created_at: wall,
    });
    // The clock is not trusted, and the newest file of the root is from tomorrow.
    let tomorrow = wall.plus(Duration::from_secs(86_400));
    let moment = Moment { wall: Some(wall), clock_trusted: false, ..Moment::emergency(tomorrow) };
    let mut due = KeptActions::new(&world.root, crate::model::Phase::Deferred, &moment).unwrap();
    let action = due.take().unwrap().unwrap();
    let with = Conditions { jobs: &world.jobs, references: &world.references, moment: &moment };
    let end = execute(&world.root, &[action], with);
    assert!(matches!(end.ended[0], Some(Ended::Skipped(Skip::Held))), "{:?}", end.ended);
    assert!(world.path("d/f").exists());
}

#[test]
fn a_hold_in_a_tree_that_is_answered_while_that_is_looked_through_binds() {
    for in_place in [true, false] {
        let mut world = World::new();
        world.root.workers = 1;
        world.file("d/sub/f", 10, 0);
        let (world, ledger, id, _state) = waiting_in(world, "d");
        let hold = HoldRecord {
            id: HoldId::new("1"),
            root: world.root.name.clone(),
            recorded: Recorded::of(
                &look(world.root.dir.handle(), &RelPath::from_bytes(&b"d/sub/f"[..]).unwrap()).unwrap(),
            ),
            path: RelPath::from_bytes(&b"d/sub/f"[..]).unwrap(),
            until: None,
            reason: None,
            uid: 0,
            covers: Covers::AnyOwner,
            created_at: clock::now(),
        };
        let (came, answered) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (reached, held) = (Rc::clone(&came), Rc::clone(&answered));
        let world = Rc::new(world);
        let inner = Rc::downgrade(&world);
        seam::set(move |step| {
            let world = inner.upgrade().unwrap();
            reached.set(reached.get() || step == Step::LookedThrough);
            // It is answered only once the view could be changed.
            if let Ok(mut view) = world.references.try_write() {
                view.put_hold(&hold);
                held.set(true);
            };
        });
        if in_place {
            world.run(&world.orders(Policy::Deferred));
        } else {
            let mut entry = ledger.queue_entry(&id).unwrap().unwrap();
            entry.kept.stage = Stage::Waiting;
            let vault = world.root.vault.as_ref().unwrap();
            let rooms = vault.open(&world.root.dir).unwrap();
            let moment = Moment::ordinary(clock::now());
            let with = Conditions { jobs: &world.jobs, references: &world.references, moment: &moment };
            take_in(&world.root, &rooms, &[Entry::Queue(entry)], with, &|| true);
        }
        seam::clear();
        assert!(came.get(), "the step was reached");
        assert!(!answered.get() || world.path("d/sub/f").exists(), "in place: {in_place}: a held file went");
    }
}

#[test]
fn what_comes_into_a_tree_while_that_goes_from_its_place_stays() {
    let world = World::new();
    world.file("d/sub/f", 10, 0);
    world.file("d/one", 10, 0);
    fs::hard_link(world.path("d/one"), world.path("d/sub/two")).unwrap();
    let (world, ledger, id, _state) = waiting_in(world, "d");
    let asked_at = ledger.queue_entry(&id).unwrap().unwrap().kept.asked_at.unwrap();
    let world = Rc::new(world);
    let inner = Rc::downgrade(&world);
    seam::set(move |_| write_after(&inner.upgrade().unwrap(), "d/sub/new", asked_at));
    let report = world.run(&world.orders(Policy::Deferred)).0;
    seam::clear();
    assert_eq!(report.files_deleted, 3, "{report:?}");
    assert_eq!(fs::read(world.path("d/sub/new")).unwrap(), b"new");
    let waits = ledger.queue_entry(&id).unwrap().unwrap();
    assert!(waits.last_error.is_some() && !world.path("d/sub/f").exists(), "{waits:?}");
}

/// Writes a file that is newer than `asked_at` by its own times: these lag
/// behind the clock by a little.
fn write_after(world: &World, name: &str, asked_at: Timestamp) {
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    let path = RelPath::from_bytes(name.as_bytes()).unwrap();
    fs::write(world.path(name), b"new").unwrap();
    while look(world.root.dir.handle(), &path).unwrap().id.ctime <= asked_at {
        assert!(std::time::Instant::now() < limit, "the clock stands still");
        fs::write(world.path(name), b"new").unwrap();
    }
}

/// The same in a root that is full, where nothing else may go.
fn waiting_in_a_full_root() -> (World, Arc<Ledger>, EntryId, tempfile::TempDir) {
    let world = World::with_capacity(Some(60 * 4096));
    world.file("d/f", 30 * 4096, 0);
    world.file("other.keep", 30 * 4096, 0);
    waiting_in(world, "d/f")
}

#[test]
fn an_emergency_goes_without_what_somebody_else_is_moving_and_says_so() {
    let (world, ledger, id, _state) = waiting_in_a_full_root();
    let vault = Arc::clone(world.root.vault.as_ref().unwrap());
    let held = vault.turn();
    let began = std::time::Instant::now();
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&world.orders(Policy::Emergency)).0);
        run.join().unwrap()
    });
    assert!(began.elapsed() < Duration::from_secs(20), "it waited for whoever has the turn");
    assert!(report.notes.iter().any(|note| note.starts_with("deferred: left out")), "{:?}", report.notes);
    assert!(world.path("d/f").exists() && !vault.is_wanted());
    assert_eq!(ledger.queue_entry(&id).unwrap().unwrap().attempts, 0, "it was not tried");
    drop(held);
    let report = world.run(&world.orders(Policy::Emergency)).0;
    assert!(report.target_reached == Some(true) && !world.path("d/f").exists(), "{report:?}");
    assert!(ledger.queue_entry(&id).unwrap().is_none());
}

#[test]
fn what_the_guard_s_emergency_took_follows_in_the_ledger() {
    let (world, ledger, id, _state) = waiting_in_a_full_root();
    let mut orders = world.orders(Policy::Emergency);
    orders.head.trigger = crate::model::Trigger::EmergencyThreshold;
    let report = world.run(&orders).0;
    assert_eq!((report.target_reached, world.path("d/f").exists()), (Some(true), false), "{report:?}");
    let limit = std::time::Instant::now() + Duration::from_secs(20);
    while ledger.queue_entry(&id).unwrap().is_some() {
        assert!(std::time::Instant::now() < limit, "it is still on record");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_emergency_before_ledger_and_directory_were_compared_says_what_it_leaves_out() {
    let (mut world, ledger, _id, _state) = waiting_in_a_full_root();
    let private = Arc::new(PrivateDir::open_or_create(&world.root.dir).unwrap());
    world.root.vault = Some(Arc::new(RootVault::new(private, ledger, Turn::default())));
    let report = world.run(&world.orders(Policy::Emergency)).0;
    assert!(report.notes.iter().any(|note| note.starts_with("deferred: left out")), "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.starts_with("trash: left out")), "{:?}", report.notes);
    assert!(world.path("d/f").exists());
}

#[test]
fn what_is_moved_into_a_tree_that_waits_was_never_given_up() {
    let world = World::new();
    world.file("d/f", 10, 0);
    world.file("results/old/f", 10, 0);
    let (world, ledger, id, _state) = waiting_in(world, "d");
    let asked_at = ledger.queue_entry(&id).unwrap().unwrap().kept.asked_at.unwrap();
    write_after(&world, "probe", asked_at);
    // No file in it changes by that, nor does any directory below.
    fs::rename(world.path("results"), world.path("d/results")).unwrap();
    let report = world.run(&world.orders(Policy::Deferred)).0;
    assert_eq!(report.files_deleted, 0, "{report:?}");
    assert!(world.path("d/results/old/f").exists() && world.path("d/f").exists());
    let waits = ledger.queue_entry(&id).unwrap().unwrap();
    assert!(waits.last_error.as_ref().unwrap().contains("newer than the request"), "{waits:?}");
    // What is left without it goes, also where our own removal changed a directory.
    fs::rename(world.path("d/results"), world.path("results")).unwrap();
    let again = crate::sweep::run::Orders { max_attempts: Some(9), ..world.orders(Policy::Deferred) };
    ledger.change_kept(&[KeptChange::Queue(QueueEntry { next_try_at: Timestamp::EPOCH, ..waits })]).unwrap();
    assert_eq!(world.run(&again).0.files_deleted, 1);
    assert!(!world.path("d").exists() && world.path("results/old/f").exists());
}

/// The deletion of a tree that lies in the private directory.
fn moved_away(world: World) -> (World, Arc<Ledger>, QueueEntry, tempfile::TempDir) {
    let (world, ledger, id, state) = waiting_in(world, "d");
    fs::rename(world.path("d"), world.path(".guardian/queue/1")).unwrap();
    let mut entry = ledger.queue_entry(&id).unwrap().unwrap();
    entry.kept.stage = Stage::Moved;
    let there = RelPath::from_bytes(&b".guardian/queue/1"[..]).unwrap();
    entry.kept.moved_at = Some(look(world.root.dir.handle(), &there).unwrap().id.ctime);
    ledger.change_kept(&[KeptChange::Queue(entry.clone())]).unwrap();
    (world, ledger, entry, state)
}

#[test]
fn what_somebody_puts_into_a_tree_that_was_moved_away_was_never_given_up() {
    let world = World::new();
    world.file("d/sub/f", 10, 0);
    world.file("d/one", 10, 0);
    world.file("results/old/f", 10, 0);
    fs::hard_link(world.path("d/one"), world.path("d/sub/two")).unwrap();
    let (world, ledger, entry, _state) = moved_away(world);
    let (id, there) = (&entry.kept.id, ".guardian/queue/1");
    // By somebody who stands in it.
    write_after(&world, "probe", entry.kept.moved_at.unwrap());
    fs::write(world.path(".guardian/queue/1/sub/new"), b"new").unwrap();
    fs::rename(world.path("results"), world.path(".guardian/queue/1/results")).unwrap();
    // As if something had gone from it: that alone tells nothing.
    fs::write(world.path(".guardian/queue/1/results/passing"), b"").unwrap();
    fs::remove_file(world.path(".guardian/queue/1/results/passing")).unwrap();
    let (report, _) = world.run(&world.orders(Policy::Deferred));
    assert_eq!(report.files_deleted, 1, "d/sub, in which somebody wrote, is not looked into: {report:?}");
    assert!(world.path(there).join("sub/f").exists() && !world.path(there).join("one").exists());
    assert_eq!(fs::read(world.path(there).join("sub/new")).unwrap(), b"new");
    assert!(world.path(there).join("results/old/f").exists());
    let waits = ledger.queue_entry(id).unwrap().unwrap();
    assert!(waits.last_error.as_ref().unwrap().contains("after it was given up"), "{waits:?}");
}

#[test]
fn what_came_into_a_tree_of_the_trash_has_a_retention_of_its_own() {
    let world = World::with_capacity(Some(60 * 4096));
    world.file("d/f", 30 * 4096, 0);
    world.file("other.keep", 30 * 4096, 0);
    let (world, ledger, entry, _state) = moved_away(world);
    let (id, there) = (&entry.kept.id, ".guardian/trash/1");
    fs::create_dir_all(world.path(".guardian/trash")).unwrap();
    fs::rename(world.path(".guardian/queue/1"), world.path(there)).unwrap();
    // Put there long ago, with something that was written just now.
    let put_at = clock::now();
    let trash =
        |deleted_at| KeptChange::Trash(TrashEntry { kept: entry.kept.clone(), deleted_at, failed: None });
    ledger.change_kept(&[trash(Timestamp::EPOCH)]).unwrap();
    write_after(&world, ".guardian/trash/1/new", put_at);
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert!(!world.path(there).join("f").exists(), "it was given up: {report:?}");
    let left = ledger.trash_entry(id).unwrap().unwrap().kept;
    assert!(
        (left.files, left.bytes) < (entry.kept.files, entry.kept.bytes),
        "no space that is gone: {left:?}"
    );
    world.run(&world.orders(Policy::Trash));
    world.run(&world.orders(Policy::Emergency));
    assert!(world.path(there).join("new").exists(), "it was not, and is young");
    assert!(ledger.trash_entry(id).unwrap().is_some_and(|entry| entry.failed.is_some()));
    // Whoever empties the trash means what lies there.
    let mut root = world.run_root(false);
    root.moment = Moment { older_than: Some(Duration::ZERO), ..Moment::ordinary(clock::now()) };
    let shared = Shared { jobs: &world.jobs, references: &world.references };
    carry_out(&world.orders(Policy::Trash), &[root], shared, &Observer::default());
    assert!(!world.path(there).exists() && ledger.trash_entry(id).unwrap().is_none());
}

#[test]
fn trash_that_is_kept_for_longer_by_now_does_not_go_by_a_plan_from_before() {
    for moved in [true, false] {
        let (mut world, ledger, id, _state) = waiting("d/f");
        let (path, mut kept) = (world.path("d/f"), ledger.queue_entry(&id).unwrap().unwrap().kept);
        let mut there = path.clone();
        if moved {
            let rooms = world.root.vault.as_ref().unwrap().open(&world.root.dir).unwrap();
            drop(rooms);
            there = world.path(".guardian/trash/1");
            fs::rename(&path, &there).unwrap();
            kept.stage = Stage::Moved;
        }
        let deleted_at = clock::now().minus(Duration::from_secs(40 * 86_400));
        let entry = TrashEntry { kept, deleted_at, failed: Some("in vain".to_owned()) };
        ledger.change_kept(&[KeptChange::Trash(entry)]).unwrap();
        let orders = world.orders(Policy::Trash);
        let plan = |world: &World| -> std::collections::VecDeque<_> {
            let roots = [world.run_root(false)];
            let shared = Shared { jobs: &world.jobs, references: &world.references };
            let plans = crate::sweep::run::plan(&orders, &roots, shared, None, &mut Vec::new()).unwrap();
            plans[0].actions.iter().map(|action| (0, action.clone())).collect()
        };
        let apply = |world: &World, mut actions| {
            let roots = [world.run_root(false)];
            let shared = Shared { jobs: &world.jobs, references: &world.references };
            let observer = Observer::default();
            crate::sweep::carry_out::carry_out_plan(&orders, &roots, shared, &observer, &mut actions)
                .remove(0)
        };
        let actions = plan(&world);
        assert_eq!(actions.len(), 1, "moved: {moved}");
        world.root.rules.retain.trash = Duration::from_secs(60 * 86_400);
        let before = ledger.trash_entry(&id).unwrap();
        let report = apply(&world, actions.clone());
        assert_eq!(ledger.trash_entry(&id).unwrap(), before, "it was not even tried");
        assert!(report.notes.iter().any(|note| note.contains("kept for longer")), "{:?}", report.notes);
        assert!(there.exists() && report.files_deleted == 0, "moved: {moved}: {report:?}");
        world.root.rules.retain.trash = Duration::from_secs(30 * 86_400);
        let report = apply(&world, actions);
        assert!(!there.exists(), "moved: {moved}: {report:?}");
    }
}
