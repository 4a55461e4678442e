//! Events and figures in the words of the screen.

use super::super::health::tone_of;
use super::super::output::Tone;
use super::super::report::count_of;
use crate::api::{Event, Holder, HolderName, Progress, SweepState};
use crate::model::{ByteSize, Level, Report, Resource, Timestamp, Trigger, escape_control};

/// When, how bad, and what.
pub(super) fn of_event(event: &Event, now: Timestamp) -> (Timestamp, Tone, String) {
    let (time, tone, text) = match event {
        Event::Alert { time, level, root, message, .. } => {
            let root = root.as_ref().map_or_else(String::new, |root| format!("{root}: "));
            (*time, tone_of(*level), format!("{root}{message}"))
        }
        Event::Level { time, root, resource, level, rose, lasts, usage_percent } => {
            let what = match resource {
                Resource::Bytes => "usage",
                Resource::Inodes => "inodes",
            };
            let how = match (lasts, rose, level) {
                (true, ..) => "still",
                (false, true, _) => "now",
                (false, false, Level::Healthy) => "again",
                (false, false, _) => "down to",
            };
            let text = format!("{root}: {what} at {usage_percent:.1}%, {how} {}", level.as_str());
            (*time, tone_of(*level), text)
        }
        Event::Sweep { time, policy, trigger, roots, state, reports, .. } => {
            // An emergency needs no other reason than the one it is called by.
            let why = match trigger {
                Trigger::EmergencyThreshold => String::new(),
                why => format!(" ({})", why.as_str().replace('_', " ")),
            };
            let short = reports.iter().any(|report| report.target_reached == Some(false));
            let roots = roots.iter().map(|root| root.as_str()).collect::<Vec<_>>().join(", ");
            let of = if reports.len() == 1 { String::new() } else { format!(" over {roots}") };
            let (tone, text) = match state {
                SweepState::Queued => (Tone::Faint, format!("{policy}{of} waits")),
                SweepState::Running => (Tone::Strong, format!("{roots}: {policy} begins{why}")),
                SweepState::Done if short => {
                    (Tone::Warn, ended(policy.as_str(), &of, "ended short of its target", reports))
                }
                SweepState::Done => (Tone::Good, ended(policy.as_str(), &of, "done", reports)),
                SweepState::Cancelled => (Tone::Warn, ended(policy.as_str(), &of, "cancelled", reports)),
                SweepState::Failed => (Tone::Bad, ended(policy.as_str(), &of, "failed", reports)),
            };
            (*time, tone, text)
        }
        Event::Root { time, root, state, reason } => {
            let why = reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let tone = if reason.is_some() { Tone::Warn } else { Tone::Good };
            (*time, tone, format!("{root} is {}{why}", state.as_str()))
        }
        Event::Lost { count: Some(count) } => (now, Tone::Warn, format!("{count} events were missed")),
        Event::Lost { count: None } => (now, Tone::Warn, "events were missed".to_owned()),
    };
    (time, tone, escape_control(&text))
}

fn ended(policy: &str, of: &str, how: &str, reports: &[Report]) -> String {
    let (files, bytes) = reports
        .iter()
        .fold((0, 0), |(files, bytes), report| (files + report.files_deleted, bytes + report.bytes_freed));
    let verb = if reports.iter().any(|report| report.dry_run) { "would remove" } else { "removed" };
    let root = match reports {
        [one] => format!("{}: ", one.root),
        _ => String::new(),
    };
    let usage = match reports {
        [one] => match (one.resource, one.storage_before_percent, one.storage_after_percent) {
            (Resource::Bytes, Some(before), Some(after)) => format!(", {before:.1}% → {after:.1}%"),
            _ => String::new(),
        },
        _ => String::new(),
    };
    format!("{root}{policy}{of} {how}: {verb} {}, {}{usage}", count_of(files), ByteSize(bytes))
}

/// How far a sweep is, what matters most first.
pub(super) fn of_progress(progress: &Progress) -> String {
    if progress.files == 0 {
        return "looking for what may go".to_owned();
    }
    let mut words = vec![count_of(progress.files)];
    words.push(match progress.bytes_goal {
        Some(goal) => format!("{} of {}", ByteSize(progress.bytes), ByteSize(goal)),
        None => ByteSize(progress.bytes).to_string(),
    });
    if let Some(percent) = progress.usage_percent {
        let target = progress.target_percent.map_or_else(String::new, |target| format!(" → {target:.1}%"));
        words.push(format!("{percent:.1}%{target}"));
    }
    words.join(", ")
}

pub(super) fn name_of(holder: &Holder) -> String {
    match &holder.name {
        HolderName::Job { job } => escape_control(job),
        HolderName::User { uid } => format!("uid {uid}"),
        HolderName::Directory(path) => escape_control(&path.path),
    }
}

/// Bytes an hour, with a sign; what nobody knows is `-`.
pub(super) fn growth_of(holder: &Holder) -> String {
    match holder.growth_bytes_per_hour {
        None => "-".to_owned(),
        Some(0) => "0".to_owned(),
        Some(bytes) => {
            let sign = if bytes < 0 { '-' } else { '+' };
            format!("{sign}{}/h", ByteSize(bytes.unsigned_abs()))
        }
    }
}

/// The time of day, in UTC as everywhere.
pub(super) fn clock_of(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}
