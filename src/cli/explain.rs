//! `guardian explain PATH`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::client::quote;
use super::failure::{Exit, Failure};
use super::output::{Output, Tone};
use super::session::Session;
use super::table::Table;
use crate::api::{Explanation, Verdict};
use crate::model::{ByteSize, TimeSpan, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The file or directory
    path: PathBuf,
}

pub(super) fn run(args: &ExplainArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = format!("explain {}", escape_control(&args.path.display().to_string()));
    let path = absolute(&args.path).map_err(|why| Failure::usage(&*attempt, why.to_string()))?;
    let bytes = path.as_os_str().as_bytes();
    session.answer(
        &attempt,
        |client| client.get(&format!("/v1/explain?path={}", quote(bytes))),
        |own| own.explain(bytes),
        render,
    )?;
    Ok(Exit::Done)
}

/// The directory is resolved, the last component is not: a symbolic link is explained as itself.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.canonicalize();
    };
    Ok(parent.canonicalize().map_or_else(|_| path.clone(), |parent| parent.join(name)))
}

fn render(explanation: &Explanation, out: &mut Output) -> Result<(), Failure> {
    out.line(out.tone(Tone::Strong, &escape_control(&explanation.path.path)))?;
    out.line(escape_control(&explanation.summary))?;
    if let Some(root) = &explanation.root {
        out.line(format!("  root  {root}"))?;
    }
    if let Some(bytes) = explanation.allocated_bytes {
        out.line(format!("  size  {}", ByteSize(bytes)))?;
    }
    if let Some(age) = explanation.age_seconds {
        out.line(format!("  age   {}", TimeSpan::from_secs(age)))?;
    }
    for job in &explanation.jobs {
        let state = job.state.map_or("unknown to the registry", |state| state.as_str());
        out.line(format!("  job   {} ({state})", job.id))?;
    }
    for note in &explanation.notes {
        out.line(format!("  note  {}", escape_control(note)))?;
    }
    if explanation.policies.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["POLICY", "VERDICT", "DUE", "REASON"]);
    for verdict in &explanation.policies {
        let (word, tone) = match verdict.verdict {
            Verdict::Remove => ("remove", Tone::Warn),
            Verdict::Keep => ("keep", Tone::Good),
        };
        let due = verdict.due_at.map_or_else(|| "-".to_owned(), |time| format!("{time:#}"));
        table.toned_row(vec![
            (verdict.policy.clone(), None),
            (word.to_owned(), Some(tone)),
            (due, None),
            (escape_control(&verdict.reason), None),
        ]);
    }
    table.print(out)
}
