//! Tables that fit the terminal.

use std::ops::Range;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::failure::Failure;
use super::output::{Output, Tone};

/// With less room than this the last column goes on a line of its own.
const MIN_FLEXIBLE: usize = 28;

/// How far such lines are set in.
const INDENT: usize = 4;

/// A table whose last column gives way where the terminal is narrow: names lose
/// their middle, words go on in the next line. What does not fit beside the
/// others at all stands below them, so that no id is cut: it is there to be copied.
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
        if self.rows.is_empty() {
            out.flush()?;
            out.note("nothing to list");
            return Ok(());
        }
        let mut widths: Vec<usize> =
            self.heads.iter().map(|head| columns(head.trim_start_matches('>'))).collect();
        for row in &self.rows {
            for (width, (text, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(text));
            }
        }
        let rows = match out.width {
            Some(room) => self.fit(&mut widths, room),
            None => std::iter::once(0..widths.len()).collect(),
        };
        let heads: Vec<_> = self
            .heads
            .iter()
            .map(|head| (head.trim_start_matches('>').to_owned(), Some(Tone::Strong)))
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            for places in &rows {
                self.print_row(row, &widths, places, out)?;
            }
        }
        Ok(())
    }

    /// Which columns stand beside each other in so much room, with their widths;
    /// the others stand in lines of their own below.
    fn fit(&self, widths: &mut [usize], room: usize) -> Vec<Range<usize>> {
        let count = widths.len();
        let mut rows = Vec::new();
        let (mut begin, mut used) = (0, 0);
        for (place, width) in widths.iter_mut().enumerate() {
            let left = room.saturating_sub(used);
            let least = if place + 1 == count { self.least(place, *width) } else { *width };
            if place > begin && left < least {
                rows.push(begin..place);
                (begin, used) = (place, INDENT);
            }
            *width = (*width).min(room.saturating_sub(used));
            used += *width + 2;
        }
        rows.push(begin..count);
        rows
    }

    /// The least that a column needs: of words the longest, of names the part that tells them apart.
    fn least(&self, place: usize, width: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(place));
        let words = cells.filter(|(text, _)| is_words(text)).flat_map(|(text, _)| text.split(' '));
        words.map(columns).max().unwrap_or(0).max(MIN_FLEXIBLE).min(width)
    }

    /// The cells at these places of a row; those of a later line are set in.
    fn print_row(
        &self,
        row: &[(String, Option<Tone>)],
        widths: &[usize],
        places: &Range<usize>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let below = places.start > 0;
        let cells = row.iter().enumerate().take(places.end).skip(places.start);
        if below && cells.clone().all(|(_, (text, _))| text.is_empty()) {
            return Ok(());
        }
        let before = if below { INDENT } else { 0 };
        let mut line = " ".repeat(before);
        let mut rest = Vec::new();
        for (place, (text, tone)) in cells {
            let mut lines = cell(text, widths[place]).into_iter();
            let shown = lines.next().unwrap_or_default();
            let last = place + 1 == places.end;
            if last {
                rest.extend(lines);
            }
            let gap = " ".repeat(widths[place].saturating_sub(columns(&shown)));
            let painted = tone.map_or_else(|| shown.clone(), |tone| out.tone(tone, &shown));
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
        let others = places.start..places.end.saturating_sub(1);
        let indent = before + widths[others].iter().map(|width| width + 2).sum::<usize>();
        rest.into_iter().try_for_each(|more| out.line(format!("{:indent$}{more}", "")))
    }
}

/// The lines of one cell: words go on in the next line, names lose their middle.
fn cell(text: &str, width: usize) -> Vec<String> {
    if columns(text) > width && is_words(text) { wrap(text, width) } else { vec![shorten(text, width)] }
}

/// Columns of a terminal that a text takes.
fn columns(text: &str) -> usize {
    text.width()
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
            Some(line) if columns(line) + 1 + columns(word) <= width => {
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
    if columns(text) <= width {
        return text.to_owned();
    }
    let head = width.saturating_sub(1) / 3;
    let tail = width.saturating_sub(1) - head;
    let start = &text[..reach(text.char_indices().map(|(at, char)| (at + char.len_utf8(), char)), head, 0)];
    let end = &text[reach(text.char_indices().rev(), tail, text.len())..];
    format!("{start}…{end}")
}

/// Where the characters end that fit into so many columns.
fn reach(chars: impl Iterator<Item = (usize, char)>, room: usize, begin: usize) -> usize {
    let widths = chars.scan(0, |used, (at, char)| {
        *used += char.width().unwrap_or(0);
        Some((at, *used))
    });
    widths.take_while(|(_, used)| *used <= room).last().map_or(begin, |(at, _)| at)
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

    #[test]
    fn wide_characters_count_as_the_columns_they_take() {
        let cut = shorten("/scratch/日本語のファイル名.tmp", 16);
        assert!(columns(&cut) <= 16 && cut.starts_with("/sc") && cut.ends_with("名.tmp"), "{cut}");
        assert_eq!(wrap("日本 語の", 6), ["日本", "語の"]);
    }

    #[test]
    fn what_does_not_fit_beside_the_others_stands_below_them_uncut() {
        let fit = |mut widths: Vec<usize>, room| {
            let rows = Table::new(&["-"]).fit(&mut widths, room);
            (rows.iter().map(|places| places.end).collect::<Vec<_>>(), widths)
        };
        assert_eq!(fit(vec![36, 7, 60], 80), (vec![3], vec![36, 7, 33]));
        assert_eq!(fit(vec![36, 7, 8], 60), (vec![3], vec![36, 7, 8]), "what is short needs no more");
        let (rows, widths) = fit(vec![36, 7, 5, 5, 9, 90, 10], 80);
        assert_eq!((rows, widths[5]), (vec![5, 6, 7], 76));
        assert_eq!(fit(vec![60, 7, 36], 70).0, vec![2, 3]);
    }
}
