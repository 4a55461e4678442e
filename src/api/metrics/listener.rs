//! A plain HTTP listener that serves `/metrics` and nothing else, for scrapers
//! that cannot open the socket.
//!
//! Promises: whoever reaches the address may read figures and do nothing more;
//! connections are few and short; an address that can't be had is tried again
//! and never keeps the agent from guarding. Must not know: peers, commands
//! that change something.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::Commands;
use crate::api::patience::Patience;
use crate::api::routes::{Agent, no_such_method, no_such_path};

/// Connections at once; more are closed.
const MAX_CONNECTIONS: usize = 32;
/// The longest wait for a request's head. One request a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that a connection may last in all.
const LIFETIME: Duration = Duration::from_secs(60);
/// After a failed `accept` (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The first pause before an address is tried again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Serves the figures of `agent` at `address` until `shutdown`.
///
/// Never fails: an address that is in use is said once in the log and tried again.
pub async fn serve_metrics<S>(address: SocketAddr, agent: Arc<dyn Commands>, shutdown: S)
where
    S: Future<Output = ()>,
{
    let agent: Agent = agent;
    let router = Router::new()
        .route("/metrics", get(super::metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(agent);
    let service = TowerToHyperService::new(router);
    tokio::select! {
        () = shutdown => {}
        () = serve(address, service) => {}
    }
}

async fn serve(address: SocketAddr, service: TowerToHyperService<Router>) {
    let listener = bind(address).await;
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this future: connections under way are cut off at the shutdown.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "failed to accept a scraper's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            tracing::debug!("too many connections to the metrics; this one is closed");
            continue;
        };
        let service = service.clone();
        connections.spawn(async move {
            // Whoever is slower than this is cut off.
            let _ = tokio::time::timeout(LIFETIME, converse(stream, service)).await;
            drop(slot);
        });
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "metrics_listen is not a loopback address: whoever reaches it can read how full the roots are, \
             unencrypted; help: listen on 127.0.0.1, or let a firewall admit the scraper alone"
        );
    }
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                tracing::info!(%address, "serving metrics at http://{address}/metrics");
                return listener;
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(
                    %address, reason = %error,
                    "failed to listen for scrapers; trying again, and guarding meanwhile; \
                     help: give metrics_listen another port, or stop who has this one"
                );
            }
            Err(error) => tracing::debug!(%address, reason = %error, "still failing to listen for scrapers"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn converse(stream: TcpStream, service: TowerToHyperService<Router>) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patience::new(stream, Arc::default())), service);
    if let Err(error) = connection.await {
        tracing::debug!(error = %crate::model::with_causes(&error), "a scraper's connection ended early");
    }
}
