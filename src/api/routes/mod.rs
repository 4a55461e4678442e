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

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter};
use hyper::body::Bytes;

use super::answers::Document;
use super::openapi::{Described, Operation, document};
use super::params::NoQuery;
use super::refusals::{Refusals, tell};
use super::under_way::work;
use super::wire::MAX_WORD;
use super::{ApiError, Commands, PathText, Problem};
use Problem::{Conflict, NotPermitted, RateLimited};

/// What every route works with.
pub(super) type Agent = Arc<dyn Commands>;

/// One method of one path.
struct Route {
    operation: Operation,
    serves: MethodRouter<Agent>,
}

impl Route {
    /// How it may fail besides.
    fn may(mut self, may: &'static [Problem]) -> Self {
        self.operation.may = may;
        self
    }
}

/// What serves a request is also what its description is made of.
fn route<H, T, D>(
    method: (Method, MethodFilter),
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Route
where
    H: Handler<T, Agent> + Described<D>,
    T: 'static,
{
    let (method, filter) = method;
    let describe = <H as Described<D>>::describe;
    Route {
        operation: Operation { method, path, id, summary, may: &[], describe },
        serves: MethodRouter::new().on(filter, handler),
    }
}

const GET: (Method, MethodFilter) = (Method::GET, MethodFilter::GET);
const PUT: (Method, MethodFilter) = (Method::PUT, MethodFilter::PUT);
const POST: (Method, MethodFilter) = (Method::POST, MethodFilter::POST);
const DELETE: (Method, MethodFilter) = (Method::DELETE, MethodFilter::DELETE);

/// Reading.
fn observing() -> Vec<Route> {
    vec![
        route(GET, "/v1/openapi.json", "interface", "This document", interface),
        route(GET, "/v1/health", "health", "How the roots are, by the raw marks", observe::health),
        route(GET, "/v1/stats", "stats", "Figures of each root and of the agent", observe::stats),
        route(GET, "/v1/files", "files", "What the index holds", observe::files).may(&[Conflict]),
        route(GET, "/v1/explain", "explain", "What each policy says about a path, and why", observe::explain),
        route(GET, "/v1/history", "history", "Reports of past runs, newest first", observe::history),
        route(GET, "/v1/audit", "audit", "Removals and changes on record, newest first", observe::audit),
        route(
            GET,
            "/v1/requests",
            "requests",
            "Requests on record that changed something, newest first",
            observe::requests,
        ),
        route(GET, "/metrics", "metrics", "Figures for Prometheus", super::metrics::metrics),
        route(GET, "/v1/events", "events", "What happens, as it happens: server-sent events", events::stream),
    ]
}

/// Sweeps and plans.
fn sweeping() -> Vec<Route> {
    const ASKED: &[Problem] = &[NotPermitted, Conflict, RateLimited];
    vec![
        route(
            GET,
            "/v1/sweeps",
            "list_sweeps",
            "Queued, running and recent sweeps, newest first",
            sweeps::list,
        ),
        route(POST, "/v1/sweeps", "sweep", "Sweep, or join an equal sweep", sweeps::create).may(ASKED),
        route(GET, "/v1/sweeps/{id}", "show_sweep", "One sweep", sweeps::show),
        route(DELETE, "/v1/sweeps/{id}", "cancel_sweep", "End a sweep after its batch", sweeps::cancel)
            .may(&[NotPermitted]),
        route(POST, "/v1/plans", "plan", "Make a plan, and keep it for an hour", sweeps::plan)
            .may(&[Conflict, RateLimited]),
        route(GET, "/v1/plans/{id}", "show_plan", "A kept plan", sweeps::show_plan),
        route(
            POST,
            "/v1/jobs/failed/sweep",
            "sweep_failed_jobs",
            "Remove failed jobs' files now",
            sweeps::failed_jobs,
        )
        .may(ASKED),
        route(POST, "/v1/jobs/{id}/sweep", "sweep_job", "Remove one failed job's files now", sweeps::job)
            .may(ASKED),
    ]
}

/// Jobs and their chunks.
fn working() -> Vec<Route> {
    const OWN: &[Problem] = &[NotPermitted, Conflict];
    vec![
        route(GET, "/v1/jobs", "list_jobs", "All jobs, by name", jobs::list),
        route(GET, "/v1/jobs/{id}", "show_job", "One job", jobs::show),
        route(PUT, "/v1/jobs/{id}", "put_job", "Register a job, or move it to another state", jobs::put)
            .may(OWN),
        route(POST, "/v1/jobs/{id}/heartbeat", "beat_job", "A sign of life", jobs::heartbeat).may(OWN),
        route(
            POST,
            "/v1/jobs/{id}/chunks/{chunk}/complete",
            "complete_chunk",
            "A chunk is processed: its files may go",
            chunks::complete,
        )
        .may(OWN),
    ]
}

/// Deferred deletions and trash.
fn keeping() -> Vec<Route> {
    const OWN: &[Problem] = &[NotPermitted, Conflict];
    const ASKED: &[Problem] = &[NotPermitted, Conflict, RateLimited];
    vec![
        route(GET, "/v1/deletions", "list_deletions", "Deferred deletions, oldest first", kept::list),
        route(POST, "/v1/deletions", "delete", "Delete files and directories, deferred", kept::delete)
            .may(ASKED),
        route(DELETE, "/v1/deletions", "clear_deletions", "Put everything back", kept::clear).may(OWN),
        route(GET, "/v1/deletions/stats", "deletion_stats", "What waits", kept::stats),
        route(POST, "/v1/deletions/run", "run_deletions", "Remove what waits now", kept::run).may(ASKED),
        route(DELETE, "/v1/deletions/{id}", "drop_deletion", "Put one back", kept::drop_one).may(OWN),
        route(POST, "/v1/deletions/{id}/retry", "retry_deletion", "Make one due now", kept::retry).may(OWN),
        route(GET, "/v1/trash", "list_trash", "The trash, in the order of deletion", kept::trash),
        route(POST, "/v1/trash", "trash", "Put files and directories into the trash", kept::put).may(ASKED),
        route(DELETE, "/v1/trash", "empty_trash", "Remove what is in the trash", kept::empty).may(ASKED),
        route(POST, "/v1/trash/{id}/restore", "restore", "Put one back, never over anything", kept::restore)
            .may(OWN),
    ]
}

/// Holds, tracked files and sessions.
fn referring() -> Vec<Route> {
    const OWN: &[Problem] = &[NotPermitted, Conflict];
    vec![
        route(GET, "/v1/holds", "list_holds", "All holds, in the order of their begin", references::holds),
        route(POST, "/v1/holds", "hold", "Keep files and directories", references::hold).may(OWN),
        route(
            POST,
            "/v1/holds/release",
            "release_paths",
            "End the holds on paths",
            references::release_paths,
        ),
        route(DELETE, "/v1/holds/{id}", "release", "End one hold", references::release).may(OWN),
        route(POST, "/v1/files/track", "track", "Tell expiry, session and job of files", references::track)
            .may(OWN),
        route(
            GET,
            "/v1/sessions",
            "list_sessions",
            "All sessions, the last active first",
            references::sessions,
        ),
        route(GET, "/v1/sessions/{id}", "show_session", "One session", references::session),
        route(POST, "/v1/sessions/{id}/touch", "touch_session", "A sign of activity", references::touch)
            .may(OWN),
        route(POST, "/v1/sessions/{id}/end", "end_session", "End a session: its files go", references::end)
            .may(OWN),
    ]
}

/// Pause, roots and trust.
fn managing() -> Vec<Route> {
    const ADMIN: &[Problem] = &[NotPermitted];
    vec![
        route(POST, "/v1/pause", "pause", "Stop removals; watching and alerts go on", manage::pause)
            .may(ADMIN),
        route(POST, "/v1/resume", "resume", "End a pause", manage::resume).may(ADMIN),
        route(GET, "/v1/roots", "list_roots", "The configured roots", manage::roots),
        route(
            POST,
            "/v1/roots/{name}/accept",
            "accept_root",
            "Take what is there now for the root",
            manage::accept_root,
        )
        .may(&[NotPermitted, Conflict]),
        route(
            POST,
            "/v1/registry/trust",
            "trust_registry",
            "Believe the ledger after a loss",
            manage::registry_trust,
        )
        .may(ADMIN),
        route(POST, "/v1/clock/trust", "trust_clock", "Believe the clock after a jump", manage::clock_trust)
            .may(ADMIN),
    ]
}

/// All of them: what is not here is neither served nor described.
fn routes() -> Vec<Route> {
    [observing(), sweeping(), working(), keeping(), referring(), managing()].into_iter().flatten().collect()
}

/// The interface's document; it needs no agent.
static INTERFACE: LazyLock<Bytes> = LazyLock::new(|| {
    let routes = routes();
    Bytes::from(document(routes.iter().map(|route| &route.operation)).to_string())
});

async fn interface(_: NoQuery) -> Result<Document, ApiError> {
    Ok(Document(INTERFACE.clone()))
}

/// All routes. Each request must carry its [`super::PeerIdentity`] as an extension.
pub(super) fn router(agent: Agent) -> Router {
    let empty = Router::new();
    let all = routes().into_iter().fold(empty, |all, route| all.route(route.operation.path, route.serves));
    all.fallback(no_such_path)
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
    work(move || question(agent.as_ref())).await.unwrap_or_else(|why| {
        tracing::error!(error = %why, "a request failed unexpectedly");
        Err(ApiError::new(Problem::Internal, "the request failed unexpectedly; the agent's log says more"))
    })
}

/// Refuses a word that is said of each of very many files and is long.
fn check_word(field: &str, word: Option<&String>) -> Result<(), ApiError> {
    let long = word.map(|word| word.chars().count()).filter(|count| *count > MAX_WORD);
    long.map_or(Ok(()), |count| {
        Err(ApiError::invalid(format!("{field} has {count} characters: expected at most {MAX_WORD}")))
    })
}

/// Refuses a request that names no path: an empty list must never stand for everything.
fn check_paths(paths: &[PathText]) -> Result<(), ApiError> {
    if paths.is_empty() {
        return Err(ApiError::invalid("paths is empty: expected at least one path"));
    }
    Ok(())
}
