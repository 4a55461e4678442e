//! `guardian files`.

use super::failure::{Exit, Failure};
use super::session::{Paging, Session, ago};
use super::table::Table;
use crate::api::FileEntry;
use crate::model::{ByteSize, RootName, escape_control};

#[derive(Debug, clap::Args)]
pub(super) struct FilesArgs {
    /// Only this root
    #[arg(long, value_name = "NAME")]
    root: Option<RootName>,
    #[command(flatten)]
    paging: Paging,
}

pub(super) fn run(args: &FilesArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let query = args.root.as_ref().map(|root| format!("root={root}")).unwrap_or_default();
    session.show_list("/v1/files", &query, &args.paging, "list files", |files: &[FileEntry], out| {
        let mut table = Table::new(&[">SIZE", ">MODIFIED", "JOBS", "PATH"]);
        for file in files {
            let jobs: Vec<_> = file.jobs.iter().map(|job| job.as_str()).collect();
            let jobs = if jobs.is_empty() { "-".to_owned() } else { jobs.join(",") };
            let size = ByteSize(file.allocated_bytes).to_string();
            table.row(vec![size, ago(file.mtime), jobs, escape_control(&file.path.path)]);
        }
        table.print(out)
    })?;
    Ok(Exit::Done)
}
