//! Sweeps and plans: reading, plans and dry runs for everybody, the rest for administrators.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::body::json;
use crate::api::params::{NoQuery, Paged, Segment, Wait};
use crate::api::{
    ApiError, Listing, PeerIdentity, PlanResource, Problem, SweepResource, SweepState, check_sweep,
    waited_body,
};
use crate::model::{JobId, PlanId, RunId, SweepRequest};

pub(super) async fn create(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
    body: Body,
) -> Result<Response, ApiError> {
    let request: SweepRequest = json(body).await?;
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
    segment: Segment,
    Wait(wait): Wait,
) -> Result<Response, ApiError> {
    let id: JobId = segment.parse()?;
    peer.require_admin("sweep")?;
    let sweep = ask(&agent, move |agent| agent.job_sweep(&id, &peer)).await?;
    answer(&agent, sweep, wait).await
}

pub(super) async fn failed_jobs(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
) -> Result<Response, ApiError> {
    peer.require_admin("sweep")?;
    let sweep = ask(&agent, move |agent| agent.failed_jobs_sweep(&peer)).await?;
    answer(&agent, sweep, wait).await
}

/// 202 with the sweep, or 200 with what it did.
pub(super) async fn answer(agent: &Agent, sweep: SweepResource, wait: bool) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(format!("/v1/sweeps/{}", sweep.id))
        .map_err(|_| ApiError::new(Problem::Internal, "the sweep's id cannot stand in a header"))?;
    let location = [(header::LOCATION, location)];
    if !wait {
        return Ok((StatusCode::ACCEPTED, location, Json(sweep)).into_response());
    }
    let id = sweep.id;
    let body = ask(agent, move |agent| {
        let sweep = agent.await_sweep(&id)?;
        if sweep.state == SweepState::Failed && sweep.reports.is_empty() {
            let why = sweep.error.unwrap_or_else(|| "no reason was recorded".to_owned());
            return Err(ApiError::new(Problem::Internal, format!("failed to sweep: {why}")));
        }
        let reports: Result<Vec<_>, _> = sweep.reports.iter().map(serde_json::to_value).collect();
        Ok(waited_body(reports.map_err(|why| ApiError::internal(&why))?, sweep.plan.as_ref()))
    })
    .await?;
    Ok((location, Json(body)).into_response())
}

pub(super) async fn list(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<SweepResource>>, ApiError> {
    ask(&agent, move |agent| agent.sweeps(&page)).await.map(Json)
}

pub(super) async fn show(
    State(agent): State<Agent>,
    Segment(id): Segment,
    _: NoQuery,
) -> Result<Json<SweepResource>, ApiError> {
    ask(&agent, move |agent| agent.sweep_get(&RunId::new(id))).await.map(Json)
}

pub(super) async fn cancel(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment,
    _: NoQuery,
) -> Result<Json<SweepResource>, ApiError> {
    peer.require_admin("cancel a sweep")?;
    ask(&agent, move |agent| agent.sweep_cancel(&RunId::new(id), &peer)).await.map(Json)
}

pub(super) async fn plan(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let request: SweepRequest = json(body).await?;
    if request.plan.is_some() {
        return Err(ApiError::invalid("a plan cannot be made of another plan"));
    }
    check_sweep(&request).map_err(ApiError::invalid)?;
    let plan: PlanResource = ask(&agent, move |agent| agent.plan(request, &peer)).await?;
    let location = plan.id.as_ref().and_then(|id| HeaderValue::try_from(format!("/v1/plans/{id}")).ok());
    let mut response = (StatusCode::CREATED, Json(plan)).into_response();
    if let Some(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn show_plan(
    State(agent): State<Agent>,
    Segment(id): Segment,
    _: NoQuery,
) -> Result<Json<PlanResource>, ApiError> {
    ask(&agent, move |agent| agent.plan_get(&PlanId::new(id))).await.map(Json)
}
