//! What a run did to one root, counted as it happens.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    Action, Phase, PhaseReport, Policy, Reclaim, Report, Requester, Resource, RootName, RunId, Shortfall,
    Skip, Timestamp, Trigger, VolumeUsage, WirePath,
};

/// What a run is, apart from any one root.
#[derive(Debug, Clone)]
pub struct RunHead {
    /// In common to all roots of the volume.
    pub volume_run: RunId,
    /// What was asked for.
    pub policy: Policy,
    /// What set it off.
    pub trigger: Trigger,
    /// Who asked.
    pub requested_by: Option<Requester>,
    /// When it began.
    pub started: Timestamp,
}

/// The running account of one root.
pub struct RunRecord {
    report: Report,
}

/// How a run ended, for [`RunRecord::finish`].
#[derive(Debug, Clone, Default)]
pub struct RunEnd {
    /// Time by the wall clock.
    pub time: Timestamp,
    /// How long it took, by a clock that does not jump.
    pub took: Duration,
    /// Usage at the end; `None` when the volume could not be asked.
    pub usage: Option<VolumeUsage>,
    /// Where it was to end.
    pub target_percent: Option<f64>,
    /// Whether it did.
    pub target_reached: Option<bool>,
    /// What holds the space.
    pub shortfall: Option<Shortfall>,
    /// What was unlinked against what came free.
    pub reclaim: Reclaim,
    /// How open files were told.
    pub open_check: Option<&'static str>,
}

fn percents(usage: Option<&VolumeUsage>) -> (Option<f64>, Option<f64>) {
    let shown = |value: f64| (value * 100.0).round() / 100.0;
    (
        usage.map(|u| shown(u.percent(Resource::Bytes))),
        usage.filter(|u| u.counts_inodes()).map(|u| shown(u.percent(Resource::Inodes))),
    )
}

impl RunRecord {
    /// Begins the account of `root`.
    pub fn begin(
        head: &RunHead,
        id: RunId,
        root: RootName,
        resource: Resource,
        usage: Option<&VolumeUsage>,
    ) -> Self {
        let (storage_before_percent, inodes_before_percent) = percents(usage);
        Self {
            report: Report {
                id,
                volume_run: head.volume_run.clone(),
                policy: head.policy,
                trigger: head.trigger,
                root,
                dry_run: false,
                resource,
                start_time: head.started,
                end_time: head.started,
                duration_seconds: 0.0,
                files_scanned: 0,
                files_deleted: 0,
                bytes_freed: 0,
                storage_before_percent,
                storage_after_percent: None,
                inodes_before_percent,
                inodes_after_percent: None,
                target_percent: None,
                target_reached: None,
                phases: Vec::new(),
                skipped: Skip::ALL.iter().map(|skip| (skip.as_str().to_owned(), 0)).collect(),
                reclaim: Reclaim::default(),
                shortfall: None,
                errors: Vec::new(),
                errors_total: 0,
                requested_by: head.requested_by,
                actions: None,
                open_check: None,
                grown: None,
                notes: Vec::new(),
            },
        }
    }

    /// The run's name for this root.
    pub const fn id(&self) -> &RunId {
        &self.report.id
    }

    /// Names removed so far.
    pub const fn files_deleted(&self) -> u64 {
        self.report.files_deleted
    }

    /// Bytes of removed files so far.
    pub const fn bytes_freed(&self) -> u64 {
        self.report.bytes_freed
    }

    /// The part of the account that is about `phase`, begun when first asked for.
    pub fn phase(&mut self, phase: Phase, cutoff: Option<Timestamp>) -> &mut PhaseReport {
        let phases = &mut self.report.phases;
        let place = phases.iter().position(|one| one.policy == phase).unwrap_or_else(|| {
            phases.push(PhaseReport {
                policy: phase,
                files_deleted: 0,
                bytes_freed: 0,
                skipped: BTreeMap::new(),
                errors_count: 0,
                cutoff,
            });
            phases.len() - 1
        });
        &mut phases[place]
    }

    /// Files were looked at.
    pub const fn scanned(&mut self, files: u64) {
        self.report.files_scanned += files;
    }

    /// A name went, and with it `bytes` (0 while other links remain).
    pub fn removed(&mut self, phase: Phase, bytes: u64) {
        self.report.files_deleted += 1;
        self.report.bytes_freed += bytes;
        let part = self.phase(phase, None);
        part.files_deleted += 1;
        part.bytes_freed += bytes;
    }

    /// A tree went, with so many names of files.
    pub fn removed_tree(&mut self, phase: Phase, files: u64, bytes: u64) {
        self.report.files_deleted += files;
        self.report.bytes_freed += bytes;
        let part = self.phase(phase, None);
        part.files_deleted += files;
        part.bytes_freed += bytes;
    }

    /// Policy kept files for want of anything to gain by them (shown among the skipped).
    pub fn kept_linked(&mut self, phase: Phase, count: u64) {
        if count > 0 {
            *self.report.skipped.entry(Skip::Linked.as_str().to_owned()).or_default() += count;
            *self.phase(phase, None).skipped.entry(Skip::Linked.as_str().to_owned()).or_default() += count;
        }
    }

    /// Files stayed: planned ones that may not go after all, or those that policy kept (by the same words).
    pub fn kept(&mut self, phase: Phase, why: Skip, count: u64) {
        if count > 0 {
            *self.report.skipped.entry(why.as_str().to_owned()).or_default() += count;
            *self.phase(phase, None).skipped.entry(why.as_str().to_owned()).or_default() += count;
        }
    }

    /// A removal failed.
    pub fn failed(&mut self, phase: Phase, path: WirePath, error: String) {
        self.phase(phase, None).errors_count += 1;
        self.report.add_error(path, error);
    }

    /// A remark for people.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.report.notes.contains(&note) {
            self.report.notes.push(note);
        }
    }

    /// What the run removed, in order (`--list`).
    pub fn list(&mut self, actions: Vec<serde_json::Value>) {
        self.report.actions.get_or_insert_default().extend(actions);
    }

    /// Ends the account.
    pub fn finish(mut self, end: RunEnd) -> Report {
        let (storage_after, inodes_after) = percents(end.usage.as_ref());
        self.report.end_time = end.time;
        self.report.duration_seconds = end.took.as_secs_f64();
        self.report.storage_after_percent = storage_after;
        self.report.inodes_after_percent = inodes_after;
        self.report.target_percent = end.target_percent;
        self.report.target_reached = end.target_reached;
        self.report.reclaim = end.reclaim;
        self.report.open_check = end.open_check.map(str::to_owned);
        self.report.shortfall = end.shortfall;
        self.report
    }

    /// Turns the account into that of a dry run: what would go, with usage as
    /// it would be.
    pub fn finish_dry(mut self, actions: &[Action], listed: Vec<serde_json::Value>, end: RunEnd) -> Report {
        for action in actions {
            self.removed_tree(action.phase, action.reason.files(), action.expected_bytes);
        }
        self.report.dry_run = true;
        self.report.actions = Some(listed);
        self.finish(end)
    }
}
