//! The agent in one line, for `systemctl status`.
//!
//! Promises: the worst comes first, no volume is asked for it, and no line
//! break is in it. Must not know: who reads it.

use std::sync::{Mutex, PoisonError};

use crate::model::{AlertKind, Level, Resource, escape_control};
use crate::policy::level;
use crate::sys::clock;

use super::alerts::Subject;
use super::state::{Agent, Slot};

/// So many roots are named; of more the rest is counted.
const NAMED: usize = 6;

/// Most characters of why a configuration was refused.
const WHY: usize = 200;

/// What was last told, and what does not pass by itself.
#[derive(Debug, Default)]
pub struct Status {
    line: Mutex<String>,
    refused: Mutex<Option<String>>,
}

impl Status {
    /// Notes why the last reload was refused; `None`: it was not.
    pub fn note_refusal(&self, why: Option<&str>) {
        let first = |why: &str| why.lines().next().unwrap_or_default().chars().take(WHY).collect();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why.map(first);
    }

    /// The line as it was last put together.
    pub fn line(&self) -> String {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Puts the line together anew; whether it is another one.
pub fn renew(agent: &Agent) -> bool {
    let alerts = agent.engine.alerts.levels();
    let roots: Vec<Shown> = agent.slots().iter().map(|slot| shown(slot, &alerts)).collect();
    let settings = agent.settings();
    let mut notes = Vec::new();
    if let Some(pause) = agent.pause_at(clock::now()) {
        notes.push(if pause.emergencies { "all removals paused" } else { "removals paused" }.to_owned());
    }
    if settings.agent.dry_run {
        notes.push("dry run".to_owned());
    }
    if !settings.agent.automatic {
        notes.push("not automatic".to_owned());
    }
    let refused = agent.status.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
    notes.extend(refused.map(|why| format!("configuration refused, the old one is in force: {why}")));
    let new = line(roots, alerts.iter().map(|(_, level)| *level).max(), &notes);
    let mut known = agent.status.line.lock().unwrap_or_else(PoisonError::into_inner);
    let differs = *known != new;
    *known = new;
    differs
}

fn shown(slot: &Slot, alerts: &[(Subject, Level)]) -> Shown {
    let (ready, seen) = (slot.ready(), slot.seen());
    let silent = Subject::of(AlertKind::VolumeUnreadable, Some(slot.name()));
    let found = match (&ready, seen) {
        (None, _) => Found::Suspended,
        // What was seen of it last may be long ago.
        (Some(_), _) if alerts.iter().any(|(subject, _)| *subject == silent) => Found::Silent,
        (Some(_), None) => Found::Unknown,
        (Some(root), Some(seen)) => {
            let of = |resource| level(&seen.usage, resource, &root.guarded.marks);
            let inodes = of(Resource::Inodes) > of(Resource::Bytes);
            let resource = if inodes { Resource::Inodes } else { Resource::Bytes };
            Found::Used { percent: seen.usage.percent(resource), level: of(resource), inodes }
        }
    };
    Shown { name: slot.name().to_string(), found }
}

/// A root, as far as the line tells of it.
struct Shown {
    name: String,
    found: Found,
}

/// In the order in which they matter.
enum Found {
    Suspended,
    Silent,
    Unknown,
    Used { percent: f64, level: Level, inodes: bool },
}

impl Shown {
    /// The worse, the less.
    fn rank(&self) -> (u8, i64) {
        match self.found {
            Found::Suspended => (1, 0),
            Found::Silent => (2, 0),
            Found::Unknown => (4, 0),
            Found::Used { percent, level, .. } => {
                let by_level = match level {
                    Level::Critical => 0,
                    Level::Warning => 3,
                    Level::Healthy => 5,
                };
                (by_level, -(percent as i64))
            }
        }
    }

    fn words(&self) -> String {
        let name = &self.name;
        match self.found {
            Found::Suspended => format!("{name} suspended"),
            Found::Silent => format!("{name} does not answer"),
            Found::Unknown => format!("{name} not looked at yet"),
            // Rounded down: at 95 it is at the mark.
            Found::Used { percent, inodes: false, .. } => format!("{name} {}%", percent as i64),
            Found::Used { percent, inodes: true, .. } => format!("{name} {}% of inodes", percent as i64),
        }
    }
}

/// `alerted`: the worst of the alerts in force, which are about more than usage.
fn line(mut roots: Vec<Shown>, alerted: Option<Level>, notes: &[String]) -> String {
    roots.sort_by_key(Shown::rank);
    let (shown, level) = match roots.first().map(|root| &root.found) {
        None => ("", Level::Healthy),
        Some(Found::Suspended | Found::Silent) => (Level::Critical.as_str(), Level::Critical),
        Some(Found::Unknown) => ("starting", Level::Healthy),
        Some(Found::Used { level, .. }) => (level.as_str(), *level),
    };
    let worst = alerted.filter(|alerted| *alerted > level).map_or(shown, Level::as_str);
    let mut named: Vec<String> = roots.iter().take(NAMED).map(Shown::words).collect();
    if roots.len() > NAMED {
        named.push(format!("{} more", roots.len() - NAMED));
    }
    if roots.is_empty() {
        named.push("no root is configured".to_owned());
    }
    let parts = [named.join(", "), worst.to_owned()].into_iter().chain(notes.iter().cloned());
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    escape_control(&parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(name: &str, percent: f64, level: Level) -> Shown {
        Shown { name: name.to_owned(), found: Found::Used { percent, level, inodes: false } }
    }

    fn not(name: &str, found: Found) -> Shown {
        Shown { name: name.to_owned(), found }
    }

    #[test]
    fn the_line_says_how_full_and_how_bad_it_is_the_worst_first() {
        let healthy = || used("scratch", 43.7, Level::Healthy);
        assert_eq!(line(vec![healthy()], None, &[]), "scratch 43% · healthy");
        let roots = vec![healthy(), used("a", 86.0, Level::Warning), used("b", 96.0, Level::Critical)];
        assert_eq!(line(roots, None, &[]), "b 96%, a 86%, scratch 43% · critical");
        let inodes = Found::Used { percent: 88.0, level: Level::Warning, inodes: true };
        assert_eq!(
            line(vec![healthy(), not("m", inodes)], None, &[]),
            "m 88% of inodes, scratch 43% · warning"
        );
        let roots = vec![healthy(), not("gone", Found::Suspended)];
        assert_eq!(
            line(roots, None, &["dry run".to_owned()]),
            "gone suspended, scratch 43% · critical · dry run"
        );
        assert_eq!(line(vec![not("new", Found::Unknown)], None, &[]), "new not looked at yet · starting");
        assert_eq!(line(Vec::new(), None, &[]), "no root is configured");
    }

    #[test]
    fn a_volume_that_does_not_answer_and_alerts_in_force_are_in_the_line() {
        let roots = || vec![used("scratch", 43.7, Level::Healthy), used("a", 86.0, Level::Warning)];
        let silent = || not("nfs", Found::Silent);
        let told = line(roots().into_iter().chain([silent()]).collect(), Some(Level::Critical), &[]);
        assert_eq!(told, "nfs does not answer, a 86%, scratch 43% · critical");
        assert_eq!(line(vec![silent()], None, &[]), "nfs does not answer · critical");
        assert_eq!(line(roots(), Some(Level::Critical), &[]), "a 86%, scratch 43% · critical");
        assert_eq!(line(roots(), Some(Level::Healthy), &[]), "a 86%, scratch 43% · warning");
        let new = || vec![not("new", Found::Unknown)];
        assert_eq!(line(new(), Some(Level::Warning), &[]), "new not looked at yet · warning");
        assert_eq!(line(Vec::new(), Some(Level::Critical), &[]), "no root is configured · critical");
    }

    #[test]
    fn many_roots_are_counted_and_a_refusal_is_one_line() {
        let roots = (0..40).map(|n| used(&format!("r{n}"), f64::from(n), Level::Healthy)).collect();
        assert_eq!(
            line(roots, None, &[]),
            "r39 39%, r38 38%, r37 37%, r36 36%, r35 35%, r34 34%, 34 more · healthy"
        );
        let status = Status::default();
        status.note_refusal(Some("no key is called \u{1b}[31m\nsecond line"));
        let refused = status.refused.lock().unwrap().clone().unwrap();
        let told = line(vec![used("r", 1.0, Level::Healthy)], None, &[refused]);
        assert_eq!(told, "r 1% · healthy · no key is called \\u{1b}[31m");
    }
}
