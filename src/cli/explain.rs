//! `guardian explain PATH`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::client::quote;
use super::failure::{Exit, Failure};
use super::output::{Output, Tone};
use super::session::Session;
use super::table::{Table, wrap};
use crate::api::{Explanation, GivenUpList, PolicyVerdict, Verdict};
use crate::model::{ByteSize, Keep, TimeSpan, escape_control};

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
    paragraph("", &explanation.summary, out)?;
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
    for entry in &explanation.given_up {
        let list = match entry.list {
            GivenUpList::Queue => "queue",
            GivenUpList::Trash => "trash",
        };
        let error = entry.last_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let text = format!("{}, since {:#}, {}{error}", entry.id, entry.since, ByteSize(entry.size_bytes));
        paragraph(&format!("  {list} "), &text, out)?;
    }
    for note in &explanation.notes {
        paragraph("  note  ", note, out)?;
    }
    if explanation.policies.is_empty() {
        return Ok(());
    }
    policies(&explanation.policies, out)
}

/// Text after its label, in whole words as wide as the terminal is.
fn paragraph(label: &str, text: &str, out: &mut Output) -> Result<(), Failure> {
    let text = escape_control(text);
    let indent = label.chars().count();
    let lines = match out.width {
        Some(width) => wrap(&text, width.saturating_sub(indent)),
        None => vec![text],
    };
    lines.iter().enumerate().try_for_each(|(place, line)| {
        let before = if place == 0 { label.to_owned() } else { " ".repeat(indent) };
        out.line(format!("{before}{line}"))
    })
}

/// What each policy says; those that the file is no subject of are only named.
fn policies(all: &[PolicyVerdict], out: &mut Output) -> Result<(), Failure> {
    let (said, others): (Vec<&PolicyVerdict>, Vec<&PolicyVerdict>) =
        all.iter().partition(|one| one.rule != Keep::NotSubject.as_str());
    let mut table = Table::new(&["POLICY", "VERDICT", "DUE", "REASON"]);
    let mut row = |policy: &str, verdict: &PolicyVerdict| {
        let (word, tone) = match verdict.verdict {
            Verdict::Remove => ("remove", Tone::Warn),
            Verdict::Keep => ("keep", Tone::Good),
        };
        let due = verdict.due_at.map_or_else(|| "-".to_owned(), |time| format!("{time:#}"));
        table.toned_row(vec![
            (policy.to_owned(), None),
            (word.to_owned(), Some(tone)),
            (due, None),
            (escape_control(&verdict.reason), None),
        ]);
    };
    match said.as_slice() {
        [] => {}
        // A job at work, a hold, `protect`: they all say the same.
        [first, _, rest @ ..]
            if said.iter().all(|one| (one.verdict, &one.reason) == (first.verdict, &first.reason)) =>
        {
            row(&format!("all {}", rest.len() + 2), first);
            return table.print(out);
        }
        said => said.iter().for_each(|one| row(&one.policy, one)),
    }
    if !said.is_empty() {
        table.print(out)?;
    }
    if others.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = others.iter().map(|one| one.policy.as_str()).collect();
    paragraph("", &format!("not subject to {}", names.join(", ")), out)
}
