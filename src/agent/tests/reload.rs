//! Rules that change while a run is at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Host, settings};
use crate::agent::engine::{Commission, Target};
use crate::agent::reload::{prepare, reload, take};
use crate::agent::runs::Asked;
use crate::agent::signals::Notice;
use crate::agent::slots;
use crate::agent::state::{Agent, ReadyRoot, SlotState};
use crate::agent::surroundings::Control;
use crate::config::Settings;
use crate::ingest::RootState;
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
fn a_reload_however_long_is_not_taken_for_silence() {
    let host = host();
    let agent = Arc::clone(host.running.agent());
    let promised = || agent.heart.promises().into_iter().find(|one| one.part == "supervision").unwrap().by;
    let at_work = Arc::new(Mutex::new(Duration::ZERO));
    let (its, agent_of_it) = (Arc::clone(&at_work), Arc::clone(&agent));
    let again = Box::new(move || {
        let supervision = agent_of_it.heart.promises().into_iter().find(|one| one.part == "supervision");
        *its.lock().unwrap() = supervision.unwrap().by;
        Err("no settings today".to_owned())
    }) as crate::agent::reload::ReadAgain;
    let (notices, noticed) = std::sync::mpsc::channel();
    notices.send(Notice::Reload).unwrap();
    notices.send(Notice::Stop).unwrap();
    host.running.supervise(&noticed, &again).unwrap();
    let month = crate::sys::clock::awake() + Duration::from_secs(30 * 86_400);
    assert!(*at_work.lock().unwrap() > month, "it promises nothing while it reloads");
    assert!(promised() < month, "and is heard again after it");
    host.running.stop().unwrap();
}

#[test]
fn a_root_that_is_suspended_while_a_reload_is_prepared_is_opened_anew() {
    let host = host();
    let agent = host.running.agent();
    until("the root is scanned", || state(agent) == Some(RootState::Ready));
    let before = root(agent);
    let new = settings(host.home.path(), "protect = [\"*.model\"]");
    let prepared = prepare(agent, new).unwrap();
    slots::suspend(agent, &agent.slots()[0], "its marker is gone".to_owned());
    let lock = Arc::downgrade(&before.locked);
    drop(before);
    take(agent, prepared);
    assert_eq!(agent.settings().roots[0].protect, ["*.model"]);
    assert!(agent.slots()[0].ready().is_some(), "{}", why(&agent.slots()[0].state()));
    assert!(lock.upgrade().is_none(), "its root is another one, which was looked at anew");
    until("the root is indexed", || state(agent) == Some(RootState::Ready));
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

fn why(state: &SlotState) -> &str {
    match state {
        SlotState::Ready(_) => "guarded",
        SlotState::Suspended(why) => why,
    }
}

fn root(agent: &Agent) -> Arc<ReadyRoot> {
    agent.slots()[0].ready().expect("the root is guarded")
}

fn state(agent: &Agent) -> Option<RootState> {
    Some(agent.ingest.status(root(agent).key?)?.state)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn taking(host: &Host, keys: &str) {
    let new = settings(host.home.path(), keys);
    reload(host.running.agent(), &(Box::new(move || Ok(new.clone())) as _));
}

#[test]
fn what_is_judged_anew_in_each_run_is_taken_without_letting_go_of_the_root() {
    let host = host();
    let agent = host.running.agent();
    until("the root is scanned", || state(agent) == Some(RootState::Ready));
    let before = root(agent);
    taking(&host, "protect = [\"*.model\"]\nhigh_water = 77\nlow_water = 66");
    let after = root(agent);
    assert!(Arc::ptr_eq(&before.locked, &after.locked), "its lock was never given back");
    assert_eq!(state(agent), Some(RootState::Ready), "nothing is scanned again");
    assert_eq!((after.guarded.marks.high, after.guarded.marks.low), (77.0, 66.0));
    assert!(agent.slots()[0].seen().is_some(), "what was seen of its volume is still known");
    assert!(before.guarded.vault.is_some(), "it has a trash");
    let vault = |root: &ReadyRoot| root.guarded.vault.as_ref().map(Arc::as_ptr);
    assert_eq!(vault(&before), vault(&after));
    let report = sweep(&host, || {});
    assert_eq!(report.files_deleted, 1, "what is protected now stays: {:?}", report.notes);
    // Changes are heard of as before.
    host.file("later", 1);
    let has = || {
        let key = root(agent).key.unwrap();
        agent.settle([key]);
        agent.ingest.status(key).is_some()
            && agent.engine.index.as_ref().unwrap().snapshot().unwrap().counters(key).unwrap().files == 3
    };
    until("the index knows a file that came later", has);
    host.running.stop().unwrap();
}

#[test]
fn what_the_index_depends_on_has_the_root_opened_anew_at_once() {
    let host = host();
    let agent = host.running.agent();
    let before = Arc::downgrade(&root(agent).locked);
    taking(&host, "patterns = [\"other_{job}\"]");
    assert!(agent.slots()[0].ready().is_some(), "it is guarded when the reload is over");
    assert!(before.upgrade().is_none(), "and was let go of meanwhile");
    host.running.stop().unwrap();
}

#[test]
fn what_does_not_hold_is_refused_as_a_whole_and_changes_nothing() {
    let host = host();
    let agent = host.running.agent();
    let before = root(agent);
    let missing = host.home.path().join("missing");
    let second = format!("protect = [\"x\"]\n[[root]]\nname = \"second\"\npath = {missing:?}");
    taking(&host, &second);
    assert!(Arc::ptr_eq(&before, &root(agent)) && agent.slots().len() == 1);
    assert!(agent.settings().roots[0].protect.is_empty());
    // More than the volume has.
    taking(&host, "protect = [\"x\"]\nmin_free = \"900TiB\"");
    assert!(Arc::ptr_eq(&before, &root(agent)));
    // One that was guarded before and is away for now is no mistake.
    std::fs::create_dir(&missing).unwrap();
    taking(&host, &second);
    assert_eq!(agent.slots().iter().filter(|slot| slot.ready().is_some()).count(), 2);
    // The agent works in it still.
    until("its directory is gone", || std::fs::remove_dir_all(&missing).is_ok() || !missing.exists());
    let third = second.replace("\"x\"", "\"y\"");
    taking(&host, &third);
    assert_eq!(agent.settings().roots[0].protect, ["y"]);
    // And one that is not wanted any more leaves nothing behind.
    taking(&host, "");
    assert_eq!(agent.slots().len(), 1);
    until("no alert of it is left", || {
        !agent
            .engine
            .alerts
            .subjects()
            .iter()
            .any(|one| one.root.as_ref().is_some_and(|root| root.as_str() == "second"))
    });
    host.running.stop().unwrap();
}

#[test]
fn reloads_under_load_lose_no_sample() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("scratch")).unwrap();
    let often = |keys: &str| -> Settings {
        let mut settings = settings(home.path(), keys);
        settings.agent.sample_interval = Duration::from_secs(1);
        settings
    };
    let first = often("");
    let path = home.path().to_owned();
    let mut variants: Vec<Settings> = (0..6)
        .map(|n| often(&format!("high_water = {}\nlow_water = 50\nprotect = [\"p{n}\"]", 80 + n)))
        .collect();
    variants.push(often("patterns = [\"other_{job}\"]"));
    let host = Host::start_in(home, first);
    let agent = host.running.agent();
    let stop = AtomicBool::new(false);
    let (mut looks, mut gaps) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut n = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                std::fs::write(path.join(format!("scratch/w{}", n % 50)), vec![0; 4096]).unwrap();
                n += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let looking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match agent.slots()[0].seen() {
                    Some(one) if seen.last() != Some(&one.looked_at) => seen.push(one.looked_at),
                    Some(_) => {}
                    None => gaps += 1,
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            for new in variants.iter().take(6) {
                let new = new.clone();
                reload(agent, &(Box::new(move || Ok(new.clone())) as _));
                std::thread::sleep(Duration::from_millis(40));
            }
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap();
        looks = looking.join().unwrap();
    });
    assert_eq!(gaps, 0, "at no moment nothing was known of the volume");
    let longest = looks.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest < Duration::from_secs(2), "the longest time without a look: {longest:?}");
    // One that is opened anew is looked at again at once.
    let new = variants.remove(6);
    let at = crate::sys::clock::since_boot();
    reload(agent, &(Box::new(move || Ok(new.clone())) as _));
    let state = agent.slots()[0].state();
    assert!(
        !matches!(&state, SlotState::Suspended(_)),
        "it is guarded when the reload is over: {}",
        why(&state)
    );
    until("it is looked at", || agent.slots()[0].seen().is_some_and(|seen| seen.looked_at > at));
    host.running.stop().unwrap();
}

#[test]
fn who_configures_a_dry_run_ends_what_is_removing() {
    let host = Host::start();
    let agent = host.running.agent();
    (0..3000).for_each(|number| drop(host.file(&format!("old_{number}"), 40)));
    until("the root is scanned", || state(agent) == Some(RootState::Ready));
    let request = SweepRequest { batch_size: Some(1), ..SweepRequest::of(Policy::Orphans) };
    let Asked::New(run) = agent.runs.ask(request, Trigger::Manual, None) else { panic!("refused") };
    let left = || host.home.path().join("scratch").read_dir().unwrap().count();
    let before = left();
    until("it removes", || left() < before);
    let mut new = settings(host.home.path(), "");
    new.agent.dry_run = true;
    reload(agent, &(Box::new(move || Ok(new.clone())) as _));
    until("it has ended", || run.is_over());
    let report = run.resource().reports.remove(0);
    assert!(report.files_deleted < 3000, "{:?}", report.notes);
    assert!(report.notes.iter().any(|note| note.contains("to remove nothing")), "{:?}", report.notes);
    host.running.stop().unwrap();
}
