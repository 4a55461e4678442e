//! `guardian audit`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::asked::text_in_words;
use super::client::quote;
use super::failure::{Exit, Failure};
use super::session::{Paging, Session};
use super::table::Table;
use crate::api::AuditEntry;
use crate::model::{ByteSize, JobId, Timestamp, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Only paths that match
    #[arg(long, value_name = "GLOB")]
    path: Option<OsString>,
    /// Only this job
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    /// Only this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only from this time on (RFC 3339, or Unix seconds)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| "expected RFC 3339 such as 2026-01-31T12:00:00Z, or Unix seconds".to_owned())
}

pub(super) fn run(args: &AuditArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let mut query = Vec::new();
    if let Some(path) = &args.path {
        query.push(format!("path={}", quote(path.as_bytes())));
    }
    if let Some(job) = &args.job {
        query.push(format!("job={job}"));
    }
    if let Some(run) = &args.run {
        query.push(format!("run={}", quote(run.as_bytes())));
    }
    if let Some(since) = &args.since {
        query.push(format!("since={}", quote(since.to_string().as_bytes())));
    }
    let attempt = "list removals";
    session.show_list(
        "/v1/audit",
        &query.join("&"),
        &args.paging,
        attempt,
        |entries: &[AuditEntry], out| {
            let mut table = Table::new(&["TIME", "ACTION", ">BYTES", "REASON", "PATH"]);
            for entry in entries {
                table.row(vec![
                    entry.time.to_string().chars().take(19).collect(),
                    entry.action.clone(),
                    entry.bytes.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string()),
                    text_in_words(&entry.reason),
                    entry.path.as_ref().map(|path| escape_control(&path.path)).unwrap_or_default(),
                ]);
            }
            table.print(out)
        },
    )?;
    Ok(Exit::Done)
}
