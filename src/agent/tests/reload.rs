//! Rules that change while a run is at work.

use std::sync::Mutex;

use super::{Host, settings};
use crate::agent::engine::{Commission, Target};
use crate::agent::reload::reload;
use crate::agent::slots;
use crate::agent::surroundings::Control;
use crate::model::{Policy, Report, SweepRequest, Trigger};

/// Sweeps in batches of one file; `interfere` is called before the second.
fn sweep(host: &Host, interfere: impl FnOnce() + Send) -> Report {
    let agent = host.running.agent();
    let targets: Vec<Target> =
        agent.targets(None).into_iter().map(|one| Target { key: None, ..one }).collect();
    let watch = agent.watch_over(&targets);
    let interfere = Mutex::new((0, Some(interfere)));
    let stop = || {
        let mut state = interfere.lock().unwrap();
        state.0 += 1;
        if state.0 == 2
            && let Some(interfere) = state.1.take()
        {
            interfere();
        }
        watch()
    };
    let request = SweepRequest { batch_size: Some(1), ..SweepRequest::of(Policy::Orphans) };
    let commission = Commission {
        request: &request,
        trigger: Trigger::Manual,
        requested_by: None,
        control: &Control::default(),
        list: false,
        stop: &stop,
        leave_out: None,
    };
    agent.engine.sweep(&commission, &targets).unwrap().remove(0)
}

fn host() -> Host {
    let host = Host::start();
    for (name, hours) in [("a", 40), ("b.model", 39), ("c.model", 38)] {
        host.file(name, hours);
    }
    host
}

#[test]
fn a_run_does_not_outlive_the_rules_that_it_began_with() {
    let host = host();
    let home = host.home.path().to_owned();
    let report = sweep(&host, || {
        let again = move || Ok(settings(&home, "protect = [\"*.model\"]"));
        reload(host.running.agent(), &(Box::new(again) as _));
    });
    assert_eq!(report.files_deleted, 1, "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.contains("configured anew")), "{:?}", report.notes);
    host.running.stop().unwrap();
}

#[test]
fn a_reload_that_changes_nothing_does_not_end_a_run() {
    let host = host();
    let home = host.home.path().to_owned();
    let report = sweep(&host, || {
        reload(host.running.agent(), &(Box::new(move || Ok(settings(&home, ""))) as _));
    });
    assert_eq!(report.files_deleted, 3, "{:?}", report.notes);
    host.running.stop().unwrap();
}

#[test]
fn a_run_ends_when_its_root_is_suspended() {
    let host = host();
    let report = sweep(&host, || {
        let agent = host.running.agent();
        slots::suspend(agent, &agent.slots()[0], "its marker is gone".to_owned());
    });
    assert_eq!(report.files_deleted, 1, "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.contains("suspended")), "{:?}", report.notes);
    host.running.stop().unwrap();
}
