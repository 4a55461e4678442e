//! What lies over the screen: help, questions, the result of a dry run.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::output::Tone;
use super::super::table::wrap;
use super::model::{Dialog, Model};
use super::view::Theme;
use crate::model::escape_control;

const HELP: &[&str] = &[
    "↑ ↓  j k   select a root, or a sweep",
    "tab        between roots and sweeps",
    "g          who holds most, or who grows fastest",
    "d          dry run of a scheduled sweep of the root: removes nothing",
    "h          hold a file or directory: it stays until released",
    "c          cancel the selected sweep, after its batch",
    "q  esc     quit",
    "",
    "The mark in a bar is where an emergency begins. FULL IN is",
    "the time until the root is full at its present growth.",
    "Times are in UTC. What nobody knows is shown as -.",
];

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    match &model.dialog {
        Dialog::None => {}
        Dialog::Help => {
            let lines = HELP.iter().map(|line| Line::raw(*line)).collect();
            page(frame, "Help (any key closes)", lines, theme);
        }
        Dialog::Hold { path } => {
            let width = usize::from(frame.area().width).saturating_sub(8);
            let shown = format!("{}▏", end_of(&escape_control(path), width.saturating_sub(1)));
            let keys = Line::styled("enter holds it, esc does nothing, ctrl-u clears", theme.of(Tone::Faint));
            let mut lines = vec![Line::raw(shown), keys];
            if let Some((tone, text)) = &model.note {
                lines.push(Line::styled(text.clone(), theme.of(*tone)));
            }
            page(frame, "Hold which file or directory?", lines, theme);
        }
        Dialog::Cancel { id, what } => {
            let lines = vec![
                Line::raw(escape_control(what)),
                Line::styled(id.to_string(), theme.of(Tone::Faint)),
                Line::raw("y cancels it after its batch, n lets it go on"),
            ];
            page(frame, "Cancel this sweep?", lines, theme);
        }
        Dialog::DryRun { root, told, from } => {
            let head = format!("Dry run of {root}: nothing is removed");
            let lines = match told {
                None => vec![Line::raw("looking for what may go (esc closes)")],
                Some(Err(why)) => vec![Line::styled(escape_control(why), theme.of(Tone::Bad))],
                Some(Ok(lines)) => lines.iter().skip(*from).map(|line| Line::raw(line.clone())).collect(),
            };
            page(frame, &head, lines, theme);
        }
    }
}

/// The end says most of what is being typed.
fn end_of(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(length - width.saturating_sub(1))).collect()
}

/// A box in the middle, as large as its text where there is room; longer lines go on in the next.
fn page(frame: &mut Frame<'_>, head: &str, lines: Vec<Line<'_>>, theme: Theme) {
    let area = frame.area();
    let most = area.width.saturating_sub(4);
    let longest = lines.iter().map(Line::width).chain([head.chars().count() + 2, 30]).max().unwrap_or(30);
    let width = u16::try_from(longest + 4).unwrap_or(u16::MAX).min(most);
    let room = usize::from(width).saturating_sub(4);
    let lines: Vec<Line<'_>> = lines
        .into_iter()
        .flat_map(|line| if line.width() > room { wrapped(&line, room) } else { vec![line] })
        .map(|mut line| {
            line.spans.insert(0, " ".into());
            line
        })
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(2));
    let at = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, at);
    let block = Block::bordered().title(format!(" {head} ")).title_style(theme.of(Tone::Strong));
    frame.render_widget(Paragraph::new(lines).block(block), at);
}

fn wrapped<'a>(line: &Line<'_>, room: usize) -> Vec<Line<'a>> {
    wrap(&line.to_string(), room).into_iter().map(|part| Line::styled(part, line.style)).collect()
}
