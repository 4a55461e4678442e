//! The thread that follows jobs in the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::follow::{Following, REPORT_TIME};
use super::{JobRegistry, Now, PresumedFailure, RegistryError};

/// The thread `guardian-jobs`: looks when a process ends, when a deadline has
/// passed, and at least every half minute. It stops and is joined when this is dropped.
pub struct JobsThread {
    registry: Arc<JobRegistry>,
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl JobsThread {
    /// Starts it. `failed` is called on it with the presumed failures of each look, if any.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(
        registry: Arc<JobRegistry>,
        failed: impl Fn(Vec<PresumedFailure>) + Send + 'static,
    ) -> Result<Self, RegistryError> {
        let mut following = Following::new(REPORT_TIME).map_err(RegistryError::Follow)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (jobs, stopped) = (Arc::clone(&registry), Arc::clone(&stop));
        let follow = move || {
            while !stopped.load(Ordering::Acquire) {
                let presumed = jobs.tick_following(&mut following, Now::read());
                if !presumed.is_empty() {
                    failed(presumed);
                }
                if let Err(error) = following.wait(&jobs.waker, jobs.pause(Now::read())) {
                    tracing::error!(%error, "failed to wait for the processes of jobs");
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("guardian-jobs".to_owned());
        let handle = thread.spawn(follow).map_err(RegistryError::Follow)?;
        Ok(Self { registry, stop, handle: Some(handle) })
    }

    /// Whether it ended without being asked to: the agent must end then.
    pub fn has_died(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks it to stop and waits for it; false if it had panicked.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.stop.store(true, Ordering::Release);
        self.registry.waker.wake();
        self.handle.take().is_none_or(|handle| handle.join().is_ok())
    }
}

impl Drop for JobsThread {
    fn drop(&mut self) {
        self.end();
    }
}
