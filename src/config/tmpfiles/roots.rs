//! Which lines become roots.
//!
//! Promises: roots never contain one another, by name or with links resolved;
//! what guardian would refuse as a root is set apart, not left out. Must not
//! know: how roots are written down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line::Line;
use super::{Difference, Note};
use crate::config::key::LONGEST_SPAN_DAYS;
use crate::config::{Probe, check_root, show};
use crate::model::FileTimes;

/// A line that may become a root.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) line: &'a Line,
    pub(super) path: String,
    pub(super) age: Duration,
    pub(super) by: FileTimes,
    /// The age was zero.
    pub(super) at_each_run: bool,
}

/// A line that became one.
#[derive(Debug, Clone)]
pub(super) struct Chosen<'a> {
    pub(super) candidate: Candidate<'a>,
    /// Why guardian refuses it, unless it is allowed by name.
    pub(super) refused: Option<String>,
    resolved: PathBuf,
}

/// How often systemd-tmpfiles-clean.timer comes: what lies there for an age of
/// zero lies there for up to this long.
const BETWEEN_RUNS: Duration = Duration::from_secs(86_400);

/// The line as a root of its own, wherever it lies; an error is the reason why it can't be one.
pub(super) fn candidate<'a>(line: &'a Line, probe: &dyn Probe) -> Option<Result<Candidate<'a>, String>> {
    let age = line.age.as_ref().filter(|_| line.cleans())?;
    let made = || {
        if line.is_pattern() && line.path.has_wildcards() {
            return Err(
                "a root has one path: write a [[root]] for each directory that the pattern means".to_owned()
            );
        }
        let path = line.path.text()?;
        if probe.is_link(Path::new(&path)) {
            return Err(format!(
                "{path} is a symbolic link, and systemd-tmpfiles cleans nothing through one: if what it \
                 leads to should be cleaned, write a [[root]] for that"
            ));
        }
        if age.keeps_first_level {
            return Err(
                "guardian can't keep what lies directly in a root and clean beneath it (~)".to_owned()
            );
        }
        let Some(span) = age.span else {
            return Err("nothing ever reaches an infinite age".to_owned());
        };
        if span > Duration::from_secs(LONGEST_SPAN_DAYS * 86_400) {
            return Err(format!(
                "the age is beyond {LONGEST_SPAN_DAYS} days, the longest that guardian knows"
            ));
        }
        // guardian counts in milliseconds; an age never becomes shorter.
        let millis = u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        let at_each_run = span.is_zero();
        let age_kept = if at_each_run { BETWEEN_RUNS } else { Duration::from_millis(millis) };
        Ok(Candidate { line, path, age: age_kept, by: age.by, at_each_run })
    };
    Some(made())
}

/// Chooses the outermost lines; the others are noted.
pub(super) fn choose<'a>(
    lines: &'a [Line],
    probe: &dyn Probe,
    differences: &mut Vec<Difference>,
    notes: &mut Vec<Note>,
) -> Vec<Chosen<'a>> {
    let mut candidates = Vec::new();
    for line in lines {
        match candidate(line, probe) {
            None => {}
            Some(Ok(candidate)) => candidates.push(candidate),
            Some(Err(reason)) => notes.push(Note { source: line.source.clone(), reason }),
        }
    }
    // Outer ones first; of one path the line that was read first.
    candidates.sort_by_key(|candidate| candidate.line.path.0.len());
    let mut chosen: Vec<Chosen<'a>> = Vec::new();
    for candidate in candidates {
        let path = Path::new(&candidate.path);
        let resolved = probe.resolve(path);
        let refused = check_root::unfit(path, probe);
        if let Some(same) = chosen.iter().find(|one| Path::new(&one.candidate.path) == path) {
            let first = &same.candidate;
            differences.push(Difference::of(
                candidate.line,
                format!(
                    "a second age for the same directory: guardian goes by the first ({}, {}), \
                     systemd-tmpfiles by whichever is over sooner",
                    first.line.source.place(),
                    show::span(first.age),
                ),
            ));
            continue;
        }
        let active = || chosen.iter().filter(|one| one.refused.is_none());
        if active().any(|one| path.starts_with(&one.candidate.path)) {
            continue; // the protections of that root say what becomes of it
        }
        let meets =
            |one: &&Chosen<'_>| resolved.starts_with(&one.resolved) || one.resolved.starts_with(&resolved);
        if let (None, Some(other)) = (&refused, active().find(meets)) {
            let reason = format!(
                "{} is {}, which overlaps with {} ({}): roots don't contain one another",
                candidate.path,
                resolved.display(),
                other.candidate.path,
                other.candidate.line.source.place(),
            );
            notes.push(Note { source: candidate.line.source.clone(), reason });
            continue;
        }
        chosen.push(Chosen { candidate, refused, resolved });
    }
    chosen
}

/// Whether all times of `inner` are among those of `outer`.
pub(super) const fn within(inner: FileTimes, outer: FileTimes) -> bool {
    (!inner.mtime || outer.mtime)
        && (!inner.ctime || outer.ctime)
        && (!inner.atime || outer.atime)
        && (!inner.btime || outer.btime)
}
