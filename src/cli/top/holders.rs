//! Who fills the selected root: jobs, users and directories, by size or by growth.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::output::Tone;
use super::super::report::count_of;
use super::super::table::shorten;
use super::model::Model;
use super::view::{Theme, title};
use super::words::{growth_of, name_of};
use crate::api::{Holder, RootStats, TopList};
use crate::model::ByteSize;

/// Draws `each` of each kind, side by side where there is room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme, each: usize, wide: bool) {
    let Some(root) = model.selected() else {
        frame.render_widget(Paragraph::new(title("HOLDS MOST", "", area.width, theme)), area);
        return;
    };
    let name = if model.by_growth { "GROWS FASTEST" } else { "HOLDS MOST" };
    let stats = model.stats_of(&root.name);
    let more =
        stats.map_or_else(|| root.name.to_string(), |stats| amounts(stats, usize::from(area.width) - 16));
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(title(name, &more, area.width, theme)), head);
    let Some(top) = stats.and_then(|stats| stats.top.as_ref()) else {
        frame.render_widget(Paragraph::new("  not counted yet"), body);
        return;
    };
    let kinds = [("job", &top.jobs), ("user", &top.users), ("directory", &top.directories)];
    if wide {
        let widths = [Constraint::Fill(1), Constraint::Length(34), Constraint::Fill(1)];
        let columns: [Rect; 3] = Layout::horizontal(widths).spacing(2).areas(body);
        for (at, (kind, list)) in columns.into_iter().zip(kinds) {
            let room = usize::from(at.width).saturating_sub(23);
            let lines = chosen(list, model.by_growth).take(each).map(|holder| holder_row(holder, None, room));
            let widths = [Constraint::Fill(1), Constraint::Length(9), Constraint::Length(12)];
            let kind = match kind {
                "directory" => "DIRECTORIES".to_owned(),
                _ => format!("{}S", kind.to_uppercase()),
            };
            let right = |text: &'static str| Cell::new(Line::from(text).right_aligned());
            let heads = Row::new([Cell::new(kind), right("SIZE"), right("GROWTH")]);
            let table =
                Table::new(lines, widths).column_spacing(1).header(heads.style(theme.of(Tone::Faint)));
            frame.render_widget(table, at);
        }
        return;
    }
    let room = usize::from(area.width).saturating_sub(48);
    let counts = kinds.map(|(_, list)| chosen(list, model.by_growth).count());
    let shares = share_out(counts, usize::from(body.height));
    let lines = kinds.into_iter().zip(shares).flat_map(|((kind, list), share)| {
        let found: Vec<_> = chosen(list, model.by_growth).take(share).collect();
        let rows = found.into_iter().map(move |holder| holder_row(holder, Some(kind), room));
        rows.collect::<Vec<_>>()
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Length(9),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(12),
    ];
    frame.render_widget(Table::new(lines, widths).column_spacing(1), body);
}

/// One row for each kind in turn, while it has any and there is room.
fn share_out(counts: [usize; 3], room: usize) -> [usize; 3] {
    let mut shares = [0; 3];
    for _ in 0..room {
        let next = (0..3).filter(|kind| shares[*kind] < counts[*kind]).min_by_key(|kind| shares[*kind]);
        let Some(kind) = next else { break };
        shares[kind] += 1;
    }
    shares
}

fn chosen(list: &TopList, by_growth: bool) -> impl Iterator<Item = &Holder> {
    let growing = list.by_growth.iter().flatten();
    let holding = list.by_bytes.iter();
    growing.filter(move |_| by_growth).chain(holding.filter(move |_| !by_growth))
}

fn holder_row(holder: &Holder, kind: Option<&'static str>, room: usize) -> Row<'static> {
    let right = |text: String| Cell::new(Line::from(text).right_aligned());
    let name = Cell::new(shorten(&name_of(holder), room));
    let (bytes, growth) = (right(ByteSize(holder.bytes).to_string()), right(growth_of(holder)));
    match kind {
        None => Row::new([name, bytes, growth]),
        Some(kind) => {
            let files = right(count_of(holder.files));
            Row::new([Cell::new(""), Cell::new(kind), name, bytes, files, growth])
        }
    }
}

/// What a root holds, as far as it was counted and as much of it as fits.
fn amounts(stats: &RootStats, room: usize) -> String {
    let with = |count: Option<u64>, bytes: Option<u64>, one: &str, many: &str| {
        let bytes = bytes.filter(|bytes| *bytes > 0);
        let bytes = bytes.map_or_else(String::new, |bytes| format!(" ({})", ByteSize(bytes)));
        count.map(|count| format!("{count} {}{bytes}", if count == 1 { one } else { many }))
    };
    let some = |count: Option<u64>| count.filter(|count| *count > 0);
    let (trash, waiting) = (some(stats.trash_files_count), some(stats.deferred_pending_count));
    let words = [
        with(stats.temp_files_count, stats.temp_files_size_bytes, "file", "files"),
        with(stats.orphaned_files_count, stats.orphaned_files_size_bytes, "orphan", "orphans"),
        with(stats.active_jobs_count, None, "active job", "active jobs"),
        with(some(stats.failed_jobs_count), None, "failed job", "failed jobs"),
        with(trash, stats.trash_size_bytes, "in the trash", "in the trash"),
        with(waiting, None, "deletion waits", "deletions wait"),
    ];
    let mut text = stats.name.to_string();
    for (place, word) in words.into_iter().flatten().enumerate() {
        let next = format!("{text}{}{word}", if place == 0 { ": " } else { ", " });
        if next.chars().count() > room {
            break;
        }
        text = next;
    }
    text
}
