//! What keeps a run from removing: the settings in force, and a pause.
//!
//! Promises: one answer for whoever begins a run and for the run itself, which
//! asks again after each batch: settings change while it is at work. Must not
//! know: what is to be removed.

use crate::config::AgentSettings;
use crate::model::{Policy, SweepRequest};
use crate::store::ledger::Pause;
use crate::sys::clock;

use super::state::Agent;

/// What is told of a removal that the settings forbid.
pub const REMOVES_NOTHING: &str =
    "the configuration says to remove nothing (dry_run or keep_files_for_debugging)";

/// Whether a request must not remove anything. `policy` is what would be carried
/// out: of a request that applies a plan the plan's own, whatever else it says.
pub fn is_dry(settings: &AgentSettings, request: &SweepRequest, policy: Policy) -> bool {
    request.dry_run || settings.dry_run || (settings.keep_files_for_debugging && policy != Policy::Emergency)
}

/// Why guardian must not remove anything by itself by `policy`, as settings are now.
pub fn forbids_unasked(settings: &AgentSettings, policy: Policy) -> Option<&'static str> {
    if !settings.automatic {
        return Some("automatic is off");
    }
    is_dry(settings, &SweepRequest::of(policy), policy).then_some(REMOVES_NOTHING)
}

/// The pause that stops such a request at this moment.
pub fn pause_for(agent: &Agent, policy: Policy) -> Option<Pause> {
    agent.pause_at(clock::now()).filter(|pause| pause.emergencies || policy != Policy::Emergency)
}
