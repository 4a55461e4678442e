//! What peers may ask for, and what their answers mean.

use std::sync::mpsc;
use std::time::Duration;

use super::{ANN, BOB, ROOT, id, to, with_pid, with_ttl, world};
use crate::agent::jobs::{JobChange, JobError, view_for_reading};
use crate::model::{Covers, JobState};
use crate::store::ledger::LedgerReader;
use crate::sys::process::own_ids;

#[test]
fn a_start_is_answered_only_after_removals_in_flight_have_stopped() {
    let world = world();
    let removal = world.registry.view().read().unwrap();
    let (answered, answer) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            world.registry.put(&id("j"), &to(JobState::Active), ROOT, world.at(1)).unwrap();
            answered.send(()).unwrap();
        });
        // The ledger has it already; only the answer waits.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while crate::agent::jobs::JobBook::job(&*world.book, &id("j")).unwrap().is_none() {
            assert!(std::time::Instant::now() < deadline, "the start was never recorded");
            std::thread::yield_now();
        }
        assert!(
            answer.recv_timeout(Duration::from_millis(100)).is_err(),
            "answered over a removal in flight"
        );
        assert!(!removal.jobs.contains_key(&id("j")));
        drop(removal);
        answer.recv_timeout(Duration::from_secs(10)).unwrap();
    });
    assert_eq!(world.viewed("j"), Some(JobState::Active));
}

#[test]
fn what_the_ledger_could_not_take_has_not_happened() {
    let world = world();
    world.registry.put(&id("old"), &to(JobState::Active), ROOT, world.at(1)).unwrap();
    world.book.fill(true);
    let refused = world.registry.put(&id("new"), &to(JobState::Active), ROOT, world.at(2));
    assert!(matches!(refused, Err(JobError::Store { source, .. }) if source.is_no_space()));
    assert!(world.registry.put(&id("old"), &to(JobState::Completed), ROOT, world.at(2)).is_err());
    assert!(world.registry.trust().is_err());
    assert_eq!(world.viewed("new"), None);
    assert_eq!(world.viewed("old"), Some(JobState::Active));
    assert!(matches!(world.registry.get(&id("new")), Err(JobError::NotFound(_))));
}

#[test]
fn a_job_is_its_owners_and_covers_only_the_owners_files() {
    let world = world();
    let jobs = &world.registry;
    let made = jobs.put(&id("j"), &to(JobState::Active), ANN, world.at(1)).unwrap();
    assert_eq!((made.uid, made.covers), (1000, Covers::Owner(1000)));
    for refused in [
        jobs.put(&id("j"), &to(JobState::Failed), BOB, world.at(2)),
        jobs.heartbeat(&id("j"), BOB, world.at(2)),
    ] {
        assert!(matches!(refused, Err(JobError::Forbidden { owner: 1000, uid: 1001, .. })));
    }
    jobs.put(&id("j"), &to(JobState::Cancelled), ROOT, world.at(3)).unwrap();
    assert!(matches!(jobs.heartbeat(&id("j"), BOB, world.at(4)), Err(JobError::Forbidden { .. })));
    let again = jobs.put(&id("j"), &to(JobState::Active), ROOT, world.at(5)).unwrap();
    assert_eq!(
        (again.uid, again.covers),
        (1000, Covers::Owner(1000)),
        "an administrator's help gives no rights"
    );
    assert_eq!(
        jobs.put(&id("k"), &to(JobState::Active), ROOT, world.at(5)).unwrap().covers,
        Covers::AnyOwner
    );
}

#[test]
fn a_process_must_exist_and_be_the_callers_own() {
    let world = world();
    let own = std::process::id();
    let by_nobody = world.registry.put(&id("j"), &with_pid(own), ANN, world.at(1));
    if own_ids().0 == ANN.uid {
        by_nobody.unwrap();
    } else {
        assert!(matches!(by_nobody, Err(JobError::InvalidPid { .. })));
        assert_eq!(world.viewed("j"), None);
    }
    let absent = world.registry.put(&id("j"), &with_pid(u32::MAX), ROOT, world.at(1));
    assert!(matches!(absent, Err(JobError::InvalidPid { .. })));
    let made = world.registry.put(&id("k"), &with_pid(own), ROOT, world.at(1)).unwrap();
    assert_eq!(made.process.unwrap().pid, own);
    let no_time = JobChange { ttl: Some(Duration::ZERO), ..JobChange::default() };
    assert!(matches!(
        world.registry.put(&id("k"), &no_time, ROOT, world.at(1)),
        Err(JobError::InvalidTtl(_))
    ));
}

#[test]
fn what_ended_stays_as_it_ended_until_it_starts_again() {
    let world = world();
    let jobs = &world.registry;
    assert!(matches!(jobs.heartbeat(&id("j"), ROOT, world.at(1)), Err(JobError::NotFound(_))));
    jobs.put(&id("j"), &with_ttl(60), ROOT, world.at(1)).unwrap();
    let done = jobs.put(&id("j"), &to(JobState::Completed), ROOT, world.at(2)).unwrap();
    assert_eq!(done.ended_at, Some(world.at(2).wall));
    assert!(matches!(
        jobs.heartbeat(&id("j"), ROOT, world.at(3)),
        Err(JobError::Conflict { state: JobState::Completed, .. })
    ));
    assert!(matches!(
        jobs.put(&id("j"), &to(JobState::Failed), ROOT, world.at(3)),
        Err(JobError::Conflict { .. })
    ));
    assert_eq!(jobs.put(&id("j"), &to(JobState::Completed), ROOT, world.at(9)).unwrap(), done);
    let again = jobs.put(&id("j"), &to(JobState::Active), ROOT, world.at(10)).unwrap();
    assert_eq!((again.ended_at, again.ttl, again.created_at), (None, None, world.at(1).wall));
    assert_eq!(world.viewed("j"), Some(JobState::Active));
}

#[test]
fn heartbeats_stay_in_memory_until_they_are_flushed() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(60), ROOT, world.at(0)).unwrap();
    world.book.fill(true);
    let beat = world.registry.heartbeat(&id("j"), ROOT, world.at(30)).unwrap();
    assert_eq!(beat.last_heartbeat, Some(world.at(30).wall));
    world.registry.heartbeat(&id("j"), ROOT, world.at(700)).unwrap();
    assert_eq!(world.registry.get(&id("j")).unwrap().last_heartbeat, Some(world.at(700).wall));
    assert_eq!(
        world.registry.page(None, 10, Some(JobState::Active)).unwrap()[0].last_heartbeat,
        Some(world.at(700).wall)
    );
    assert!(world.registry.flush().is_err());
    world.book.fill(false);
    world.registry.flush().unwrap();
    let next = world.reopened(world.at(800));
    assert_eq!(next.get(&id("j")).unwrap().last_heartbeat, Some(world.at(700).wall));
}

#[test]
fn ended_jobs_are_forgotten_after_their_time_and_living_ones_never() {
    let world = world();
    let jobs = &world.registry;
    for (name, state) in [("old", JobState::Failed), ("alive", JobState::Active)] {
        jobs.put(&id(name), &to(state), ROOT, world.at(0)).unwrap();
    }
    jobs.put(&id("young"), &to(JobState::Completed), ROOT, world.at(90)).unwrap();
    assert_eq!(jobs.prune(Duration::from_secs(50), world.at(100)).unwrap(), 1);
    assert_eq!(world.viewed("old"), None);
    assert!(world.viewed("alive").is_some() && world.viewed("young").is_some());
    assert!(matches!(jobs.get(&id("old")), Err(JobError::NotFound(_))));
}

#[test]
fn distrust_holds_at_once_and_trust_only_when_it_is_on_record() {
    let world = world();
    let known = || world.registry.view().read().unwrap().known;
    assert!(known());
    world.book.fill(true);
    assert!(world.registry.distrust().is_err());
    assert!(!known());
    assert!(world.registry.trust().is_err());
    assert!(!known());
    world.book.fill(false);
    world.registry.distrust().unwrap();
    assert!(!world.reopened(world.at(1)).view().read().unwrap().known);
    world.registry.trust().unwrap();
    assert!(known());
}

#[test]
fn a_dry_run_sees_the_same_jobs_and_writes_nothing() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(5), ROOT, world.at(0)).unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let started = world.registry.put(&id("gone"), &with_pid(child.id()), ROOT, world.at(0));
    child.wait().unwrap();
    let file = world.dir.path().join("ledger.redb");
    let before = std::fs::read(&file).unwrap();
    let reader = LedgerReader::open(world.dir.path()).unwrap();
    let view = view_for_reading(reader.as_ref(), world.at(10_000)).unwrap();
    assert_eq!(view.jobs[&id("j")].state, JobState::Active, "a deadline that nobody could meet is none");
    // `true` may have been over before it was registered.
    if started.is_ok() {
        assert!(view.jobs[&id("gone")].presumed);
    }
    assert_eq!(view.began_at, crate::model::Timestamp::from_unix(1_000_000, 0));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let fresh = view_for_reading(None, world.at(3)).unwrap();
    assert_eq!((fresh.known, fresh.began_at), (true, world.at(3).wall));
}
