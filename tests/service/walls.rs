//! What the unit closes, and what its drop-ins open.

use std::time::{Duration, Instant};

use super::machine::{Machine, tell};
use super::{guarded, machine};

/// Takes a drop-in as the README says.
fn takes(machine: &Machine, name: &str) {
    machine.done(&format!(
        "mkdir -p /etc/systemd/system/guardian.service.d &&
        cp /usr/share/guardian/drop-ins/{name} /etc/systemd/system/guardian.service.d/ &&
        systemctl daemon-reload && systemctl restart guardian"
    ));
}

#[test]
fn homes_and_the_network_are_closed_until_a_drop_in_opens_them() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);

    tell("a root in a home directory: the reload is refused, and says what to do");
    machine.done("mkdir -p /home/somebody/tmp");
    machine.write(
        "/etc/guardian/guardian.d/home.toml",
        "[[root]]\nname = \"home\"\npath = \"/home/somebody/tmp\"\ncapacity = \"10MiB\"\n",
    );
    machine.sh("systemctl reload guardian");
    machine.journal(&["/home/somebody/tmp", "home.conf"]);
    takes(&machine, "home.conf");
    let ready = "guardian health --json | grep -o '\"state\":\"ready\"' | wc -l | grep -qx 2";
    machine.until("both roots are ready", ready);

    tell("metrics on an address: closed, then open");
    machine.write("/etc/guardian/guardian.d/metrics.toml", "[agent]\nmetrics_listen = \"127.0.0.1:9743\"\n");
    let scrape = "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/9743 && printf \"GET /metrics HTTP/1.0\\r\\n\\r\\n\" >&3 && grep -m1 guardian_start_time <&3'";
    machine.done("systemctl restart guardian");
    assert_ne!(machine.sh(scrape).0, 0, "the default unit has a network");
    takes(&machine, "metrics.conf");
    machine.until("the figures are there", scrape);
    machine.done(scrape);

    tell("all drop-ins together");
    takes(&machine, "clock.conf");
    takes(&machine, "network.conf");
    takes(&machine, "fanotify.conf");
    machine.done("guardian health");
    machine.done(
        "systemd-analyze verify --man=no --recursive-errors=no /usr/lib/systemd/system/guardian.service",
    );
}

#[test]
fn roots_in_shared_memory_and_on_volumes_that_come_later_are_guarded() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    tell("a root in /dev/shm, and one whose volume is mounted after the start");
    machine.done("mkdir -p /dev/shm/work /later");
    machine.write(
        "/etc/guardian/guardian.d/more.toml",
        "[[root]]\nname = \"shm\"\npath = \"/dev/shm/work\"\n[[root]]\nname = \"later\"\npath = \"/later\"\nrequire_mount = true\n",
    );
    machine.done("systemctl reload guardian");
    let state = |name: &str, state: &str| {
        machine.until(
            &format!("{name} is {state}"),
            &format!("guardian health --json | tr '{{' '\\n' | grep '\"name\":\"{name}\"' | grep -q '\"state\":\"{state}\"'"),
        );
    };
    state("shm", "ready");
    state("later", "suspended");
    machine.done("mount -t tmpfs -o size=16m later /later");
    state("later", "ready");
    machine.done(
        "for at in /dev/shm/work /later; do head -c 1M /dev/zero >$at/old; touch -d '-3 days' $at/old; done",
    );
    // ctime makes them new: an order by name, instead of waiting a day.
    machine.done("guardian delete /dev/shm/work/old /later/old && guardian queue run");
    assert_ne!(machine.sh("test -e /dev/shm/work/old").0, 0);
    assert_ne!(machine.sh("test -e /later/old").0, 0);
    machine.done("guardian health --json | grep -o '\"open_check\":\"[a-z]*\"'");
}

#[test]
fn a_host_without_the_agent_is_swept_by_the_timer() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    machine.done("mkdir -m 700 /scratch/theirs && cd /scratch/theirs && touch -d '-3 days' old && touch new1 new2 && chown -R 65534 .");
    tell("the agent is there: the sweep of the timer has nothing to do");
    machine.done("systemctl start guardian-sweep.service");
    machine.done("systemctl show -p Result -p ExecMainStatus guardian-sweep.service");
    machine.done("ls /scratch/theirs");
    machine.done("guardian sweep scheduled --unattended");
    machine.done("test -e /scratch/theirs/old");
    tell("the agent is disabled: the sweep does it by itself, behind the same walls");
    machine.done("systemctl disable --now guardian.socket guardian.service");
    machine.done("systemctl enable --now guardian-sweep.timer");
    machine.done("systemctl list-timers --no-pager guardian-sweep.timer | head -n 2");
    machine.done("systemctl start guardian-sweep.service");
    machine.done("journalctl --no-pager -o cat -u guardian-sweep.service");
    assert_eq!(machine.property("guardian-sweep.service", "Result"), "success");
    assert_ne!(machine.sh("test -e /scratch/theirs/old").0, 0, "it is still there");
    machine.done("test -e /scratch/theirs/new1");

    tell("most of the root became due at once: that is for somebody to look at");
    machine.done("cd /scratch/theirs && touch -d '-3 days' old1 old2 old3");
    machine.sh("systemctl start guardian-sweep.service");
    machine.done("journalctl --no-pager -o cat -u guardian-sweep.service | tail -n 6");
    assert_eq!(machine.property("guardian-sweep.service", "ExecMainStatus"), "1");
    machine.done("systemctl is-failed guardian-sweep.service");
    machine.done("test -e /scratch/theirs/old3");
    machine.done("guardian sweep scheduled --root scratch");
    assert_ne!(machine.sh("test -e /scratch/theirs/old3").0, 0, "somebody looked, and it stays");

    tell("the volume of another root is missing: this one is swept, and the unit has failed");
    machine.write(
        "/etc/guardian/guardian.d/later.toml",
        "[[root]]\nname = \"later\"\npath = \"/later\"\nrequire_mount = true\n",
    );
    machine.done("mkdir /later && touch -d '-3 days' /scratch/theirs/old");
    machine.sh("systemctl start guardian-sweep.service");
    machine.done("journalctl --no-pager -o cat -u guardian-sweep.service | tail -n 4");
    assert_eq!(machine.property("guardian-sweep.service", "ExecMainStatus"), "1");
    assert_ne!(machine.sh("test -e /scratch/theirs/old").0, 0, "one root stops the others");
}

/// The shell examples of the README's section on installing, in order, as root types them.
fn steps_of_the_readme() -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("\n## Install\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let steps = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    steps.map(|step| step.replace("sudo ", "")).collect()
}

/// Takes one of the steps, and says how long that took.
fn step(machine: &Machine, what: &str, script: &str) -> (String, Duration) {
    let began = Instant::now();
    let said = machine.done(&format!("set -e; {script}"));
    let took = began.elapsed();
    eprintln!("  {:.2} s: {what}", took.as_secs_f64());
    (said, took)
}

#[test]
fn the_steps_of_the_readme_lead_from_nothing_to_guarded() {
    let Some((machine, shared)) = machine() else { return };
    let steps = steps_of_the_readme();
    let [package, guard, by_hand, drop_in, alone] = &steps[..] else { panic!("{} examples", steps.len()) };
    machine.done("mount -t tmpfs -o size=64m scratch /scratch");

    tell("with the package");
    assert!(
        package.contains("build-deb")
            && package.contains("apt install ./target/debian/storage-guardian_*.deb")
    );
    let (_, installed) = step(&machine, "the package is installed", "dpkg -i /mnt/first.deb");
    let (said, guarded) = step(&machine, "a root is named", guard);
    assert!(said.contains("/scratch"));
    let ready = "until guardian health --json | grep -q '\"state\":\"ready\"'; do sleep 0.05; done";
    let (_, read) = step(&machine, "the root is read", ready);
    eprintln!("  {:.2} s: from nothing to guarded", (installed + guarded + read).as_secs_f64());
    step(&machine, "a drop-in is taken", drop_in);
    assert_eq!(machine.property("guardian.service", "PrivateNetwork"), "no");
    step(&machine, "the timer takes the agent's place", alone);
    assert_eq!(machine.property("guardian-sweep.timer", "ActiveState"), "active");
    machine.done(
        "dpkg -P storage-guardian && rm -r /etc/systemd/system/guardian.service.d && systemctl daemon-reload",
    );

    // No link that leads nowhere stays, of the timer neither, which the package did not enable.
    assert_eq!(machine.sh("find /etc/systemd -name 'guardian*'"), (0, String::new()));

    tell("by hand");
    // What the build leaves, where its user would be; the program is the one under test.
    std::fs::copy(env!("CARGO_BIN_EXE_guardian"), shared.path().join("guardian")).unwrap();
    for dir in ["config", "systemd"] {
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/").to_owned() + dir;
        let copied =
            std::process::Command::new("cp").arg("-r").arg(from).arg(shared.path()).status().unwrap();
        assert!(copied.success());
    }
    let by_hand = by_hand
        .replace("cargo build --release --locked", "mkdir -p target/release && cp guardian target/release/");
    step(&machine, "installed by hand", &format!("cd /mnt; {by_hand}"));
    machine.done("guardian health; systemctl is-active guardian.socket guardian.service");
}
