//! Who may speak for which files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::harness::{Home, root, scratch};
use super::{PAST, put, sweep, text};

#[test]
fn whoever_is_no_administrator_speaks_for_its_own_files_alone() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can ask as somebody else");
        return;
    }
    const SOMEBODY: u32 = 4242;
    let mut home = Home::new();
    let at = scratch(&home);
    home.configure("", &root(&at, ""));
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(at.parent().unwrap());
    open(&at);
    home.start();
    home.until_root_is("ready");
    let theirs = put(&at, "d/theirs", 50);
    let mine = put(&at, "d/mine", 50);
    for path in [&theirs, &at.join("d")] {
        std::os::unix::fs::chown(path, Some(SOMEBODY), None).unwrap();
    }
    // The program as well must be where somebody else can run it.
    let program = home.path("guardian");
    fs::copy(env!("CARGO_BIN_EXE_guardian"), &program).unwrap();
    open(&program);
    let socket = home.path("socket");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.env_clear().args(arguments).arg("--socket").arg(&socket).current_dir("/");
        let output = command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for verb in [&["hold"][..], &["track", "--expires-at", PAST]] {
        let mut all = verb.to_vec();
        all.push(text(&mine));
        let (code, err) = ask(&all);
        assert!(code == 5 && err.contains("belongs to uid 0"), "{all:?}: {code} {err}");
    }
    home.done(&["session", "touch", "roots"]);
    assert_eq!(ask(&["session", "end", "roots"]).0, 5);
    assert_eq!(ask(&["track", text(&theirs), "--session", "roots"]).0, 5);
    // Its hold on its own directory keeps its own files in it.
    let (code, err) = ask(&["hold", text(&at.join("d"))]);
    assert_eq!(code, 0, "{err}");
    let report = sweep(&home, &["orphans"]);
    assert_eq!((&report["files_deleted"], &report["skipped"]["held"]), (&json!(1), &json!(1)), "{report}");
    assert!(theirs.exists() && !mine.exists());
    home.done(&["hold", text(&theirs)]);
    assert_eq!(ask(&["release", text(&theirs)]).0, 5, "held by somebody else");
    assert_eq!(ask(&["release", text(&at.join("d"))]).0, 0);
    home.done(&["release", text(&theirs)]);
    assert_eq!(ask(&["session", "touch", "own"]).0, 0);
    assert_eq!(ask(&["track", text(&theirs), "--session", "own"]).0, 0);
    let (code, err) = ask(&["session", "end", "own"]);
    assert!(code == 0 && !theirs.exists(), "{code} {err}");
}
