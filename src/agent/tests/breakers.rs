//! A policy whose removals fail does not keep the others from their turn.

use std::process::Command;

use super::*;
use crate::agent::commands::shared;
use crate::agent::engine::Commission;
use crate::agent::surroundings::Control;
use crate::api::{Event, PeerIdentity};
use crate::model::{AlertKind, AlertState, Level, Policy, Report, SweepRequest, Trigger};

/// A directory out of which nobody takes a name, not even root.
struct Frozen(PathBuf);

impl Frozen {
    /// `None` where neither the file system nor the user allows it.
    fn freeze(path: PathBuf) -> Option<Self> {
        let frozen = Self(path);
        let done = frozen.set("+i", "0555");
        let trial = frozen.0.join("trial");
        let is_frozen = done && fs::write(&trial, b"").is_err();
        is_frozen.then_some(frozen)
    }

    fn set(&self, flag: &str, mode: &str) -> bool {
        let run = |program: &str, how: &str| {
            Command::new(program).arg(how).arg(&self.0).output().is_ok_and(|output| output.status.success())
        };
        if rustix::process::geteuid().is_root() { run("chattr", flag) } else { run("chmod", mode) }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.set("-i", "0755");
    }
}

fn sweep(host: &Host, policy: Policy, trigger: Trigger) -> Report {
    let agent = host.running.agent();
    for target in agent.targets(None) {
        let deadline = Instant::now() + Duration::from_secs(20);
        agent.ingest.settle(target.key.unwrap(), deadline).unwrap();
    }
    let (request, control) = (SweepRequest::of(policy), Control::default());
    let commission = Commission {
        request: &request,
        trigger,
        requested_by: None,
        control: &control,
        list: false,
        stop: &|| None,
        leave_out: None,
    };
    let mut reports = agent.engine.sweep(&commission, &agent.targets(None)).unwrap();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// So many files of one age that can't be removed.
fn stuck(host: &Host, names: &str, count: usize, hours: u64) -> Option<Frozen> {
    let dir = host.home.path().join("scratch/stuck");
    fs::create_dir(&dir).unwrap();
    (0..count).for_each(|n| drop(host.file(&format!("stuck/{names}{n}"), hours)));
    let frozen = Frozen::freeze(dir);
    if frozen.is_none() {
        eprintln!("skipped: nothing here makes a directory immutable");
    }
    frozen
}

fn notes(host: &Host) -> (Level, String) {
    let health = shared(Arc::clone(host.running.agent())).health().unwrap();
    (health.roots[0].status, health.roots[0].notes.join("; "))
}

#[test]
fn files_of_failed_jobs_that_can_not_be_removed_are_left_alone_for_a_while_and_the_rest_goes() {
    let host = Host::start_with("[root.retain]\nfailed_jobs = \"0s\"\n[root.limits]\nbatch = 60\n");
    let person = PeerIdentity { uid: 0, gid: 0, pid: 1, admin: true };
    let failed = serde_json::from_value(serde_json::json!({ "state": "failed" })).unwrap();
    shared(Arc::clone(host.running.agent())).job_put(&"7".parse().unwrap(), failed, &person).unwrap();
    let Some(frozen) = stuck(&host, "job_7_", 150, 1) else { return };
    let errors = |report: &Report, phase: &str| {
        report.phases.iter().find(|part| part.policy.as_str() == phase).map(|part| part.errors_count)
    };

    let orphan = host.file("orphan", 48);
    let listener = host.running.agent().engine.events.read(0, None).unwrap();
    let report = sweep(&host, Policy::Scheduled, Trigger::Scheduled);
    assert_eq!(errors(&report, "failed_jobs"), Some(60), "{:?}", report.notes);
    assert!(!orphan.exists(), "orphans had their turn");
    assert!(report.notes.iter().any(|note| note.contains("failed_jobs is suspended")), "{:?}", report.notes);
    let (status, said) = notes(&host);
    assert!(status >= Level::Warning && said.contains("failed_jobs is suspended for 14m"), "{said}");

    let report = sweep(&host, Policy::Scheduled, Trigger::Scheduled);
    assert_eq!(errors(&report, "failed_jobs"), None);
    assert!(report.notes.iter().any(|note| note.contains("left out: failed_jobs")), "{:?}", report.notes);

    // Somebody who asks for it may try, and what works again is trusted again.
    drop(frozen);
    let report = sweep(&host, Policy::FailedJobs, Trigger::Manual);
    assert_eq!((report.files_deleted, report.errors_total), (150, 0));
    assert!(!notes(&host).1.contains("suspended"));
    let about = |event: Event| match event {
        Event::Alert { kind: AlertKind::PolicyFailing, state, level, .. } => Some((state, level)),
        _ => None,
    };
    let told: Vec<_> = listener.rest().into_iter().filter_map(about).collect();
    assert_eq!(told, [(AlertState::Raised, Level::Critical), (AlertState::Ended, Level::Healthy)]);
}

#[test]
fn an_emergency_takes_what_it_can_remove_when_its_orphans_are_stuck() {
    let host = Host::start_with("capacity = \"4MiB\"\nmin_free = \"0\"\n[root.limits]\nbatch = 60\n");
    let Some(_frozen) = stuck(&host, "", 100, 48) else { return };
    for n in 0..8 {
        let path = host.file(&format!("young-{n}"), 0);
        fs::write(&path, vec![n; 480 << 10]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(300);
        fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    }
    let report = sweep(&host, Policy::Emergency, Trigger::EmergencyThreshold);
    assert_eq!((report.target_reached, report.files_deleted), (Some(true), 2), "{:?}", report.notes);
    assert_eq!(report.phases.iter().find(|part| part.policy.as_str() == "orphans").unwrap().errors_count, 60);
    assert!(report.notes.iter().any(|note| note.contains("orphans is suspended")), "{:?}", report.notes);
}
