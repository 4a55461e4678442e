mod index;

use super::*;
use crate::model::{Phase, Policy, Reason, RootName, RunId, WirePath};

fn header(run: &str, seconds: i64) -> BatchHeader {
    BatchHeader {
        run: RunId::new(run),
        volume_run: RunId::new("v"),
        root: RootName::parse("scratch").unwrap(),
        root_path: WirePath::from_bytes(b"/scratch"),
        policy: Policy::Emergency,
        phase: Phase::Orphans,
        time: Timestamp::from_unix(seconds, 0),
    }
}

fn entries(n: usize) -> Vec<AuditEntry> {
    let reason = Reason::OrphanUntracked { age: Duration::from_secs(9), limit: Duration::from_secs(5) };
    let one = |n: usize| AuditEntry {
        path: WirePath::from_bytes(format!("dir/file-{n}").as_bytes()),
        reason: reason.clone(),
        ino: n as u64,
        size: 1,
        allocated: 4096,
        uid: 0,
        mtime: Timestamp::EPOCH,
    };
    (0..n).map(one).collect()
}

fn outcomes(log: &AuditLog, run: &str) -> Vec<Outcome> {
    let filter = AuditFilter { run: Some(RunId::new(run)), ..AuditFilter::default() };
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = log.page(&filter, after.as_ref(), 6000).unwrap();
        all.extend(page.items.into_iter().map(|record| match record {
            AuditRecord::Removal { outcome, .. } => outcome,
            AuditRecord::Change(_) => panic!("a change is not of a run"),
        }));
        after = page.next.map(|next| next.to_string().parse().unwrap());
        if after.is_none() {
            all.reverse();
            return all;
        }
    }
}

#[test]
fn a_batch_says_what_went_what_stayed_and_when_nobody_knows() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    let ticket = log.append_batch(&header("done", 1), &entries(2)).unwrap();
    log.finish_batch(ticket, &[NotRemoved(1, "in_use".to_owned())]).unwrap();
    drop(log.append_batch(&header("crashed", 2), &entries(1)).unwrap());
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(outcomes(&log, "done"), [Outcome::Removed, Outcome::NotRemoved("in_use".to_owned())]);
    assert_eq!(outcomes(&log, "crashed"), [Outcome::Unknown]);
    let accepts = |path: &[u8]| path == b"/scratch/dir/file-1";
    let filter = AuditFilter { path: Some(&accepts), ..AuditFilter::default() };
    assert_eq!(log.page(&filter, None, 10).unwrap().items.len(), 1);
}

#[test]
fn a_torn_tail_is_never_believed_and_the_log_goes_on_before_it() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    drop(log.append_batch(&header("whole", 1), &entries(1)).unwrap());
    drop(log.append_batch(&header("torn", 2), &entries(1)).unwrap());
    let end = log.lock().current.end;
    log.lock().current.file.write_all_at(b"~", end - 3).unwrap();
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    assert!(outcomes(&log, "torn").is_empty());
    drop(log.append_batch(&header("later", 3), &entries(1)).unwrap());
    assert_eq!((outcomes(&log, "whole").len(), outcomes(&log, "later").len()), (1, 1));
}

#[test]
fn long_batches_cross_segments_and_old_segments_are_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    for seconds in [10, 20] {
        let ticket = log.append_batch(&header(&format!("run-{seconds}"), seconds), &entries(11_000)).unwrap();
        log.finish_batch(ticket, &[NotRemoved(10_999, "held".to_owned())]).unwrap();
    }
    let found = outcomes(&log, "run-10");
    assert_eq!(found.len(), 11_000);
    assert_eq!(found[10_999], Outcome::NotRemoved("held".to_owned()));
    assert!(log.prune(Timestamp::from_unix(15, 0)).unwrap() > 0);
    assert_eq!(outcomes(&log, "run-20").len(), 11_000);
}
