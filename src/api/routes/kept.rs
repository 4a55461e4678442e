//! Deferred deletions and trash: any peer its own files, the whole of them for administrators.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::sweeps::answer;
use super::{Agent, ask, check_paths};
use crate::api::body::{json, large_json};
use crate::api::params::{NoQuery, Paged, Segment, Wait};
use crate::api::{
    ApiError, DeletionRequest, DeletionResource, DeletionStats, Listing, PeerIdentity, RestoreRequest,
    Returned, RunRequest, TrashRequest, TrashResource,
};
use crate::model::{EntryId, Policy, SweepRequest, TimeSpan};

/// The most entries that a batch may have.
const MAX_BATCH: u64 = 1000;

pub(super) async fn delete(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let request: DeletionRequest = large_json(body).await?;
    check_paths(&request.paths)?;
    let given = ask(&agent, move |agent| agent.delete(request, &peer)).await?;
    Ok((StatusCode::ACCEPTED, Json(given)).into_response())
}

pub(super) async fn list(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<DeletionResource>>, ApiError> {
    ask(&agent, move |agent| agent.deletions(&page)).await.map(Json)
}

pub(super) async fn stats(State(agent): State<Agent>, _: NoQuery) -> Result<Json<DeletionStats>, ApiError> {
    ask(&agent, |agent| agent.deletion_stats()).await.map(Json)
}

pub(super) async fn run(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
    body: Body,
) -> Result<Response, ApiError> {
    peer.require_admin("run the queue of deletions")?;
    let request: RunRequest = json(body).await?;
    if request.batch_size.is_some_and(|size| !(1..=MAX_BATCH).contains(&size)) {
        return Err(ApiError::invalid(format!("batch_size: expected 1 to {MAX_BATCH}")));
    }
    if request.max_attempts == Some(0) {
        return Err(ApiError::invalid("max_attempts is 0: expected at least 1"));
    }
    let sweep = ask(&agent, move |agent| agent.sweep(request.into(), &peer)).await?;
    answer(&agent, sweep, wait).await
}

pub(super) async fn retry(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment,
    _: NoQuery,
) -> Result<Json<DeletionResource>, ApiError> {
    ask(&agent, move |agent| agent.deletion_retry(&EntryId::new(id), &peer)).await.map(Json)
}

pub(super) async fn drop_one(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment,
    _: NoQuery,
) -> Result<Json<Returned>, ApiError> {
    ask(&agent, move |agent| agent.deletion_drop(&EntryId::new(id), &peer)).await.map(Json)
}

pub(super) async fn clear(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
) -> Result<Json<Listing<Returned>>, ApiError> {
    peer.require_admin("clear the queue of deletions")?;
    ask(&agent, move |agent| agent.deletions_clear(&peer)).await.map(Json)
}

pub(super) async fn put(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Body,
) -> Result<Response, ApiError> {
    let request: TrashRequest = large_json(body).await?;
    check_paths(&request.paths)?;
    let given = ask(&agent, move |agent| agent.trash_put(request, &peer)).await?;
    Ok((StatusCode::ACCEPTED, Json(given)).into_response())
}

pub(super) async fn trash(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<TrashResource>>, ApiError> {
    ask(&agent, move |agent| agent.trash(&page)).await.map(Json)
}

pub(super) async fn restore(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment,
    _: NoQuery,
    body: Body,
) -> Result<Json<Returned>, ApiError> {
    let request: RestoreRequest = json(body).await?;
    ask(&agent, move |agent| agent.trash_restore(&EntryId::new(id), request, &peer)).await.map(Json)
}

pub(super) async fn empty(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
) -> Result<Response, ApiError> {
    peer.require_admin("empty the trash")?;
    let request = SweepRequest {
        older_than: Some(TimeSpan(std::time::Duration::ZERO)),
        max_files: Some(u64::MAX),
        ..SweepRequest::of(Policy::Trash)
    };
    let sweep = ask(&agent, move |agent| agent.sweep(request, &peer)).await?;
    answer(&agent, sweep, wait).await
}
