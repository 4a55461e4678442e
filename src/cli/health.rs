//! `guardian health`: the exit code is the answer.

use super::failure::{Exit, Failure};
use super::output::{Output, Tone};
use super::session::Session;
use super::table::Table;
use crate::api::{Health, RootState};
use crate::model::{Level, TimeSpan, escape_control};

pub(super) fn run(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let attempt = "ask for health";
    let client = session.agent(attempt)?;
    let answer = session.expect(client.get("/v1/health"), attempt)?;
    let health = session.show(&answer, attempt, render)?;
    Ok(exit_of(&health))
}

/// 0 healthy, 1 warning, 3 critical or a root suspended.
pub(super) fn exit_of(health: &Health) -> Exit {
    if health.status == Level::Critical || health.roots.iter().any(|root| root.state == RootState::Suspended)
    {
        Exit::Short
    } else if health.status == Level::Warning {
        Exit::Failures
    } else {
        Exit::Done
    }
}

pub(super) const fn tone_of(level: Level) -> Tone {
    match level {
        Level::Healthy => Tone::Good,
        Level::Warning => Tone::Warn,
        Level::Critical => Tone::Bad,
    }
}

pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}%"))
}

pub(super) fn render(health: &Health, out: &mut Output) -> Result<(), Failure> {
    let paused = if health.paused { "; removals are paused" } else { "" };
    out.line(format!("{}{paused}", out.tone(tone_of(health.status), health.status.as_str())))?;
    let mut table = Table::new(&["ROOT", "STATUS", ">USED", ">INODES", "STATE", ">FULL IN", "PATH"]);
    for root in &health.roots {
        let tone = Some(tone_of(root.status));
        let full =
            root.time_to_full_seconds.map_or_else(|| "-".to_owned(), |s| TimeSpan::from_secs(s).to_string());
        table.toned_row(vec![
            (root.name.to_string(), None),
            (root.status.as_str().to_owned(), tone),
            (percent(root.usage_percent), tone),
            (percent(root.inodes_percent), None),
            (root.state.as_str().to_owned(), (root.state == RootState::Suspended).then_some(Tone::Bad)),
            (full, None),
            (escape_control(&root.path.path), None),
        ]);
    }
    table.print(out)?;
    for note in &health.notes {
        out.line(format!("note: {}", escape_control(note)))?;
    }
    for root in &health.roots {
        for note in &root.notes {
            out.line(format!("note: {}: {}", root.name, escape_control(note)))?;
        }
    }
    Ok(())
}
