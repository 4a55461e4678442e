//! What stays in a root although its age is over: what other lines speak of.
//!
//! systemd-tmpfiles leaves out, with all that is in it, what has a line of its
//! own, whatever its type. Promises: nothing goes sooner than it went by those
//! lines. Must not know: how protections are written down.

use std::path::Path;

use super::glob::{matches, protecting};
use super::line::Line;
use super::path::Piece;
use super::roots::{Candidate, Chosen, candidate, within};
use super::{Difference, Protection};
use crate::config::{Probe, show};

/// What systemd-tmpfiles spares at the top of a volume.
const OF_VOLUMES: [&str; 4] = ["lost+found", ".journal", "aquota.user", "aquota.group"];

/// The protections of a root.
pub(super) fn of_root(
    root: &Chosen<'_>,
    lines: &[Line],
    probe: &dyn Probe,
    differences: &mut Vec<Difference>,
) -> Vec<Protection> {
    let mut protections: Vec<Protection> = Vec::new();
    let mut add = |glob: String, reason: String, line: &Line| {
        if !protections.iter().any(|known| known.glob == glob) {
            protections.push(Protection { glob, reason, source: line.source.clone() });
        }
    };
    for line in lines {
        let Some(parts) = beneath(line, root) else { continue };
        let mut tell = |reason: String| differences.push(Difference::of(line, reason));
        let reason = match candidate(line, probe) {
            Some(Ok(inner)) => {
                if goes_later(&inner, &root.candidate) {
                    if let Some(reason) = later(&inner, &root.candidate) {
                        tell(reason);
                    }
                    continue;
                }
                tell(format!(
                    "{} and what is in it stays for good: its age ({}) can't apply within the root {}, \
                     whose own would take it too soon",
                    inner.path,
                    show::span(inner.age),
                    root.candidate.path,
                ));
                format!("an age of its own, {}", show::span(inner.age))
            }
            Some(Err(_)) => "an age of its own that is not imported".to_owned(),
            None if line.letter == 'x' && line.age.is_none() => "excluded".to_owned(),
            None if line.is_exclusion() => {
                tell(
                    "what is in the excluded directories stays too; systemd-tmpfiles cleans it by an age"
                        .to_owned(),
                );
                "excluded".to_owned()
            }
            None => "a line of its own".to_owned(),
        };
        let reason = if line.of_var_run { reason + "; /var/run is read as /run" } else { reason };
        let unknown: String = line.path.unknown().iter().map(|letter| format!(", any %{letter}")).collect();
        add(protecting(&parts, line.is_pattern()), reason + &unknown, line);
    }
    let path = Path::new(&root.candidate.path);
    let above = path.parent().and_then(|parent| probe.device(parent));
    let here = probe.device(path);
    if here.is_some() && above.is_some() && here != above {
        for name in OF_VOLUMES {
            let part = name.bytes().map(Piece::Byte).collect();
            let reason = "systemd-tmpfiles spares it at the top of a volume".to_owned();
            add(protecting(&[part], false), reason, root.candidate.line);
        }
    }
    protections
}

/// The path of a line relative to a root, if it may lie beneath it.
fn beneath(line: &Line, root: &Chosen<'_>) -> Option<Vec<Vec<Piece>>> {
    let parts = &line.path.0;
    let names: Vec<&str> = root.candidate.path.split('/').filter(|name| !name.is_empty()).collect();
    // By its text systemd-tmpfiles never meets a path that climbs.
    if parts.len() <= names.len() || line.path.has_parent() {
        return None;
    }
    let (above, below) = parts.split_at(names.len());
    let fits = above.iter().zip(&names).all(|(part, name)| matches(part, line.is_pattern(), name.as_bytes()));
    fits.then(|| below.to_vec())
}

/// Whether by the root's rule everything goes at the same time as by the inner one, or later.
fn goes_later(inner: &Candidate<'_>, root: &Candidate<'_>) -> bool {
    (inner.at_each_run || inner.age <= root.age) && within(inner.by, root.by)
}

/// What that means, where it makes a difference.
fn later(inner: &Candidate<'_>, root: &Candidate<'_>) -> Option<String> {
    let is_same = inner.age == root.age && inner.by == root.by && !inner.at_each_run;
    (!is_same).then(|| {
        format!(
            "files in {} stay longer: they go by the age of the root {} ({}), not by their own ({})",
            inner.path,
            root.path,
            show::span(root.age),
            if inner.at_each_run { "0".to_owned() } else { show::span(inner.age) },
        )
    })
}
