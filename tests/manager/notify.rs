//! Ready, reloading, stopping, and more time for what takes long.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::harness::{Home, root, scratch};
use super::told::Manager;

fn prepared() -> (Home, Manager) {
    let home = Home::new();
    home.configure("sample_interval = \"1s\"", &root(&scratch(&home), ""));
    let manager = Manager::of(&home);
    (home, manager)
}

/// What was told, without what comes at its own time.
fn story(manager: &Manager) -> Vec<String> {
    let lines =
        manager.all().into_iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.starts_with("STATUS=scratch") && !line.starts_with("EXTEND")).collect()
}

#[test]
fn ready_is_said_once_every_root_is_guarded_or_known_not_to_be() {
    let (mut home, manager) = prepared();
    let later = home.path("later");
    fs::create_dir(&later).unwrap();
    let waits = root(&later, "require_mount = true").replace("\"scratch\"", "\"later\"");
    home.configure("sample_interval = \"1s\"", &(root(&scratch(&home), "") + &waits));
    home.launch(manager.starting(None, ""));
    manager.until("READY=1", 1);
    let health = home.ask("/v1/health").unwrap();
    let of =
        |n: usize| (health["roots"][n]["state"].as_str().unwrap(), health["roots"][n]["notes"].to_string());
    assert!(["ready", "scanning"].contains(&of(0).0), "{health}");
    assert!(of(1).0 == "suspended" && !of(1).1.contains("not opened yet"), "{health}");
    manager.until("STATUS=later suspended, scratch ", 1);
    assert_eq!(home.stop(), Some(0));
    let last = manager.all().pop().unwrap();
    assert!(last.starts_with("STOPPING=1\nSTATUS=stopping"), "{last}");
    assert_eq!(manager.times("READY=1").len(), 1);
}

#[test]
fn a_start_that_fails_never_says_ready() {
    let (mut home, manager) = prepared();
    fs::remove_dir(home.path("scratch")).unwrap();
    home.launch(manager.starting(None, ""));
    assert_eq!(home.ended(), Some(2));
    assert!(manager.times("READY=1").is_empty());
}

#[test]
fn a_reload_is_told_from_begin_to_end_also_where_it_is_refused() {
    let (mut home, manager) = prepared();
    home.start_by(manager.starting(None, ""));
    let good = fs::read_to_string(home.path("guardian.toml")).unwrap();
    fs::write(home.path("guardian.toml"), "[agent]\nnonsense = 1\n").unwrap();
    home.signal(Signal::HUP);
    manager.until("READY=1", 2);
    let told = manager.all();
    let begin = told.iter().position(|text| text.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    let end = told.iter().rposition(|text| text.starts_with("READY=1\n")).unwrap();
    assert!(begin < end, "{told:#?}");
    assert!(told[end].contains("configuration refused") && told[end].contains("nonsense"), "{told:#?}");
    // The manager compares it with its own clock.
    let since: u64 = told[begin].lines().nth(1).unwrap().split('=').nth(1).unwrap().parse().unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = u64::try_from(now.tv_sec).unwrap() * 1_000_000;
    assert!(now.abs_diff(since) < 60_000_000, "{since} at {now}");

    fs::write(home.path("guardian.toml"), good).unwrap();
    home.signal(Signal::HUP);
    manager.until("READY=1", 3);
    let last = manager.all().into_iter().rfind(|text| text.starts_with("READY=1")).unwrap();
    assert!(last.contains("STATUS=scratch ") && !last.contains("refused"), "{last}");
    assert_eq!(home.stop(), Some(0));
    let words: Vec<String> = story(&manager);
    let begins = |word: &str| words.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!((begins("RELOADING=1"), begins("READY=1"), begins("STOPPING=1")), (2, 3, 1), "{words:#?}");
}

#[cfg(feature = "failpoints")]
#[test]
fn more_time_is_asked_for_by_a_start_that_works_not_by_one_that_hangs() {
    let (mut home, manager) = prepared();
    // Busy.
    home.launch(manager.starting(None, "opening=delay(7000)"));
    manager.until("EXTEND_TIMEOUT_USEC=60000000", 2);
    manager.until("READY=1", 1);
    assert_eq!(home.stop(), Some(0));

    let (mut home, manager) = prepared();
    home.launch(manager.starting(None, "opening=sleep(600000)"));
    manager.until("STATUS=opening", 1);
    std::thread::sleep(Duration::from_secs(7));
    // What was done before it hung may have been seen once.
    assert!(manager.times("EXTEND").len() <= 1, "{:#?}", manager.all());
    home.kill();
}

#[cfg(feature = "failpoints")]
#[test]
fn a_stop_that_hangs_gets_no_more_time() {
    let (mut home, manager) = prepared();
    home.start_by(manager.starting(None, "stopping=sleep(600000)"));
    home.until_root_is("ready");
    home.signal(Signal::TERM);
    manager.until("STOPPING=1", 1);
    std::thread::sleep(Duration::from_secs(7));
    // What was still at work at the first look may have been seen.
    assert!(manager.times("EXTEND").len() <= 1, "{:#?}", manager.all());
    home.kill();
}
