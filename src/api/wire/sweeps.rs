//! Sweeps and plans on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{PlanId, Policy, Report, RunId, SweepRequest};

/// A sweep as the socket shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepResource {
    /// Its name; sorts by time.
    pub id: RunId,
    /// Where it stands.
    pub state: SweepState,
    /// What was removed so far.
    pub progress: Progress,
    /// The report of its first (usually only) root, once there is one.
    pub report: Option<Report>,
    /// The reports of all its roots so far.
    #[serde(default)]
    pub reports: Vec<Report>,
    /// The plan that a dry run left with the agent, to be applied as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<SweepRequest>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl SweepResource {
    /// A sweep with its reports; `report` is the first of them.
    pub fn new(id: RunId, state: SweepState, progress: Progress, reports: Vec<Report>) -> Self {
        Self {
            id,
            state,
            progress,
            report: reports.first().cloned(),
            reports,
            plan: None,
            request: None,
            error: None,
        }
    }
}

/// Where a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// Waiting for another to end.
    Queued,
    /// At work.
    Running,
    /// Ended by itself.
    Done,
    /// Called off after a batch.
    Cancelled,
    /// Could not go on.
    Failed,
}

impl SweepState {
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

/// What a sweep removed so far, and where it is to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Names removed.
    pub files: u64,
    /// Allocated bytes freed.
    pub bytes: u64,
    /// Bytes that must come free for its target, as it was when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_goal: Option<u64>,
    /// The same in files, where inodes run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_goal: Option<u64>,
    /// Percent of the volume that is used now, in bytes or inodes as the goal is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_percent: Option<f64>,
    /// Where that is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_percent: Option<f64>,
}

/// Refuses sweeps that contradict themselves, in words for the user. The same
/// for the socket (400) and the command line (exit 2).
pub fn check_sweep(request: &SweepRequest) -> Result<(), String> {
    let bounded = request.older_than.is_some() || request.free.is_some() || request.until_percent.is_some();
    if let Some(percent) = request.until_percent
        && !(0.0..=100.0).contains(&percent)
    {
        return Err(format!("until_percent is {percent}: expected a percentage from 0 to 100"));
    }
    if request.max_files == Some(0) {
        return Err("max_files is 0: expected at least 1".to_owned());
    }
    if request.batch_size == Some(0) {
        return Err("batch_size is 0: expected at least 1".to_owned());
    }
    if let Some(plan) = &request.plan {
        let chosen = request.policy != Policy::Scheduled
            || bounded
            || request.max_files.is_some()
            || request.job.is_some()
            || request.chunk.is_some()
            || request.session.is_some()
            || request.root.is_some();
        if chosen {
            return Err(format!(
                "plan {plan} says what goes: it cannot be combined with a policy, root, job, session or limit"
            ));
        }
        return Ok(());
    }
    if request.chunk.is_some() && (request.policy != Policy::Chunks || request.job.is_none()) {
        return Err("a chunk can be given with the policy chunks and a job only".to_owned());
    }
    match request.policy {
        Policy::Oldest if !bounded => {
            Err("the policy oldest needs one of older_than, free or until_percent".to_owned())
        }
        Policy::Session => Ok(()),
        _ if request.session.is_some() => {
            Err("a session can be given with the policy session only".to_owned())
        }
        _ => Ok(()),
    }
}

/// What `POST /v1/sweeps?wait=true` answers, and `guardian sweep --json` prints:
/// the report itself, or a list when the sweep went over several roots (or none).
/// `plan` is the one that a dry run left ([`SweepResource::plan`]); it stands beside.
pub fn waited_body(mut reports: Vec<Value>, plan: Option<&PlanId>) -> Value {
    if let Some(id) = plan {
        for fields in reports.iter_mut().filter_map(Value::as_object_mut) {
            fields.insert("plan".to_owned(), Value::from(id.as_str()));
        }
    }
    match <[Value; 1]>::try_from(reports) {
        Ok([report]) => report,
        Err(reports) => serde_json::json!({ "items": reports, "next": null }),
    }
}
