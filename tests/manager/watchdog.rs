//! The watchdog is fed while the agent lives, and only then.

use std::time::{Duration, Instant};

use super::harness::{Home, root, scratch};
use super::told::Manager;

/// Short enough for a test; a busy machine may be late by half of it.
const INTERVAL: Duration = Duration::from_secs(4);

fn prepared() -> (Home, Manager) {
    let home = Home::new();
    home.configure("sample_interval = \"1s\"", &root(&scratch(&home), ""));
    let manager = Manager::of(&home);
    (home, manager)
}

/// The longest time without food until now.
fn longest_gap(manager: &Manager) -> Duration {
    let mut all = manager.times("WATCHDOG=1");
    all.push(Instant::now());
    all.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
}

#[test]
fn an_agent_at_work_feeds_the_watchdog_often_enough() {
    let (mut home, manager) = prepared();
    home.start_by(manager.starting(Some(INTERVAL), ""));
    manager.until("WATCHDOG=1", 8);
    assert!(longest_gap(&manager) < INTERVAL, "{:?}", longest_gap(&manager));
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn without_a_watchdog_nobody_is_fed() {
    let (mut home, manager) = prepared();
    home.start_by(manager.starting(None, ""));
    manager.until("READY=1", 1);
    home.done(&["pause"]);
    home.until("the pause is told", |_| {
        let has = |text: &String| text.starts_with("STATUS=scratch ") && text.contains("removals paused");
        manager.all().iter().any(has).then_some(())
    });
    assert!(manager.times("WATCHDOG=1").is_empty());
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn an_agent_that_is_paused_or_looks_seldom_lives_all_the_same() {
    let (mut home, manager) = prepared();
    // It sleeps for much longer than the watchdog waits.
    home.configure("sample_interval = \"1h\"", &root(&scratch(&home), ""));
    home.start_by(manager.starting(Some(INTERVAL), ""));
    home.done(&["pause", "--emergencies"]);
    manager.until("WATCHDOG=1", 12);
    assert!(longest_gap(&manager) < INTERVAL, "{:?}", longest_gap(&manager));
    assert!(!home.log().contains("silent"), "{}", home.log());
    assert_eq!(home.stop(), Some(0));
}

#[cfg(feature = "failpoints")]
mod hanging {
    use super::*;

    /// Nobody is fed any more, and one line says why.
    fn starves(points: &str, part: &str) {
        let (mut home, manager) = prepared();
        home.start_by(manager.starting(Some(INTERVAL), points));
        home.until("the silence is in the log", |home| home.log().contains(" is silent").then_some(()));
        let fed = manager.times("WATCHDOG=1").len();
        std::thread::sleep(INTERVAL);
        assert_eq!(manager.times("WATCHDOG=1").len(), fed, "it is fed though something hangs");
        let log = home.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(" is silent")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(lines[0].contains("ERROR") && lines[0].contains(part), "{log}");
        home.kill();
    }

    #[test]
    fn a_guard_that_hangs_is_not_kept_alive() {
        starves("sampling=3*off->sleep(600000)", "sampling of the volumes");
    }

    #[test]
    fn a_socket_that_hangs_is_not_kept_alive() {
        starves("socket=3*off->sleep(600000)", "the socket");
    }

    #[test]
    fn a_root_whose_presence_can_not_be_checked_kills_nobody() {
        let (mut home, manager) = prepared();
        // As on a network mount whose server is gone.
        home.start_by(manager.starting(Some(INTERVAL), "presence=1*off->sleep(600000)"));
        manager.until("WATCHDOG=1", 12);
        assert!(longest_gap(&manager) < INTERVAL, "{:?}", longest_gap(&manager));
        home.kill();
    }

    #[test]
    fn a_part_that_is_late_once_and_comes_back_is_fed_again() {
        let (mut home, manager) = prepared();
        home.start_by(manager.starting(Some(INTERVAL), "sampling=3*off->1*sleep(6000)->off"));
        home.until("it is heard again", |home| home.log().contains("heard again").then_some(()));
        let fed = manager.times("WATCHDOG=1").len();
        manager.until("WATCHDOG=1", fed + 3);
        assert_eq!(home.stop(), Some(0));
    }
}
