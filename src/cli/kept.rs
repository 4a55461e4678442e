//! What the queue of deletions and the trash have in common: paths are given
//! up, come back, or go for good.
//!
//! Promises: what was refused or failed is named on standard error and shows
//! in the exit code. Must not know: which of the two it serves.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::host::{Standalone, StandaloneSweep};
use super::output::{Output, tell};
use super::question::Asked;
use super::report;
use super::session::{Session, Worker};
use crate::api::{ApiError, Given, Returned, Whereabouts, waited_body};
use crate::model::{ByteSize, Report, SweepRequest, escape_control};

/// Gives paths up; those that were refused are named on stderr.
pub(super) fn give(
    attempt: &str,
    session: &mut Session<'_>,
    ask: impl FnOnce(&Client) -> Asked,
    alone: impl FnOnce(&dyn Standalone) -> Result<Given, ApiError>,
) -> Result<Exit, Failure> {
    let given = session.answer(attempt, ask, alone, |given: &Given, out| {
        for item in &given.items {
            let whereabouts = match item.moved {
                Some(true) => "",
                Some(false) => " (stays in its place until it goes)",
                None => " (is being moved)",
            };
            out.line(format!("{}  {}{whereabouts}", item.id, path(&item.path.file_path)))?;
        }
        for one in &given.refused {
            tell(&format!(
                "guardian: failed to {attempt}: {} {}",
                path(&one.path.file_path),
                escape_control(&one.reason)
            ));
        }
        Ok(())
    })?;
    Ok(if !given.refused.is_empty() { Exit::Failures } else { Exit::Done })
}

/// Carries out a sweep and shows its reports.
pub(super) fn sweep(
    attempt: &str,
    session: &mut Session<'_>,
    ask: impl FnOnce(&Client) -> Asked,
    request: SweepRequest,
) -> Result<Exit, Failure> {
    let body: serde_json::Value = match session.worker(attempt)? {
        Worker::Agent(client) => session.expect(ask(&client), attempt)?.read(attempt)?,
        Worker::Own(own) => {
            let sweep = StandaloneSweep { request, plan: None, adopt: false, list: false, unattended: false };
            let outcome = own
                .sweep(&sweep, &AtomicBool::new(false), Arc::new(|_: &_| {}))
                .map_err(|error| Failure::refused(attempt, &error))?;
            let reports: Result<Vec<_>, _> = outcome.reports.iter().map(serde_json::to_value).collect();
            let reports =
                reports.map_err(|why| Failure::new(Exit::Failures, attempt, format!("no JSON: {why}")))?;
            waited_body(reports, None)
        }
    };
    let values = match body.get("items").and_then(serde_json::Value::as_array) {
        Some(items) => items.clone(),
        None => vec![body.clone()],
    };
    let reports: Result<Vec<Report>, _> = values.into_iter().map(serde_json::from_value).collect();
    let reports =
        reports.map_err(|why| Failure::new(Exit::Failures, attempt, format!("no report: {why}")))?;
    session.show_own(&body, |_, out| {
        for one in &reports {
            out.line(format!(
                "{}: {} removed, {} freed{}",
                one.root,
                one.files_deleted,
                ByteSize(one.bytes_freed),
                if one.errors_total > 0 { format!(", {} failed", one.errors_total) } else { String::new() }
            ))?;
            one.notes.iter().try_for_each(|note| out.line(format!("  {}", escape_control(note))))?;
            for failure in &one.errors {
                tell(&format!(
                    "guardian: failed to remove {}: {}",
                    path(&failure.path.path),
                    escape_control(&failure.error)
                ));
            }
        }
        Ok(())
    })?;
    Ok(report::exit_of(&reports))
}

/// A path as it is shown.
pub(super) fn path(text: &str) -> String {
    escape_control(text)
}

/// Says where something is now that was to come back.
pub(super) fn returned(one: &Returned, out: &mut Output) -> Result<(), Failure> {
    let why = one.reason.as_ref().map_or_else(String::new, |why| format!(": {}", escape_control(why)));
    let now = match one.now {
        Whereabouts::Restored => "is back",
        Whereabouts::Trash => "is in the trash now",
        Whereabouts::Queue => "is still in the queue",
        Whereabouts::Gone => "is gone already",
    };
    out.line(format!("{} {now}{why}", path(&one.path.file_path)))
}
