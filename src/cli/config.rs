//! `guardian config check` and `guardian config show`.

use super::failure::{Exit, Failure};
use super::session::Session;

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
    let config = session.host.config(&session.sources)?;
    for warning in &config.warnings {
        session.out.note(&format!("warning: {warning}"));
    }
    match args.act {
        ConfigAct::Check if session.is_text() => session.out.note("the configuration is valid"),
        ConfigAct::Check => {
            session.out.json(&serde_json::json!({ "valid": true, "warnings": config.warnings }))?;
        }
        ConfigAct::Show if session.is_text() => session.out.body(config.text.as_bytes())?,
        ConfigAct::Show => session.out.json(&config.json)?,
    }
    Ok(Exit::Done)
}
