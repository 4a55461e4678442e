//! A killed writer, and a full volume: each in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::audit::{AuditLog, AuditedChange};
use super::index::{Change, Index, OpenOptions, Readings};
use super::ledger::{Ledger, LedgerOrigin};
use super::*;
use crate::model::Timestamp;

const PLACE: &str = "GUARDIAN_STORE_TEST_DIR";

fn this_test(name: &str, through: &[&str]) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut words = through.iter().map(std::ffi::OsString::from).collect::<Vec<_>>();
    words.push(exe.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--exact", &format!("store::tests::{name}"), "--nocapture"]);
    command
}

#[test]
fn what_the_ledger_acknowledged_survives_a_kill() {
    let schedule = |n: u64| format!("s{n}");
    if let Some(dir) = std::env::var_os(PLACE) {
        let (ledger, _) = Ledger::open(Path::new(&dir), Timestamp::EPOCH).unwrap();
        for n in 0_u64.. {
            ledger.set_last_run(&schedule(n), Timestamp::from_unix(n as i64, 0)).unwrap();
            println!("\nacknowledged {n}");
            std::io::stdout().flush().unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = this_test("what_the_ledger_acknowledged_survives_a_kill", &[])
        .env(PLACE, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = 0;
    for line in lines.map_while(Result::ok) {
        if let Some(n) = line.strip_prefix("acknowledged ") {
            last = n.parse().unwrap();
            if last == 40 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(last >= 40);
    let (ledger, origin) = Ledger::open(dir.path(), Timestamp::EPOCH).unwrap();
    assert_eq!(origin, LedgerOrigin::Existing);
    for n in 0..=last {
        assert_eq!(ledger.last_run(&schedule(n)).unwrap(), Some(Timestamp::from_unix(n as i64, 0)));
    }
}

#[test]
fn on_a_full_volume_the_audit_log_goes_on_and_the_rest_refuses_and_recovers() {
    const NAME: &str = "on_a_full_volume_the_audit_log_goes_on_and_the_rest_refuses_and_recovers";
    if let Some(dir) = std::env::var_os(PLACE) {
        return on_a_full_volume(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=24m tmpfs '{}' && exec \"$0\" \"$@\"", dir.path().display());
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: no permission for a mount namespace (unshare -m)");
        return;
    }
    let status = this_test(NAME, &["unshare", "-m", "sh", "-c", &script]).env(PLACE, dir.path()).status();
    assert!(status.unwrap().success());
}

fn on_a_full_volume(dir: &Path) {
    const ROOT: RootKey = RootKey(1);
    let audit = AuditLog::open(&dir.join("audit")).unwrap();
    let (ledger, _) = Ledger::open(dir, Timestamp::EPOCH).unwrap();
    let none: Readings = Arc::new(|_, _| {});
    let options = OpenOptions { cache_bytes: 1 << 20, readings: Arc::new(move |_| Arc::clone(&none)) };
    let (index, _) = Index::open(&dir.join("index.redb"), options).unwrap();
    let put = |ino: u64| Change::PutDir {
        parent: u64::from(ino > 1),
        name: if ino > 1 { format!("{ino:0>200}").into_bytes().into() } else { Box::default() },
        ino,
        mtime: Timestamp::EPOCH,
    };
    index.apply(ROOT, &[put(1)]).unwrap();
    index.flush().unwrap();
    let mut filler = std::fs::File::create(dir.join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    let change = AuditedChange { time: Timestamp::EPOCH, uid: 0, gid: 0, pid: 1, what: "pause".into() };
    for _ in 0..1000 {
        audit.append_change(&change).unwrap();
    }
    audit.sync().unwrap();
    let mut acknowledged = 0_u32;
    let refused = loop {
        match ledger.set_last_run(&format!("{acknowledged:0>900}"), Timestamp::EPOCH) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000);
    };
    assert!(refused.is_no_space(), "{refused:?}");
    let mut ino = 2;
    while index.apply(ROOT, &(ino..ino + 500).map(put).collect::<Vec<_>>()).is_ok() && index.flush().is_ok() {
        ino += 500;
        assert!(ino < 1_000_000);
    }
    drop(filler);
    std::fs::remove_file(dir.join("filler")).unwrap();
    index.apply(ROOT, &[put(1), put(9_999_999)]).unwrap();
    index.flush().unwrap();
    assert!(index.snapshot().unwrap().dir(ROOT, 9_999_999).unwrap().is_some());
    for n in 0..acknowledged {
        assert!(ledger.last_run(&format!("{n:0>900}")).unwrap().is_some(), "{n}");
    }
    ledger.set_last_run("again", Timestamp::EPOCH).unwrap();
    assert_eq!(audit.page(&super::audit::AuditFilter::default(), None, 5000).unwrap().items.len(), 1000);
}
