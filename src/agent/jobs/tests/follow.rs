//! When a job is presumed failed, and when it must not be.

use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{ROOT, id, to, with_pid, with_ttl, world};
use crate::agent::jobs::{JobBook, JobError, JobRegistry, JobsThread, Now};
use crate::model::{JobState, ProcessId};
use crate::policy::Presumption;
use crate::sys::process;

#[test]
fn a_job_whose_heartbeats_stop_is_presumed_failed() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(30), ROOT, world.at(0)).unwrap();
    assert!(world.tick(world.at(29)).is_empty());
    world.registry.heartbeat(&id("j"), ROOT, world.at(29)).unwrap();
    assert!(world.tick(world.at(58)).is_empty());
    let failed = world.tick(world.at(60));
    assert_eq!(failed.len(), 1);
    assert!(matches!(failed[0].why, Presumption::HeartbeatsStopped(_)));
    let job = world.registry.get(&id("j")).unwrap();
    assert!(job.presumed && job.state == JobState::Failed);
    assert_eq!(job.last_heartbeat, Some(world.at(29).wall), "the last sign of life is on record");
    assert_eq!(job.ended_at, Some(world.at(60).wall));
    assert_eq!(world.viewed("j"), Some(JobState::Failed));
    assert!(matches!(world.registry.heartbeat(&id("j"), ROOT, world.at(61)), Err(JobError::Conflict { .. })));
    let again = world.registry.put(&id("j"), &with_ttl(30), ROOT, world.at(62)).unwrap();
    assert!(!again.presumed && again.ended_at.is_none(), "a start clears the failure");
}

#[test]
fn a_presumed_failure_gives_way_to_what_the_owner_reports() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(1), ROOT, world.at(0)).unwrap();
    assert_eq!(world.tick(world.at(5)).len(), 1);
    let done = world.registry.put(&id("j"), &to(JobState::Completed), ROOT, world.at(6)).unwrap();
    assert_eq!((done.presumed, done.ended_at), (false, Some(world.at(6).wall)));
}

#[test]
fn pending_jobs_and_jobs_without_ttl_have_no_deadline() {
    let world = world();
    world
        .registry
        .put(&id("p"), &super::JobChange { state: Some(JobState::Pending), ..with_ttl(1) }, ROOT, world.at(0))
        .unwrap();
    world.registry.put(&id("n"), &to(JobState::Active), ROOT, world.at(0)).unwrap();
    for seconds in (0..400).step_by(60) {
        assert!(world.tick(world.at(seconds)).is_empty());
    }
}

#[test]
fn after_a_restart_each_job_has_ten_minutes_at_least() {
    let world = world();
    world.registry.put(&id("short"), &with_ttl(10), ROOT, world.at(0)).unwrap();
    world.registry.put(&id("long"), &with_ttl(1_000), ROOT, world.at(0)).unwrap();
    let next = world.reopened(world.at(100_000));
    let failed_at = |name: &str, from: u64| {
        (from..from + 3_000).step_by(20).find(|seconds| {
            next.tick(world.at(*seconds)).unwrap().iter().any(|failed| failed.job.id == id(name))
        })
    };
    assert_eq!(failed_at("short", 100_000), Some(100_600));
    assert_eq!(failed_at("long", 100_620), Some(101_000));
}

#[test]
fn time_in_which_the_host_slept_or_the_agent_stood_still_does_not_count() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(30), ROOT, world.at(0)).unwrap();
    assert!(world.tick(world.at(10)).is_empty());
    // Suspended for ten seconds: the monotonic clock stood still.
    let resumed = Now { awake: world.at(11).awake, ..world.at(45) };
    assert!(world.tick(resumed).is_empty());
    for seconds in (60..640).step_by(20) {
        assert!(world.tick(Now { awake: world.at(seconds - 34).awake, ..world.at(seconds) }).is_empty());
    }
    // Then the agent is stopped for an hour.
    assert!(world.tick(Now { awake: world.at(4_166).awake, ..world.at(4_200) }).is_empty());
}

#[test]
fn a_job_whose_process_is_killed_is_presumed_failed() {
    let world = world();
    let (told, hear) = mpsc::channel();
    let thread =
        JobsThread::start(Arc::clone(&world.registry), move |failed| told.send(failed).unwrap()).unwrap();
    let mut child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    world.registry.put(&id("j"), &with_pid(child.id()), ROOT, Now::read()).unwrap();
    assert!(hear.recv_timeout(Duration::from_millis(200)).is_err());
    // Not collected: a zombie has its number still, and counts as ended.
    child.kill().unwrap();
    let failed = hear.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((failed.len(), failed[0].why), (1, Presumption::ProcessGone));
    assert!(failed[0].job.last_heartbeat.is_some());
    assert_eq!(world.viewed("j"), Some(JobState::Failed));
    child.wait().unwrap();
    assert!(!thread.has_died());
    assert!(thread.stop());
}

#[test]
fn a_job_that_reports_right_after_its_process_is_never_presumed_failed() {
    let world = world();
    let (told, hear) = mpsc::channel();
    let _thread =
        JobsThread::start(Arc::clone(&world.registry), move |failed| told.send(failed).unwrap()).unwrap();
    let mut child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    world.registry.put(&id("j"), &with_pid(child.id()), ROOT, Now::read()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(hear.recv_timeout(Duration::from_millis(500)).is_err(), "nothing is presumed so soon");
    world.registry.put(&id("j"), &to(JobState::Completed), ROOT, Now::read()).unwrap();
    assert!(hear.recv_timeout(Duration::from_secs(4)).is_err());
    assert_eq!(world.viewed("j"), Some(JobState::Completed));
}

#[test]
fn the_thread_presumes_a_failure_when_the_deadline_passes() {
    let world = world();
    let registry = Arc::new(world.reopened(Now::read()));
    let (told, hear) = mpsc::channel();
    let _thread = JobsThread::start(Arc::clone(&registry), move |failed| told.send(failed).unwrap()).unwrap();
    let short = super::JobChange { ttl: Some(Duration::from_millis(150)), ..to(JobState::Active) };
    registry.put(&id("j"), &short, ROOT, Now::read()).unwrap();
    let failed = hear.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(failed[0].why, Presumption::HeartbeatsStopped(_)));
}

#[test]
fn a_process_of_another_boot_or_another_one_under_its_number_is_gone() {
    let world = world();
    let own = process::identify(std::process::id()).unwrap().unwrap();
    let registered = |name: &str, process: ProcessId| {
        let mut record = world.registry.put(&id(name), &to(JobState::Active), ROOT, world.at(0)).unwrap();
        record.process = Some(process);
        world.book.put_job(&record).unwrap();
    };
    registered("lives", own.clone());
    registered("reused", ProcessId { start_ticks: own.start_ticks + 1, ..own.clone() });
    registered("rebooted", ProcessId { boot_id: "another".to_owned(), ..own });
    let mut failed = world.reopened(world.at(1)).tick(world.at(1)).unwrap();
    failed.sort_by(|a, b| a.job.id.cmp(&b.job.id));
    let found: Vec<_> = failed.iter().map(|one| (one.job.id.as_str(), one.why)).collect();
    assert_eq!(found, [("rebooted", Presumption::OtherBoot), ("reused", Presumption::ProcessGone)]);
    assert_eq!(failed[1].job.last_heartbeat, None, "nobody saw it alive");
}

#[test]
fn a_presumed_failure_holds_although_the_ledger_is_full_and_is_recorded_later() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(5), ROOT, world.at(0)).unwrap();
    world.book.fill(true);
    assert_eq!(world.tick(world.at(10)).len(), 1);
    assert_eq!(world.viewed("j"), Some(JobState::Failed));
    assert!(world.registry.get(&id("j")).unwrap().presumed);
    assert_eq!(JobBook::job(&*world.book, &id("j")).unwrap().unwrap().state, JobState::Active);
    assert!(world.tick(world.at(20)).is_empty(), "told once");
    world.book.fill(false);
    world.tick(world.at(30));
    assert!(JobBook::job(&*world.book, &id("j")).unwrap().unwrap().presumed);
}

#[test]
fn without_an_agent_heartbeats_are_on_record_at_once() {
    let world = world();
    world.registry.put(&id("j"), &with_ttl(60), ROOT, world.at(0)).unwrap();
    let alone = JobRegistry::open(Arc::clone(&world.book) as _, true, world.at(1)).unwrap();
    alone.heartbeat(&id("j"), ROOT, world.at(2)).unwrap();
    let record = JobBook::job(&*world.book, &id("j")).unwrap().unwrap();
    assert_eq!(record.last_heartbeat, Some(world.at(2).wall));
    world.book.fill(true);
    assert!(matches!(alone.heartbeat(&id("j"), ROOT, world.at(3)), Err(JobError::Store { .. })));
}
