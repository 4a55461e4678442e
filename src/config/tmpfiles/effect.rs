//! Which lines have an effect when systemd-tmpfiles cleans.
//!
//! Promises: a line that is left out here never made anything age or stay.
//! Must not know: roots.

use std::collections::BTreeMap;

use super::Note;
use super::line::Line;

/// Takes out what counts at boot only, and what an earlier line overrules.
/// Lines that say something of ages are noted; the rest goes without a word.
pub(super) fn in_effect(lines: Vec<Line>, notes: &mut Vec<Note>) -> Vec<Line> {
    let mut first: BTreeMap<(bool, super::path::LinePath), String> = BTreeMap::new();
    let mut effective = Vec::new();
    for line in lines {
        let says_something = line.age.is_some() || line.is_exclusion();
        let reason = if line.at_boot_only {
            "a line with ! counts at boot only: systemd-tmpfiles-clean does not read it".to_owned()
        } else if let (true, Some(earlier)) =
            (line.owns(), first.get(&(line.is_pattern(), line.path.clone())))
        {
            format!("an earlier line for the same path wins ({earlier})")
        } else {
            if line.owns() {
                first.insert((line.is_pattern(), line.path.clone()), line.source.place());
            }
            effective.push(line);
            continue;
        };
        if says_something {
            notes.push(Note { source: line.source, reason });
        }
    }
    effective
}
