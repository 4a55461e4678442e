//! A reload takes new settings as a whole, or none of them, while the agent works.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;

use super::harness::{Home, file, root, scratch};
use super::told::Manager;

const HOUR: u64 = 3600;

/// Has the settings read again, and waits until that is over.
fn reloaded(home: &Home, manager: &Manager) {
    let before = manager.times("READY=1").len();
    home.signal(Signal::HUP);
    manager.until("READY=1", before + 1);
}

#[test]
fn whatever_is_wrong_is_in_the_log_and_the_old_settings_stay_in_force() {
    let mut home = Home::new();
    let dir = scratch(&home);
    home.configure("", &root(&dir, ""));
    let manager = Manager::of(&home);
    home.start_by(manager.starting(None, ""));
    home.until_root_is("ready");
    let at = home.path("guardian.toml");
    let good = fs::read_to_string(&at).unwrap();
    let inner = dir.join("inner");
    fs::create_dir(&inner).unwrap();
    let nested = root(&inner, "").replace("\"scratch\"", "\"inner\"");
    let missing = root(&home.path("missing"), "").replace("\"scratch\"", "\"missing\"");
    let wrong = [
        (good.replace("[agent]", "[agent]\nautomatic = 7"), "automatic"),
        ("[agent\n".to_owned(), "guardian.toml:1"),
        (good.clone() + &nested, "inner"),
        (good.clone() + &missing, "does not exist"),
        (good.replace("/socket", "/other"), "restart"),
        (good.replace("min_free = \"0\"", "min_free = \"900TiB\""), "min_free"),
    ];
    for (text, word) in wrong {
        let begin = home.log().len();
        fs::write(&at, text).unwrap();
        reloaded(&home, &manager);
        let log = home.log()[begin..].to_owned();
        let line =
            log.lines().find(|line| line.contains("is refused")).unwrap_or_else(|| panic!("{word}: {log}"));
        assert!(line.contains("ERROR") && line.contains(word), "{word}: {line}");
        let health = home.ask("/v1/health").unwrap();
        assert_eq!(health["roots"].as_array().unwrap().len(), 1);
        assert_eq!(health["roots"][0]["state"], "ready", "{word}");
    }
    // Root reads whatever its mode says: a directory in its place nobody reads.
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    fs::set_permissions(&at, fs::Permissions::from_mode(0o700)).unwrap();
    let begin = home.log().len();
    reloaded(&home, &manager);
    assert!(home.log()[begin..].contains("is refused"), "{}", home.log());
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn whoever_changes_what_takes_a_restart_is_told_so() {
    let mut home = Home::new();
    let dir = scratch(&home);
    home.configure("", &root(&dir, ""));
    let manager = Manager::of(&home);
    home.start_by(manager.starting(None, ""));
    let text = fs::read_to_string(home.path("guardian.toml")).unwrap();
    let text = text.replace(
        "log_format = \"text\"",
        "log_format = \"json\"\nreconcile_interval = \"7h\"\nmetrics_listen = \"127.0.0.1:1\"",
    );
    fs::write(home.path("guardian.toml"), text).unwrap();
    reloaded(&home, &manager);
    let log = home.log();
    for key in ["log_format", "reconcile_interval", "metrics_listen"] {
        assert!(log.contains(&format!("{key} changes only with a restart")), "{key}: {log}");
    }
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn an_emergency_amid_reloads_takes_nothing_that_the_settings_in_force_protect() {
    const MIB: usize = 1 << 20;
    let mut home = Home::new();
    let dir = scratch(&home);
    let keys = |low: u32, more: &str| {
        format!(
            "capacity = \"64MiB\"\nwarning = 30\nhigh_water = 80\nlow_water = {low}\n{more}[root.limits]\nbatch = 3"
        )
    };
    let configure = |home: &Home, automatic: bool, low: u32, more: &str| {
        let agent = format!("sample_interval = \"1s\"\nautomatic = {automatic}");
        home.configure(&agent, &root(&dir, &keys(low, more)));
    };
    configure(&home, false, 40, "");
    for number in 0..10 {
        // The oldest would be the first to go.
        file(&dir.join(format!("precious_{number}")), MIB, 99 * HOUR);
    }
    for number in 0..232 {
        file(&dir.join(format!("orphan_{number}")), MIB / 5, 50 * HOUR);
    }
    let manager = Manager::of(&home);
    home.start_by(manager.starting(None, ""));
    home.until_root_is("ready");
    for n in 0..12 {
        configure(&home, true, if n % 2 == 0 { 40 } else { 45 }, "protect = [\"precious_*\"]\n");
        reloaded(&home, &manager);
        std::thread::sleep(Duration::from_millis(20));
    }
    let usage = |home: &Home| home.ask("/v1/health").unwrap()["roots"][0]["usage_percent"].as_f64();
    // One that a reload cut off below the mark is over.
    home.until("the root is below its mark", |home| usage(home).filter(|percent| *percent < 80.0));
    assert!(usage(&home).unwrap() > 35.0, "and no more than needed went");
    assert!((0..10).all(|number| dir.join(format!("precious_{number}")).exists()), "what is protected stays");
    assert_eq!(home.stop(), Some(0), "{}", home.log());
}

#[test]
fn a_root_that_is_not_configured_any_more_is_left_alone_and_its_level_is_over() {
    let mut home = Home::new();
    let (dir, second) = (scratch(&home), home.path("second"));
    fs::create_dir(&second).unwrap();
    let both = root(&dir, "")
        + &root(&second, "capacity = \"1MiB\"\nwarning = 10\nhigh_water = 95")
            .replace("\"scratch\"", "\"second\"");
    home.configure("sample_interval = \"1s\"\nautomatic = false", &both);
    file(&second.join("f"), 300 << 10, 60);
    let manager = Manager::of(&home);
    home.start_by(manager.starting(None, ""));
    home.until("its level is told", |home| home.log().contains("past the warning mark").then_some(()));
    home.configure("sample_interval = \"1s\"\nautomatic = false", &root(&dir, ""));
    reloaded(&home, &manager);
    home.until("its level is over", |home| home.log().contains("not configured any more").then_some(()));
    assert_eq!(home.ask("/v1/health").unwrap()["roots"].as_array().unwrap().len(), 1);
    // Another guardian may have it now.
    let lock = fs::File::open(second.join(".guardian")).unwrap();
    home.until("its lock is free", |_| lock.try_lock().is_ok().then_some(()));
    assert_eq!(home.stop(), Some(0));
}
