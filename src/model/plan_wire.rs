//! Plans as JSON: what a dry run prints, what `--list` adds to a report, and
//! what `--plan FILE` reads back.
//!
//! Promises: what was written reads back to the same removal, with everything
//! that must be unchanged on disk before it may be carried out. So a plan on
//! paper is as strict as one in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Action, FileFacts, JobId, PathError, Phase, Plan, PlanId, Policy, Reason, RelPath, RootName, SessionId,
    SweepRequest, TimeSpan, Timestamp, WirePath,
};

/// One removal as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanAction {
    /// Place in the plan, from 0.
    pub order: u64,
    /// The part of the run.
    pub phase: Phase,
    /// Absolute path.
    #[serde(flatten)]
    pub path: WirePath,
    /// What was asked for.
    pub policy: Policy,
    /// Why, in words.
    pub reason: String,
    /// The rule and its numbers.
    pub because: Reason,
    /// Age when decided, in seconds.
    pub age_seconds: u64,
    /// The job on whose account it may go.
    pub job: Option<JobId>,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What its removal should free, in bytes.
    pub expected_bytes: u64,
    /// The root.
    pub root: RootName,
    /// What must be unchanged.
    pub facts: FileFacts,
}

impl PlanAction {
    /// Writes a removal under the absolute path of its root.
    pub fn of(action: &Action, policy: Policy, root: &RootName, root_path: &Path) -> Self {
        Self {
            order: action.order,
            phase: action.phase,
            path: WirePath::from_path(&action.path.under(root_path)),
            policy,
            reason: action.reason.to_string(),
            because: action.reason.clone(),
            age_seconds: action.age.as_secs(),
            job: action.reason.job().cloned(),
            size_bytes: action.facts.id.size,
            expected_bytes: action.expected_bytes,
            root: root.clone(),
            facts: action.facts,
        }
    }

    /// Reads a removal back; its path must lie beneath `root_path`.
    ///
    /// # Errors
    /// [`PathError::NotPlain`] for a path that does not.
    pub fn to_action(&self, root_path: &Path) -> Result<Action, PathError> {
        use std::os::unix::ffi::OsStrExt;
        let foreign = || PathError::NotPlain(self.path.path.clone());
        let bytes = self.path.to_bytes()?;
        let above = root_path.as_os_str().as_bytes();
        let rest = bytes.strip_prefix(above).and_then(|rest| rest.strip_prefix(b"/")).ok_or_else(foreign)?;
        let path = RelPath::from_bytes(rest)?;
        if path.is_root() {
            return Err(foreign());
        }
        Ok(Action {
            order: self.order,
            phase: self.phase,
            path,
            facts: self.facts,
            reason: self.because.clone(),
            age: Duration::from_secs(self.age_seconds),
            expected_bytes: self.expected_bytes,
        })
    }
}

/// A plan as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanResource {
    /// Its name; absent without an agent to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PlanId>,
    /// When the decisions were made.
    pub as_of: Timestamp,
    /// What was asked for.
    pub policy: Policy,
    /// The root; absent for a plan over several.
    pub root: Option<RootName>,
    /// The age that was asked for in place of the policy's; absent: none was, and
    /// the policy's at the time counts when the plan is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<TimeSpan>,
    /// The job whose files alone were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The session whose files alone were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Removals in order.
    pub actions: Vec<PlanAction>,
    /// How many files were looked at and stay, by reason.
    pub kept: BTreeMap<String, u64>,
    /// When the agent forgets it.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl PlanResource {
    /// Writes the plan that answers `request`, under the absolute path of its root.
    pub fn of(plan: &Plan, request: &SweepRequest, root_path: &Path) -> Self {
        Self {
            id: plan.id.clone(),
            as_of: plan.as_of,
            policy: plan.policy,
            root: Some(plan.root.clone()),
            older_than: request.older_than,
            job: request.job.clone(),
            session: request.session.clone(),
            actions: plan
                .actions
                .iter()
                .map(|action| PlanAction::of(action, plan.policy, &plan.root, root_path))
                .collect(),
            kept: plan.kept.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect(),
            expires_at: plan.expires_at,
        }
    }

    /// The request by which the plan is applied: what was asked for, without limits
    /// that the plan itself has in it.
    pub fn asked(&self) -> SweepRequest {
        SweepRequest {
            older_than: self.older_than,
            job: self.job.clone(),
            session: self.session.clone(),
            ..SweepRequest::of(self.policy)
        }
    }
}
