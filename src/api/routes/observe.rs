//! Reading: open to whoever can open the socket.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Agent, ask};
use crate::api::answers::Healthy;
use crate::api::params::{Bytes, Limit, NoQuery, Query, page};
use crate::api::{
    ApiError, AuditEntry, AuditFilter, Explanation, FileEntry, HistoryFilter, Listing, RequestEntry,
    RequestFilter, Stats,
};
use crate::model::{JobId, Level, Policy, Report, RootName, RunId, Timestamp, WirePath};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthQuery {
    /// Whether to answer 503 where the status is critical.
    #[serde(default)]
    strict: bool,
}

pub(super) async fn health(
    State(agent): State<Agent>,
    Query(asked): Query<HealthQuery>,
) -> Result<Healthy, ApiError> {
    let health = ask(&agent, |agent| agent.health()).await?;
    Ok(Healthy { refuse: asked.strict && health.status == Level::Critical, health })
}

pub(super) async fn stats(State(agent): State<Agent>, _: NoQuery) -> Result<Json<Stats>, ApiError> {
    ask(&agent, |agent| agent.stats()).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesQuery {
    /// Only of this root.
    root: Option<RootName>,
    /// The `next` of the page before; the beginning, if absent.
    after: Option<String>,
    /// The most items.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn files(
    State(agent): State<Agent>,
    Query(FilesQuery { root, after, limit }): Query<FilesQuery>,
) -> Result<Json<Listing<FileEntry>>, ApiError> {
    let page = page(after, limit);
    ask(&agent, move |agent| agent.files(root.as_ref(), &page)).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    /// An absolute path, as it is or percent-encoded once more.
    #[schemars(extend("pattern" = "^/"))]
    path: Bytes,
    /// `percent`, if it is.
    #[schemars(extend("enum" = ["percent"]))]
    path_encoding: Option<String>,
}

pub(super) async fn explain(
    State(agent): State<Agent>,
    Query(ExplainQuery { path: Bytes(given), path_encoding }): Query<ExplainQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let path = match path_encoding {
        None => given,
        Some(encoding) => {
            let path = String::from_utf8(given)
                .map_err(|_| ApiError::invalid("a path with a path_encoding must be UTF-8"))?;
            WirePath { path, path_encoding: Some(encoding) }
                .to_bytes()
                .map_err(|why| ApiError::invalid(why.to_string()))?
        }
    };
    if !path.starts_with(b"/") || path.contains(&0) {
        return Err(ApiError::invalid(format!(
            "path is {:?}, not an absolute path",
            String::from_utf8_lossy(&path)
        )));
    }
    ask(&agent, move |agent| agent.explain(&path)).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Begun at or after this time.
    since: Option<Timestamp>,
    /// Over this root.
    root: Option<RootName>,
    /// Of this policy.
    policy: Option<Policy>,
    /// The `next` of the page before; the beginning, if absent.
    after: Option<String>,
    /// The most items.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn history(
    State(agent): State<Agent>,
    Query(HistoryQuery { since, root, policy, after, limit }): Query<HistoryQuery>,
) -> Result<Json<Listing<Report>>, ApiError> {
    let (filter, page) = (HistoryFilter { since, root, policy }, page(after, limit));
    ask(&agent, move |agent| agent.history(&filter, &page)).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// A glob over the absolute path.
    #[schemars(extend("minLength" = 1))]
    path: Option<Bytes>,
    /// Of this job.
    job: Option<JobId>,
    /// Of this run.
    run: Option<RunId>,
    /// At or after this time.
    since: Option<Timestamp>,
    /// The `next` of the page before; the beginning, if absent.
    after: Option<String>,
    /// The most items.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn audit(
    State(agent): State<Agent>,
    Query(AuditQuery { path, job, run, since, after, limit }): Query<AuditQuery>,
) -> Result<Json<Listing<AuditEntry>>, ApiError> {
    let filter = AuditFilter { path: path.map(|Bytes(path)| path), job, run, since };
    let page = page(after, limit);
    ask(&agent, move |agent| agent.audit(&filter, &page)).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestsQuery {
    /// At or after this time.
    since: Option<Timestamp>,
    /// Of this user.
    uid: Option<u32>,
    /// Of this kind, such as `hold`.
    action: Option<String>,
    /// The `next` of the page before; the beginning, if absent.
    after: Option<String>,
    /// The most items.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn requests(
    State(agent): State<Agent>,
    Query(RequestsQuery { since, uid, action, after, limit }): Query<RequestsQuery>,
) -> Result<Json<Listing<RequestEntry>>, ApiError> {
    let filter = RequestFilter { since, uid, action };
    let page = page(after, limit);
    ask(&agent, move |agent| agent.requests(&filter, &page)).await.map(Json)
}
