//! `guardian delete` and `guardian queue …`: deferred deletions.

use super::failure::{Exit, Failure};
use super::kept::{give, path, returned, sweep};
use super::output::Output;
use super::paths::Paths;
use super::question::me;
use super::session::{Paging, Session, ago};
use super::table::Table;
use crate::api::{
    DeletionRequest, DeletionResource, DeletionStats, Listing, Returned, RunRequest, Whereabouts,
};
use crate::model::{ByteSize, EntryId, SweepRequest, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    paths: Paths,
    /// How the client calls itself
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    act: QueueAct,
}

#[derive(Debug, clap::Subcommand)]
enum QueueAct {
    /// Deletions that wait
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// How many wait, and since when
    Stats,
    /// Carry them out now
    Run {
        /// Entries in a batch
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
        batch_size: Option<u64>,
        /// Tries before an entry becomes trash
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max_attempts: Option<u32>,
    },
    /// Make one due now
    Retry {
        /// The entry
        id: String,
    },
    /// Put one back where it lay, or into the trash where its name is taken
    Drop {
        /// The entry
        id: String,
    },
    /// Put all of them back
    Clear,
}

pub(super) fn delete(args: &DeleteArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "delete";
    let request = DeletionRequest { paths: args.paths.read(attempt)?, client_id: args.client.clone() };
    give(
        attempt,
        session,
        |client| client.post("/v1/deletions", &request),
        |own| own.delete(request.clone(), &me()),
    )
}

pub(super) fn run(args: &QueueArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match &args.act {
        QueueAct::List { paging } => session
            .answer_list(
                "list the queue of deletions",
                "/v1/deletions",
                paging,
                |own, page| own.deletions(page),
                deletions,
            )
            .map(|()| Exit::Done),
        QueueAct::Stats => {
            session.answer(
                "show the queue of deletions",
                |client| client.get("/v1/deletions/stats"),
                |own| own.deletion_stats(),
                stats,
            )?;
            Ok(Exit::Done)
        }
        QueueAct::Run { batch_size, max_attempts } => {
            let request = RunRequest { batch_size: *batch_size, max_attempts: *max_attempts };
            sweep(
                "run the queue of deletions",
                session,
                |client| client.post("/v1/deletions/run?wait=true", &request),
                SweepRequest::from(request.clone()),
            )
        }
        QueueAct::Retry { id } => {
            let attempt = format!("retry deletion {id}");
            let id = EntryId::new(id.as_str());
            session
                .answer(
                    &attempt,
                    |client| client.post(&format!("/v1/deletions/{id}/retry"), &serde_json::json!({})),
                    |own| own.deletion_retry(&id, &me()),
                    |one: &DeletionResource, out| {
                        out.line(format!("{} is due now", path(&one.path.file_path)))
                    },
                )
                .map(|_| Exit::Done)
        }
        QueueAct::Drop { id } => {
            let attempt = format!("drop deletion {id}");
            let id = EntryId::new(id.as_str());
            session
                .answer(
                    &attempt,
                    |client| client.delete(&format!("/v1/deletions/{id}")),
                    |own| own.deletion_drop(&id, &me()),
                    returned,
                )
                .map(|_| Exit::Done)
        }
        QueueAct::Clear => {
            let all = session.answer(
                "clear the queue of deletions",
                |client| client.delete("/v1/deletions"),
                |own| own.deletions_clear(&me()),
                |all: &Listing<Returned>, out| all.items.iter().try_for_each(|one| returned(one, out)),
            )?;
            let stuck = all.items.iter().any(|one| one.now == Whereabouts::Queue);
            Ok(if stuck { Exit::Failures } else { Exit::Done })
        }
    }
}

fn stats(stats: &DeletionStats, out: &mut Output) -> Result<(), Failure> {
    let mut text = match stats.total_pending {
        0 => "no deletion waits".to_owned(),
        1 => "1 deletion waits".to_owned(),
        many => format!("{many} deletions wait"),
    };
    if let (Some(oldest), Some(newest)) = (stats.oldest_queued, stats.newest_queued) {
        text.push_str(&format!("; the oldest from {}, the newest from {}", ago(oldest), ago(newest)));
    }
    out.line(text)?;
    stats
        .by_attempts
        .iter()
        .try_for_each(|one| out.line(format!("  {} tried {}", one.count, times(one.attempts))))
}

fn times(attempts: u32) -> String {
    match attempts {
        0 => "not yet".to_owned(),
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}

fn deletions(items: &[DeletionResource], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["ID", "QUEUED", ">TRIES", ">FILES", ">SIZE", "PATH", "LAST ERROR"]);
    for one in items {
        table.row(vec![
            one.id.to_string(),
            ago(one.queued_at),
            one.attempts.to_string(),
            one.files.to_string(),
            ByteSize(one.bytes).to_string(),
            path(&one.path.file_path),
            one.last_error.as_deref().map_or_else(String::new, escape_control),
        ]);
    }
    table.print(out)
}
