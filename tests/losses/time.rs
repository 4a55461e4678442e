//! The agent was away, the host was, or the clock jumped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use guardian::model::{JobRecord, Timestamp};
use guardian::store::ledger::{ClockMark, Ledger, LedgerOrigin};
use guardian::sys::clock;
use serde_json::Value;

use super::harness::transcript::tell;
use super::harness::volumes::{bind, inside};
use super::harness::{Home, root, scratch};
use super::{HOUR, SMALL, count, emergency, files, tell_run};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The ledger of an agent that is down.
fn ledger(home: &Home) -> Ledger {
    let (ledger, origin) = Ledger::open(&home.path("state"), clock::now()).unwrap();
    assert_eq!(origin, LedgerOrigin::Existing);
    ledger
}

fn was_last_up(ledger: &Ledger, wall: Timestamp) {
    ledger.set_clock_mark(&ClockMark { wall, boot_id: String::new(), boottime_nanos: 0 }).unwrap();
}

fn job(home: &Home, id: &str) -> (String, bool) {
    let job = home.ask(&format!("/v1/jobs/{id}")).unwrap();
    (job["state"].as_str().unwrap().to_owned(), job["presumed"].as_bool().unwrap())
}

fn active() -> (String, bool) {
    ("active".to_owned(), false)
}

/// A job stays what it is for longer than its ttl of a second.
fn assert_stays_active(home: &Home, id: &str) {
    let limit = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < limit {
        assert_eq!(job(home, id), active());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_job_is_not_presumed_failed_because_the_agent_was_down_for_an_hour() {
    let mut home = Home::new();
    let root_dir = scratch(&home);
    let more = format!("adoption_grace = \"0s\"\n{SMALL}\n[root.limits]\nmax_share = 100");
    home.configure("sample_interval = \"1s\"", &root(&root_dir, &more));
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "patient", "--ttl", "1s"]);
    assert_eq!(home.stop(), Some(0));
    tell("the agent is down; by its ledger for an hour, and a scheduled sweep was missed");
    {
        let (ledger, ago) = (ledger(&home), clock::now().minus(Duration::from_secs(HOUR)));
        was_last_up(&ledger, ago);
        ledger.set_last_run("orphans", ago.minus(Duration::from_secs(6 * HOUR))).unwrap();
        let patient = ledger.all_jobs().unwrap().remove(0);
        ledger.put_job(&JobRecord { created_at: ago, last_heartbeat: Some(ago), ..patient }).unwrap();
    }
    files(&root_dir, "job_patient", 5, 90);
    files(&root_dir, "orphan", 2, 50);
    home.start();
    let report = home.until("the missed sweep is made up for", scheduled);
    tell_run("the missed sweep", &report);
    let (gone, kept) = (&report["files_deleted"], &report["skipped"]["active_job"]);
    assert_eq!((gone, kept), (&2.into(), &5.into()), "{report}");
    assert_stays_active(&home, "patient");
    tell("the root is filled");
    files(&root_dir, "orphan", 10, 50);
    emergency(&home);
    home.shown(&["job", "show", "patient"]);
    assert_eq!((job(&home, "patient"), count(&root_dir, "job_patient_")), (active(), 5));
    assert_eq!(home.shown(&["health"]).0, 0);
    assert_eq!(home.stop(), Some(0));
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn after_a_reboot_no_file_of_a_job_goes_that_may_yet_come_back() {
    if !inside("time::after_a_reboot_no_file_of_a_job_goes_that_may_yet_come_back") {
        return;
    }
    let mut home = Home::new();
    let root_dir = scratch(&home);
    home.configure("sample_interval = \"1s\"", &root(&root_dir, SMALL));
    home.start();
    home.until_root_is("ready");
    // Its number and start are those that the job had: only the boot tells them apart.
    let process = Process(Command::new("sleep").arg("600").spawn().unwrap());
    let pid = process.0.id().to_string();
    home.done(&["job", "start", "rendering", "--pid", &pid]);
    home.done(&["job", "start", "beating", "--ttl", "1s"]);
    assert_eq!(home.stop(), Some(0));
    tell("the host is booted: another boot id");
    fs::write(home.path("boot_id"), "6b1f2c1e-0000-4000-8000-5a5a5a5a5a5a\n").unwrap();
    if let Err(why) = bind(&home.path("boot_id"), Path::new(BOOT_ID)) {
        eprintln!("skipped: {why}");
        return;
    }
    files(&root_dir, "job_rendering", 4, 90);
    files(&root_dir, "job_beating", 4, 90);
    files(&root_dir, "orphan", 7, 50);
    home.start();
    home.logged("presumed failed");
    emergency(&home);
    home.shown(&["job", "list"]);
    assert_eq!(job(&home, "rendering"), ("failed".to_owned(), true));
    assert_stays_active(&home, "beating");
    let left = ["job_rendering_", "job_beating_"].map(|prefix| count(&root_dir, prefix));
    assert_eq!(left, [4, 4], "whoever rendered may start again");
    assert_eq!(home.shown(&["health"]).0, 0);

    tell("whoever rendered starts again");
    home.shown(&["job", "start", "rendering", "--pid", &pid]);
    assert_eq!(job(&home, "rendering"), active());
    home.shown(&["sweep", "failed-jobs"]);
    home.shown(&["sweep", "orphans"]);
    assert_eq!(["job_rendering_", "job_beating_"].map(|prefix| count(&root_dir, prefix)), [4, 4]);
    assert_eq!(home.stop(), Some(0));
}

fn scheduled(home: &Home) -> Option<Value> {
    home.reports().into_iter().find(|run| run["trigger"] == "scheduled" && run["policy"] == "orphans")
}

/// Nobody can set the clock for one process: the jump is that the ledger's
/// last time is years ago, and what was written seconds ago is past an age of
/// seconds by the clock, but not by the newest file.
#[test]
fn a_clock_that_is_years_ahead_pauses_policies_by_age_but_no_emergency() {
    if clock::time_is_synchronised() {
        eprintln!("skipped: a time service keeps this host's clock, which settles every doubt");
        return;
    }
    let mut home = Home::new();
    let root_dir = scratch(&home);
    let more = format!(
        "adoption_grace = \"0s\"\n{SMALL}\n[root.retain]\nemergency_orphans = \"3s\"\n[root.limits]\nmax_share = 100"
    );
    home.configure("sample_interval = \"1s\"\norphan_sweep_interval = \"1s\"", &root(&root_dir, &more));
    home.start();
    home.until_root_is("ready");
    home.done(&["job", "start", "alive"]);
    assert_eq!(home.stop(), Some(0));
    tell("the root is filled; the agent is down, by its ledger for four years");
    was_last_up(&ledger(&home), clock::now().minus(Duration::from_secs(1461 * 24 * HOUR)));
    files(&root_dir, "older", 4, 50);
    files(&root_dir, "job_alive", 2, 90);
    files(&root_dir, "fresh", 9, 0);
    std::thread::sleep(Duration::from_secs(4));
    home.start();
    home.logged("the clock can't be trusted");
    emergency(&home);
    let left = ["older_", "fresh_", "job_alive_"].map(|prefix| count(&root_dir, prefix));
    assert_eq!(left, [0, 9, 2], "ages are measured against the newest file");
    let (code, said) = home.shown(&["health"]);
    assert!(code == 1 && said.contains("clock trust"), "{said}");
    files(&root_dir, "later", 2, 50);
    let begun = clock::now();
    let report = home.until("a scheduled sweep ends", |home| {
        let start = |run: &Value| Timestamp::parse(run["start_time"].as_str().unwrap()).unwrap();
        home.reports().into_iter().find(|run| run["policy"] == "orphans" && start(run) > begun)
    });
    tell_run("a scheduled sweep", &report);
    assert_eq!(count(&root_dir, "later_"), 2, "{report}");
    let (_, told) = home.shown(&["explain", root_dir.join("later_0").to_str().unwrap()]);
    assert!(told.contains("the clock is not trusted"), "{told}");
    assert!(told.contains("an emergency counts ages from the newest change in the root"), "{told}");

    tell("somebody trusts the clock");
    home.shown(&["clock", "trust"]);
    home.logged("the clock is trusted again");
    home.until("what is past its age goes", |_| (count(&root_dir, "later_") == 0).then_some(()));
    home.shown(&["sweep", "emergency"]);
    let left = ["fresh_", "job_alive_"].map(|prefix| count(&root_dir, prefix));
    assert_eq!(left, [6, 2], "by the clock they are past their age, and go down to the low mark");
    assert_eq!(home.stop(), Some(0));
}
