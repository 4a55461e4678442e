//! `guardian delete`, `guardian queue …` and `guardian trash …`.

use std::ffi::OsString;
use std::sync::atomic::AtomicBool;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::host::{Standalone, StandaloneSweep};
use super::output::Output;
use super::paths::{Paths, one};
use super::report;
use super::session::{Paging, Session, Worker, ago};
use super::table::Table;
use crate::api::{
    ApiError, DeletionRequest, DeletionResource, DeletionStats, Given, Listing, Page, PeerIdentity,
    RestoreRequest, Returned, RunRequest, TrashRequest, TrashResource, Whereabouts,
};
use crate::model::{ByteSize, EntryId, Policy, Report, SweepRequest, escape_control};

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

/// Whoever may write the ledger may change anything in it.
fn me() -> PeerIdentity {
    PeerIdentity {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        pid: std::process::id(),
        admin: true,
    }
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

pub(super) fn queue(args: &QueueArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match &args.act {
        QueueAct::List { paging } => list(
            "list the queue of deletions",
            "/v1/deletions",
            paging,
            session,
            |own, page| own.deletions(page),
            deletions,
        ),
        QueueAct::Stats => {
            let attempt = "show the queue of deletions";
            match session.worker(attempt)? {
                Worker::Agent(client) => {
                    let answer = session.expect(client.get("/v1/deletions/stats"), attempt)?;
                    session.show(&answer, attempt, stats)?;
                }
                Worker::Own(own) => {
                    let found = own.deletion_stats().map_err(|error| Failure::refused(attempt, &error))?;
                    session.show_own(&found, stats)?;
                }
            }
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
            single(
                &attempt,
                session,
                |client| client.post(&format!("/v1/deletions/{id}/retry"), &serde_json::json!({})),
                |own| own.deletion_retry(&id, &me()),
                |one: &DeletionResource, out| out.line(format!("{} is due now", path(&one.path.file_path))),
            )
            .map(|_| Exit::Done)
        }
        QueueAct::Drop { id } => {
            let attempt = format!("drop deletion {id}");
            let id = EntryId::new(id.as_str());
            single(
                &attempt,
                session,
                |client| client.delete(&format!("/v1/deletions/{id}")),
                |own| own.deletion_drop(&id, &me()),
                returned,
            )
            .map(|_| Exit::Done)
        }
        QueueAct::Clear => {
            let all = single(
                "clear the queue of deletions",
                session,
                |client| client.delete("/v1/deletions"),
                |own| own.deletions_clear(&me()),
                |all: &Listing<Returned>, out| all.items.iter().try_for_each(|one| returned(one, out)),
            )?;
            let stuck = all.items.iter().any(|one| one.now == Whereabouts::Queue);
            Ok(if stuck { Exit::Failures } else { Exit::Done })
        }
    }
}

pub(super) fn trash(args: &TrashArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
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
        TrashAct::List { paging } => {
            list("list the trash", "/v1/trash", paging, session, |own, page| own.trash(page), contents)
        }
        TrashAct::Restore { id, to } => {
            let attempt = format!("restore {id}");
            let to = to.as_deref().map(|path| one(path, &attempt)).transpose()?;
            let (id, request) = (EntryId::new(id.as_str()), RestoreRequest { to });
            single(
                &attempt,
                session,
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
                older_than: Some(crate::model::TimeSpan(std::time::Duration::ZERO)),
                max_files: Some(u64::MAX),
                ..SweepRequest::of(Policy::Trash)
            },
        ),
    }
}

type Asked = Result<super::Answer, super::Refusal>;

fn single<T: serde::de::DeserializeOwned + serde::Serialize>(
    attempt: &str,
    session: &mut Session<'_>,
    ask: impl FnOnce(&Client) -> Asked,
    alone: impl FnOnce(&dyn Standalone) -> Result<T, ApiError>,
    show: impl FnOnce(&T, &mut Output) -> Result<(), Failure>,
) -> Result<T, Failure> {
    match session.worker(attempt)? {
        Worker::Agent(client) => {
            let answer = session.expect(ask(&client), attempt)?;
            session.show(&answer, attempt, show)
        }
        Worker::Own(own) => {
            let found = alone(own.as_ref()).map_err(|error| Failure::refused(attempt, &error))?;
            session.show_own(&found, show)?;
            Ok(found)
        }
    }
}

/// Gives paths up; those that were refused are named on stderr.
fn give(
    attempt: &str,
    session: &mut Session<'_>,
    ask: impl FnOnce(&Client) -> Asked,
    alone: impl FnOnce(&dyn Standalone) -> Result<Given, ApiError>,
) -> Result<Exit, Failure> {
    let given = single(attempt, session, ask, alone, |given: &Given, out| {
        for item in &given.items {
            let whereabouts = match item.moved {
                Some(true) => "",
                Some(false) => " (stays in its place until it goes)",
                None => " (is being moved)",
            };
            out.line(format!("{}  {}{whereabouts}", item.id, path(&item.path.file_path)))?;
        }
        for one in &given.refused {
            super::output::tell(&format!(
                "guardian: failed to {attempt}: {} {}",
                path(&one.path.file_path),
                escape_control(&one.reason)
            ));
        }
        Ok(())
    })?;
    Ok(if !given.refused.is_empty() { Exit::Failures } else { Exit::Done })
}

fn list<T: serde::de::DeserializeOwned + serde::Serialize>(
    attempt: &str,
    path: &str,
    paging: &Paging,
    session: &mut Session<'_>,
    alone: impl FnOnce(&dyn Standalone, &Page) -> Result<Listing<T>, ApiError>,
    show: impl FnMut(&[T], &mut Output) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    match session.worker(attempt)? {
        Worker::Agent(_) => session.show_list(path, "", paging, attempt, show)?,
        Worker::Own(own) => {
            let limit = paging.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX - 1);
            let page = Page { after: paging.after.clone(), limit };
            let found = alone(own.as_ref(), &page).map_err(|error| Failure::refused(attempt, &error))?;
            let mut show = show;
            session.show_own(&found, |found, out| show(&found.items, out))?;
        }
    }
    Ok(Exit::Done)
}

/// Carries out a sweep and shows its reports.
fn sweep(
    attempt: &str,
    session: &mut Session<'_>,
    ask: impl FnOnce(&Client) -> Asked,
    request: SweepRequest,
) -> Result<Exit, Failure> {
    let body: serde_json::Value = match session.worker(attempt)? {
        Worker::Agent(client) => session.expect(ask(&client), attempt)?.read(attempt)?,
        Worker::Own(own) => {
            let sweep = StandaloneSweep { request, plan: None, adopt: false, list: false };
            let outcome = own
                .sweep(&sweep, &AtomicBool::new(false), std::sync::Arc::new(|_: &_| {}))
                .map_err(|error| Failure::refused(attempt, &error))?;
            let reports: Result<Vec<_>, _> = outcome.reports.iter().map(serde_json::to_value).collect();
            let reports =
                reports.map_err(|why| Failure::new(Exit::Failures, attempt, format!("no JSON: {why}")))?;
            crate::api::waited_body(reports, None)
        }
    };
    let values = match body.get("items").and_then(serde_json::Value::as_array) {
        Some(items) => items.clone(),
        None => vec![body.clone()],
    };
    let reports: Result<Vec<Report>, _> = values.into_iter().map(serde_json::from_value).collect();
    let reports =
        reports.map_err(|why| Failure::new(Exit::Failures, attempt, format!("no report: {why}")))?;
    session.show_own(&body, |_, out| {
        for one in &reports {
            out.line(format!(
                "{}: {} removed, {} freed{}",
                one.root,
                one.files_deleted,
                ByteSize(one.bytes_freed),
                if one.errors_total > 0 { format!(", {} failed", one.errors_total) } else { String::new() }
            ))?;
            one.notes.iter().try_for_each(|note| out.line(format!("  {}", escape_control(note))))?;
            for failure in &one.errors {
                super::output::tell(&format!(
                    "guardian: failed to remove {}: {}",
                    path(&failure.path.path),
                    escape_control(&failure.error)
                ));
            }
        }
        Ok(())
    })?;
    Ok(report::exit_of(&reports))
}

fn path(text: &str) -> String {
    escape_control(text)
}

fn returned(one: &Returned, out: &mut Output) -> Result<(), Failure> {
    let why = one.reason.as_ref().map_or_else(String::new, |why| format!(": {}", escape_control(why)));
    let now = match one.now {
        Whereabouts::Restored => "is back",
        Whereabouts::Trash => "is in the trash now",
        Whereabouts::Queue => "is still in the queue",
        Whereabouts::Gone => "is gone already",
    };
    out.line(format!("{} {now}{why}", path(&one.path.file_path)))
}

fn stats(stats: &DeletionStats, out: &mut Output) -> Result<(), Failure> {
    let mut text = format!("{} deletions wait", stats.total_pending);
    if let (Some(oldest), Some(newest)) = (stats.oldest_queued, stats.newest_queued) {
        text.push_str(&format!("; the oldest from {}, the newest from {}", ago(oldest), ago(newest)));
    }
    out.line(text)?;
    stats
        .by_attempts
        .iter()
        .try_for_each(|one| out.line(format!("  {} tried {} times", one.count, one.attempts)))
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
