use super::*;
use crate::model::{Covers, JobState};

pub(super) fn job(name: &str) -> JobRecord {
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
pub(crate) fn tiny_volume(dir: &std::path::Path) -> Result<(), String> {
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

fn deferred(id: &str, root: &str, due: i64) -> crate::model::QueueEntry {
    use crate::model::{
        EntryId, FileFacts, FileKind, Identity, Kept, QueueEntry, Requester, Stage, WirePath,
    };
    let facts = FileFacts {
        id: Identity {
            dev: 1,
            ino: 2,
            kind: FileKind::Regular,
            size: 3,
            mtime: Timestamp::EPOCH,
            ctime: Timestamp::EPOCH,
        },
        allocated: 4096,
        nlink: 1,
        uid: 0,
        atime: None,
        btime: None,
        expires_at: None,
    };
    let kept = Kept {
        id: EntryId::new(id),
        root: RootName::parse(root).unwrap(),
        path: WirePath::from_bytes(id.as_bytes()),
        facts,
        files: 1,
        bytes: 4096,
        stage: Stage::Moved,
        by: Requester { uid: 0, gid: 0, pid: 1 },
        asked_at: None,
        moved_at: None,
    };
    let at = Timestamp::from_nanos(due);
    QueueEntry { kept, client_id: None, queued_at: at, attempts: 0, last_error: None, next_try_at: at }
}

#[test]
fn what_is_due_comes_by_time_of_one_root_and_the_counts_follow_each_change() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
    let [a, b] = ["a", "b"].map(|name| RootName::parse(name).unwrap());
    let entries = [deferred("1", "a", 30), deferred("2", "a", -5), deferred("3", "b", 10)];
    let changes: Vec<KeptChange> = entries.iter().cloned().map(KeptChange::Queue).collect();
    ledger.change_kept(&changes).unwrap();
    let due = |root: &RootName, until: i64| -> Vec<String> {
        let found = ledger.queue_due(root, Timestamp::from_nanos(until), None, 10).unwrap();
        found.iter().map(|entry| entry.kept.id.to_string()).collect()
    };
    assert_eq!(due(&a, i64::MAX), ["2", "1"]);
    assert_eq!(due(&a, 29), ["2"]);
    assert_eq!(due(&b, 10), ["3"]);
    let behind = Some((Timestamp::from_nanos(-5), &entries[1].kept.id));
    assert_eq!(ledger.queue_due(&a, Timestamp::from_nanos(i64::MAX), behind, 10).unwrap().len(), 1);
    let later = crate::model::QueueEntry {
        attempts: 1,
        next_try_at: Timestamp::from_nanos(99),
        ..entries[1].clone()
    };
    let trash = crate::model::TrashEntry {
        kept: entries[0].kept.clone(),
        deleted_at: Timestamp::from_nanos(7),
        failed: None,
    };
    ledger.change_kept(&[KeptChange::Queue(later), KeptChange::Trash(trash)]).unwrap();
    assert_eq!(due(&a, 98), [] as [&str; 0]);
    assert_eq!(ledger.queue_stats(Some(&a)).unwrap().by_attempts, [(1, 1)].into());
    assert_eq!(ledger.queue_stats(None).unwrap().total_pending, 2);
    let totals = ledger.trash_totals(&a).unwrap();
    assert_eq!((totals.files, totals.bytes, ledger.moved_bytes(&a).unwrap()), (1, 4096, 8192));
    let ids = entries.iter().map(|entry| KeptChange::Forget(entry.kept.id.clone()));
    ledger.change_kept(&ids.collect::<Vec<_>>()).unwrap();
    assert_eq!(ledger.queue_stats(None).unwrap(), crate::model::QueueStats::default());
    assert_eq!((ledger.trash_totals(&a).unwrap().files, ledger.moved_bytes(&a).unwrap()), (0, 0));
}

#[test]
fn a_request_of_very_many_paths_is_durable_in_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
    let count: u64 = if std::env::var_os("GUARDIAN_LONG").is_some() { 100_000 } else { 5_000 };
    let changes: Vec<KeptChange> = (0..count)
        .map(|number| KeptChange::Queue(deferred(&format!("{number:036}"), "a", number as i64)))
        .collect();
    let begun = std::time::Instant::now();
    ledger.change_kept(&changes).unwrap();
    eprintln!("{count} entries durable in one transaction after {:.2?}", begun.elapsed());
    assert_eq!(ledger.queue_stats(None).unwrap().total_pending, count);
    // As after a kill: all of it, or nothing.
    let crashed = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(FILE), crashed.path().join(FILE)).unwrap();
    let (again, _) = Ledger::open(crashed.path(), NOW).unwrap();
    assert_eq!(again.queue_stats(None).unwrap().total_pending, count);
}

#[test]
fn what_waits_longest_is_told_by_its_time_though_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
    // IDs sort by the clock of when they were made: the third request came after it was set back.
    let entries = [("b", 200), ("c", 300), ("a", 250), ("d", 100)].map(|(id, at)| deferred(id, "one", at));
    let changes: Vec<_> = entries.iter().cloned().map(KeptChange::Queue).collect();
    ledger.change_kept(&changes).unwrap();
    let span = || {
        let stats = ledger.queue_stats(None).unwrap();
        (stats.oldest_queued.map(Timestamp::as_nanos), stats.newest_queued.map(Timestamp::as_nanos))
    };
    assert_eq!(span(), (Some(100), Some(300)));
    // A try changes when it is due, not when it was asked for.
    let tried = crate::model::QueueEntry { next_try_at: NOW, attempts: 1, ..entries[3].clone() };
    ledger.change_kept_soon(&[KeptChange::Queue(tried)]).unwrap();
    assert_eq!(span(), (Some(100), Some(300)));
    let forget = |entry: &crate::model::QueueEntry| KeptChange::Forget(entry.kept.id.clone());
    ledger.change_kept(&[forget(&entries[3]), forget(&entries[1])]).unwrap();
    assert_eq!(span(), (Some(200), Some(250)));
    ledger.change_kept(&entries.each_ref().map(forget)).unwrap();
    assert_eq!(span(), (None, None));
}
