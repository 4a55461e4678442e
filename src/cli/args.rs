//! The command line's grammar.

use clap::{Parser, Subcommand};

use super::global::Global;
use super::{
    audit, chunk, config, demo, explain, files, generate, history, hold, import, job, pause, queue, root,
    run, sessions, status, sweep, track, trash, trust,
};

/// Keeps storage hosts from running full.
#[derive(Debug, Parser)]
#[command(name = "guardian", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
#[expect(private_interfaces, reason = "the arguments of a verb concern the verb's own file only")]
pub enum Verb {
    /// Run the agent
    Run(run::RunArgs),
    /// Remove what a policy says may go
    Sweep(sweep::SweepArgs),
    /// Stop removals; watching and alerts go on
    Pause(pause::PauseArgs),
    /// End a pause
    Resume,
    /// How full the roots are, at a glance
    Status(status::StatusArgs),
    /// Figures of each root and of the agent
    Stats,
    /// Exit 0 healthy, 1 warning, 3 critical or a root suspended
    Health,
    /// Roots, what fills them and what is done about it, on a live screen
    Top,
    /// What the index holds
    Files(files::FilesArgs),
    /// What each policy says about a path, and why
    Explain(explain::ExplainArgs),
    /// Past runs
    History(history::HistoryArgs),
    /// Removals on record
    Audit(audit::AuditArgs),
    /// Register jobs and follow them
    Job(job::JobArgs),
    /// Report chunks of jobs as processed
    Chunk(chunk::ChunkArgs),
    /// Delete files later: their names are free at once
    Delete(queue::DeleteArgs),
    /// Deletions that wait
    Queue(queue::QueueArgs),
    /// Soft deletion
    Trash(trash::TrashArgs),
    /// Sessions: files that go together
    Session(sessions::SessionArgs),
    /// Say when files may go, and to what they belong
    Track(track::TrackArgs),
    /// Keep files and directories
    Hold(hold::HoldArgs),
    /// End holds
    Release(hold::ReleaseArgs),
    /// The registry of jobs
    Registry(trust::TrustArgs),
    /// The wall clock
    Clock(trust::TrustArgs),
    /// The guarded roots
    Root(root::RootArgs),
    /// Check or show the configuration
    Config(config::ConfigArgs),
    /// Turn rules of other cleaners into a configuration
    Import(import::ImportArgs),
    /// See guardian at work on a directory of its own
    Demo(demo::DemoArgs),
    /// Completions for a shell
    Completions(generate::CompletionsArgs),
    /// Write the manual pages
    Man(generate::ManArgs),
}
