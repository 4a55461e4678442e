//! What somebody is told: once when it begins, ended when it is over, and to
//! the programs that are called for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped is told there")]

#[path = "alerts/blame.rs"]
mod blame;
#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod harness;
#[path = "alerts/hooks.rs"]
mod hooks;
#[path = "alerts/kinds.rs"]
mod kinds;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{Home, file, root, scratch};
use serde_json::Value;

pub(crate) const MIB: usize = 1 << 20;
pub(crate) const HOUR: u64 = 3600;
/// Full at 16 MiB, past its mark at 14.4, clean at 9.6.
pub(crate) const SMALL: &str = "capacity = \"16MiB\"\nwarning = 50\nhigh_water = 90\nlow_water = 60";

/// A hook that puts each alert behind the others, as one line.
pub(crate) fn telling(home: &Home, levels: &str) -> String {
    let out = home.path("alerts");
    let script = format!("cat >> {}", out.display());
    format!("[[alert_hook]]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nlevels = [{levels}]\n")
}

/// What hooks were told so far.
pub(crate) fn told(home: &Home) -> Vec<Value> {
    let text = fs::read_to_string(home.path("alerts")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until a hook was told of this kind.
pub(crate) fn until_told(home: &Home, kind: &str) -> Value {
    home.until(&format!("{kind} is told"), |home| told(home).into_iter().find(|one| one["kind"] == kind))
}

/// The lines of the log about this kind.
pub(crate) fn logged(home: &Home, kind: &str) -> Vec<String> {
    let about = format!("alert={kind} ");
    let end = format!("alert={kind}");
    let is_its = |line: &&str| line.contains(&about) || line.ends_with(&end);
    home.log().lines().filter(is_its).map(str::to_owned).collect()
}

/// Asserts that an alert was raised once and has ended once, and shows both lines.
pub(crate) fn once_and_over(home: &Home, kind: &str) {
    home.until(&format!("{kind} is over"), |home| {
        logged(home, kind).iter().any(|line| line.contains(" INFO ")).then_some(())
    });
    let lines = logged(home, kind);
    eprintln!("{}", lines.join("\n"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(!lines[0].contains(" INFO ") && lines[1].contains(" INFO "), "{lines:?}");
    let of_kind: Vec<Value> = told(home).into_iter().filter(|one| one["kind"] == kind).collect();
    assert_eq!(of_kind.len(), 1, "{of_kind:?}");
    assert_eq!((&of_kind[0]["event"], &of_kind[0]["state"]), (&"alert".into(), &"raised".into()));
}

pub(crate) fn fill(at: &Path, prefix: &str, mebibytes: usize, hours: u64) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = (0..mebibytes).map(|n| at.join(format!("{prefix}_{n}"))).collect();
    paths.iter().for_each(|path| file(path, MIB, hours * HOUR));
    paths
}

pub(crate) fn started(agent: &str, more: &str, hooks: impl Fn(&Home) -> String) -> (Home, PathBuf) {
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure(&format!("sample_interval = \"1s\"\n{agent}"), &(root(&at, more) + &hooks(&home)));
    home.start();
    home.until_root_is("ready");
    (home, at)
}
