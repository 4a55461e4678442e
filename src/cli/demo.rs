//! `guardian demo`.

use super::failure::{Exit, Failure};
use super::output::Format;
use super::report;
use super::session::Session;
use crate::api::waited_body;

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Leave the directory for a look
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(args: &DemoArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let quiet = session.out.quiet;
    let reports = session.host.demo(args.keep, &mut |text| {
        if !quiet {
            super::output::tell(text);
        }
    })?;
    if session.out.format != Format::Text {
        let values: Result<Vec<_>, _> = reports.iter().map(serde_json::to_value).collect();
        let values = values
            .map_err(|why| Failure::new(Exit::Failures, "write the reports as JSON", why.to_string()))?;
        session.out.json(&waited_body(values, None))?;
        return Ok(report::exit_of(&reports));
    }
    for one in &reports {
        report::render(one, false, &mut session.out)?;
    }
    Ok(report::exit_of(&reports))
}
