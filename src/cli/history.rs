//! `guardian history`.

use super::failure::{Exit, Failure};
use super::health::percent;
use super::session::{Paging, Session};
use super::table::Table;
use crate::model::{ByteSize, Report};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    paging: Paging,
}

pub(super) fn run(args: &HistoryArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    session.show_list("/v1/history", "", &args.paging, "list past runs", |runs: &[Report], out| {
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
