//! What a run came to: told, counted and put on record.

use crate::agent::alerts::{Alert, Subject};
use crate::agent::log;
use crate::agent::recorder::Recorder;
use crate::agent::surroundings::RunWorld;
use crate::api::SweepState;
use crate::model::{AlertKind, ByteSize, Level, Policy, Report, Resource, Trigger};
use crate::sys::clock;

use super::{Engine, lock};

impl Engine {
    /// Nothing is missing where a run was `stopped` from outside: it was not at its end.
    pub(super) fn tell_end(&self, world: &RunWorld<'_>, reports: &[Report], stopped: bool) {
        let over = if world.control.is_cancelled() { SweepState::Cancelled } else { SweepState::Done };
        world.shown.tell_end(&self.events, world.control, over, reports);
        self.meters.phases_took(&lock(&world.took).by_phase);
        let now = clock::since_boot();
        for report in reports.iter().filter(|report| !report.dry_run) {
            let subject =
                Subject::of(AlertKind::Shortfall, Some(&report.root)).part(log::name(report.resource));
            match report.target_reached {
                Some(true) => self.alerts.end(&subject),
                Some(false) if stopped => {}
                Some(false) => {
                    let alert = Alert::new(subject, short(report), short_of(report));
                    // What guardian began by itself goes on until there is room.
                    match report.trigger {
                        Trigger::EmergencyThreshold => self.alerts.raise(&alert, now),
                        _ => self.alerts.once(&alert),
                    }
                }
                None => {}
            }
        }
    }

    /// Reports go to the log at once. Those of an emergency that the guard began
    /// are written aside: the next must be able to begin at once.
    pub(super) fn remember(&self, trigger: Trigger, reports: &[Report]) {
        reports.iter().for_each(log::run_ended);
        reports.iter().for_each(|report| self.meters.ran(report));
        if trigger == Trigger::EmergencyThreshold {
            let (ledger, audit) = (self.ledger.clone(), self.audit.clone());
            self.recorder.record_aside(ledger, audit, self.recorded.clone(), reports.to_vec());
        } else {
            let (ledger, audit) = (self.ledger.as_deref(), self.audit.as_deref());
            Recorder::record(ledger, audit, self.recorded.as_deref(), reports);
        }
    }
}

fn short(report: &Report) -> Level {
    if report.policy == Policy::Emergency { Level::Critical } else { Level::Warning }
}

fn short_of(report: &Report) -> String {
    let missing = report.shortfall.as_ref().map(|short| match report.resource {
        Resource::Bytes => ByteSize(short.bytes).to_string(),
        Resource::Inodes => format!("{} inodes", short.bytes),
    });
    let missing = missing.map_or_else(String::new, |missing| format!(": {missing} are missing"));
    format!("target not reached by {} {}{missing}", report.policy, report.id)
}
