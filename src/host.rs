//! What this program offers its command line.

use guardian::agent::standalone::Alone;
use guardian::api::ApiError;
use guardian::cli::{Exit, Failure, Host, ReadAgain, Standalone};
use guardian::config::Settings;
use guardian::model::Report;

/// This process.
pub(crate) struct Here;

impl Host for Here {
    fn run(&self, settings: Settings, again: ReadAgain) -> Result<(), Failure> {
        guardian::agent::service::run(settings, again)
            .map_err(|error| Failure::new(Exit::Failures, "run", guardian::api::with_causes(&error)))
    }

    fn standalone(&self, settings: Settings) -> Result<Box<dyn Standalone>, ApiError> {
        Ok(Box::new(Alone::new(settings)))
    }

    fn demo(&self, _: bool, _: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        Err(Failure::new(Exit::Failures, "run the demonstration", "this build has none"))
    }
}
