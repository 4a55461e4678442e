//! Removals as JSON: in plans, dry runs and with `--list`, and read back for
//! `--plan FILE`.
//!
//! Promises: what was written reads back to the same removal, with everything
//! that must be unchanged on disk before it may be carried out. Beyond the
//! fields of the contract each entry carries the facts of its file, so that a
//! plan on paper is as strict as one in memory.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{
    Action, FileFacts, JobId, Phase, Plan, PlanId, Policy, Reason, RelPath, RootName, Timestamp, WirePath,
};

use super::SweepError;

/// One removal as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireAction {
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
    pub rule: Reason,
    /// Age when decided, in seconds.
    pub age_seconds: u64,
    /// The job on whose account it may go.
    pub job: Option<JobId>,
    /// Length in bytes.
    pub size_bytes: u64,
    /// What its removal should free, in bytes.
    pub expected_bytes: u64,
    /// What must be unchanged.
    pub facts: FileFacts,
}

impl WireAction {
    /// Writes a removal under the absolute path of its root.
    pub fn new(action: &Action, policy: Policy, root: &Path) -> Self {
        Self {
            order: action.order,
            phase: action.phase,
            path: WirePath::from_path(&action.path.under(root)),
            policy,
            reason: action.reason.to_string(),
            rule: action.reason.clone(),
            age_seconds: action.age.as_secs(),
            job: action.reason.job().cloned(),
            size_bytes: action.facts.id.size,
            expected_bytes: action.expected_bytes,
            facts: action.facts,
        }
    }

    /// Reads a removal back; its path must lie beneath `root`.
    pub fn into_action(self, root: &Path) -> Result<Action, SweepError> {
        use std::os::unix::ffi::OsStrExt;
        let foreign = || SweepError::ForeignPlan { path: self.path.path.clone(), root: root.to_owned() };
        let bytes = self.path.to_bytes().map_err(|_| foreign())?;
        let above = root.as_os_str().as_bytes();
        let rest = bytes.strip_prefix(above).and_then(|rest| rest.strip_prefix(b"/")).ok_or_else(foreign)?;
        let path = RelPath::from_bytes(rest).map_err(|_| foreign())?;
        if path.is_root() {
            return Err(foreign());
        }
        Ok(Action {
            order: self.order,
            phase: self.phase,
            path,
            facts: self.facts,
            reason: self.rule,
            age: Duration::from_secs(self.age_seconds),
            expected_bytes: self.expected_bytes,
        })
    }
}

/// A plan as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WirePlan {
    /// Its name; absent without an agent to keep it.
    #[serde(default)]
    pub id: Option<PlanId>,
    /// When the decisions were made.
    pub as_of: Timestamp,
    /// What was asked for.
    pub policy: Policy,
    /// The root.
    pub root: RootName,
    /// Removals in order.
    pub actions: Vec<WireAction>,
    /// How many files were looked at and stay, by reason.
    pub kept: std::collections::BTreeMap<String, u64>,
    /// When the agent forgets it.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl WirePlan {
    /// Writes a plan under the absolute path of its root.
    pub fn new(plan: &Plan, root: &Path) -> Self {
        Self {
            id: plan.id.clone(),
            as_of: plan.as_of,
            policy: plan.policy,
            root: plan.root.clone(),
            actions: plan.actions.iter().map(|a| WireAction::new(a, plan.policy, root)).collect(),
            kept: plan.kept.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect(),
            expires_at: plan.expires_at,
        }
    }
}
