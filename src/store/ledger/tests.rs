use super::*;
use crate::model::{Covers, JobState};

fn job(name: &str) -> JobRecord {
    JobRecord {
        id: JobId::parse(name).unwrap(),
        state: JobState::Active,
        presumed: false,
        root: None,
        ttl: None,
        process: None,
        uid: 0,
        covers: Covers::AnyOwner,
        created_at: Timestamp::EPOCH,
        last_heartbeat: None,
        ended_at: None,
        results_removed_at: None,
    }
}

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

#[test]
fn what_was_recorded_is_there_after_reopening_and_a_reader_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    assert!(LedgerReader::open(dir.path()).unwrap().is_none());
    let (ledger, origin) = Ledger::open(dir.path(), NOW).unwrap();
    assert_eq!(origin, LedgerOrigin::Created);
    assert!(ledger.trusted().unwrap());
    for name in ["a", "b", "c"] {
        ledger.put_job(&job(name)).unwrap();
    }
    assert_ne!(ledger.new_root_key().unwrap(), ledger.new_root_key().unwrap());
    let after = ledger.jobs_page(Some(&JobId::parse("a").unwrap()), 1, Some(JobState::Active)).unwrap();
    assert_eq!(after, vec![job("b")]);
    let id = ledger.id();
    // As after a crash: the file is copied while it is open.
    let crashed = tempfile::tempdir().unwrap();
    let copy = crashed.path().join(FILE);
    std::fs::copy(dir.path().join(FILE), &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let reader = LedgerReader::open(crashed.path()).unwrap().unwrap();
    assert_eq!((reader.id(), reader.all_jobs().unwrap().len()), (id.clone(), 3));
    drop(reader);
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    drop(ledger);
    let (ledger, origin) = Ledger::open(dir.path(), NOW).unwrap();
    assert_eq!((ledger.id(), origin), (id, LedgerOrigin::Existing));
    assert_eq!(ledger.all_jobs().unwrap().len(), 3);
}

#[test]
fn a_lost_ledger_is_told_and_keeps_the_jobs_of_its_backup_but_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
    ledger.put_job(&job("living")).unwrap();
    let key = ledger.new_root_key().unwrap();
    ledger.backup(&dir.path().join(BACKUP)).unwrap();
    let id = ledger.id();
    drop(ledger);
    std::fs::write(dir.path().join(FILE), vec![7; 50_000]).unwrap();
    let (ledger, origin) = Ledger::open(dir.path(), NOW).unwrap();
    assert!(matches!(origin, LedgerOrigin::Lost { .. }), "{origin:?}");
    assert_ne!(ledger.id(), id);
    assert!(!ledger.trusted().unwrap());
    assert_eq!(ledger.all_jobs().unwrap(), vec![job("living")]);
    assert_ne!(ledger.new_root_key().unwrap(), key);
    drop(ledger);
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(matches!(Ledger::open(dir.path(), NOW).unwrap().1, LedgerOrigin::Lost { .. }));
}

/// A volume of 64 KiB under `dir`, or why there is none.
fn tiny_volume(dir: &std::path::Path) -> Result<(), String> {
    let ran = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(dir)
        .output()
        .map_err(|error| error.to_string())?;
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).into_owned()) }
}

#[test]
fn a_ledger_begins_on_a_full_volume_and_records_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    if let Err(why) = tiny_volume(dir.path()) {
        eprintln!("skipped: no tmpfs can be mounted: {why}");
        return;
    }
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0).status();
        }
    }
    let _unmount = Unmount(dir.path());
    let fill = dir.path().join("fill");
    let _ = std::fs::write(&fill, vec![1; 1 << 17]).unwrap_err();
    let (ledger, origin) = Ledger::open(dir.path(), NOW).unwrap();
    assert_eq!(origin, LedgerOrigin::Created);
    assert!(ledger.trusted().unwrap() && ledger.all_jobs().unwrap().is_empty());
    assert!(ledger.put_job(&job("a")).unwrap_err().is_no_space(), "nothing is claimed to be on record");
    assert!(ledger.all_jobs().unwrap().is_empty());
    // As after a kill: nothing there is taken for a loss.
    assert_eq!(Ledger::open(dir.path(), NOW).unwrap().1, LedgerOrigin::Created);
    std::fs::remove_file(&fill).unwrap();
    ledger.put_job(&job("a")).unwrap();
    let id = ledger.id();
    drop(ledger);
    let (again, origin) = Ledger::open(dir.path(), NOW).unwrap();
    assert_eq!((origin, again.id()), (LedgerOrigin::Existing, id));
    assert_eq!(again.all_jobs().unwrap(), vec![job("a")]);
}
