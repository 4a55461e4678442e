//! `guardian trash …`: what was deleted and can still be had back.

use std::ffi::OsString;

use super::failure::{Exit, Failure};
use super::kept::{give, path, returned, sweep};
use super::output::Output;
use super::paths::{Paths, one};
use super::question::me;
use super::session::{Paging, Session, ago};
use super::table::Table;
use crate::api::{RestoreRequest, TrashRequest, TrashResource};
use crate::model::{ByteSize, EntryId, Policy, SweepRequest, TimeSpan};

#[derive(Debug, clap::Args)]
pub(super) struct TrashArgs {
    #[command(subcommand)]
    act: TrashAct,
}

#[derive(Debug, clap::Subcommand)]
enum TrashAct {
    /// Put files into the trash, from where they can be had back
    Put {
        #[command(flatten)]
        paths: Paths,
    },
    /// What lies in it
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Put something back, never over what is there
    Restore {
        /// The entry
        id: String,
        /// Another place in the same root
        #[arg(long, value_name = "PATH")]
        to: Option<OsString>,
    },
    /// Remove all of it
    Empty,
}

pub(super) fn run(args: &TrashArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match &args.act {
        TrashAct::Put { paths } => {
            let attempt = "put into the trash";
            let request = TrashRequest { paths: paths.read(attempt)? };
            give(
                attempt,
                session,
                |client| client.post("/v1/trash", &request),
                |own| own.trash_put(request.clone(), &me()),
            )
        }
        TrashAct::List { paging } => session
            .answer_list("list the trash", "/v1/trash", paging, |own, page| own.trash(page), contents)
            .map(|()| Exit::Done),
        TrashAct::Restore { id, to } => {
            let attempt = format!("restore {id}");
            let to = to.as_deref().map(|path| one(path, &attempt)).transpose()?;
            let (id, request) = (EntryId::new(id.as_str()), RestoreRequest { to });
            session
                .answer(
                    &attempt,
                    |client| client.post(&format!("/v1/trash/{id}/restore"), &request),
                    |own| own.trash_restore(&id, request.clone(), &me()),
                    returned,
                )
                .map(|_| Exit::Done)
        }
        TrashAct::Empty => sweep(
            "empty the trash",
            session,
            |client| client.delete("/v1/trash?wait=true"),
            SweepRequest {
                older_than: Some(TimeSpan(std::time::Duration::ZERO)),
                max_files: Some(u64::MAX),
                ..SweepRequest::of(Policy::Trash)
            },
        ),
    }
}

fn contents(items: &[TrashResource], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["ID", "DELETED", ">OWNER", ">FILES", ">SIZE", "PATH"]);
    for one in items {
        table.row(vec![
            one.id.to_string(),
            ago(one.deleted_at),
            one.owner.to_string(),
            one.files.to_string(),
            ByteSize(one.size_bytes).to_string(),
            path(&one.path.path),
        ]);
    }
    table.print(out)
}
