//! `guardian root list` and `guardian root accept`.

use super::failure::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use super::table::Table;
use crate::api::{Listing, RootResource};
use crate::model::{RootName, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct RootArgs {
    #[command(subcommand)]
    act: RootAct,
}

#[derive(Debug, clap::Subcommand)]
enum RootAct {
    /// The roots and their states
    List,
    /// Take what is mounted at a suspended root now for that root
    Accept {
        /// The root
        name: RootName,
    },
}

pub(super) fn run(args: &RootArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match &args.act {
        RootAct::List => list(session),
        RootAct::Accept { name } => accept(name, session),
    }
}

fn list(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "list the roots";
    session.answer(attempt, |client| client.get("/v1/roots"), |own| own.roots().map(Listing::all), render)?;
    Ok(Exit::Done)
}

fn accept(name: &RootName, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = format!("accept root {name}");
    let client = session.agent(&attempt)?;
    let answer = client.post(&format!("/v1/roots/{name}/accept"), &serde_json::json!({}));
    let answer = session.expect(answer, &attempt)?;
    session.show(&answer, &attempt, |root: &RootResource, out| {
        out.line(format!("root {} is {}", root.name, root.state.as_str()))
    })?;
    Ok(Exit::Done)
}

fn render(roots: &Listing<RootResource>, out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["NAME", "STATE", "ADOPTED", "PATH"]);
    for root in &roots.items {
        table.row(vec![
            root.name.to_string(),
            root.state.as_str().to_owned(),
            root.adopted_at.map_or_else(|| "-".to_owned(), |time| format!("{time:#}")),
            escape_control(&root.path.path),
        ]);
    }
    table.print(out)?;
    for root in &roots.items {
        if let Some(reason) = &root.reason {
            out.line(format!("note: {}: {}", root.name, escape_control(reason)))?;
        }
    }
    Ok(())
}
