//! The socket that the service manager listens on: served, and left alone otherwise.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use super::harness::{Home, PATIENCE, file, root, scratch};

/// The usual variables, as the manager sets them for the process itself.
const USUAL: &str = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=admin";

/// Hands `fd` over as descriptor 3, told of by `variables`.
fn handing(fd: impl Into<OwnedFd>, variables: &str) -> impl FnOnce(Command) -> Command {
    let (fd, script) =
        (fd.into(), format!("exec 3<&0 </dev/null; export {variables} LISTEN_PIDFDID=7; exec \"$@\""));
    move |usual| {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg("sh").arg(usual.get_program()).args(usual.get_args()).stdin(fd);
        for (name, value) in usual.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

fn prepared(agent: &str, keys: &str) -> Home {
    let home = Home::new();
    home.configure(agent, &root(&scratch(&home), keys));
    home
}

/// A socket as the manager makes it, with a mode that the agent would not choose.
fn listening(at: &Path) -> UnixListener {
    let listener = UnixListener::bind(at).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
    listener
}

#[test]
fn a_socket_that_was_handed_over_is_served_and_stays_its_owners() {
    let mut home = prepared("", "");
    let at = home.path("socket");
    let listener = listening(&at);
    let before = fs::metadata(&at).unwrap();
    for _ in 0..2 {
        // Who comes while nobody serves is answered once somebody does.
        let mut early = UnixStream::connect(&at).unwrap();
        early.write_all(b"GET /v1/health HTTP/1.1\r\nhost: guardian\r\nconnection: close\r\n\r\n").unwrap();
        home.start_by(handing(listener.try_clone().unwrap(), USUAL));
        early.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        early.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        home.until_root_is("ready");
        assert_eq!(home.stop(), Some(0), "{}", home.log());
        let after = fs::metadata(&at).unwrap();
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()), "the file is its owner's");
    }
    // Without the manager nothing is different from before.
    drop(listener);
    home.start();
    assert_eq!(fs::metadata(&at).unwrap().mode() & 0o777, 0o666);
    assert_eq!(home.stop(), Some(0));
    assert!(!at.exists());
}

#[test]
fn a_socket_elsewhere_ends_the_start_before_jobs_register_where_nobody_hears_them() {
    let mut home = prepared("", "");
    let elsewhere = home.path("elsewhere");
    home.launch(handing(listening(&elsewhere), USUAL));
    assert_eq!(home.ended(), Some(2), "{}", home.log());
    let log = home.log();
    assert!(log.contains(elsewhere.to_str().unwrap()) && log.contains("guardian.socket"), "{log}");
    assert!(!home.path("state").exists() && !home.path("socket").exists(), "nothing was touched");
}

#[test]
fn what_is_no_listening_socket_ends_the_start_and_says_what_it_is() {
    let mut home = prepared("", "");
    home.launch(handing(UnixStream::pair().unwrap().0, USUAL));
    assert_eq!(home.ended(), Some(2));
    home.launch(handing(fs::File::open("/dev/null").unwrap(), "LISTEN_PID=$$ LISTEN_FDS=7"));
    assert_eq!(home.ended(), Some(2));
    let log = home.log();
    assert!(log.contains("descriptor admin") && log.contains("does not listen"), "{log}");
    assert!(log.contains("LISTEN_FDS"), "{log}");
}

#[test]
fn what_was_handed_to_another_process_is_not_touched() {
    let mut home = prepared("", "");
    let elsewhere = home.path("elsewhere");
    home.start_by(handing(listening(&elsewhere), "LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=a:b"));
    assert_eq!(home.ask("/v1/health").unwrap()["roots"][0]["name"], "scratch");
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn programs_that_the_agent_starts_know_nothing_of_the_socket() {
    let home_keys = "capacity = \"1MiB\"\nwarning = 10\nhigh_water = 95";
    let mut home = prepared("automatic = false", home_keys);
    let (told, script) = (home.path("told"), home.path("hook"));
    let (new, to) = (home.path("told.new"), told.display());
    let text =
        format!("#!/bin/sh\ncat >/dev/null\nenv >{0}\nls -l /proc/$$/fd >>{0}\nmv {0} {to}\n", new.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = fs::read_to_string(home.path("guardian.toml")).unwrap();
    settings += &format!("[[alert_hook]]\ncommand = [{script:?}]\nlevels = [\"warning\"]\n");
    fs::write(home.path("guardian.toml"), settings).unwrap();
    file(&home.path("scratch/f"), 300 << 10, 60);
    home.start_by(handing(listening(&home.path("socket")), USUAL));
    let told = home.until("the hook was called", |_| fs::read_to_string(&told).ok());
    assert!(!told.contains("LISTEN_") && told.contains("GUARDIAN_ALERT_KIND"), "{told}");
    // Its own pipes and its script are all it has.
    assert!(!told.contains("socket:"), "{told}");
    // Nor does a thread of the agent see them any more.
    let held = fs::read_link(format!("/proc/{}/fd/3", home.pid())).unwrap();
    assert!(held.as_os_str() != OsStr::new("/dev/null"), "{held:?}");
    let flags = fs::read_to_string(format!("/proc/{}/fdinfo/3", home.pid())).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_ne!(u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000, 0, "it is closed in programs: {flags}");
    assert_eq!(home.stop(), Some(0));
}
