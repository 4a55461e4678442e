//! Medians and ratios, as a table.

use std::time::Duration;

use super::tools::{Measured, Peer};

/// One tool's runs.
struct Row {
    name: String,
    runs: Vec<Measured>,
}

impl Row {
    /// The run of the middle; none when the tool failed.
    fn median(&self) -> Option<&Measured> {
        let mut runs: Vec<&Measured> = self.runs.iter().collect();
        runs.sort_by_key(|run| run.wall);
        runs.get(runs.len() / 2).copied()
    }
}

/// One comparison.
pub(crate) struct Table {
    title: &'static str,
    /// The tool that ratios refer to.
    yardstick: &'static str,
    rows: Vec<Row>,
    facts: Vec<(String, String, String)>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(
        title: &'static str,
        yardstick: &'static str,
        peers: &[Peer],
        missing: &[&str],
    ) -> Self {
        let names = peers.iter().map(|peer| peer.name).chain(["guardian"]);
        let rows = names.map(|name| Row { name: name.to_owned(), runs: Vec::new() }).collect();
        let notes = missing.iter().map(|name| format!("{name} is not installed: skipped")).collect();
        Self { title, yardstick, rows, facts: Vec::new(), notes }
    }

    pub(crate) fn add(&mut self, name: &str, measured: Measured) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
            row.runs.push(measured);
        }
    }

    /// Forgets a tool that failed: half its runs are no comparison.
    pub(crate) fn drop_row(&mut self, name: &str) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
            row.runs.clear();
        }
        self.notes.push(format!("{name} failed"));
    }

    /// A figure beside the times, with what it should be.
    pub(crate) fn fact(&mut self, name: &str, value: &str, target: &str) {
        self.facts.push((name.to_owned(), value.to_owned(), target.to_owned()));
    }

    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// `target` is what the row `subject` should reach.
    pub(crate) fn print(&self, subject: &str, target: &str, profile: bool) {
        let yardstick = self.rows.iter().find(|row| row.name == self.yardstick).and_then(Row::median);
        println!(
            "\n  {:<20}{:>10}{:>10}{:>10}  vs {:<10}target",
            self.title, "seconds", "user", "system", self.yardstick
        );
        for row in &self.rows {
            let Some(run) = row.median() else {
                println!("  {:<20}{:>10}", row.name, "-");
                continue;
            };
            let ratio = yardstick
                .map_or_else(|| "-".to_owned(), |base| format!("{:.2}x", ratio(run.wall, base.wall)));
            let target = if row.name == subject { target } else { "" };
            println!(
                "  {:<20}{:>10.3}{:>10.2}{:>10.2}  {ratio:<13}{target}",
                row.name,
                run.wall.as_secs_f64(),
                run.cpu.user.as_secs_f64(),
                run.cpu.system.as_secs_f64(),
            );
        }
        for (name, value, target) in &self.facts {
            println!("  {name:<20}{value:<45}{target}");
        }
        for note in &self.notes {
            println!("  note: {note}");
        }
        if profile && let Some(run) = self.rows.iter().find(|row| row.name == subject).and_then(Row::median) {
            for note in &run.notes {
                println!("    {note}");
            }
        }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(f64::MIN_POSITIVE)
}
