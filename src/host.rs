//! What this program offers its command line.

use std::path::PathBuf;

use guardian::api::{ApiError, Problem};
use guardian::cli::{Exit, Failure, Host, RunOptions, ShownConfig, Sources, Standalone};
use guardian::model::Report;

/// This process.
pub(crate) struct Here;

const ABSENT: &str = "this build has no agent";

impl Host for Here {
    fn run(&self, _: &Sources, _: &RunOptions) -> Result<(), Failure> {
        Err(Failure::new(Exit::Failures, "run", ABSENT))
    }

    fn standalone(&self, _: &Sources) -> Result<Box<dyn Standalone>, ApiError> {
        Err(ApiError::new(Problem::Unavailable, ABSENT))
    }

    fn config(&self, _: &Sources) -> Result<ShownConfig, Failure> {
        Err(Failure::new(Exit::Usage, "read the configuration", ABSENT))
    }

    fn socket_of(&self, _: &Sources) -> Result<PathBuf, Failure> {
        Err(Failure::new(Exit::Usage, "read the configuration", ABSENT))
    }

    fn demo(&self, _: bool, _: &mut dyn FnMut(&str)) -> Result<Vec<Report>, Failure> {
        Err(Failure::new(Exit::Failures, "run the demonstration", ABSENT))
    }
}
