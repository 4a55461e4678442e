//! `guardian registry trust` and `guardian clock trust`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use crate::api::TrustState;

#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    act: TrustAct,
}

#[derive(Debug, clap::Subcommand)]
enum TrustAct {
    /// Declare it right from now on
    Trust,
}

pub(super) fn registry(args: &TrustArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let TrustAct::Trust = args.act;
    let attempt = "trust the registry";
    session.answer(
        attempt,
        |client| client.post("/v1/registry/trust", &serde_json::json!({})),
        |own| own.registry_trust(),
        |state, out| render("the registry", state, out),
    )?;
    Ok(Exit::Done)
}

/// Only an agent keeps a judgement of the clock.
pub(super) fn clock(args: &TrustArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let TrustAct::Trust = args.act;
    let attempt = "trust the clock";
    let client = session.agent(attempt)?;
    let answer = session.expect(client.post("/v1/clock/trust", &serde_json::json!({})), attempt)?;
    session.show(&answer, attempt, |state, out| render("the clock", state, out))?;
    Ok(Exit::Done)
}

fn render(what: &str, state: &TrustState, out: &mut Output) -> Result<(), Failure> {
    let word = if state.changed { "is trusted from now on" } else { "was trusted already" };
    out.line(format!("{what} {word}"))
}
