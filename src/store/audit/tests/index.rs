//! What the index finds is what a full read of the segments finds, and soon.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::model::{JobId, JobState, RelPath};
use crate::policy::{Globs, literals};

/// Rows of a batch, as a run writes them.
const BATCH: usize = 500;
/// Rows of a log that is compared with a full read.
const ROWS: usize = 50_000;
const START: i64 = 1_700_000_000;

/// Row `n` of a log: its path names one of few directories and of many jobs.
fn row(n: usize) -> AuditEntry {
    let job = JobId::parse(&format!("{}", n / 40)).unwrap();
    let (age, limit) = (Duration::from_secs(90_000), Duration::from_secs(86_400));
    AuditEntry {
        path: WirePath::from_bytes(
            format!("run{}/job_{job}_chunk_{}_part-{:07}.tmp", n / 5000, n % 40, n * 7919 % 10_000_000)
                .as_bytes(),
        ),
        reason: match n % 3 {
            0 => Reason::OrphanUnknownJob { job, age, limit },
            1 => Reason::FailedJob { job, state: JobState::Failed, ended: age, limit },
            _ => Reason::OrphanUntracked { age, limit },
        },
        ino: n as u64,
        size: 100,
        allocated: 4096,
        uid: 1000,
        mtime: Timestamp::from_unix(START, 5),
    }
}

/// Writes rows in batches, one a second; of every batch one row stayed, and the
/// outcome of every 50th is missing.
fn fill(log: &AuditLog, rows: usize) {
    for (n, first) in (0..rows).step_by(BATCH).enumerate() {
        let rows: Vec<AuditEntry> = (first..(first + BATCH).min(rows)).map(row).collect();
        let header = header(&format!("run-{}", n / 20), START + n as i64);
        let ticket = log.append_batch(&header, &rows).unwrap();
        if n % 50 != 7 {
            log.finish_batch(ticket, &[NotRemoved(n as u32 % 9, "in_use".to_owned())]).unwrap();
        }
        if n % 30 == 0 {
            let change = AuditedChange {
                time: Timestamp::from_unix(START + n as i64, 0),
                uid: 0,
                gid: 0,
                pid: 1,
                what: serde_json::json!({ "action": "pause" }),
            };
            log.append_change(&change).unwrap();
        }
    }
}

/// The whole log as a plain read finds it, newest first.
fn all(dir: &Path) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    let mut outcomes: HashMap<u64, Vec<NotRemoved>> = HashMap::new();
    for number in segment::numbers(dir).unwrap() {
        let bytes = segment::load(dir, number).unwrap().unwrap();
        for (_, payload) in segment::frames(&bytes) {
            let frame: serde_json::Value = serde_json::from_slice(payload).unwrap();
            let of = |key: &str| frame[key].clone();
            match frame["frame"].as_str().unwrap() {
                "intent" => {
                    let entries: Vec<AuditEntry> = serde_json::from_value(of("entries")).unwrap();
                    for (n, entry) in entries.into_iter().enumerate() {
                        records.push(AuditRecord::Removal {
                            batch: frame["batch"].as_u64().unwrap(),
                            header: serde_json::from_value(of("header")).unwrap(),
                            entry,
                            outcome: Outcome::NotRemoved(
                                (frame["first"].as_u64().unwrap() + n as u64).to_string(),
                            ),
                        });
                    }
                }
                "outcome" => {
                    let stayed = serde_json::from_value(of("not_removed")).unwrap();
                    outcomes.insert(frame["batch"].as_u64().unwrap(), stayed);
                }
                _ => records.push(AuditRecord::Change(serde_json::from_value(of("change")).unwrap())),
            }
        }
    }
    for record in &mut records {
        if let AuditRecord::Removal { batch, outcome, .. } = record {
            let Outcome::NotRemoved(place) = &*outcome else { unreachable!() };
            *outcome = match outcomes.get(batch) {
                None => Outcome::Unknown,
                Some(stayed) => stayed
                    .iter()
                    .find(|one| one.0.to_string() == *place)
                    .map_or(Outcome::Removed, |one| Outcome::NotRemoved(one.1.clone())),
            };
        }
    }
    records.reverse();
    records
}

/// A question, in the words of the command line.
#[derive(Debug, Clone, Default)]
struct Question {
    glob: Option<String>,
    job: Option<usize>,
    run: Option<usize>,
    since: Option<i64>,
}

impl Question {
    fn path(glob: &str) -> Self {
        Self { glob: Some(glob.to_owned()), ..Self::default() }
    }

    fn accepts(&self) -> Option<impl Fn(&[u8]) -> bool + use<>> {
        let glob = self.glob.clone()?;
        let globs = Globs::compile(std::slice::from_ref(&glob)).unwrap();
        // As the agent matches: absolute, or below the root.
        let prefix: &[u8] = if glob.starts_with('/') { b"/" } else { b"/scratch/" };
        Some(move |path: &[u8]| {
            globs.covers(&RelPath::from_bytes(path.strip_prefix(prefix).unwrap()).unwrap())
        })
    }

    fn ask(&self, log: &AuditLog, after: Option<&AuditCursor>, limit: usize) -> Page<AuditRecord> {
        let accepts = self.accepts();
        let filter = AuditFilter {
            path: accepts.as_ref().map(|accepts| accepts as AcceptsPath<'_>),
            path_contains: self.glob.as_deref().map(literals).unwrap_or_default(),
            job: self.job.map(|job| JobId::parse(&job.to_string()).unwrap()),
            run: self.run.map(|run| RunId::new(format!("run-{run}"))),
            since: self.since.map(|since| Timestamp::from_unix(START + since, 0)),
        };
        log.page(&filter, after, limit).unwrap()
    }

    /// Page after page, as a client reads them.
    fn answer(&self, log: &AuditLog, limit: usize) -> Vec<AuditRecord> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.ask(log, after.as_ref(), limit);
            assert!(page.items.len() == limit || page.next.is_none());
            found.extend(page.items);
            after = page.next.map(|next| next.to_string().parse().unwrap());
            if after.is_none() {
                return found;
            }
        }
    }

    fn of<'a>(&self, all: &'a [AuditRecord]) -> Vec<&'a AuditRecord> {
        let accepts = self.accepts();
        all.iter().filter(|record| self.wants(record, accepts.as_ref())).collect()
    }

    fn wants(&self, record: &AuditRecord, accepts: Option<&impl Fn(&[u8]) -> bool>) -> bool {
        let since = self.since.map(|since| Timestamp::from_unix(START + since, 0));
        match record {
            AuditRecord::Change(change) => {
                (self.glob.is_none() && self.job.is_none() && self.run.is_none())
                    && since.is_none_or(|since| change.time >= since)
            }
            AuditRecord::Removal { header, entry, .. } => {
                let path = [b"/scratch/", entry.path.path.as_bytes()].concat();
                since.is_none_or(|since| header.time >= since)
                    && self.run.is_none_or(|run| header.run.as_str() == format!("run-{run}"))
                    && self
                        .job
                        .is_none_or(|job| entry.reason.job().is_some_and(|id| id.as_str() == job.to_string()))
                    && accepts.is_none_or(|accepts| accepts(&path))
            }
        }
    }
}

fn question() -> impl Strategy<Value = Question> {
    let glob = prop_oneof![
        (0..60_000_usize).prop_map(|n| format!("*{:07}.tmp", n * 7919 % 10_000_000)),
        (0..1300_usize).prop_map(|job| format!("job_{job}_*")),
        (0..12_usize).prop_map(|run| format!("/scratch/run{run}")),
        (0..12_usize, 0..40_usize).prop_map(|(run, chunk)| format!("run{run}/*_chunk_{chunk}_*")),
        (0..99_usize).prop_map(|n| format!("*-{n:02}?????.t?p")),
        (0..99_usize).prop_map(|n| format!("/scratch/**/{{job_1{n}_*,*.none}}")),
    ];
    (
        proptest::option::weighted(0.6, glob),
        proptest::option::weighted(0.3, 0..1300_usize),
        proptest::option::weighted(0.3, 0..6_usize),
        proptest::option::weighted(0.3, 0..110_i64),
    )
        .prop_map(|(glob, job, run, since)| Question { glob, job, run, since })
}

#[test]
fn the_index_finds_exactly_what_a_full_read_finds_also_where_it_is_lost_or_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    fill(&log, ROWS);
    let all = all(dir.path());
    assert_eq!(all.len(), ROWS + 4);
    let made = log.index_sealed(&|| false);
    assert!(made >= 5, "{made} sidecars");
    assert_eq!(log.index_sealed(&|| false), 0, "each is made once");
    let agree = |log: &AuditLog, cases: u32| {
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        proptest::test_runner::TestRunner::new(config)
            .run(&(question(), 1..800_usize), |(question, limit)| {
                let expected = question.of(&all);
                let found = question.answer(log, limit.max(expected.len() / 4));
                prop_assert_eq!(found.len(), expected.len());
                prop_assert!(found.iter().eq(expected));
                Ok(())
            })
            .unwrap();
    };
    agree(&log, 12);

    let sidecars: Vec<_> = (1..=made).map(|n| sidecar::path(dir.path(), n)).collect();
    let whole = fs::read(&sidecars[0]).unwrap();
    fs::remove_file(&sidecars[0]).unwrap();
    fs::write(&sidecars[1], &fs::read(&sidecars[1]).unwrap()[..100]).unwrap();
    // Cleared bits would hide what is there, another's index all of it.
    let mut cleared = fs::read(&sidecars[2]).unwrap();
    let middle = cleared.len() / 2;
    cleared[middle..middle + 500].fill(0);
    fs::write(&sidecars[2], cleared).unwrap();
    fs::write(&sidecars[3], &whole).unwrap();
    agree(&log, 6);
    assert_eq!(log.index_sealed(&|| false), 4, "what can't be believed is made anew");
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    assert_eq!(fs::read(&sidecars[0]).unwrap(), whole);
    agree(&log, 6);
}

#[test]
fn a_place_in_the_list_stays_while_the_log_grows_and_its_oldest_part_goes() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    fill(&log, 30_000);
    let question = Question::path("*.tmp");
    let before = question.answer(&log, 50_000);
    let page = question.ask(&log, None, 10_000);
    fill(&log, 20_000);
    log.index_sealed(&|| false);
    let after = page.next.unwrap();
    assert_eq!(question.ask(&log, Some(&after), 5_000).items, before[10_000..15_000]);
    assert!(log.prune(Timestamp::from_unix(START + 5, 0)).unwrap() == 0);
    assert!(log.prune(Timestamp::from_unix(START + 1000, 0)).unwrap() > 2);
    assert!(question.ask(&log, Some(&after), 5_000).items.len() < 5_000);
    let left = |end: &str| {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(end)).count()
    };
    assert!(left(".idx") < left(".seg"), "sidecars go with their segments");
    assert!("1.2".parse::<AuditCursor>().is_err() && "1.2.3.4".parse::<AuditCursor>().is_err());
}

#[test]
fn a_segment_that_is_damaged_behind_its_index_tells_what_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    fill(&log, 20_000);
    log.index_sealed(&|| false);
    let whole = Question::default().answer(&log, 50_000);
    let path = segment::path(dir.path(), 1);
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let (at, _) = segment::frames(&bytes).nth(4).unwrap();
    bytes[at as usize + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    // As rot would: nothing about the file tells.
    fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
    let left = Question::default().answer(&log, 50_000);
    assert!(left.len() < whole.len() && whole.starts_with(&left[..left.len() - 1100]), "{}", left.len());
}

/// A page of each kind of question; long: over a million rows.
#[test]
fn a_page_is_found_without_reading_the_rest() {
    let long = std::env::var_os("GUARDIAN_LONG").is_some();
    let rows = if long { 1_000_000 } else { 50_000 };
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(dir.path()).unwrap();
    let begun = Instant::now();
    fill(&log, rows);
    let written = begun.elapsed();
    let made = log.index_sealed(&|| false);
    let sizes = |end: &str| -> u64 {
        let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        files
            .filter(|f| f.file_name().to_str().unwrap().ends_with(end))
            .map(|f| f.metadata().unwrap().len())
            .sum()
    };
    println!(
        "{rows} rows written in {written:.1?}, {made} segments ({} MiB) indexed in {:.1?} ({} MiB)",
        sizes(".seg") >> 20,
        begun.elapsed() - written,
        sizes(".idx") >> 20
    );
    drop(log);
    let log = AuditLog::open(dir.path()).unwrap();
    let old = rows / 10;
    let exact = format!("/scratch/{}", row(old).path.path);
    let questions = [
        ("newest", Question::default(), 100),
        ("path, exact, old", Question::path(&exact), 1),
        ("path, one job's", Question::path(&format!("job_{}_*", old / 40)), 40),
        ("path, by its end", Question::path(&format!("*{}", &exact[exact.len() - 9..])), 1),
        ("path, a directory", Question::path("/scratch/run1"), 100),
        ("path, nothing", Question::path("/scratch/nowhere/*.dat"), 0),
        ("path, scattered", Question::path("*-??12345.tmp"), rows / 100_000),
        ("job, old", Question { job: Some(old / 40), ..Question::default() }, 26),
        ("job, nothing", Question { job: Some(99_999_999), ..Question::default() }, 0),
        ("run, old", Question { run: Some(0), ..Question::default() }, 100),
        ("since, newest", Question { since: Some((rows / BATCH) as i64 - 1), ..Question::default() }, 100),
        ("since, half", Question { since: Some((rows / BATCH / 2) as i64), ..Question::default() }, 100),
        ("since, nothing", Question { since: Some(1 << 30), ..Question::default() }, 0),
        ("path and since", Question { since: Some(10), ..Question::path("*chunk_7_part*") }, 100),
    ];
    // An optimised build on a machine of one's own answers ten times as fast.
    let patience = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 100 });
    for (what, question, least) in questions {
        let begun = Instant::now();
        let page = question.ask(&log, None, 100);
        let took = begun.elapsed();
        println!("{what:20} {:>4} rows {took:>10.2?}", page.items.len());
        assert!(page.items.len() >= least, "{what}: {} of {least}", page.items.len());
        assert!(took < patience, "{what} took {took:?}");
    }
}
