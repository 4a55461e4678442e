//! What this program offers its command line.

use guardian::agent::roots::{Refusal, RootError};
use guardian::agent::service::ServiceError;
use guardian::agent::slots::SlotError;
use guardian::agent::standalone::Alone;
use guardian::agent::state_dir::StateDirError;
use guardian::api::ApiError;
use guardian::cli::{Exit, Failure, Host, ReadAgain, Standalone};
use guardian::config::Settings;
use guardian::model::Report;

/// This process.
pub(crate) struct Here;

impl Host for Here {
    fn run(&self, settings: Settings, again: ReadAgain) -> Result<(), Failure> {
        guardian::agent::service::run(settings, again)
            .map_err(|error| Failure::new(exit_of(&error), "run", guardian::api::with_causes(&error)))
    }

    fn standalone(&self, settings: Settings) -> Result<Box<dyn Standalone>, ApiError> {
        Ok(Box::new(Alone::new(settings)))
    }

    fn demo(&self, _: bool, _: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        Err(Failure::new(Exit::Failures, "run the demonstration", "this build has none"))
    }
}

/// 2 for what the configuration says, 5 for what somebody else holds, else 1.
const fn exit_of(error: &ServiceError) -> Exit {
    match error {
        ServiceError::Root(error) | ServiceError::Slot(SlotError::Root(error)) => match error {
            RootError::Missing { .. }
            | RootError::NotADirectory { .. }
            | RootError::System { .. }
            | RootError::Checkout { .. }
            | RootError::Nested { .. }
            | RootError::MinFree { .. }
            | RootError::Pattern { .. } => Exit::Usage,
            _ => Exit::Failures,
        },
        ServiceError::StateDir(StateDirError::Held { .. })
        | ServiceError::Slot(SlotError::Refused {
            refusal: Refusal::Held(_) | Refusal::Claimed(_), ..
        }) => Exit::Refused,
        _ => Exit::Failures,
    }
}
