//! `guardian stats`.

use super::failure::{Exit, Failure};
use super::health::percent;
use super::output::{Output, Tone};
use super::report::count_of;
use super::session::{Session, ago};
use crate::api::{HolderName, RootStats, Stats};
use crate::model::{ByteSize, TimeSpan, escape_control};

pub(super) fn run(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "ask for figures";
    let client = session.agent(attempt)?;
    let answer = session.expect(client.get("/v1/stats"), attempt)?;
    session.show(&answer, attempt, render)?;
    Ok(Exit::Done)
}

fn render(stats: &Stats, out: &mut Output) -> Result<(), Failure> {
    for root in &stats.roots {
        render_root(root, out)?;
    }
    let agent = &stats.agent;
    out.line(out.tone(Tone::Strong, "agent"))?;
    fact(out, "version", &format!("{}, pid {}", agent.version, agent.pid))?;
    fact(out, "running for", &TimeSpan::from_secs(agent.uptime_seconds).to_string())?;
    if let Some(bytes) = agent.memory_bytes {
        fact(out, "memory", &ByteSize(bytes).to_string())?;
    }
    fact(out, "sweeps", &format!("{} running, {} queued", agent.sweeps_running, agent.sweeps_queued))?;
    if agent.paused {
        fact(out, "removals", &out.tone(Tone::Warn, "paused"))?;
    }
    if agent.dry_run {
        fact(out, "removals", "never (dry_run)")?;
    }
    Ok(())
}

fn render_root(root: &RootStats, out: &mut Output) -> Result<(), Failure> {
    out.line(out.tone(Tone::Strong, root.name.as_str()))?;
    let need = if root.cleanup_needed { out.tone(Tone::Bad, ", cleanup needed") } else { String::new() };
    let used = percent(root.storage_usage_percent);
    fact(out, "used", &format!("{used} (emergency at {:.1}%){need}", root.emergency_threshold))?;
    fact(out, "inodes", &percent(root.inodes_usage_percent))?;
    if let Some(seconds) = root.time_to_full_seconds {
        let rate = root.growth_bytes_per_second.filter(|rate| *rate > 0.0);
        let rate = rate.map_or_else(String::new, |rate| format!(" (growing by {}/s)", ByteSize(rate as u64)));
        fact(out, "full in", &format!("{}{rate}", TimeSpan::from_secs(seconds)))?;
    }
    fact(out, "temp files", &amount(root.temp_files_count, root.temp_files_size_bytes))?;
    fact(out, "orphans", &amount(root.orphaned_files_count, root.orphaned_files_size_bytes))?;
    fact(out, "expired", &amount(root.expired_files_count, None))?;
    fact(out, "old results", &amount(root.results_past_retention_count, None))?;
    fact(out, "tracked", &amount(root.tracked_files_count, None))?;
    fact(out, "trash", &amount(root.trash_files_count, root.trash_size_bytes))?;
    fact(out, "deferred", &amount(root.deferred_pending_count, None))?;
    let jobs = format!(
        "{} active, {} failed",
        amount(root.active_jobs_count, None),
        amount(root.failed_jobs_count, None)
    );
    fact(out, "jobs", &jobs)?;
    fact(out, "index", &format!("{} entries, {}", root.index.entries, root.index.state))?;
    let tops = root.top.iter().flat_map(|top| {
        [("top jobs", &top.jobs), ("top users", &top.users), ("top directories", &top.directories)]
    });
    for (label, list) in tops {
        for holder in list.by_bytes.iter().take(3) {
            let name = match &holder.name {
                HolderName::Job { job } => format!("job {job}"),
                HolderName::User { uid } => format!("uid {uid}"),
                HolderName::Directory(path) => path.path.clone(),
            };
            let text = format!(
                "{}, {} of {}",
                ByteSize(holder.bytes),
                count_of(holder.files),
                escape_control(&name)
            );
            fact(out, label, &text)?;
        }
    }
    if let Some(time) = root.as_of {
        fact(out, "counted", &ago(time))?;
    }
    Ok(())
}

fn fact(out: &mut Output, label: &str, text: &str) -> Result<(), Failure> {
    out.line(format!("  {label:<16}{text}"))
}

/// A count that may not be known, with its bytes.
fn amount(count: Option<u64>, bytes: Option<u64>) -> String {
    match (count, bytes) {
        (None, _) => "-".to_owned(),
        (Some(count), None) => count.to_string(),
        (Some(count), Some(bytes)) => format!("{count} ({})", ByteSize(bytes)),
    }
}
