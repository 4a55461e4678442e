//! Deferred deletions and trash: any peer its own files, the whole of them for administrators.

use axum::extract::State;
use axum::{Extension, Json};

use super::sweeps::answer;
use super::{Agent, ask, check_paths, check_word};
use crate::api::answers::{Accepted, Swept};
use crate::api::body::{Sent, SentMany};
use crate::api::params::{NoQuery, Paged, Wait};
use crate::api::segments::Segment;
use crate::api::{
    ApiError, DeletionRequest, DeletionResource, DeletionStats, Given, Listing, PeerIdentity, RestoreRequest,
    Returned, RunRequest, TrashRequest, TrashResource,
};
use crate::model::{EntryId, Policy, SweepRequest, TimeSpan};

/// The most entries that a batch may have.
const MAX_BATCH: u64 = 1000;

pub(super) async fn delete(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: SentMany<DeletionRequest>,
) -> Result<Accepted<Given>, ApiError> {
    let request = body.read().await?;
    check_paths(&request.paths)?;
    check_word("client_id", request.client_id.as_ref())?;
    let given = ask(&agent, move |agent| agent.delete(request, &peer)).await?;
    Ok(Accepted(given))
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
    body: Sent<RunRequest>,
) -> Result<Swept, ApiError> {
    peer.require_admin("run the queue of deletions")?;
    let request = body.read().await?;
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
    Segment(id): Segment<EntryId>,
    _: NoQuery,
) -> Result<Json<DeletionResource>, ApiError> {
    ask(&agent, move |agent| agent.deletion_retry(&id, &peer)).await.map(Json)
}

pub(super) async fn drop_one(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<EntryId>,
    _: NoQuery,
) -> Result<Json<Returned>, ApiError> {
    ask(&agent, move |agent| agent.deletion_drop(&id, &peer)).await.map(Json)
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
    body: SentMany<TrashRequest>,
) -> Result<Accepted<Given>, ApiError> {
    let request = body.read().await?;
    check_paths(&request.paths)?;
    let given = ask(&agent, move |agent| agent.trash_put(request, &peer)).await?;
    Ok(Accepted(given))
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
    Segment(id): Segment<EntryId>,
    _: NoQuery,
    body: Sent<RestoreRequest>,
) -> Result<Json<Returned>, ApiError> {
    let request = body.read().await?;
    ask(&agent, move |agent| agent.trash_restore(&id, request, &peer)).await.map(Json)
}

pub(super) async fn empty(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Wait(wait): Wait,
) -> Result<Swept, ApiError> {
    peer.require_admin("empty the trash")?;
    let request = SweepRequest {
        older_than: Some(TimeSpan(std::time::Duration::ZERO)),
        max_files: Some(u64::MAX),
        ..SweepRequest::of(Policy::Trash)
    };
    let sweep = ask(&agent, move |agent| agent.sweep(request, &peer)).await?;
    answer(&agent, sweep, wait).await
}
