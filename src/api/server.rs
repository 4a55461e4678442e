//! Serving connections: how many, how long, and how they end.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::patience::Patience;
use super::routes::{Agent, router};
use super::{Commands, PeerIdentity};

/// Connections at once. Each may wait for a sweep on a blocking thread, of which tokio has 512.
const MAX_CONNECTIONS: usize = 256;

/// Connections at once of one uid other than root, so that one user cannot shut out the others.
const MAX_CONNECTIONS_PER_UID: usize = 64;

/// The longest wait for a request's head, also on an idle connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that are answering may go on for so long after the shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// After a failed `accept` (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `agent` on `listener` until `shutdown`, then lets requests under way
/// end within 5 s. `identify` tells who is at the other end; a peer that
/// cannot be identified is turned away.
///
/// Never fails: an `accept` that does (EMFILE) is logged and tried again.
pub async fn serve<I, S>(listener: UnixListener, agent: Arc<dyn Commands>, identify: I, shutdown: S)
where
    I: Fn(&UnixStream) -> io::Result<PeerIdentity>,
    S: Future<Output = ()>,
{
    let agent: Agent = agent;
    let service = TowerToHyperService::new(router(agent));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let per_uid = PerUid::default();
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match identify(&stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!(%error, "failed to identify a peer; its connection is closed");
                continue;
            }
        };
        let Some(place) = per_uid.take(peer.uid) else {
            tracing::debug!(uid = peer.uid, "too many connections of one user; this one is closed");
            continue;
        };
        let service = service.clone();
        let stopped = stopped.clone();
        connections.spawn(async move {
            converse(stream, peer, service, stopped).await;
            drop((slot, place));
        });
    }
    drop(listener);
    // The receiver is alive: this function holds one.
    let _ = stop.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, all).await.is_err() {
        tracing::warn!("connections were cut off: they did not end in time");
    }
}

/// Takes a slot first: what finds none waits in the listener's backlog.
async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn converse(
    stream: UnixStream,
    peer: PeerIdentity,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<bool>,
) {
    let identified = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Patience::new(stream)), identified);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %crate::model::with_causes(&error), uid = peer.uid, "a connection ended early");
    }
}

/// How many connections each uid has.
#[derive(Clone, Default)]
struct PerUid(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection of a uid, given back on drop.
struct Place {
    of: PerUid,
    uid: u32,
}

impl PerUid {
    fn take(&self, uid: u32) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(uid).or_default();
        if uid != 0 && *count >= MAX_CONNECTIONS_PER_UID {
            return None;
        }
        *count += 1;
        Some(Place { of: self.clone(), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_connection_and_root_always_finds_one() {
        let per_uid = PerUid::default();
        let mut places: Vec<_> = (0..MAX_CONNECTIONS_PER_UID).map(|_| per_uid.take(1000).unwrap()).collect();
        assert!(per_uid.take(1000).is_none());
        assert!(per_uid.take(1001).is_some());
        places.pop();
        assert!(per_uid.take(1000).is_some());
        let _roots: Vec<_> = (0..MAX_CONNECTIONS).map(|_| per_uid.take(0).unwrap()).collect();
    }
}
