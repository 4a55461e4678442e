//! Emergencies on a root with a capacity of its own, so that the figures are exact.

use crate::model::{JobState, Phase, Policy};

use super::{HOUR, World};

const MIB: usize = 1 << 20;

/// 96 of 100 MiB used: 30 by unknown jobs, 20 by a failed job, 26 by a living one, 20 by nobody.
fn full() -> World {
    let world = World::with_capacity(Some(100 << 20));
    // Failed within its retention: not an orphan yet, but given up in an emergency.
    world.job("failed1", JobState::Failed, HOUR / 2);
    world.job("alive", JobState::Active, 0);
    for n in 0..30 {
        world.file(&format!("o/job_unknown_{n}"), MIB, 50 * HOUR - n);
    }
    for n in 0..20 {
        world.file(&format!("f/job_failed1_{n}"), MIB, 60 * HOUR - n);
        world.file(&format!("plain/p{n}"), MIB, 600 + n);
    }
    for n in 0..26 {
        world.file(&format!("a/job_alive_{n}"), MIB, 90 * HOUR - n);
    }
    world
}

#[test]
fn a_file_from_the_future_does_not_make_the_others_old() {
    use super::super::nominate::Nominator;
    let world = World::new();
    let forged = world.file("forged", 10, 0);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(100 * 365 * 24 * HOUR);
    std::fs::File::options().write(true).open(&forged).unwrap().set_modified(future).unwrap();
    let newest = super::Walked::walk(&world.root).unwrap().newest().unwrap().unwrap();
    assert!(newest <= crate::sys::clock::now());
}

#[test]
fn an_emergency_takes_orphans_first_and_stops_at_the_target() {
    let world = full();
    let orders = world.orders(Policy::Emergency);
    let planned = world.planned(&orders);
    assert_eq!(planned.len(), 11, "96 - 85 MiB");
    let (report, observer) = world.run(&orders);
    assert_eq!(report.target_reached, Some(true));
    assert_eq!(report.files_deleted, 11, "not one more than needed");
    assert!(report.storage_after_percent.unwrap() <= 85.0);
    let intended = observer.intended.lock().unwrap();
    assert!(intended.iter().all(|(phase, _)| *phase == Phase::Orphans));
    let order: Vec<_> = intended.iter().flat_map(|(_, paths)| paths.clone()).collect();
    assert_eq!(order, planned, "in the order of the plan");
    assert_eq!(report.reclaim.volume_delta_bytes, Some(11 << 20));
    assert!(report.reclaim.gap.is_empty());
}

#[test]
fn a_file_without_bytes_stays_where_bytes_are_needed_and_goes_by_age() {
    let world = full();
    for n in 0..40 {
        world.file(&format!("o/job_unknown_empty_{n}"), 0, 100 * HOUR + n);
    }
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert_eq!((report.target_reached, report.files_deleted), (Some(true), 11), "the oldest free nothing");
    let (report, _) = world.run(&world.orders(Policy::Orphans));
    assert_eq!(report.files_deleted, 40 + 19, "nothing was needed, and they are due");
}

#[test]
fn phases_follow_each_other_and_the_living_jobs_files_stay() {
    let mut world = full();
    world.root.marks.low = 30.0;
    world.root.marks.high = 95.0;
    let (report, observer) = world.run(&world.orders(Policy::Emergency));
    let mut phases: Vec<Phase> = observer.intended.lock().unwrap().iter().map(|(phase, _)| *phase).collect();
    phases.dedup();
    assert_eq!(phases, [Phase::Orphans, Phase::FailedJobs, Phase::Oldest]);
    assert_eq!(report.target_reached, Some(true));
    assert_eq!(std::fs::read_dir(world.path("a")).unwrap().count(), 26);
    assert_eq!(report.skipped["active_job"], 26, "met by three phases, counted once");
}

#[test]
fn when_others_fill_the_volume_the_last_phase_takes_nothing() {
    let mut world = World::with_capacity(Some(100 << 20));
    world.job("alive", JobState::Active, 0);
    for n in 0..94 {
        world.file(&format!("a/job_alive_{n}"), MIB, HOUR);
    }
    for n in 0..4 {
        world.file(&format!("p{n}"), MIB / 4, 600);
    }
    world.file("fill", MIB, 0);
    world.root.marks.high = 90.0;
    world.root.marks.low = 80.0;
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert_eq!(report.files_deleted, 0);
    assert_eq!(report.target_reached, Some(false));
    assert!(report.notes.iter().any(|note| note.contains("futile")), "{:?}", report.notes);
    let shortfall = report.shortfall.unwrap();
    assert_eq!(shortfall.active_jobs.len(), 1);
    assert_eq!(shortfall.protected_bytes, 94 << 20);
    assert!(!shortfall.directories.is_empty() && !shortfall.users.is_empty());
}

#[test]
fn files_younger_than_min_age_stay_while_space_is_not_nearly_gone() {
    let world = World::with_capacity(Some(100 << 20));
    for n in 0..96 {
        world.file(&format!("p{n}"), MIB, if n < 40 { 600 } else { 5 });
    }
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert_eq!(report.files_deleted, 11);
    assert!(world.files().len() == 85);
}

#[test]
fn a_writer_that_goes_on_after_the_end_does_not_make_the_run_a_failure() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    // Each look after the one that shows the target adds 3 MiB of somebody else's.
    let mut world = full();
    let (inner, extra) = (world.root.probe.clone(), Arc::new(AtomicU64::new(0)));
    let crate::usage::Probe::Capacity { root, size, counter } = inner else { panic!("a capacity root") };
    let written = Arc::clone(&extra);
    let counter: crate::usage::CapacityCounter = Arc::new(move || {
        let used = counter()? + written.load(Ordering::SeqCst);
        if used <= 85 << 20 {
            written.fetch_add(3 << 20, Ordering::SeqCst);
        }
        Some(used)
    });
    world.root.probe = crate::usage::Probe::Capacity { root, size, counter };
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert_eq!(report.target_reached, Some(true));
    assert!(report.storage_after_percent.unwrap() <= 85.0);
    assert!(report.shortfall.is_none());
}

/// What asks for an amount, asked while nobody can say how full the volume is.
#[test]
fn a_run_that_ends_by_usage_does_not_begin_while_usage_is_unknown() {
    let world = full();
    let asked = |policy, free, until| {
        let request = crate::model::SweepRequest {
            free: Option::map(free, crate::model::ByteSize),
            until_percent: until,
            ..crate::model::SweepRequest::of(policy)
        };
        let head = world.orders(policy).head;
        crate::sweep::orders::orders(head, &request, &[&world.root], None, crate::model::Resource::Bytes)
    };
    assert!(asked(Policy::Emergency, None, None).is_none());
    assert!(asked(Policy::Oldest, Some(1 << 20), None).is_none(), "1 MiB, not all there is");
    assert!(asked(Policy::Oldest, None, Some(50.0)).is_none());
    let all_due = asked(Policy::Orphans, None, None).expect("what is due is due however full it is");
    assert!(!all_due.target.is_set());
}

#[test]
fn counters_that_are_slow_once_do_not_end_an_emergency() {
    let mut world = full();
    let crate::usage::Probe::Capacity { counter, .. } = &mut world.root.probe else { panic!("counted") };
    let (exact, calls) = (std::sync::Arc::clone(counter), std::sync::atomic::AtomicU32::new(0));
    // The second look is the one before the first batch.
    *counter = std::sync::Arc::new(move || {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call == 1 { None } else { exact() }
    });
    let (report, _) = world.run(&world.orders(Policy::Emergency));
    assert_eq!((report.target_reached, report.files_deleted), (Some(true), 11), "{:?}", report.notes);
}
