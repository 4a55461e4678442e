//! Log lines that several parts write in the same words.

use crate::model::{AlertKind, Grown, Level, Report, Resource, RootName};

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
}

/// A level was left downwards: never an alert, also where the warning mark is still passed.
pub fn fell(root: &RootName, resource: Resource, to: Level, percent: f64) {
    let alert = kind(resource);
    let (resource, percent) = (name(resource), rounded(percent));
    let below = if to == Level::Healthy {
        "usage is back to normal"
    } else {
        "usage is below the high-water mark again"
    };
    tracing::info!(root = %root, alert = %alert, resource, usage_percent = percent, "{below}");
}

/// A level was crossed upwards, or lasts; with who filled the volume, if that is known.
pub fn level(
    root: &RootName,
    resource: Resource,
    level: Level,
    lasting: bool,
    percent: f64,
    grown: Option<&Grown>,
) {
    let alert = kind(resource);
    let (resource, percent) = (name(resource), rounded(percent));
    let what = if lasting { "still " } else { "" };
    let grown = grown.map(tracing::field::display);
    match level {
        Level::Healthy => {}
        Level::Warning => {
            tracing::warn!(root = %root, alert = %alert, resource, usage_percent = percent, grown, "usage is {what}past the warning mark");
        }
        Level::Critical => {
            tracing::error!(root = %root, alert = %alert, resource, usage_percent = percent, grown, "usage is {what}past the high-water mark");
        }
    }
}

/// The alert that a level of this resource is.
pub(super) const fn kind(resource: Resource) -> AlertKind {
    match resource {
        Resource::Bytes => AlertKind::Usage,
        Resource::Inodes => AlertKind::Inodes,
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
