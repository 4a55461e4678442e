//! Where figures go besides the socket: the plain listener and the textfile,
//! until the agent stops.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch::Receiver;

use crate::agent::state::Agent;
use crate::api::{Commands, metrics};

use super::textfile;

/// Ends when the agent stops.
pub async fn told(mut stopped: Receiver<bool>) {
    // Without anybody to tell, it has stopped as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Serves and writes the figures, as far as the settings say so.
pub fn serve(
    agent: Arc<Agent>,
    commands: Arc<dyn Commands>,
    stopped: &Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let address = agent.settings().agent.metrics_listen;
    let written = textfile::keep(agent, told(stopped.clone()));
    let stopped = stopped.clone();
    async move {
        let listening = async {
            if let Some(address) = address {
                metrics::serve_metrics(address, commands, told(stopped)).await;
            }
        };
        tokio::join!(listening, written);
    }
}
