//! Alerts: what somebody should know, as lines in the log, as events, and to
//! the programs that are called for it.
//!
//! Promises: each is told once when it begins and when it becomes worse, again
//! each hour while it lasts, and ended by an `info`; whoever raises one never
//! waits for anybody. Must not know: why something is alarming.

mod conditions;
mod hooks;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::{Event, Events};
use crate::model::{AlertKind, AlertState, Grown, Level, RootName};
use crate::policy::Standing;
use crate::sys::clock;

use super::metrics::Meters;

pub use conditions::{CONDITIONS, conditions};
pub use hooks::Hooks;

/// What an alert is about: kind, root (`None`: the agent as a whole), and which
/// of several of the kind (a policy, a resource).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What it is about.
    pub kind: AlertKind,
    /// Where.
    pub root: Option<RootName>,
    /// Which of several; empty where there is but one.
    pub part: &'static str,
}

impl Subject {
    /// The one of its kind, of a root or of the agent.
    pub fn of(kind: AlertKind, root: Option<&RootName>) -> Self {
        Self { kind, root: root.cloned(), part: "" }
    }

    /// One of several.
    #[must_use]
    pub const fn part(mut self, part: &'static str) -> Self {
        self.part = part;
        self
    }
}

/// An alert, in words.
#[derive(Debug, Clone)]
pub struct Alert {
    /// About what.
    pub subject: Subject,
    /// How bad.
    pub level: Level,
    /// In words.
    pub message: String,
}

impl Alert {
    /// In words.
    pub fn new(subject: Subject, level: Level, message: impl Into<String>) -> Self {
        Self { subject, level, message: message.into() }
    }
}

struct InForce {
    standing: Standing,
    message: String,
}

/// The alerts in force.
pub struct Alerts {
    events: Arc<Events>,
    meters: Arc<Meters>,
    hooks: Hooks,
    in_force: Mutex<HashMap<Subject, InForce>>,
}

impl Alerts {
    /// None in force, nobody called yet.
    pub fn new(events: Arc<Events>, meters: Arc<Meters>) -> Self {
        Self { events, meters, hooks: Hooks::default(), in_force: Mutex::default() }
    }

    /// The programs that are called.
    pub const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    fn book(&self) -> MutexGuard<'_, HashMap<Subject, InForce>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What alerts are in force.
    pub fn subjects(&self) -> HashSet<Subject> {
        self.book().keys().cloned().collect()
    }

    /// How bad those in force are, each with what it is about.
    pub fn levels(&self) -> Vec<(Subject, Level)> {
        let book = self.book();
        book.iter().map(|(subject, known)| (subject.clone(), known.standing.level())).collect()
    }

    /// It is so, now. Told if it begins, or changes its level.
    pub fn raise(&self, alert: &Alert, now: Duration) {
        let state = {
            let mut book = self.book();
            match book.get_mut(&alert.subject) {
                Some(known) => {
                    known.message.clone_from(&alert.message);
                    known.standing.found(alert.level, now)
                }
                None => {
                    let standing = Standing::begin(alert.level, now);
                    let message = alert.message.clone();
                    book.insert(alert.subject.clone(), InForce { standing, message });
                    Some(AlertState::Raised)
                }
            }
        };
        if let Some(state) = state {
            self.tell(alert, state);
        }
    }

    /// It is not so any more, if it was.
    pub fn end(&self, subject: &Subject) {
        if self.book().remove(subject).is_some() {
            let message = over(subject.kind).to_owned();
            self.tell(&Alert::new(subject.clone(), Level::Healthy, message), AlertState::Ended);
        }
    }

    /// Of `kinds` these are so now, and no others.
    pub fn observe(&self, kinds: &[AlertKind], now_so: &[Alert], now: Duration) {
        for alert in now_so {
            self.raise(alert, now);
        }
        self.end_where(|subject| {
            kinds.contains(&subject.kind) && !now_so.iter().any(|alert| alert.subject == *subject)
        });
    }

    /// Ends all that `is_over` names.
    pub fn end_where(&self, is_over: impl Fn(&Subject) -> bool) {
        let over: Vec<Subject> = self.book().keys().filter(|subject| is_over(subject)).cloned().collect();
        for subject in over {
            self.end(&subject);
        }
    }

    /// Tells those again that last.
    pub fn remind(&self, now: Duration) {
        let due: Vec<Alert> = self
            .book()
            .iter_mut()
            .filter_map(|(subject, known)| {
                let due = known.standing.is_due(now);
                due.then(|| Alert::new(subject.clone(), known.standing.level(), known.message.clone()))
            })
            .collect();
        for alert in due {
            self.tell(&alert, AlertState::Lasts);
        }
    }

    /// Tells of something that happened and does not last.
    pub fn once(&self, alert: &Alert) {
        self.tell(alert, AlertState::Raised);
    }

    fn tell(&self, alert: &Alert, state: AlertState) {
        let kind = alert.subject.kind;
        let root = alert.subject.root.as_ref().map(RootName::as_str);
        let message = &alert.message;
        match (state, alert.level) {
            (AlertState::Ended | AlertState::Eased, _) | (_, Level::Healthy) => {
                tracing::info!(root, alert = %kind, "{message}");
            }
            (AlertState::Lasts, Level::Warning) => tracing::warn!(root, alert = %kind, "still: {message}"),
            (AlertState::Lasts, Level::Critical) => tracing::error!(root, alert = %kind, "still: {message}"),
            (_, Level::Warning) => tracing::warn!(root, alert = %kind, "{message}"),
            (_, Level::Critical) => tracing::error!(root, alert = %kind, "{message}"),
        }
        self.announce(alert, state, None);
    }

    /// Tells those who listen and those who are called; the log has it already.
    pub fn announce(&self, alert: &Alert, state: AlertState, grown: Option<Grown>) {
        let event = Event::Alert {
            time: clock::now(),
            kind: alert.subject.kind,
            state,
            level: alert.level,
            root: alert.subject.root.clone(),
            message: alert.message.clone(),
            grown,
        };
        self.events.publish(&event);
        if matches!(state, AlertState::Raised | AlertState::Lasts) {
            self.meters.alert(alert.subject.kind, alert.level, alert.subject.root.as_ref());
            self.hooks.call(&event);
        }
    }
}

/// What is said when it is over.
const fn over(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::Usage | AlertKind::Inodes => "usage is back to normal",
        AlertKind::Forecast => "the volume is not expected to be full soon any more",
        AlertKind::Shortfall => "there is room again, though a run ended short of its target",
        AlertKind::Futile => "emergencies are not in vain any more",
        AlertKind::RootSuspended => "the root is not suspended any more",
        AlertKind::RootUnwatched => "all of the root is watched again",
        AlertKind::PrivateDirectory => "the private directory can be used again",
        AlertKind::VolumeUnreadable => "the volume answers again",
        AlertKind::PolicyFailing => "its removals are tried again",
        AlertKind::PlanWaits => "no scheduled plan waits any more",
        AlertKind::Clock => "the clock is trusted again",
        AlertKind::LedgerLost => "the registry of jobs is trusted again",
    }
}

#[cfg(test)]
mod tests;
