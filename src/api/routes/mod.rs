//! Which path asks for what.
//!
//! Promises: what is asked is checked in full before the agent hears of it; a
//! route is one question to the agent. Must not know: how the agent answers.

mod chunks;
mod events;
mod jobs;
mod kept;
mod manage;
mod observe;
mod references;
mod sweeps;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::http::Uri;
use axum::routing::{get, post};

use super::refusals::{Refusals, tell};
use super::{ApiError, Commands, PathText, Problem};

/// What every route works with.
pub(super) type Agent = Arc<dyn Commands>;

/// All routes. Each request must carry its [`super::PeerIdentity`] as an extension.
pub(super) fn router(agent: Agent) -> Router {
    Router::new()
        .route("/v1/health", get(observe::health))
        .route("/v1/stats", get(observe::stats))
        .route("/v1/files", get(observe::files))
        .route("/v1/explain", get(observe::explain))
        .route("/metrics", get(super::metrics::metrics))
        .route("/v1/history", get(observe::history))
        .route("/v1/audit", get(observe::audit))
        .route("/v1/requests", get(observe::requests))
        .route("/v1/events", get(events::stream))
        .route("/v1/sweeps", get(sweeps::list).post(sweeps::create))
        .route("/v1/sweeps/{id}", get(sweeps::show).delete(sweeps::cancel))
        .route("/v1/plans", post(sweeps::plan))
        .route("/v1/plans/{id}", get(sweeps::show_plan))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/failed/sweep", post(sweeps::failed_jobs))
        .route("/v1/jobs/{id}", get(jobs::show).put(jobs::put))
        .route("/v1/jobs/{id}/chunks/{chunk}/complete", post(chunks::complete))
        .route("/v1/jobs/{id}/heartbeat", post(jobs::heartbeat))
        .route("/v1/jobs/{id}/sweep", post(sweeps::job))
        .route("/v1/deletions", get(kept::list).post(kept::delete).delete(kept::clear))
        .route("/v1/deletions/stats", get(kept::stats))
        .route("/v1/deletions/run", post(kept::run))
        .route("/v1/deletions/{id}", axum::routing::delete(kept::drop_one))
        .route("/v1/deletions/{id}/retry", post(kept::retry))
        .route("/v1/trash", get(kept::trash).post(kept::put).delete(kept::empty))
        .route("/v1/trash/{id}/restore", post(kept::restore))
        .route("/v1/holds", get(references::holds).post(references::hold))
        .route("/v1/holds/release", post(references::release_paths))
        .route("/v1/holds/{id}", axum::routing::delete(references::release))
        .route("/v1/files/track", post(references::track))
        .route("/v1/sessions", get(references::sessions))
        .route("/v1/sessions/{id}", get(references::session))
        .route("/v1/sessions/{id}/touch", post(references::touch))
        .route("/v1/sessions/{id}/end", post(references::end))
        .route("/v1/pause", post(manage::pause))
        .route("/v1/resume", post(manage::resume))
        .route("/v1/roots", get(manage::roots))
        .route("/v1/roots/{name}/accept", post(manage::accept_root))
        .route("/v1/registry/trust", post(manage::registry_trust))
        .route("/v1/clock/trust", post(manage::clock_trust))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn_with_state(Arc::new(Refusals::default()), tell))
        .with_state(agent)
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no {}", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(Problem::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}

/// Asks the agent on a blocking thread. A panic there ends this request only.
pub(super) async fn ask<T, F>(agent: &Agent, question: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce(&dyn Commands) -> Result<T, ApiError> + Send + 'static,
{
    let agent = Arc::clone(agent);
    tokio::task::spawn_blocking(move || question(agent.as_ref())).await.unwrap_or_else(|why| {
        tracing::error!(error = %why, "a request failed unexpectedly");
        Err(ApiError::new(Problem::Internal, "the request failed unexpectedly; the agent's log says more"))
    })
}

/// Refuses a request that names no path: an empty list must never stand for everything.
fn check_paths(paths: &[PathText]) -> Result<(), ApiError> {
    if paths.is_empty() {
        return Err(ApiError::invalid("paths is empty: expected at least one path"));
    }
    Ok(())
}
