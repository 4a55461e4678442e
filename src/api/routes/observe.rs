//! Reading: open to whoever can open the socket.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{Agent, ask};
use crate::api::params::{NoQuery, Params};
use crate::api::{
    ApiError, AuditEntry, AuditFilter, Explanation, FileEntry, HistoryFilter, Listing, RequestEntry,
    RequestFilter, Stats,
};
use crate::model::{Level, Policy, Report, RunId, Timestamp, WirePath};

pub(super) async fn health(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let strict = Params::read(query.as_deref(), &["strict"])?.flag("strict")?;
    let health = ask(&agent, |agent| agent.health()).await?;
    let status = if strict && health.status == Level::Critical {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    Ok((status, Json(health)).into_response())
}

pub(super) async fn stats(State(agent): State<Agent>, _: NoQuery) -> Result<Json<Stats>, ApiError> {
    ask(&agent, |agent| agent.stats()).await.map(Json)
}

pub(super) async fn files(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<FileEntry>>, ApiError> {
    let params = Params::read(query.as_deref(), &["root", "after", "limit"])?;
    let (root, page) = (params.parsed("root")?, params.page()?);
    ask(&agent, move |agent| agent.files(root.as_ref(), &page)).await.map(Json)
}

pub(super) async fn explain(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Explanation>, ApiError> {
    let params = Params::read(query.as_deref(), &["path", "path_encoding"])?;
    let given =
        params.bytes("path").ok_or_else(|| ApiError::invalid("the query parameter path is missing"))?;
    let path = match params.text("path_encoding")? {
        None => given.to_vec(),
        Some(encoding) => {
            let path = String::from_utf8(given.to_vec())
                .map_err(|_| ApiError::invalid("a path with a path_encoding must be UTF-8"))?;
            WirePath { path, path_encoding: Some(encoding.to_owned()) }
                .to_bytes()
                .map_err(|why| ApiError::invalid(why.to_string()))?
        }
    };
    if !path.starts_with(b"/") || path.contains(&0) {
        return Err(ApiError::invalid(format!(
            "{:?} is not an absolute path",
            String::from_utf8_lossy(&path)
        )));
    }
    ask(&agent, move |agent| agent.explain(&path)).await.map(Json)
}

fn since(params: &Params) -> Result<Option<Timestamp>, ApiError> {
    params
        .text("since")?
        .map(|text| {
            Timestamp::parse(text).ok_or_else(|| {
                ApiError::invalid(format!("since is {text:?}: expected RFC 3339 or integer Unix seconds"))
            })
        })
        .transpose()
}

pub(super) async fn history(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<Report>>, ApiError> {
    let params = Params::read(query.as_deref(), &["since", "root", "policy", "after", "limit"])?;
    let policy = params.text("policy")?;
    let filter = HistoryFilter {
        since: since(&params)?,
        root: params.parsed("root")?,
        policy: policy
            .map(|name| {
                Policy::from_name(name)
                    .ok_or_else(|| ApiError::invalid(format!("no policy is called {name:?}")))
            })
            .transpose()?,
    };
    let page = params.page()?;
    ask(&agent, move |agent| agent.history(&filter, &page)).await.map(Json)
}

pub(super) async fn audit(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<AuditEntry>>, ApiError> {
    let params = Params::read(query.as_deref(), &["path", "job", "run", "since", "after", "limit"])?;
    let filter = AuditFilter {
        path: params.bytes("path").map(<[u8]>::to_vec),
        job: params.parsed("job")?,
        run: params.text("run")?.map(RunId::new),
        since: since(&params)?,
    };
    let page = params.page()?;
    ask(&agent, move |agent| agent.audit(&filter, &page)).await.map(Json)
}

pub(super) async fn requests(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<RequestEntry>>, ApiError> {
    let params = Params::read(query.as_deref(), &["since", "uid", "action", "after", "limit"])?;
    let filter = RequestFilter {
        since: since(&params)?,
        uid: params.parsed("uid")?,
        action: params.text("action")?.map(str::to_owned),
    };
    let page = params.page()?;
    ask(&agent, move |agent| agent.requests(&filter, &page)).await.map(Json)
}
