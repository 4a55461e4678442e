//! Sweeps and plans: reading, plans and dry runs for everybody, the rest for administrators.

use axum::extract::State;
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::answers::{Planned, Swept};
use crate::api::body::Sent;
use crate::api::params::{NoQuery, Paged, Wait};
use crate::api::segments::Segment;
use crate::api::{
    ApiError, Listing, PeerIdentity, PlanResource, Problem, SweepResource, SweepState, check_sweep,
    waited_body,
};
use crate::model::{JobId, PlanId, RunId, SweepRequest};

pub(super) async fn create(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
    body: Sent<SweepRequest>,
) -> Result<Swept, ApiError> {
    let request = body.read().await?;
    // A dry run changes nothing: it is for whoever may read.
    if !request.dry_run {
        peer.require_admin("sweep")?;
    }
    check_sweep(&request).map_err(ApiError::invalid)?;
    let sweep = ask(&agent, move |agent| agent.sweep(request, &peer)).await?;
    answer(&agent, sweep, wait).await
}

pub(super) async fn job(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<JobId>,
    Wait(wait): Wait,
) -> Result<Swept, ApiError> {
    peer.require_admin("sweep")?;
    let sweep = ask(&agent, move |agent| agent.job_sweep(&id, &peer)).await?;
    answer(&agent, sweep, wait).await
}

pub(super) async fn failed_jobs(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
) -> Result<Swept, ApiError> {
    peer.require_admin("sweep")?;
    let sweep = ask(&agent, move |agent| agent.failed_jobs_sweep(&peer)).await?;
    answer(&agent, sweep, wait).await
}

/// The sweep, or with `wait` what it did.
pub(super) async fn answer(agent: &Agent, sweep: SweepResource, wait: bool) -> Result<Swept, ApiError> {
    if !wait {
        return Swept::begun(sweep);
    }
    let id = sweep.id;
    ask(agent, move |agent| {
        let sweep = agent.await_sweep(&id)?;
        if sweep.state == SweepState::Failed && sweep.reports.is_empty() {
            let why = sweep.error.unwrap_or_else(|| "no reason was recorded".to_owned());
            return Err(ApiError::new(Problem::Internal, format!("failed to sweep: {why}")));
        }
        let reports: Result<Vec<_>, _> = sweep.reports.iter().map(serde_json::to_value).collect();
        let reports = reports.map_err(|why| ApiError::internal(&why))?;
        Swept::ended(&sweep, waited_body(reports, sweep.plan.as_ref()))
    })
    .await
}

pub(super) async fn list(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<SweepResource>>, ApiError> {
    ask(&agent, move |agent| agent.sweeps(&page)).await.map(Json)
}

pub(super) async fn show(
    State(agent): State<Agent>,
    Segment(id): Segment<RunId>,
    _: NoQuery,
) -> Result<Json<SweepResource>, ApiError> {
    ask(&agent, move |agent| agent.sweep_get(&id)).await.map(Json)
}

pub(super) async fn cancel(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<RunId>,
    _: NoQuery,
) -> Result<Json<SweepResource>, ApiError> {
    peer.require_admin("cancel a sweep")?;
    ask(&agent, move |agent| agent.sweep_cancel(&id, &peer)).await.map(Json)
}

pub(super) async fn plan(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Sent<SweepRequest>,
) -> Result<Planned, ApiError> {
    let request = body.read().await?;
    if request.plan.is_some() {
        return Err(ApiError::invalid("a plan cannot be made of another plan"));
    }
    check_sweep(&request).map_err(ApiError::invalid)?;
    ask(&agent, move |agent| agent.plan(request, &peer)).await.map(Planned)
}

pub(super) async fn show_plan(
    State(agent): State<Agent>,
    Segment(id): Segment<PlanId>,
    _: NoQuery,
) -> Result<Json<PlanResource>, ApiError> {
    ask(&agent, move |agent| agent.plan_get(&id)).await.map(Json)
}
