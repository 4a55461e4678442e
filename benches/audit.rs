//! How long one page of the record of removals takes, by the log's own writer and reader.
//!
//! `cargo bench --bench audit [-- --rows N] [--dir DIR]`: writes N removals
//! (1,000,000 unless said otherwise) over the ninety days that are kept, as
//! sweeps write them, and prints the median of a page of a hundred for each way
//! of asking. About 200 bytes a row, in a directory of its own, which it removes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its results")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use guardian::model::{
    JobId, JobState, Phase, Policy, Reason, RelPath, RootName, RunId, Timestamp, WirePath,
};
use guardian::policy::{Globs, literals};
use guardian::store::audit::{AuditCursor, AuditEntry, AuditFilter, AuditLog, BatchHeader};

type Failure = Box<dyn std::error::Error>;

const BATCH: u64 = 1000;
const PAGE: usize = 100;
const ROUNDS: usize = 9;
const PER_DIRECTORY: u64 = 1000;
const PER_JOB: u64 = 250;
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// Anything; the same for each run.
const END: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

struct Options {
    rows: u64,
    dir: PathBuf,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rows: 1_000_000, dir: std::env::temp_dir() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // Given by cargo.
            "--bench" => {}
            "--dir" => options.dir = value()?.into(),
            "--rows" => {
                let text = value()?;
                options.rows = text.parse().map_err(|why| format!("failed to read --rows {text}: {why}"))?;
            }
            other => return Err(format!("unknown option {other}: expected --rows N or --dir DIR")),
        }
    }
    Ok(options)
}

fn path_of(row: u64) -> String {
    format!("d{:05}/job_j{}_f{:06}", row / PER_DIRECTORY, row / PER_JOB, row % PER_DIRECTORY)
}

fn time_of(row: u64, rows: u64) -> Timestamp {
    END.minus(KEPT.mul_f64((rows - row) as f64 / rows as f64))
}

fn write(log: &AuditLog, rows: u64) -> Result<(), Failure> {
    let (root, volume_run) = (RootName::parse("scratch")?, RunId::new("volume"));
    for first in (0..rows).step_by(BATCH as usize) {
        let time = time_of(first, rows);
        let header = BatchHeader {
            run: RunId::new(format!("run-{}", first / 10_000)),
            volume_run: volume_run.clone(),
            root: root.clone(),
            root_path: WirePath { path: "/scratch".to_owned(), path_encoding: None },
            policy: Policy::Scheduled,
            phase: Phase::FailedJobs,
            time,
        };
        let entry = |row: u64| -> Result<AuditEntry, Failure> {
            Ok(AuditEntry {
                path: WirePath { path: path_of(row), path_encoding: None },
                reason: Reason::FailedJob {
                    job: JobId::parse(&format!("j{}", row / PER_JOB))?,
                    state: JobState::Failed,
                    ended: Duration::from_secs(4000 + row % 977),
                    limit: Duration::from_secs(3600),
                },
                ino: row + 12,
                size: 4096 + row % 811,
                allocated: 8192,
                uid: 1000,
                mtime: time.minus(Duration::from_millis(5_000_000 + row)),
            })
        };
        let entries = (first..rows.min(first + BATCH)).map(entry).collect::<Result<Vec<_>, _>>()?;
        let ticket = log.append_batch(&header, &entries)?;
        log.finish_batch(ticket, &[])?;
    }
    log.sync()?;
    Ok(())
}

/// One way of asking.
#[derive(Default)]
struct Question {
    name: &'static str,
    glob: Option<String>,
    job: Option<String>,
    since: Option<Timestamp>,
    after: Option<AuditCursor>,
    expected: usize,
}

fn ask(log: &AuditLog, question: &Question) -> Result<Option<AuditCursor>, Failure> {
    let globs = question.glob.as_ref().map(|glob| Globs::compile(std::slice::from_ref(glob))).transpose()?;
    let accepts = globs.map(|globs| {
        move |path: &[u8]| {
            let below = path.strip_prefix(b"/").unwrap_or(path);
            RelPath::from_bytes(below).is_ok_and(|path| globs.covers(&path))
        }
    });
    let filter = AuditFilter {
        path: accepts.as_ref().map(|accepts| accepts as &dyn Fn(&[u8]) -> bool),
        path_contains: question.glob.as_deref().map(literals).unwrap_or_default(),
        job: question.job.as_deref().map(JobId::parse).transpose()?,
        since: question.since,
        ..AuditFilter::default()
    };
    let page = log.page(&filter, question.after.as_ref(), PAGE)?;
    if page.items.len() != question.expected {
        return Err(
            format!("{}: {} rows instead of {}", question.name, page.items.len(), question.expected).into()
        );
    }
    Ok(page.next)
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn milliseconds(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// By the clock on the wall, and of the processor: the others on a busy machine cost only the first.
fn medians(log: &AuditLog, question: &Question) -> Result<(f64, f64), Failure> {
    let (mut wall, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = (Instant::now(), cpu());
        ask(log, question)?;
        wall.push(begun.0.elapsed());
        busy.push(cpu().saturating_sub(begun.1));
    }
    Ok((milliseconds(wall), milliseconds(busy)))
}

fn run(options: &Options) -> Result<(), Failure> {
    let dir = tempfile::Builder::new().prefix("guardian-audit-").tempdir_in(&options.dir)?;
    let log = AuditLog::open(dir.path())?;
    let begun = Instant::now();
    write(&log, options.rows)?;
    let written = begun.elapsed();
    let begun = Instant::now();
    let segments = log.index_sealed(&|| false);
    println!(
        "{} rows written in {:.1} s; {segments} segments indexed in {:.1} s",
        options.rows,
        written.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    let rows = options.rows;
    let (middle, first) = (rows / 2, 0);
    let glob = |row: u64| Some(format!("/scratch/{}", path_of(row)));
    let directory = |row: u64| Some(format!("/scratch/d{:05}/**", row / PER_DIRECTORY));
    let page = |name| Question { name, expected: PAGE, ..Question::default() };
    let since_all = Some(time_of(0, rows));
    let newest = page("the newest");
    let second = ask(&log, &newest)?;
    // A place in the middle: what the last page of one job before it was given.
    let in_the_middle = Question { job: Some(format!("j{}", middle / PER_JOB)), ..page("") };
    let deep = ask(&log, &in_the_middle)?;
    let questions = [
        newest,
        Question { after: second, ..page("the next page") },
        Question { since: Some(END.minus(KEPT / 30)), ..page("--since: of the last three days, the newest") },
        Question { since: since_all, ..page("--since: of all, the newest") },
        Question { since: since_all, after: deep, ..page("--since: of all, a page in the middle") },
        Question { since: Some(END), expected: 0, ..page("--since: nothing so new") },
        Question { glob: directory(middle), ..page("--path: a directory in the middle") },
        Question { glob: glob(middle), expected: 1, ..page("--path: one file in the middle") },
        Question { glob: glob(first), expected: 1, ..page("--path: the oldest file") },
        Question { glob: Some("*_f000500".to_owned()), ..page("--path: a name in many directories") },
        Question { glob: Some("/scratch/none/*".to_owned()), expected: 0, ..page("--path: none such") },
        Question { job: Some(format!("j{}", middle / PER_JOB)), ..page("--job: one in the middle") },
        Question { job: Some("j0".to_owned()), ..page("--job: the oldest") },
        Question { job: Some("nobody".to_owned()), expected: 0, ..page("--job: none such") },
    ];
    for question in &questions {
        let (wall, busy) = medians(&log, question)?;
        println!("{:45} {wall:8.2} ms, {busy:8.2} ms of CPU", question.name);
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = options().map_err(Failure::from).and_then(|options| run(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}
