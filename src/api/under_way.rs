//! What a request holds until all work on it is over.
//!
//! Promises: work that was begun for a request keeps its seat, also when whoever
//! asked is gone: nobody gets more of the agent's threads than he has seats, by
//! asking and hanging up. A large body keeps its place in memory until what it
//! asked for is done. Must not know: what is asked.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::SemaphorePermit;

use super::seats::{Asking, Seat};

tokio::task_local! {
    static UNDER_WAY: Arc<UnderWay>;
}

/// One request.
pub(super) struct UnderWay {
    _asking: Arc<Asking>,
    _seat: Arc<Seat>,
    /// That of its large body, until somebody works on it.
    place: Mutex<Option<SemaphorePermit<'static>>>,
}

impl UnderWay {
    pub(super) fn new(seat: Arc<Seat>, asking: Arc<Asking>) -> Self {
        Self { _asking: asking, _seat: seat, place: Mutex::default() }
    }

    /// Carries `answer` out as this request.
    pub(super) fn scope<F: Future>(self, answer: F) -> impl Future<Output = F::Output> {
        UNDER_WAY.scope(Arc::new(self), answer)
    }
}

/// Keeps the place of a body until what it asked for is done.
pub(super) fn keep_place(place: SemaphorePermit<'static>) {
    // Without a request nobody works on it later.
    let _ = UNDER_WAY.try_with(|request| {
        *request.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    });
}

/// Works on a blocking thread, for the request of this task. A panic there ends this request only.
pub(super) async fn work<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    let request = UNDER_WAY.try_with(Arc::clone).ok();
    tokio::task::spawn_blocking(move || {
        // What waits for other work later does so without the body.
        let place = request
            .as_ref()
            .and_then(|request| request.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        let done = work();
        drop((place, request));
        done
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::api::seats::Seats;

    #[tokio::test]
    async fn who_hangs_up_keeps_his_seat_until_the_work_that_he_asked_for_is_over() {
        let seats = Seats::default();
        let seat = Arc::new(seats.take(1000).await.unwrap());
        let asking = Arc::new(seat.ask());
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let request = UnderWay::new(seat, asking).scope(async move {
            work(move || {
                begun.send(()).unwrap();
                ends.recv()
            })
            .await
            .unwrap()
        });
        let connection = tokio::spawn(request);
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        connection.abort();
        assert!(connection.await.unwrap_err().is_cancelled());
        assert_eq!(seats.busy(), 1, "a thread is still at work for him");
        end.send(()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while seats.taken() > 0 {
            assert!(Instant::now() < deadline, "the seat is never given back");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
