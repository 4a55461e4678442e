//! What a purge takes: guardian's own files, whatever else lies between them.

use super::machine::{Machine, tell};
use super::{guarded, machine};

/// Purges; that is never an error.
fn purged(machine: &Machine) -> String {
    let said = machine.done("dpkg -P storage-guardian");
    let left = machine.sh("find /var/lib/guardian /etc/guardian /run/guardian 2>/dev/null").1;
    for own in ["ledger", "index", "audit", "lock", "roots-at-removal", "guardian.toml", "scratch.toml"] {
        assert!(
            !left.lines().any(|path| path.rsplit('/').next().unwrap().starts_with(own)),
            "{own} stays: {left}"
        );
    }
    said
}

#[test]
fn a_purge_takes_guardians_own_files_and_nothing_of_anybody_else() {
    let Some((machine, _shared)) = machine() else { return };
    guarded(&machine);
    machine.done("cd /scratch && touch -d '-3 days' old && guardian sweep orphans -q");

    tell("somebody's files lie in the state directory: a root is a link to them, others are bound in");
    machine.done(
        "mkdir -p /var/lib/guardian/theirs /srv/bound/sub /var/lib/guardian/bound &&
        touch /var/lib/guardian/theirs/work /srv/bound/sub/work /var/lib/guardian/ledger.txt &&
        ln -s /var/lib/guardian/theirs /linked &&
        mount --bind /srv/bound /var/lib/guardian/bound &&
        ln -s /srv/bound /var/lib/guardian/index.redb.damaged-1 &&
        touch /srv/bound/index.new /srv/bound/00000001.seg &&
        echo theirs >/etc/guardian/notes",
    );
    machine.done("ls -R /var/lib/guardian");
    tell("and nobody can tell any more which roots there were");
    machine.done("echo nonsense >>/etc/guardian/guardian.d/scratch.toml; systemctl stop guardian.socket guardian.service");
    let theirs = "find /srv/bound /linked/ /scratch -printf '%p %i %s\\n' | sort";
    let before = machine.quietly(theirs).1;
    machine.done("dpkg -r storage-guardian");
    let said = machine.done("dpkg -P storage-guardian");
    machine.sh("find /var/lib/guardian /etc/guardian");
    assert_eq!(machine.quietly(theirs).1, before);
    assert!(said.contains("/var/lib/guardian stays") && said.contains("/etc/guardian stays"), "{said}");
    let left = "find /var/lib/guardian /etc/guardian -xdev -type f ! -path '*/bound/*' | sort";
    assert_eq!(
        machine.done(left),
        "/etc/guardian/notes\n/var/lib/guardian/ledger.txt\n/var/lib/guardian/theirs/work"
    );

    tell("the audit log is a volume that somebody mounted, or a link");
    machine.done("umount /var/lib/guardian/bound && rm -r /linked /var/lib/guardian /etc/guardian");
    let theirs = "find /srv/bound /scratch -printf '%p %i %s\\n' | sort";
    let before = machine.quietly(theirs).1;
    machine.done("dpkg -i /mnt/first.deb && systemctl stop guardian.socket guardian.service");
    machine.done("rm -r /var/lib/guardian/audit && mkdir /var/lib/guardian/audit && mount --bind /srv/bound /var/lib/guardian/audit");
    machine.done("dpkg -P storage-guardian");
    assert_eq!(machine.quietly(theirs).1, before);
    machine.done(
        "umount /var/lib/guardian/audit && rm -r /var/lib/guardian && ln -s /srv/bound /var/lib/guardian",
    );
    machine.done("dpkg -i /mnt/first.deb && systemctl stop guardian.socket guardian.service");
    machine.done("dpkg -P storage-guardian && rm /var/lib/guardian");
    machine.done("test -e /srv/bound/sub/work && test -e /srv/bound/00000001.seg");
}

#[test]
fn a_state_directory_on_a_volume_of_its_own_is_purged_and_stays_mounted() {
    let Some((machine, _shared)) = machine() else { return };
    machine.done(
        "mkdir -p -m 700 /var/lib/guardian && mount -t tmpfs -o size=64m,mode=700 state /var/lib/guardian",
    );
    guarded(&machine);
    machine.done(
        "mkdir /var/lib/guardian/lost+found && mount -t tmpfs -o size=1m other /var/lib/guardian/lost+found",
    );
    let said = purged(&machine);
    assert!(said.contains("/var/lib/guardian stays") && !said.contains("/etc/guardian stays"), "{said}");
    machine.done("mountpoint /var/lib/guardian && mountpoint /var/lib/guardian/lost+found");
    assert_ne!(machine.sh("dpkg-query -W -f '${Status}' storage-guardian").0, 0, "dpkg still knows it");
}
