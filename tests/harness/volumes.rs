//! Volumes that exist only while a test runs: it runs itself again in a mount
//! namespace of its own, so that its mounts go with it, however it ends.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Set in the process that runs inside the namespace.
pub(super) const INSIDE: &str = "GUARDIAN_TEST_IN_NAMESPACE";

/// Whether the test is to go on here: in its own mount namespace. Elsewhere it
/// runs the test `name` there, or says why it can't.
pub(crate) fn inside(name: &str) -> bool {
    // Without root the user namespace gives the right to mount tmpfs and binds.
    inside_of(name, if is_root() { &["--mount", "--propagation=private"] } else { OWN_USERS })
}

/// Whether the test is to go on here: in a user namespace of its own, which
/// has limits of its own (`/proc/sys/user`).
pub(crate) fn inside_limits(name: &str) -> bool {
    inside_of(name, OWN_USERS)
}

const OWN_USERS: &[&str] = &["--user", "--map-root-user", "--mount"];

fn inside_of(name: &str, flags: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = Command::new("unshare").args(flags).arg("true").output();
    match possible {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            eprintln!("skipped: no mount namespace: {}", String::from_utf8_lossy(&output.stderr).trim());
            return false;
        }
        Err(why) => {
            eprintln!("skipped: unshare can't be run: {why}");
            return false;
        }
    }
    let output = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    eprintln!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{name} fails in its namespace");
    false
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|why| format!("{program}: {why}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Mounts a new tmpfs of so many MiB.
pub(crate) fn tmpfs(at: &Path, mib: u64) -> Result<(), String> {
    tmpfs_of(at, &format!("size={mib}m"))
}

/// Mounts a new tmpfs with these options (tmpfs(5)).
pub(crate) fn tmpfs_of(at: &Path, options: &str) -> Result<(), String> {
    fs::create_dir_all(at).unwrap();
    run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", at.to_str().unwrap()])
}

/// Makes a file system of so many MiB in the file `image` and mounts it.
pub(crate) fn loop_mounted(kind: &str, image: &Path, at: &Path, mib: u64) -> Result<(), String> {
    fs::create_dir_all(at).unwrap();
    File::create(image).unwrap().set_len(mib << 20).unwrap();
    let image = image.to_str().unwrap();
    run(&format!("mkfs.{kind}"), &["-q", image])?;
    run("mount", &["-o", "loop", image, at.to_str().unwrap()])
}

/// Shows the directory `from` at `at`.
pub(crate) fn bind(from: &Path, at: &Path) -> Result<(), String> {
    run("mount", &["--bind", from.to_str().unwrap(), at.to_str().unwrap()])
}

/// Mounts an overlay of the directories `lower`, `upper` and `work` in `layers`.
pub(crate) fn overlay(layers: &Path, at: &Path) -> Result<(), String> {
    let dir = |name: &str| layers.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", dir("lower"), dir("upper"), dir("work"));
    run("mount", &["-t", "overlay", "-o", &options, "overlay", at.to_str().unwrap()])
}

/// Mounts a volume anew with other options; `abort` makes an ext4 fail as after an error of its disk.
pub(crate) fn remount(at: &Path, how: &str) -> Result<(), String> {
    run("mount", &["-o", &format!("remount,{how}"), at.to_str().unwrap()])
}

/// Takes away what is mounted there, though the agent is still at work in it.
pub(crate) fn unmount(at: &Path) -> Result<(), String> {
    run("umount", &["--lazy", at.to_str().unwrap()])
}

/// Takes away what is mounted beneath `dir`, the last mounted first.
pub(super) fn unmount_beneath(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mounts.lines().rev() {
        // The fifth field (proc_pid_mountinfo(5)); these paths have nothing to escape.
        if let Some(at) = line.split(' ').nth(4).map(Path::new).filter(|at| at.starts_with(dir)) {
            let _ = unmount(at);
        }
    }
}
