//! `guardian config check` and `guardian config show`.

use super::failure::{Exit, Failure};
use super::session::Session;
use crate::config::Overrides;

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    act: ConfigAct,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum ConfigAct {
    /// Read all of it and say everything that is wrong
    Check,
    /// Every key with its value and where it comes from
    Show,
}

pub(super) fn run(args: &ConfigArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let settings = super::settings::read(&session.sources, Overrides::default())?;
    for warning in &settings.warnings {
        session.out.note(&format!("warning: {warning}"));
    }
    let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
    match args.act {
        ConfigAct::Check if session.is_text() => session.out.line("the configuration is valid")?,
        ConfigAct::Check => session.out.json(&serde_json::json!({ "valid": true, "warnings": warnings }))?,
        ConfigAct::Show if session.is_text() => session.out.body(settings.show().as_bytes())?,
        ConfigAct::Show => session.out.json(&settings.show_json())?,
    }
    Ok(Exit::Done)
}
