//! Serving connections: how long, and how they end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Request;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::patience::Patience;
use super::pulse::{Beating, Pulse};
use super::routes::{Agent, router};
use super::seats::{Asking, Seat, Seats};
use super::under_way::UnderWay;
use super::{ApiError, Commands, PeerIdentity, Problem};

/// The longest wait for a request's head, also on an idle connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that are answering may go on for so long after the shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// After a failed `accept` (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `agent` on `listener` until `shutdown`, then lets requests under way
/// end within 5 s. `identify` tells who is at the other end, and may wait for
/// whoever knows a user's groups; a peer that cannot be identified is turned
/// away. `pulse` beats as long as connections are accepted.
///
/// Never fails: an `accept` that does (EMFILE) is logged and tried again.
pub async fn serve<I, S>(
    listener: UnixListener,
    agent: Arc<dyn Commands>,
    identify: I,
    shutdown: S,
    pulse: Option<Pulse>,
) where
    I: Fn(&UnixStream) -> io::Result<PeerIdentity> + Send + Sync + 'static,
    S: Future<Output = ()>,
{
    let agent: Agent = agent;
    let service = TowerToHyperService::new(router(agent));
    let identify = Arc::new(identify);
    let seats = Seats::default();
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut beating = Beating::begin(pulse);
    tokio::pin!(shutdown);
    'accepting: loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = beating.turn() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let identifying = identified(&identify, stream);
        tokio::pin!(identifying);
        let known = loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break 'accepting,
                () = beating.turn() => {}
                known = &mut identifying => break known,
            }
        };
        let (stream, peer) = match known {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "failed to identify a peer; its connection is closed");
                continue;
            }
        };
        // Administrators sit with root: the agent's own uid is one of them.
        let taking = seats.take(if peer.admin { 0 } else { peer.uid });
        tokio::pin!(taking);
        let seat = loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break 'accepting,
                () = beating.turn() => {}
                seat = &mut taking => break seat,
            }
        };
        let Some(seat) = seat else {
            tracing::debug!(uid = peer.uid, "too many requests are under way; a connection is turned away");
            turn_away(stream);
            continue;
        };
        let (service, stopped) = (service.clone(), stopped.clone());
        connections.spawn(converse(stream, peer, Arc::new(seat), service, stopped));
    }
    drop(listener);
    // The receiver is alive: this function holds one.
    let _ = stop.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_GRACE, all).await.is_err() {
        tracing::warn!("connections were cut off: they did not end in time");
    }
}

/// Finds out who is at the other end, on a thread that may wait for it: one
/// after the other, so that many who come do not take all threads.
async fn identified<I>(identify: &Arc<I>, stream: UnixStream) -> io::Result<(UnixStream, PeerIdentity)>
where
    I: Fn(&UnixStream) -> io::Result<PeerIdentity> + Send + Sync + 'static,
{
    let identify = Arc::clone(identify);
    let identifying = tokio::task::spawn_blocking(move || identify(&stream).map(|peer| (stream, peer)));
    // A panic there is no reason to stop serving others.
    identifying.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Says why, as far as that fits into the socket at once: always, on a new one.
fn turn_away(stream: UnixStream) {
    use std::io::Write;
    let why = ApiError::new(Problem::Unavailable, "too many requests are under way: try again later");
    let body = serde_json::to_string(&why).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = stream.into_std().and_then(|mut stream| stream.write_all(answer.as_bytes()));
    if let Err(error) = told {
        tracing::debug!(%error, "a peer that was turned away was not told why");
    }
}

async fn converse(
    stream: UnixStream,
    peer: PeerIdentity,
    seat: Arc<Seat>,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<bool>,
) {
    let place = Arc::clone(&seat);
    let identified = service_fn(move |mut request: Request<Incoming>| {
        let asking = Arc::new(place.ask());
        request.extensions_mut().insert(peer);
        let under_way = UnderWay::new(Arc::clone(&place), Arc::clone(&asking));
        let answer = under_way.scope(service.call(request));
        async move {
            Ok::<_, std::convert::Infallible>(answer.await?.map(|body| Awaited { body, _asking: asking }))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Patience::new(stream, seat.slow())), identified);
    tokio::pin!(connection);
    let ended = tokio::select! {
        // First what has come: a request that is there is served.
        biased;
        ended = connection.as_mut() => ended,
        () = seat.needed() => {
            if !seat.is_busy() {
                tracing::debug!(uid = peer.uid, "a silent connection is closed: others come");
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %crate::model::with_causes(&error), uid = peer.uid, "a connection ended early");
    }
}

/// The body of an answer; the request is under way until it is written.
struct Awaited {
    body: Body,
    _asking: Arc<Asking>,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
