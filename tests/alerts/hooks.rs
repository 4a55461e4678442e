//! Programs that are called: with what, for how long, and what it costs when they hang.

use std::fs;

use rustix::process::Signal;

use super::harness::{root, scratch};
use super::{Home, SMALL, fill, started, telling, told, until_told};

fn hook(command: &str, more: &str) -> String {
    format!("[[alert_hook]]\ncommand = {command}\n{more}\n")
}

fn shell(script: &str) -> String {
    format!("[\"/bin/sh\", \"-c\", {script:?}]")
}

#[test]
fn a_hook_gets_the_alert_as_json_in_a_clean_environment() {
    let (home, at) = started("automatic = false", SMALL, |home| {
        let (out, env) = (home.path("alerts"), home.path("env"));
        let script = format!("cat >> {}; env >> {}; echo said; exit 3", out.display(), env.display());
        hook(&shell(&script), "levels = [\"critical\"]")
    });
    fill(&at, "a", 9, 0);
    home.logged("usage is past the warning mark");
    fill(&at, "b", 6, 0);
    let one = until_told(&home, "usage");
    assert_eq!(told(&home).len(), 1, "only of the levels that it is for: {:?}", told(&home));
    for (key, value) in [("event", "alert"), ("state", "raised"), ("level", "critical"), ("root", "scratch")]
    {
        assert_eq!(one[key], value, "{one}");
    }
    home.logged("an alert hook failed");
    assert!(home.log().contains("exit status: 3") && !home.log().contains("said"), "{}", home.log());
    let env = fs::read_to_string(home.path("env")).unwrap();
    eprintln!("{env}");
    let mut names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    let expected = [
        "GUARDIAN_ALERT_KIND",
        "GUARDIAN_ALERT_LEVEL",
        "GUARDIAN_ALERT_MESSAGE",
        "GUARDIAN_ALERT_ROOT",
        "GUARDIAN_ALERT_STATE",
        "GUARDIAN_SOCKET",
        "PATH",
    ];
    assert_eq!(names, expected);
    assert!(
        env.contains("GUARDIAN_ALERT_KIND=usage\n") && env.contains("GUARDIAN_ALERT_ROOT=scratch\n"),
        "{env}"
    );
}

#[test]
fn a_hook_that_hangs_is_killed_and_nothing_waits_for_it() {
    let (mut home, at) = started("", SMALL, |home| {
        let script = format!(
            "trap '' TERM; echo x >> {}; sleep 600 & echo $! >> {}; wait; sleep 600",
            home.path("calls").display(),
            home.path("pids").display()
        );
        hook(&shell(&script), "levels = [\"warning\", \"critical\"]\ntimeout = \"2s\"")
    });
    for round in 0..3 {
        fill(&at, &format!("r{round}"), 15, 50);
        home.until("the volume is cleaned", |home| {
            let done = home.reports().iter().filter(|run| run["target_reached"] == true).count();
            (done > round).then_some(())
        });
    }
    home.logged("it did not end within 2s and was killed");
    // The next is called when the one before is gone, never beside it.
    home.until("it is called again", |home| {
        let calls = fs::read_to_string(home.path("calls")).unwrap_or_default();
        (calls.lines().count() >= 2).then_some(())
    });
    let pids = fs::read_to_string(home.path("pids")).unwrap();
    let lives = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains("(sleep)") && !stat.contains(") Z ")
    };
    assert!(pids.lines().filter(|pid| lives(pid)).count() <= 1, "{pids}");
    // The end of the agent does not wait for a hook's time, nor leave it behind.
    assert_eq!(home.stop(), Some(0), "{}", home.log());
    let pids = fs::read_to_string(home.path("pids")).unwrap();
    home.until("nothing of it is left", |_| (!pids.lines().any(lives)).then_some(()));
}

#[test]
fn a_hook_that_is_missing_is_a_warning_with_its_place_and_the_agent_works_on() {
    let (home, at) = started("", SMALL, |_| hook("[\"/nonexistent/page\", \"-x\"]", ""));
    home.logged("alert_hook.command: /nonexistent/page is not there");
    let log = home.log();
    let line = log.lines().find(|line| line.contains("alert_hook.command")).unwrap();
    assert!(line.contains("WARN") && line.contains("guardian.toml:"), "{line}");
    fill(&at, "old", 15, 50);
    home.until_cleaned();
    home.logged("an alert hook failed");
    let (code, out, err) = home.run(&["config", "check"]);
    assert!(code == 0 && (out + &err).contains("/nonexistent/page is not there"));
}

#[test]
fn hooks_change_with_a_reload() {
    let (mut home, at) = started("automatic = false", SMALL, |_| String::new());
    fill(&at, "a", 9, 0);
    home.logged("usage is past the warning mark");
    let both = telling(&home, "\"critical\"");
    home.configure("sample_interval = \"1s\"\nautomatic = false", &(root(&at, SMALL) + &both));
    home.signal(Signal::HUP);
    home.logged("the configuration was reloaded");
    fill(&at, "b", 6, 0);
    until_told(&home, "usage");
    // A mistake leaves the hooks as they are.
    let wrong = hook("[\"page\"]", "");
    home.configure("sample_interval = \"1s\"\nautomatic = false", &(root(&at, SMALL) + &wrong));
    home.signal(Signal::HUP);
    home.logged("the new configuration is refused");
    assert!(home.log().contains("an absolute program"), "{}", home.log());
    fs::rename(&at, home.path("away")).unwrap();
    until_told(&home, "root_suspended");
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn an_agent_with_a_hook_that_is_no_program_does_not_start() {
    let home = Home::new();
    let at = scratch(&home);
    home.configure("", &(root(&at, "") + &hook("[\"page\"]", "")));
    let output = home.start_in_vain();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.contains("alert_hook.command: found \"page\"; allowed: a list of an absolute program"),
        "{err}"
    );
}
