//! A scheduled sweep that was cut off goes on when the agent is back.

use super::*;
use crate::model::Timestamp;
use crate::store::ledger::Ledger;
use crate::sys::clock;

/// An agent whose last sweep of orphans began ten minutes ago and never ended, by the ledger.
fn agent_after_a_crash() -> (Host, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("scratch")).unwrap();
    let mut settings = settings(home.path(), "[root.limits]\nmax_share = 100\n");
    settings.agent.automatic = true;
    let orphan = file(home.path(), "orphan", 48);
    let begun = clock::now().minus(Duration::from_secs(600));
    fs::create_dir(&settings.agent.state_dir).unwrap();
    let (ledger, _) = Ledger::open(&settings.agent.state_dir, begun).unwrap();
    ledger.set_last_run("orphans", begun).unwrap();
    ledger.set_last_run("scheduled", begun).unwrap();
    ledger.set_last_run("orphans.ended", Timestamp::EPOCH).unwrap();
    drop(ledger);
    (Host::start_in(home, settings), orphan)
}

#[test]
fn a_scheduled_sweep_that_was_interrupted_goes_on_at_the_start_and_is_then_done() {
    let (host, orphan) = agent_after_a_crash();
    let deadline = Instant::now() + Duration::from_secs(20);
    let ledger = &host.running.agent().ledger;
    let done = || ledger.last_run("orphans.ended").unwrap() > Some(Timestamp::EPOCH);
    while orphan.exists() || !done() {
        assert!(Instant::now() < deadline, "the sweep goes on and notes its end");
        std::thread::sleep(Duration::from_millis(5));
    }
    // It was not due: its interval had hardly begun.
    let begun = ledger.last_run("orphans").unwrap().unwrap();
    assert!(begun.age_at(clock::now()) >= Duration::from_secs(600));
    host.running.stop().unwrap();
}
