//! What is expected of a volume, told to people: a warning when it will be full
//! soon, and that it is over.
//!
//! Promises: one line and one alert for each root, again each hour while it
//! lasts; guardian's own removals are kept out of the forecast. Must not know:
//! how a forecast is made.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{Level, Resource, RootName, TimeSpan};
use crate::policy::{ForecastAlert, ForecastChange, Haste, Marks, emergency_needed, hurries};
use crate::usage::VolumeMonitor;

use super::alerts::{Alert, Subject};
use super::state::Agent;
use crate::model::{AlertKind, AlertState};

/// What was told of one volume's forecast.
#[derive(Debug, Default)]
pub struct ForecastWatch {
    alerts: HashMap<RootName, ForecastAlert>,
    /// Bytes unlinked beneath its roots when last looked at.
    unlinked: u64,
    /// When the scheduled sweeps were last brought forward for it.
    hurried_at: Option<Duration>,
}

impl ForecastWatch {
    /// Tells the monitor what guardian removed since the last look. To be called
    /// before it looks, so that what came free is no trend.
    pub fn note_removals(&mut self, agent: &Agent, monitor: &mut VolumeMonitor, roots: &[&RootName]) {
        let unlinked = agent.engine.meters.unlinked_in(roots.iter().copied());
        let since = unlinked.saturating_sub(std::mem::replace(&mut self.unlinked, unlinked));
        if since > 0 {
            monitor.removed(since);
        }
    }

    /// Judges the forecast after a look.
    pub fn look(&mut self, agent: &Agent, monitor: &VolumeMonitor, roots: &[&RootName], now: Duration) {
        let within = agent.settings().agent.forecast_warning;
        let outlook = monitor.outlook();
        for root in roots {
            let alert = self.alerts.entry((*root).clone()).or_default();
            match alert.observe(now, outlook, within) {
                Some(ForecastChange::Expected(time)) => expected(agent, root, time, monitor.rate(), ""),
                Some(ForecastChange::Lasts(time)) => expected(agent, root, time, monitor.rate(), "still "),
                Some(ForecastChange::Over) => {
                    tracing::info!(root = %root, alert = %AlertKind::Forecast, "the volume is no longer expected to be full soon");
                }
                None => {}
            }
        }
    }
}

impl ForecastWatch {
    /// Brings the scheduled sweeps forward where the volume will be full before it
    /// could be emptied.
    pub fn hurry(
        &mut self,
        agent: &Agent,
        monitor: &VolumeMonitor,
        roots: &[&RootName],
        marks: &[Marks],
        now: Duration,
    ) {
        let Some(look) = monitor.last() else { return };
        let bytes = Resource::Bytes;
        let is_warned = marks.iter().any(|marks| look.usage.percent(bytes) >= marks.of(bytes).0);
        let is_emergency = marks.iter().any(|marks| emergency_needed(&look.usage, marks).is_some());
        let low = marks.iter().map(|marks| marks.of(bytes).2).min_by(f64::total_cmp);
        let haste = Haste {
            is_between_marks: is_warned && !is_emergency,
            time_to_full: monitor.outlook().time_to_full(),
            to_free: low.map_or(0, |low| look.usage.excess_over(bytes, low)),
            drain_rate: agent.engine.meters.drain_rate(roots.iter().copied()),
            since_last: self.hurried_at.map(|at| now.saturating_sub(at)),
        };
        if let Some(to_drain) = hurries(&haste) {
            self.hurried_at = Some(now);
            let names: Vec<&str> = roots.iter().map(|root| root.as_str()).collect();
            tracing::info!(
                root = %names.join(" "),
                time_to_full_seconds = haste.time_to_full.map(|time| time.as_secs()),
                time_to_drain_seconds = to_drain.as_secs(),
                "the volume fills faster than it could be emptied: what is due is swept now"
            );
            agent.hurry();
        }
    }
}

fn expected(agent: &Agent, root: &RootName, time: Duration, rate: Option<f64>, still: &str) {
    let span = TimeSpan::from_secs(time.as_secs());
    tracing::warn!(
        root = %root, alert = %AlertKind::Forecast, time_to_full_seconds = time.as_secs(), bytes_per_second = rate.map(f64::round),
        "the volume is {still}expected to be full in {span}"
    );
    let message = format!("the volume is {still}expected to be full in {span}");
    let state = if still.is_empty() { AlertState::Raised } else { AlertState::Lasts };
    let alert = Alert::new(Subject::of(AlertKind::Forecast, Some(root)), Level::Warning, message);
    agent.engine.alerts.announce(&alert, state, None);
}
