//! The model on the screen: what matters most keeps its place on a small one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::health::{percent, tone_of};
use super::super::output::Tone;
use super::super::table::shorten;
use super::dialog;
use super::holders;
use super::model::{Focus, Model, Running};
use super::words::{clock_of, of_progress};
use crate::api::{RootHealth, RootState, RootStats, SweepState};
use crate::model::{ByteSize, Level, TimeSpan, Timestamp, escape_control};

/// The smallest screen on which everything has a place.
const LEAST: (u16, u16) = (60, 16);
/// From here on the three kinds of holders stand side by side.
const WIDE: u16 = 110;
/// An agent that says nothing for longer is said to be silent.
const SILENCE: u64 = 5;

/// How meanings look.
#[derive(Clone, Copy)]
pub(super) struct Theme {
    pub(super) colour: bool,
}

impl Theme {
    pub(super) fn of(self, tone: Tone) -> Style {
        let plain = Style::new();
        match (tone, self.colour) {
            (Tone::Good, true) => plain.fg(Color::Green),
            (Tone::Warn, true) => plain.fg(Color::Yellow),
            (Tone::Bad, true) => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Faint, _) => plain.add_modifier(Modifier::DIM),
            (Tone::Strong | Tone::Warn, _) => plain.add_modifier(Modifier::BOLD),
            (Tone::Bad, false) => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            (Tone::Good, false) => plain,
        }
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme, now: Timestamp) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {}x{} at least; q quits", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let wide = area.width >= WIDE;
    let roots = rows(model.roots().len(), usize::from(area.height / 4).max(2));
    let sweeps = rows(model.sweeps.len(), usize::from(area.height / 8).max(2));
    // What is left is shared between holders and events.
    let free = area.height.saturating_sub(roots + sweeps + 6) / 2;
    let each = if wide { free.saturating_sub(1).clamp(1, 8) } else { (free / 3).clamp(1, 5) };
    let holders = if wide { each + 1 } else { each * 3 };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(roots + 1),
        Constraint::Length(holders + 1),
        Constraint::Length(sweeps + 1),
        Constraint::Min(2),
        Constraint::Length(1),
    ]);
    let [head, at_roots, at_holders, at_sweeps, at_events, foot] = parts.areas(area);
    frame.render_widget(Paragraph::new(header(model, theme, now, head.width)), head);
    draw_roots(frame, at_roots, model, theme, now);
    holders::draw(frame, at_holders, model, theme, usize::from(each), wide);
    draw_sweeps(frame, at_sweeps, model, theme);
    draw_events(frame, at_events, model, theme);
    frame.render_widget(Paragraph::new(footer(model, theme, foot.width)), foot);
    dialog::draw(frame, model, theme);
}

/// At least one row, for the word that there is nothing.
fn rows(count: usize, most: usize) -> u16 {
    u16::try_from(count.clamp(1, most)).unwrap_or(1)
}

fn header(model: &Model, theme: Theme, now: Timestamp, width: u16) -> Line<'static> {
    let mut spans = vec![Span::styled("guardian", theme.of(Tone::Strong)), Span::raw("  ")];
    let silence = model.answered.age_at(now).as_secs();
    let away = model.silent || silence >= SILENCE;
    if away {
        let text = format!("agent does not answer, trying again ({})", TimeSpan::from_secs(silence));
        spans.push(Span::styled(text, theme.of(Tone::Bad)));
    } else if let Some(health) = &model.health {
        spans.push(Span::styled(health.status.as_str(), theme.of(tone_of(health.status))));
        if health.paused {
            spans.push(Span::styled("  removals are paused", theme.of(Tone::Warn)));
        }
        if model.stats.as_ref().is_some_and(|stats| stats.agent.dry_run) {
            spans.push(Span::styled("  dry run: nothing is removed", theme.of(Tone::Warn)));
        }
    } else {
        spans.push(Span::raw("asking the agent"));
    }
    // Who does not answer may not run any more.
    let agent = model.stats.as_ref().filter(|_| !away).map_or_else(String::new, |stats| {
        let agent = &stats.agent;
        let memory = agent.memory_bytes.map_or_else(String::new, |bytes| format!(", {}", ByteSize(bytes)));
        format!("up {}{memory}  ", TimeSpan::from_secs(agent.uptime_seconds))
    });
    let right = format!("{agent}{}Z", clock_of(now));
    let used: usize = spans.iter().map(Span::width).sum();
    let gap = usize::from(width).saturating_sub(used + right.chars().count());
    spans.push(Span::raw(" ".repeat(gap.max(1))));
    spans.push(Span::styled(right, theme.of(Tone::Faint)));
    Line::from(spans)
}

/// `TITLE more ────`, across the whole width.
pub(super) fn title(name: &str, more: &str, width: u16, theme: Theme) -> Line<'static> {
    let room = usize::from(width).saturating_sub(name.chars().count() + 4);
    let more = if more.is_empty() { String::new() } else { format!("{} ", shorten(more, room)) };
    let rule = usize::from(width).saturating_sub(name.chars().count() + 1 + more.chars().count());
    Line::from(vec![
        Span::styled(format!("{name} "), theme.of(Tone::Strong)),
        Span::raw(more),
        Span::styled("─".repeat(rule), theme.of(Tone::Faint)),
    ])
}

/// The rows that are shown, so that the selected one is among them.
fn window(count: usize, selected: usize, room: usize) -> std::ops::Range<usize> {
    let from = selected.saturating_sub(room.saturating_sub(1)).min(count.saturating_sub(room));
    from..(from + room).min(count)
}

fn mark(selected: bool) -> &'static str {
    if selected { ">" } else { " " }
}

fn draw_roots(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme, now: Timestamp) {
    let wide = area.width >= 100;
    let name = if wide { 20 } else { 12 };
    let inodes = if wide { 8 } else { 0 };
    let fixed = 1 + name + 7 + inodes + 8 + 9 + if wide { 7 } else { 6 };
    let free = area.width.saturating_sub(fixed);
    let (bar, trend) = (free / 2, free - free / 2);
    let span = model.trends.values().map(|trend| trend.span(now)).max().unwrap_or_default();
    let last = format!("LAST {}", TimeSpan(span));
    let mut heads = vec!["", "ROOT", "USED", "", &last, "FULL IN", "LEVEL"];
    let mut widths: Vec<u16> = vec![1, name, bar, 7, trend, 8, 9];
    if wide {
        heads.insert(4, "INODES");
        widths.insert(4, inodes);
    }
    let roots = model.roots();
    let shown = window(roots.len(), model.root, usize::from(area.height.saturating_sub(1)));
    let lines = roots.iter().enumerate().skip(shown.start).take(shown.len()).map(|(place, root)| {
        let style = theme.of(tone_of(root.status));
        let stats = model.stats_of(&root.name);
        let line = model.trends.get(&root.name).map(|trend_of| trend_of.line(now, span, usize::from(trend)));
        let full = root.time_to_full_seconds.map(|seconds| TimeSpan::from_secs(seconds).to_string());
        let mut cells = vec![
            Cell::new(mark(place == model.root)),
            Cell::new(shorten(root.name.as_str(), usize::from(name))),
            Cell::new(bar_of(root, stats, usize::from(bar))).style(style),
            Cell::new(Line::from(percent(root.usage_percent)).right_aligned()).style(style),
            Cell::new(line.unwrap_or_default()),
            Cell::new(Line::from(full.unwrap_or_else(|| "-".to_owned())).right_aligned()),
            Cell::new(level_of(root)).style(style),
        ];
        if wide {
            let inodes = Line::from(percent(root.inodes_percent)).right_aligned();
            cells.insert(4, Cell::new(inodes));
        }
        let chosen = place == model.root && model.focus == Focus::Roots;
        Row::new(cells).style(if chosen { theme.of(Tone::Strong) } else { Style::new() })
    });
    let heads = heads.into_iter().map(|head| match head {
        "FULL IN" | "INODES" => Cell::new(Line::from(head).right_aligned()),
        _ => Cell::new(head),
    });
    let widths = widths.into_iter().map(Constraint::Length);
    let table =
        Table::new(lines, widths).column_spacing(1).header(Row::new(heads).style(theme.of(Tone::Strong)));
    frame.render_widget(table, area);
    if roots.is_empty() {
        let at = Rect { y: area.y + 1, height: 1, ..area };
        let text = if model.health.is_some() { "  no roots" } else { "  -" };
        frame.render_widget(Paragraph::new(text), at);
    }
}

/// What is wrong with a root before how full it is.
fn level_of(root: &RootHealth) -> &'static str {
    match root.state {
        RootState::Suspended => "suspended",
        RootState::Scanning if root.status == Level::Healthy => "scanning",
        _ => root.status.as_str(),
    }
}

/// `█` for what is used, `│` where an emergency begins.
fn bar_of(root: &RootHealth, stats: Option<&RootStats>, width: usize) -> String {
    let place = |percent: f64| ((percent / 100.0 * width as f64) as usize).min(width);
    let Some(used) = root.usage_percent else { return "?".to_owned() };
    let emergency = stats.map(|stats| place(stats.emergency_threshold).min(width.saturating_sub(1)));
    (0..width)
        .map(|at| match (Some(at) == emergency, at < place(used)) {
            (true, _) => '│',
            (false, true) => '█',
            (false, false) => '░',
        })
        .collect()
}

fn draw_sweeps(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let count = model.sweeps.len();
    let more = if count > usize::from(body.height) { format!("({count})") } else { String::new() };
    frame.render_widget(Paragraph::new(title("SWEEPS", &more, area.width, theme)), head);
    if model.sweeps.is_empty() {
        frame.render_widget(Paragraph::new("  none under way").style(theme.of(Tone::Faint)), body);
        return;
    }
    let (roots, bar) = if area.width >= 100 { (20, 10) } else { (10, 5) };
    let shown = window(count, model.sweep, usize::from(body.height));
    let lines = model.sweeps.iter().enumerate().skip(shown.start).take(shown.len()).map(|(place, sweep)| {
        let chosen = place == model.sweep && model.focus == Focus::Sweeps;
        let cells = [
            Cell::new(mark(place == model.sweep)),
            Cell::new(sweep.policy.as_str()),
            Cell::new(shorten(&sweep.roots, usize::from(roots))),
            Cell::new(progress_bar(sweep, usize::from(bar))),
            Cell::new(match sweep.state {
                SweepState::Queued => "waits for its turn".to_owned(),
                _ => of_progress(&sweep.progress),
            }),
        ];
        Row::new(cells).style(if chosen { theme.of(Tone::Strong) } else { Style::new() })
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Length(11),
        Constraint::Length(roots),
        Constraint::Length(bar),
        Constraint::Fill(1),
    ];
    frame.render_widget(Table::new(lines, widths).column_spacing(1), body);
}

/// Empty where nobody knows the end.
fn progress_bar(sweep: &Running, width: usize) -> String {
    let progress = &sweep.progress;
    let goal = match (progress.bytes_goal, progress.files_goal) {
        (Some(goal), _) if goal > 0 => Some(progress.bytes as f64 / goal as f64),
        (None, Some(goal)) if goal > 0 => Some(progress.files as f64 / goal as f64),
        _ => None,
    };
    goal.map_or_else(String::new, |share| {
        let full = ((share * width as f64) as usize).min(width);
        "█".repeat(full) + &"░".repeat(width - full)
    })
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut lines = vec![title("EVENTS", "", area.width, theme)];
    let room = usize::from(area.height.saturating_sub(1));
    let width = usize::from(area.width).saturating_sub(10);
    // What holds now stands before what was.
    let general = model.health.iter().flat_map(|health| &health.notes).cloned();
    let of_roots = model
        .roots()
        .iter()
        .flat_map(|root| root.notes.iter().map(move |note| format!("{}: {note}", root.name)));
    lines.extend(general.chain(of_roots).take(room / 2).map(|note| {
        Line::styled(format!("now       {}", shorten(&escape_control(&note), width)), theme.of(Tone::Warn))
    }));
    lines.extend(model.events.iter().take(room + 1 - lines.len()).map(|(time, tone, text)| {
        Line::from(vec![
            Span::styled(format!("{}  ", clock_of(*time)), theme.of(Tone::Faint)),
            Span::styled(shorten(text, width), theme.of(*tone)),
        ])
    }));
    if lines.len() == 1 {
        lines.push(Line::styled("  none yet", theme.of(Tone::Faint)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn footer(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    if let Some((tone, text)) = &model.note {
        return Line::styled(shorten(&escape_control(text), usize::from(width)), theme.of(*tone));
    }
    let keys = [
        ("q", "quit"),
        ("↑↓", "select"),
        ("tab", "sweeps"),
        ("g", "growth"),
        ("d", "dry run"),
        ("h", "hold"),
        ("c", "cancel"),
        ("?", "help"),
    ];
    let spans = keys
        .into_iter()
        .flat_map(|(key, what)| [Span::styled(key, theme.of(Tone::Strong)), Span::raw(format!(" {what}  "))]);
    Line::from(spans.collect::<Vec<_>>())
}
