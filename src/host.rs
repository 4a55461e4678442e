//! What this program offers its command line.

use guardian::api::{ApiError, Problem};
use guardian::cli::{Exit, Failure, Host, ReadAgain, Standalone};
use guardian::config::Settings;
use guardian::model::Report;

/// This process.
pub(crate) struct Here;

const ABSENT: &str = "this build has no agent";

impl Host for Here {
    fn run(&self, settings: Settings, again: ReadAgain) -> Result<(), Failure> {
        guardian::agent::service::run(settings, again)
            .map_err(|e| Failure::new(Exit::Failures, "run", format!("{e}")))
    }

    fn standalone(&self, _: Settings) -> Result<Box<dyn Standalone>, ApiError> {
        Err(ApiError::new(Problem::Unavailable, ABSENT))
    }

    fn demo(&self, _: bool, _: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        Err(Failure::new(Exit::Failures, "run the demonstration", ABSENT))
    }
}
