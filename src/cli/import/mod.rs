//! `guardian import tmpfiles [FILE...]`.
//!
//! Promises: it only prints. Must not know: what lines mean
//! ([`crate::config::tmpfiles`] does).

mod files;

use super::failure::{Exit, Failure};
use super::output::tell;
use super::session::Session;
use crate::config::Disk;
use crate::config::tmpfiles::{Import, import};

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    from: Origin,
}

#[derive(Debug, clap::Subcommand)]
enum Origin {
    /// Print roots for what systemd-tmpfiles cleans by age, and what differs
    Tmpfiles(files::TmpfilesArgs),
}

pub(super) fn run(args: &ImportArgs, session: &mut Session<'_>) -> Result<Exit, Failure> {
    let Origin::Tmpfiles(args) = &args.from;
    let (files, notes) = args.read()?;
    for note in notes {
        session.out.note(&format!("warning: {note}"));
    }
    let found = import(&files, &Disk);
    if session.is_text() {
        session.out.body(found.to_toml().as_bytes())?;
    } else {
        session.out.json(&found.to_json())?;
    }
    session.out.note(&summary(files.len(), &found));
    // What is wrong is said even with -q: those lines may have been meant to keep something.
    for line in &found.malformed {
        tell(&format!("guardian: failed to read {line}"));
    }
    Ok(if found.malformed.is_empty() { Exit::Done } else { Exit::Failures })
}

/// All that was found, in one line.
fn summary(files: usize, found: &Import) -> String {
    let counted =
        |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let refused = found.roots.iter().filter(|root| root.refused.is_some()).count();
    let protected: usize = found.roots.iter().map(|root| root.protect.len()).sum();
    format!(
        "guardian: from {}: {} ({refused} as a comment only), {protected} protected, {}, {} not imported, {} \
         without an age",
        counted(files, "file", "files"),
        counted(found.roots.len(), "root", "roots"),
        counted(found.differences.len(), "difference", "differences"),
        counted(found.not_imported.len(), "line", "lines"),
        counted(found.lines_without_age, "line", "lines"),
    )
}
