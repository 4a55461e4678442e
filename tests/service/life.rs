//! A service from its installation to the purge of its package.

use super::machine::{Machine, tell};
use super::{CONFIGURATION, guarded, machine, package};

#[test]
fn from_the_installation_to_the_purge() {
    let Some((machine, _shared)) = machine() else { return };
    installs_and_guards_nothing_yet(&machine);
    is_started_by_its_first_client(&machine);
    cleans_a_volume_that_fills(&machine);
    takes_a_changed_setting_and_no_broken_one(&machine);
    comes_back_when_it_hangs_or_is_killed(&machine);
    is_upgraded_while_it_sweeps(&machine);
    stops(&machine);
    leaves_everything_of_others(&machine);
}

fn installs_and_guards_nothing_yet(machine: &Machine) {
    tell("the package is installed: the agent runs, and guards nothing yet");
    machine.done("mount -t tmpfs -o size=64m,nr_inodes=300k,mode=1777 scratch /scratch");
    machine.done("dpkg -i /mnt/first.deb");
    machine.done("systemctl is-enabled guardian.socket guardian.service");
    machine.done("systemctl is-active guardian.socket guardian.service");
    assert_ne!(
        machine.sh("systemctl is-enabled guardian-sweep.timer").0,
        0,
        "the timer is for hosts without"
    );
    machine.journal(&["no root is configured: nothing is guarded"]);
    machine.done("getent group guardian");
    machine.done("stat -c '%A %U %G %n' /run/guardian /run/guardian/guardian.sock /var/lib/guardian");
    machine.done("systemctl show -p StatusText guardian.service");
}

fn is_started_by_its_first_client(machine: &Machine) {
    tell("a root is configured; the service is stopped, and its first client starts it");
    machine.write("/etc/guardian/guardian.d/scratch.toml", CONFIGURATION);
    machine.done("guardian config check");
    machine.done("systemctl stop guardian.service");
    assert_eq!(machine.property("guardian.service", "ActiveState"), "inactive");
    machine.done("setpriv --reuid=65534 --regid=65534 --clear-groups guardian health");
    assert_eq!(machine.property("guardian.service", "ActiveState"), "active");
    machine.until("the root is ready", "guardian health --json | grep -q '\"state\":\"ready\"'");
}

/// Percent used, as `df` counts before it rounds.
fn usage(machine: &Machine) -> f64 {
    let said = machine.quietly("df --output=used,avail /scratch | tail -n 1").1;
    let [used, available] =
        said.split_whitespace().map(|word| word.parse::<f64>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{said}")
    };
    used * 100.0 / (used + available)
}

fn cleans_a_volume_that_fills(machine: &Machine) {
    tell("old files of several users fill the volume; one is open, one is held");
    machine.done(
        "mkdir -m 700 /scratch/theirs && cd /scratch/theirs &&
        for n in $(seq 10 58); do head -c 1M /dev/zero >f$n; touch -d \"-3 days -$n min\" f$n; done &&
        chown -R 65534:65534 . && df -h /scratch | tail -n 1",
    );
    machine.done("guardian hold /scratch/theirs/f57 --for 1d");
    // The oldest of all; nobody would see from its times that somebody still reads it.
    let mut reader =
        machine.begin("setpriv --reuid=65534 --regid=65534 --clear-groups sleep 100 </scratch/theirs/f58");
    machine.until(
        "somebody has it open",
        "fuser -s /scratch/theirs/f58 || ls -l /proc/*/fd | grep -q theirs/f58",
    );
    machine.done("head -c 6M /dev/zero >/scratch/new");
    machine.until_some("the volume is at its low mark", || (usage(machine) <= 50.0).then_some(()));
    machine.done("df -h /scratch | tail -n 1; ls /scratch/theirs | tr '\\n' ' '");
    let left = machine.quietly("ls /scratch/theirs").1;
    for kept in ["f58", "f57", "f10"] {
        assert!(left.lines().any(|name| name == kept), "{kept} is gone");
    }
    assert!(left.lines().all(|name| name != "f56"), "the oldest that nothing protects goes first");
    machine.journal(&["past the high-water mark", "scratch"]);
    let explained = machine.done(
        "journalctl --no-pager -x -u guardian.service GUARDIAN_ROOT=scratch | grep -A 14 'past its high-water mark'",
    );
    assert!(explained.contains("guardian history") && !explained.contains("@GUARDIAN"), "{explained}");
    machine.done("guardian history --limit 1");
    machine.done("systemctl --no-pager -n 0 status guardian.service | head -n 12");
    let _ = reader.kill();
    let _ = reader.wait();
}

/// The high mark in force.
fn threshold(machine: &Machine) -> f64 {
    machine.json("stats")["roots"][0]["emergency_threshold"].as_f64().unwrap()
}

fn takes_a_changed_setting_and_no_broken_one(machine: &Machine) {
    tell("a setting is changed: a reload takes it, in the same process");
    let agent = machine.agent();
    assert!((threshold(machine) - 80.0).abs() < 0.1);
    machine.done("sed -i 's/^high_water.*/high_water = 85/' /etc/guardian/guardian.d/scratch.toml");
    machine.done("systemctl reload guardian");
    machine.until_some("the new mark is in force", || (threshold(machine) > 84.9).then_some(()));

    tell("the configuration is broken: a reload refuses it, and all stays as it was");
    machine.done("echo 'high_watr = 90' >>/etc/guardian/guardian.d/scratch.toml");
    machine.sh("systemctl reload guardian");
    machine.journal(&["refused", "high_watr"]);
    assert_eq!(machine.sh("guardian config check").0, 2);
    assert!((threshold(machine) - 85.0).abs() < 0.1);
    assert_eq!(machine.agent(), agent);

    tell("with it the agent can't start; clients do not start it over and over");
    machine.done("systemctl stop guardian.service");
    assert_eq!(machine.sh("guardian health").0, 4);
    machine.until("the socket gives up", "systemctl is-failed guardian.socket");
    machine.done("systemctl show -p ActiveState -p Result guardian.socket guardian.service");
    tell("the mistake is corrected: it starts, without more ado");
    machine.done("sed -i '/high_watr/d' /etc/guardian/guardian.d/scratch.toml");
    machine.done("systemctl start guardian && guardian health");
    machine.done("systemctl is-active guardian.socket guardian.service");
}

fn comes_back_when_it_hangs_or_is_killed(machine: &Machine) {
    tell("the agent hangs: the watchdog has it started again (after 3 s here, not a minute)");
    machine.write(
        "/etc/systemd/system/guardian.service.d/test.conf",
        "[Service]\nWatchdogSec=3s\nRestartSec=1s\nLimitCORE=0\n",
    );
    machine.done("systemctl daemon-reload && systemctl restart guardian");
    let hung = machine.agent();
    machine.done(&format!("kill -STOP {hung}"));
    let next = machine.another_agent_than(&hung);
    machine.done("journalctl --no-pager -o cat -u guardian | grep -i watchdog | tail -n 3");

    tell("it is killed: it is started again, and knows what it knew");
    machine.done(&format!("kill -KILL {next}"));
    machine.another_agent_than(&next);
    machine.done("systemctl show -p NRestarts -p Result guardian.service");
    machine.until("the root is ready", "guardian health --json | grep -q '\"state\":\"ready\"'");
    let held = machine.done("guardian explain /scratch/theirs/f57");
    assert!(held.contains("held"), "the hold is lost");
}

/// So many files that a sweep takes a while, each batch a short one.
const MANY: usize = 60_000;

fn is_upgraded_while_it_sweeps(machine: &Machine) {
    tell("a sweep is under way when the package is upgraded");
    machine.done(&format!(
        "mkdir /scratch/many && cd /scratch/many && seq -f 'm%06g' {MANY} | xargs touch -d '-3 days' && ls | wc -l"
    ));
    machine.until_some("they are all in the index", || {
        let count = machine.json("stats")["roots"][0]["temp_files_count"].as_u64()?;
        (count >= MANY as u64).then_some(())
    });
    let before = machine.agent();
    let sweep = machine.begin("guardian sweep orphans --max-files 1000000 --batch-size 20");
    let left = || machine.quietly("ls /scratch/many | wc -l").1.parse::<usize>().unwrap();
    machine.until_some("the sweep removes", || (left() < MANY).then_some(()));
    machine.done("dpkg -i /mnt/second.deb");
    let at_the_restart = left();
    assert!(at_the_restart > 0, "the sweep was over before the upgrade came: nothing is shown");
    machine.another_agent_than(&before);
    machine.done("dpkg-query -W storage-guardian");
    assert!(machine.quietly("dpkg-query -W storage-guardian").1.ends_with(package::SECOND));
    let ended = sweep.wait_with_output().unwrap();
    eprintln!("  the sweep's client: {}", String::from_utf8_lossy(&ended.stderr).trim());
    // Each removal is on record, those of the batch that was under way, too.
    let removed = MANY - left();
    let recorded = machine.quietly("guardian audit --path '/scratch/many/**' --jsonl | wc -l").1;
    eprintln!("  {removed} files were removed, {recorded} removals are on record, {} files are left", left());
    assert_eq!(recorded.parse::<usize>().unwrap(), removed);
    machine.done("journalctl --no-pager -o cat -u guardian.service | grep -v many | tail -n 8");
}

fn stops(machine: &Machine) {
    tell("somebody puts a file into the trash");
    machine.done(
        "echo precious >/scratch/precious && guardian trash put /scratch/precious && guardian trash list",
    );
    tell("service and socket are stopped: nobody answers, and no file of a socket says otherwise");
    machine.done("systemctl stop guardian.socket guardian.service");
    machine.done("systemctl show -p Result -p ExecMainStatus guardian.service");
    assert_eq!(machine.property("guardian.service", "Result"), "success");
    assert_ne!(machine.sh("test -e /run/guardian/guardian.sock").0, 0);
    assert_eq!(machine.sh("guardian health").0, 4);
    machine.done("systemctl start guardian.socket && guardian health");

    tell("for good: disabled, it comes back with no client, no upgrade and no boot");
    machine.done("systemctl disable --now guardian.socket guardian.service");
    assert_eq!(machine.sh("guardian health").0, 4);
    machine.done("dpkg -i /mnt/second.deb");
    for unit in ["guardian.socket", "guardian.service"] {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
        assert_eq!(machine.sh(&format!("systemctl is-enabled {unit}")).1, "disabled");
    }
    assert_ne!(
        machine.sh("systemctl list-dependencies --plain multi-user.target sockets.target | grep guardian").0,
        0
    );
    machine.done("systemctl enable --now guardian && guardian health");
}

/// All that lies in the root but what the agent itself keeps there, and what lies in the trash.
const TREE: &str = "find /scratch -path '*/.guardian/lock' -prune -o -printf '%p %i %s %T@\\n' | sort";

fn leaves_everything_of_others(machine: &Machine) {
    tell("the package is removed: state, configuration and roots stay");
    let before = machine.quietly(TREE).1;
    machine.done("dpkg -r storage-guardian");
    assert_ne!(machine.sh("systemctl is-active guardian.service guardian.socket").0, 0);
    machine.done("ls /var/lib/guardian /etc/guardian /etc/guardian/guardian.d");
    assert!(machine.quietly(TREE).1 == before, "the removal changed the root");

    tell("it is installed again: it knows what it knew");
    machine.done("dpkg -i /mnt/second.deb");
    machine.done("systemctl is-active guardian.socket guardian.service");
    assert_ne!(machine.sh("test -e /var/lib/guardian/roots-at-removal").0, 0);
    assert!(machine.done("guardian trash list").contains("/scratch/precious"));

    tell("the package is purged: state and configuration go, the roots stay");
    // At its start the agent tried something out in its own directory.
    machine.done("systemctl stop guardian.socket guardian.service");
    let before = machine.quietly(TREE).1;
    let said = machine.done("dpkg -P storage-guardian");
    assert!(said.contains("/scratch/.guardian"), "nobody is told where the trash is");
    for gone in ["/var/lib/guardian", "/etc/guardian", "/run/guardian"] {
        assert_ne!(machine.sh(&format!("test -e {gone}")).0, 0, "{gone} stays");
    }
    machine.sh("find /etc/systemd /var/lib/systemd/deb-systemd-helper-enabled -name '*guardian*'");
    assert!(machine.quietly(TREE).1 == before, "the purge changed the root");
    machine.done("grep -r precious /scratch");
}

#[test]
fn a_package_that_refuses_the_configuration_leaves_the_old_agent_at_work() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    let agent = machine.agent();
    tell("the configuration became invalid since the agent started, and the package is upgraded");
    machine.done("echo 'nonsense = 1' >>/etc/guardian/guardian.d/scratch.toml");
    let said = machine.done("dpkg -i /mnt/second.deb");
    assert!(said.contains("nonsense") && said.contains("systemctl restart guardian"), "{said}");
    assert_eq!(machine.agent(), agent);
    machine.done("guardian health");
}
