//! Reports for people.

use super::failure::{Exit, Failure};
use super::health::percent;
use super::output::{Output, Tone};
use super::table::Table;
use crate::api::PlanAction;
use crate::model::{ByteSize, PhaseReport, Report, Resource, Shortfall, TimeSpan, escape_control};

/// 3 target not reached, else 1 with failures; a dry run is always 0.
pub(super) fn exit_of(reports: &[Report]) -> Exit {
    let acted = || reports.iter().filter(|report| !report.dry_run);
    if acted().any(|report| report.target_reached == Some(false)) {
        Exit::Short
    } else if acted().any(|report| report.errors_total > 0) {
        Exit::Failures
    } else {
        Exit::Done
    }
}

/// A summary of one root, with the removals first if they are asked for.
pub(super) fn render(report: &Report, list: bool, out: &mut Output) -> Result<(), Failure> {
    if list && let Some(actions) = report.actions.as_ref().filter(|actions| !actions.is_empty()) {
        render_actions(actions, out)?;
    }
    let verb = if report.dry_run { "would remove" } else { "removed" };
    let head = format!("{}: {}", report.root, report.policy);
    let freed = ByteSize(report.bytes_freed);
    out.line(format!(
        "{} {verb} {}, {freed}, in {:.1} s ({} looked at)",
        out.tone(Tone::Strong, &head),
        count_of(report.files_deleted),
        report.duration_seconds,
        report.files_scanned
    ))?;
    render_usage(report, out)?;
    // A part of the run that found nothing to do says nothing to people.
    let active = |phase: &&PhaseReport| {
        phase.files_deleted > 0 || phase.errors_count > 0 || phase.skipped.values().any(|count| *count > 0)
    };
    for phase in report.phases.iter().filter(active) {
        let skipped = counts(phase.skipped.iter());
        let failed =
            if phase.errors_count > 0 { format!(", {} failed", phase.errors_count) } else { String::new() };
        let freed = ByteSize(phase.bytes_freed);
        out.line(format!(
            "  {:<15}{}, {freed}{skipped}{failed}",
            phase.policy,
            count_of(phase.files_deleted)
        ))?;
    }
    let skipped = counts(report.skipped.iter());
    if !skipped.is_empty() {
        let label = if report.dry_run { "would stay" } else { "stayed" };
        out.line(format!("  {:<15}{}", label, skipped.trim_start_matches("; ")))?;
    }
    if !report.reclaim.gap.is_empty() {
        let causes: Vec<_> = report
            .reclaim
            .gap
            .iter()
            .map(|(cause, bytes)| format!("{} {}", ByteSize(*bytes), cause.replace('_', " ")))
            .collect();
        out.line(format!("  {:<15}{}", "not come free", causes.join(", ")))?;
    }
    for note in &report.notes {
        out.line(format!("  note: {}", escape_control(note)))?;
    }
    if let Some(shortfall) = &report.shortfall {
        render_shortfall(shortfall, report.resource, out)?;
    }
    for failure in &report.errors {
        let text = format!("{}: {}", escape_control(&failure.path.path), escape_control(&failure.error));
        out.line(format!("  {} {text}", out.tone(Tone::Bad, "error:")))?;
    }
    let unlisted = report.errors_total.saturating_sub(report.errors.len() as u64);
    if unlisted > 0 {
        out.line(format!("  and {unlisted} more errors"))?;
    }
    Ok(())
}

fn render_usage(report: &Report, out: &mut Output) -> Result<(), Failure> {
    let (what, before, after) = match report.resource {
        Resource::Bytes => ("usage", report.storage_before_percent, report.storage_after_percent),
        Resource::Inodes => ("inodes", report.inodes_before_percent, report.inodes_after_percent),
    };
    if before.is_none() && after.is_none() {
        return Ok(());
    }
    let target = match (report.target_percent, report.target_reached) {
        (Some(target), Some(true)) => out.tone(Tone::Good, &format!(" (target {target:.1}%, reached)")),
        (Some(target), Some(false)) => out.tone(Tone::Bad, &format!(" (target {target:.1}%, not reached)")),
        (Some(target), None) => format!(" (target {target:.1}%)"),
        (None, _) => String::new(),
    };
    out.line(format!("  {what:<15}{} → {}{target}", percent(before), percent(after)))
}

/// `1 file`, `2 files`.
pub(super) fn count_of(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// `; 3 in_use, 12 active_job`, without zeros.
fn counts<'a>(counts: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let each: Vec<_> = counts
        .filter(|(_, count)| **count > 0)
        .map(|(why, count)| match why.as_str() {
            "active_job" => format!("{count} of active jobs"),
            why => format!("{count} {}", why.replace('_', " ")),
        })
        .collect();
    if each.is_empty() { String::new() } else { format!("; {}", each.join(", ")) }
}

fn render_shortfall(shortfall: &Shortfall, resource: Resource, out: &mut Output) -> Result<(), Failure> {
    let missing = match resource {
        Resource::Bytes => ByteSize(shortfall.bytes).to_string(),
        Resource::Inodes => format!("{} inodes", shortfall.bytes),
    };
    let head = out.tone(Tone::Bad, &format!("{missing} short of the target."));
    out.line(format!("  {head} What holds the space:"))?;
    if shortfall.protected_bytes > 0 {
        out.line(format!("    {} in files that may not go", ByteSize(shortfall.protected_bytes)))?;
    }
    if !shortfall.active_jobs.is_empty() {
        let jobs: Vec<_> = shortfall.active_jobs.iter().map(|job| job.as_str()).collect();
        out.line(format!("    active jobs: {}", jobs.join(", ")))?;
    }
    for user in &shortfall.users {
        out.line(format!("    {} of uid {}", ByteSize(user.bytes), user.uid))?;
    }
    for directory in &shortfall.directories {
        let path = escape_control(&directory.path.path);
        out.line(format!("    {} in {path}", ByteSize(directory.bytes)))?;
    }
    for open in &shortfall.deleted_open {
        out.line(format!(
            "    {} deleted but still open in {} (pid {}, uid {})",
            ByteSize(open.bytes),
            escape_control(&open.comm),
            open.pid,
            open.uid
        ))?;
    }
    Ok(())
}

/// Removals one per line: path, size, age, reason.
fn render_actions(actions: &[serde_json::Value], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&[">SIZE", ">AGE", "REASON", "PATH"]);
    for value in actions {
        // An agent of another version may say more or less: show what can be shown.
        let Ok(action) = serde_json::from_value::<ShownAction>(value.clone()) else {
            out.line(escape_control(&value.to_string()))?;
            continue;
        };
        table.row(vec![
            ByteSize(action.expected_bytes).to_string(),
            TimeSpan::from_secs(action.age_seconds).to_string(),
            escape_control(&action.reason),
            escape_control(&action.path),
        ]);
    }
    table.print(out)
}

/// The part of a [`PlanAction`] that is shown.
#[derive(serde::Deserialize)]
struct ShownAction {
    path: String,
    reason: String,
    age_seconds: u64,
    expected_bytes: u64,
}

/// The actions of a plan as a report carries them.
pub(super) fn actions_of(actions: &[PlanAction]) -> Vec<serde_json::Value> {
    actions.iter().filter_map(|action| serde_json::to_value(action).ok()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::io::Write;
    use std::rc::Rc;

    use super::*;
    use crate::cli::output::Format;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn shown(width: Option<usize>, print: impl FnOnce(&mut Output) -> Result<(), Failure>) -> String {
        let sink = Shared::default();
        let mut out = Output::to(Box::new(sink.clone()), Format::Text, width);
        print(&mut out).unwrap();
        out.flush().unwrap();
        String::from_utf8(sink.0.take()).unwrap()
    }

    fn report(extra: serde_json::Value) -> Report {
        let mut value = serde_json::json!({
            "id": "r1", "volume_run": "v1", "policy": "emergency", "trigger": "manual", "root": "scratch",
            "dry_run": false, "resource": "bytes",
            "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z", "duration_seconds": 1.5,
            "files_scanned": 1500, "files_deleted": 800, "bytes_freed": 83_886_080,
            "storage_before_percent": 96.5, "storage_after_percent": 84.2,
            "inodes_before_percent": null, "inodes_after_percent": null,
            "target_percent": 85.0, "target_reached": true,
            "phases": [{"policy": "orphans", "files_deleted": 700, "bytes_freed": 73_400_320, "skipped": {},
                        "errors_count": 0, "cutoff": null}],
            "skipped": {"in_use": 3, "held": 0}, "reclaim": {"unlinked_bytes": 83_886_080},
            "shortfall": null, "errors": [], "errors_total": 0, "requested_by": null
        });
        for (key, item) in extra.as_object().unwrap() {
            value[key] = item.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_summary_says_what_went_and_what_it_brought() {
        let report = report(serde_json::json!({}));
        let text = shown(None, |out| render(&report, false, out));
        for part in
            ["removed 800 files, 80.0 MiB", "96.5% → 84.2%", "target 85.0%, reached", "orphans", "3 in use"]
        {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("held"), "zeros are noise:\n{text}");
        assert_eq!(exit_of(&[report]), Exit::Done);
    }

    #[test]
    fn a_shortfall_is_explained_in_words_and_exits_3() {
        let report = report(serde_json::json!({
            "target_reached": false, "errors_total": 101,
            "errors": [{"path": "/scratch/evil\u{1b}[2J\n", "error": "permission denied"}],
            "shortfall": {"bytes": 1_073_741_824u64, "protected_bytes": 1024, "active_jobs": ["j1"],
                "users": [{"uid": 7, "bytes": 2048}], "directories": [{"path": "/scratch/d", "bytes": 4096}],
                "deleted_open": [{"pid": 9, "comm": "dd", "uid": 7, "bytes": 512}]}
        }));
        let text = shown(None, |out| render(&report, false, out));
        for part in [
            "1.0 GiB short of the target",
            "active jobs: j1",
            "2.0 KiB of uid 7",
            "still open in dd (pid 9, uid 7)",
            "/scratch/evil\\u{1b}[2J\\n: permission denied",
            "and 100 more errors",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert_eq!(exit_of(&[report]), Exit::Short);
    }

    #[test]
    fn a_dry_run_lists_each_removal_and_always_exits_0() {
        let report = report(serde_json::json!({
            "dry_run": true, "target_reached": false, "errors_total": 1,
            "actions": [{"order": 0, "phase": "orphans", "path": "/scratch/a\tb", "policy": "orphans",
                "reason": "orphan: names no job", "age_seconds": 90_000, "job": null, "size_bytes": 10, "expected_bytes": 4096}]
        }));
        let text = shown(None, |out| render(&report, true, out));
        let line = text.lines().find(|line| line.contains("/scratch/a\\tb")).unwrap();
        assert!(line.contains("4.0 KiB") && line.contains("25h") && line.contains("names no job"), "{line}");
        assert!(text.contains("would remove 800 files"));
        assert_eq!(exit_of(&[report]), Exit::Done);
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let long = "/scratch/".to_owned() + &"x".repeat(200);
        let text = shown(Some(60), |out| {
            let mut table = Table::new(&[">SIZE", "PATH"]);
            table.row(vec!["1.0 GiB".into(), long.clone()]);
            table.print(out)
        });
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let whole = shown(None, |out| {
            let mut table = Table::new(&[">SIZE", "PATH"]);
            table.row(vec!["1.0 GiB".into(), long.clone()]);
            table.print(out)
        });
        assert!(whole.contains(&long), "nothing is cut where no terminal is");
    }
}
