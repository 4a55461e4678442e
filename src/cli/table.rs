//! Tables that fit the terminal.

use super::failure::Failure;
use super::output::{Output, Tone};

/// The least that is left of the column that gives way.
const MIN_FLEXIBLE: usize = 12;

/// A table whose last column gives way where the terminal is narrow: names lose
/// their middle, words go on in the next line.
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<(String, Option<Tone>)>>,
}

impl Table {
    /// A heading that begins with `>` is set to the right (numbers).
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|text| (text, None)).collect());
    }

    pub(super) fn toned_row(&mut self, cells: Vec<(String, Option<Tone>)>) {
        self.rows.push(cells);
    }

    pub(super) fn print(&self, out: &mut Output) -> Result<(), Failure> {
        let count = self.heads.len();
        let mut widths: Vec<usize> =
            self.heads.iter().map(|head| head.trim_start_matches('>').chars().count()).collect();
        for row in &self.rows {
            for (width, (text, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        if let Some(columns) = out.width {
            let others: usize = widths.iter().take(count - 1).map(|width| width + 2).sum();
            let room = columns.saturating_sub(others).max(MIN_FLEXIBLE);
            widths[count - 1] = widths[count - 1].min(room);
        }
        let heads: Vec<_> = self
            .heads
            .iter()
            .map(|head| (head.trim_start_matches('>').to_owned(), Some(Tone::Strong)))
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            let mut rest = Vec::new();
            for (place, (text, tone)) in row.iter().enumerate().take(count) {
                let mut shown = shorten(text, widths[place]);
                if place + 1 == count && shown != *text && is_words(text) {
                    let mut lines = wrap(text, widths[place]).into_iter();
                    shown = lines.next().unwrap_or_default();
                    rest.extend(lines);
                }
                let gap = " ".repeat(widths[place].saturating_sub(shown.chars().count()));
                let painted = tone.map_or_else(|| shown.clone(), |tone| out.tone(tone, &shown));
                let last = place + 1 == count;
                if self.heads[place].starts_with('>') {
                    line.push_str(&gap);
                    line.push_str(&painted);
                } else {
                    line.push_str(&painted);
                    if !last {
                        line.push_str(&gap);
                    }
                }
                if !last {
                    line.push_str("  ");
                }
            }
            out.line(line)?;
            let indent: usize = widths.iter().take(count - 1).map(|width| width + 2).sum();
            rest.into_iter().try_for_each(|more| out.line(format!("{:indent$}{more}", "")))?;
        }
        Ok(())
    }
}

/// A path may hold spaces, and is one word for all that.
fn is_words(text: &str) -> bool {
    text.contains(' ') && !text.starts_with('/')
}

/// Lines of whole words; one that is too long by itself loses its middle.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(shorten(word, width)),
        }
    }
    lines
}

/// Cuts the middle out of what is too long: of a path the end says most, and
/// the beginning the rest.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let head = width.saturating_sub(1) / 3;
    let tail = width.saturating_sub(1) - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_on_in_the_next_line_and_paths_do_not() {
        assert_eq!(wrap("kept: its job is active", 10), ["kept: its", "job is", "active"]);
        assert_eq!(wrap("in /scratch/very/deep/file.tmp", 12), ["in", "/sc…file.tmp"]);
        assert!(is_words("kept: it is held") && !is_words("/scratch/a b") && !is_words("name"));
    }

    #[test]
    fn what_is_too_long_keeps_its_beginning_and_end() {
        assert_eq!(shorten("abcdefghij", 10), "abcdefghij");
        let cut = shorten("/scratch/very/deep/file.tmp", 12);
        assert_eq!(cut.chars().count(), 12);
        assert!(cut.starts_with("/sc") && cut.ends_with("file.tmp"), "{cut}");
    }
}
