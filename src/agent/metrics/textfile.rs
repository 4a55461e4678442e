//! Figures in a file, for the node exporter's textfile collector.
//!
//! Promises: a reader finds the old file or the new one, whole; a file that
//! can't be written is said once in the log and tried again. The collector
//! takes the older text format only.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::state::Agent;
use crate::api::metrics::Format;
use crate::sys::{DirHandle, own_file};

/// However rarely the volumes are looked at, figures are written this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// However often, not more often than this: nobody reads it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
enum TextfileError {
    /// The path has no last part in UTF-8.
    #[error("failed to write metrics: the path names no file")]
    NoName,
    /// The directory or the file.
    #[error(transparent)]
    Sys(#[from] crate::sys::SysError),
    /// The text.
    #[error("failed to put the metrics together")]
    Text(#[from] std::fmt::Error),
}

/// Writes the figures to where the settings say, each sample interval, until
/// `shutdown`.
pub(super) async fn keep(agent: Arc<Agent>, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown => {}
        () = write_on(agent) => {}
    }
}

async fn write_on(agent: Arc<Agent>) {
    let mut failing = false;
    loop {
        let settings = agent.settings();
        if let Some(path) = settings.agent.metrics_textfile.clone() {
            let its = Arc::clone(&agent);
            let write = {
                let path = path.clone();
                move || write(&its, &path)
            };
            let outcome = match tokio::task::spawn_blocking(write).await {
                Ok(outcome) => outcome.map_err(|error| crate::agent::chain(&error)),
                Err(panicked) => Err(panicked.to_string()),
            };
            match outcome {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(path = %path.display(), "metrics are written to the textfile again");
                    }
                }
                Err(reason) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(
                        path = %path.display(), %reason,
                        "metrics are not written to the textfile; trying again; \
                         help: metrics_textfile must name a file in a directory that guardian may write to"
                    );
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(settings.agent.sample_interval.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

fn write(agent: &Agent, path: &Path) -> Result<(), TextfileError> {
    let text = Format::Prometheus.of(super::text(agent)?);
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(TextfileError::NoName)?;
    let dir = DirHandle::open_absolute(path.parent().ok_or(TextfileError::NoName)?)?;
    own_file::publish(&dir, name, text.as_bytes())?;
    Ok(())
}
