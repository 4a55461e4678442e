//! `guardian history`.

use super::asked::in_words;
use super::audit::time;
use super::client::quote;
use super::failure::{Exit, Failure};
use super::health::percent;
use super::session::{Paging, Session};
use super::sweep::policy;
use super::table::Table;
use crate::api::RequestEntry;
use crate::model::{ByteSize, Policy, Report, RootName, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Only runs begun from this time on (RFC 3339, or Unix seconds)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only runs over this root
    #[arg(long, value_name = "NAME")]
    root: Option<RootName>,
    /// Only runs of this policy
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    policy: Option<Policy>,
    /// Requests that changed something instead of runs: who asked for what
    #[arg(long, conflicts_with_all = ["root", "policy"])]
    requests: bool,
    /// Only requests of this user
    #[arg(long, value_name = "UID", requires = "requests")]
    uid: Option<u32>,
    #[command(flatten)]
    paging: Paging,
}

pub(super) fn run(args: &HistoryArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let mut query = Vec::new();
    if let Some(since) = &args.since {
        query.push(format!("since={}", quote(since.to_string().as_bytes())));
    }
    if args.requests {
        query.extend(args.uid.map(|uid| format!("uid={uid}")));
        return requests(args, &query.join("&"), session);
    }
    if let Some(root) = &args.root {
        query.push(format!("root={root}"));
    }
    if let Some(policy) = args.policy {
        query.push(format!("policy={policy}"));
    }
    let query = query.join("&");
    session.show_list("/v1/history", &query, &args.paging, "list past runs", |runs: &[Report], out| {
        let heads = ["START", "ROOT", "POLICY", "TRIGGER", ">FILES", ">FREED", ">BEFORE", ">AFTER", "RUN"];
        let mut table = Table::new(&heads);
        for run in runs {
            table.row(vec![
                run.start_time.to_string().chars().take(19).collect(),
                run.root.to_string(),
                run.policy.to_string(),
                run.trigger.to_string(),
                run.files_deleted.to_string(),
                ByteSize(run.bytes_freed).to_string(),
                percent(run.storage_before_percent),
                percent(run.storage_after_percent),
                run.id.to_string(),
            ]);
        }
        table.print(out)
    })?;
    Ok(Exit::Done)
}

fn requests(args: &HistoryArgs, query: &str, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "list requests";
    session.show_list("/v1/requests", query, &args.paging, attempt, |all: &[RequestEntry], out| {
        let mut table = Table::new(&["TIME", ">UID", ">GID", ">PID", "ACTION", "REQUEST"]);
        for one in all {
            table.row(vec![
                one.time.to_string().chars().take(19).collect(),
                one.requested_by.uid.to_string(),
                one.requested_by.gid.to_string(),
                one.requested_by.pid.to_string(),
                one.action.clone(),
                in_words(&one.request),
            ]);
        }
        table.print(out)
    })?;
    Ok(Exit::Done)
}
