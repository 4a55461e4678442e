//! Log lines that several parts write in the same words.

use crate::model::{Level, Report, Resource, RootName};

/// A run ended: one line with the report's fields.
pub fn run_ended(report: &Report) {
    let phases: Vec<String> =
        report.phases.iter().map(|part| format!("{}={}", part.policy, part.files_deleted)).collect();
    let skipped: Vec<String> = report
        .skipped
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(why, count)| format!("{why}={count}"))
        .collect();
    tracing::info!(
        root = %report.root,
        policy = %report.policy,
        run = %report.id,
        trigger = %report.trigger,
        dry_run = report.dry_run,
        files_scanned = report.files_scanned,
        files_deleted = report.files_deleted,
        bytes = report.bytes_freed,
        duration_seconds = report.duration_seconds,
        storage_before_percent = report.storage_before_percent,
        storage_after_percent = report.storage_after_percent,
        target_percent = report.target_percent,
        target_reached = report.target_reached,
        phases = %phases.join(" "),
        skipped = %skipped.join(" "),
        errors_total = report.errors_total,
        notes = %report.notes.join("; "),
        "run ended"
    );
    if report.target_reached == Some(false) && !report.dry_run {
        tracing::error!(
            root = %report.root,
            policy = %report.policy,
            run = %report.id,
            bytes = report.shortfall.as_ref().map(|short| short.bytes),
            "target not reached"
        );
    }
}

/// A level was left downwards: never an alert, also where the warning mark is still passed.
pub fn fell(root: &RootName, resource: Resource, to: Level, percent: f64) {
    let (resource, percent) = (name(resource), rounded(percent));
    let below = if to == Level::Healthy {
        "usage is back to normal"
    } else {
        "usage is below the high-water mark again"
    };
    tracing::info!(root = %root, resource, usage_percent = percent, "{below}");
}

/// A level was crossed upwards, or lasts.
pub fn level(root: &RootName, resource: Resource, level: Level, lasting: bool, percent: f64) {
    let (resource, percent) = (name(resource), rounded(percent));
    let what = if lasting { "still " } else { "" };
    match level {
        Level::Healthy => {}
        Level::Warning => {
            tracing::warn!(root = %root, resource, usage_percent = percent, "usage is {what}past the warning mark");
        }
        Level::Critical => {
            tracing::error!(root = %root, resource, usage_percent = percent, "usage is {what}past the high-water mark");
        }
    }
}

pub(super) const fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Bytes => "bytes",
        Resource::Inodes => "inodes",
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
