//! What this program offers its command line.

use guardian::agent::demo::{DemoError, demo};
use guardian::agent::logging;
use guardian::agent::standalone::Alone;
use guardian::api::ApiError;
use guardian::cli::{Exit, Failure, Host, ReadAgain, Standalone};
use guardian::config::Settings;
use guardian::model::{Report, with_causes};

/// This process.
pub(crate) struct Here;

impl Host for Here {
    fn run(&self, settings: Settings, again: ReadAgain) -> Result<(), Failure> {
        guardian::agent::service::run(settings, again).map_err(|error| {
            let exit = match &error {
                held if held.is_held() => Exit::Refused,
                wrong if wrong.is_configuration() => Exit::Usage,
                _ => Exit::Failures,
            };
            Failure::new(exit, "run", with_causes(&error))
        })
    }

    fn standalone(&self, settings: Settings) -> Result<Box<dyn Standalone>, ApiError> {
        logging::start_for_command(settings.verbosity);
        Ok(Box::new(Alone::new(settings)))
    }

    fn demo(&self, keep: bool, say: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        demo(keep, say).map_err(|error| {
            let exit = match &error {
                DemoError::Interrupted => Exit::Interrupted,
                _ => Exit::Failures,
            };
            Failure::new(exit, "run the demonstration", with_causes(&error))
        })
    }
}
