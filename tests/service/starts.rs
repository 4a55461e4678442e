//! How the agent starts: after failures, with a socket elsewhere, and how long it takes.

use super::machine::{Machine, tell};
use super::{guarded, machine};

#[test]
fn it_starts_once_a_passing_cause_is_over_however_often_it_failed() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    tell("somebody holds the lock while it is to start, and clients go on asking");
    // The times of both units, a fifth of each.
    machine.write("/etc/systemd/system/guardian.service.d/test.conf", "[Service]\nRestartSec=2s\n");
    machine
        .write("/etc/systemd/system/guardian.socket.d/test.conf", "[Socket]\nTriggerLimitIntervalSec=1s\n");
    machine.done("systemctl daemon-reload && systemctl stop guardian.service");
    machine.done("systemd-run --quiet --unit holder flock /var/lib/guardian/lock sleep 1000");
    machine.until("the lock is held", "! flock --nonblock /var/lib/guardian/lock true");
    let clients = "systemd-run --quiet --unit clients sh -c 'while :; do guardian health; sleep 0.2; done'";
    machine.done(clients);
    machine.sh("systemctl start guardian.service");
    machine.until_some("it was started more often than any limit allowed", || {
        let starts =
            machine.quietly("journalctl --no-pager -o cat -u guardian.service | grep -c ^Starting").1;
        (starts.parse::<u32>().ok()? > 12).then_some(())
    });
    machine.done("systemctl show -p ActiveState -p SubState -p Result guardian.service guardian.socket");
    tell("the lock is free again");
    machine.done("systemctl stop holder.service");
    machine.until("the agent is up", "systemctl is-active guardian.service");
    machine.done("systemctl is-active guardian.service guardian.socket && guardian health");
}

#[test]
fn what_a_failed_removal_or_a_deconfiguration_stopped_is_started_again() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    let script = |name: &str, arguments: &str| {
        machine.done(&format!("/var/lib/dpkg/info/storage-guardian.{name} {arguments}"));
    };
    for (before, after) in [
        ("remove", "abort-remove"),
        ("deconfigure in-favour other 1", "abort-deconfigure in-favour other 1"),
        ("remove in-favour other 1", "abort-remove in-favour other 1"),
    ] {
        script("prerm", before);
        assert_ne!(machine.sh("systemctl is-active guardian.service").0, 0);
        script("postinst", after);
        machine.done("systemctl is-active guardian.socket guardian.service");
    }
    tell("what its administrator stopped stays stopped at an upgrade");
    machine.done("systemctl stop guardian.socket guardian.service && dpkg -i /mnt/second.deb");
    assert_ne!(machine.sh("systemctl is-active guardian.service").0, 0);
}

#[test]
fn a_socket_elsewhere_is_explained_in_words_that_help() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    machine.write("/etc/guardian/guardian.d/socket.toml", "[agent]\nsocket = \"/run/guardian/other.sock\"\n");
    machine.sh("systemctl restart guardian.service");
    machine.journal(&["failed to serve the socket", "ListenStream=/run/guardian/other.sock"]);
    tell("as it says: the same in the unit, and both anew");
    machine.write(
        "/etc/systemd/system/guardian.socket.d/override.conf",
        "[Socket]\nListenStream=\nListenStream=/run/guardian/other.sock\n",
    );
    machine.done("systemctl daemon-reload");
    machine.done("systemctl stop guardian.socket guardian.service && systemctl start guardian.service");
    machine.done("guardian --socket /run/guardian/other.sock health && systemctl is-active guardian.socket");
}

/// Milliseconds of each of some starts, from the fork to READY=1.
fn starts(machine: &Machine) -> Vec<u64> {
    let mut all: Vec<u64> = (0..7)
        .map(|_| {
            assert_eq!(machine.quietly("systemctl restart guardian.service").0, 0);
            let at = |name| machine.property("guardian.service", name).parse::<u64>().unwrap();
            (at("ActiveEnterTimestampMonotonic") - at("InactiveExitTimestampMonotonic")) / 1000
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn a_start_is_over_within_seconds_also_where_there_is_much() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    let empty = starts(&machine);
    machine.done("mkdir /scratch/d && cd /scratch/d && seq -f 'f%05g' 10000 | xargs touch");
    machine.until_some("they are in the index", || {
        (machine.json("stats")["roots"][0]["temp_files_count"].as_u64()? >= 10_000).then_some(())
    });
    let full = starts(&machine);
    eprintln!("  start to ready, an empty root: median {} ms of {empty:?}", empty[3]);
    eprintln!("  start to ready, 10,000 files:  median {} ms of {full:?}", full[3]);
    // Ready is said when roots are guarded, not when all of them is read.
    assert!(empty[3] < 5_000 && full[3] < 5_000);
}
