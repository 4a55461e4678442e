//! The package on a real systemd: installed, started by its first client, at work behind its
//! walls, reloaded, hung, killed, upgraded, removed and purged. Run with `--nocapture
//! --test-threads=1` to read what somebody at the terminal would have seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is done is shown, what is skipped is said")]

#[path = "service/life.rs"]
mod life;
#[path = "service/machine.rs"]
mod machine;
#[path = "service/package.rs"]
mod package;
#[path = "service/purge.rs"]
mod purge;
#[path = "service/starts.rs"]
mod starts;
#[path = "service/walls.rs"]
mod walls;

use machine::Machine;
use tempfile::TempDir;

/// A machine with the packages in `/mnt`; `None`, with the reason said, where there can be none.
fn machine() -> Option<(Machine, TempDir)> {
    let booted = package::packages().and_then(|shared| Ok((Machine::boot(shared.path())?, shared)));
    booted.map_err(|why| eprintln!("skipped: {why}")).ok()
}

/// Quick looks, and a root that acts at once, new as it is, on a volume of 64 MiB.
const CONFIGURATION: &str = "\
[agent]
sample_interval = \"1s\"
[[root]]
path = \"/scratch\"
require_mount = true
high_water = 80
low_water = 50
warning = 70
min_free = \"0\"
age_by = [\"mtime\"]
registry_grace = \"0s\"
adoption_grace = \"0s\"
";

/// Installs the first package and guards `/scratch`, a volume of its own.
fn guarded(machine: &Machine) {
    machine.done("mount -t tmpfs -o size=64m,nr_inodes=300k,mode=1777 scratch /scratch");
    machine.done("dpkg -i /mnt/first.deb");
    machine.write("/etc/guardian/guardian.d/scratch.toml", CONFIGURATION);
    machine.done("guardian config check");
    machine.done("systemctl reload guardian");
    machine.until("the root is ready", "guardian health --json | grep -q '\"state\":\"ready\"'");
}
