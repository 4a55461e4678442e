//! One line of tmpfiles.d(5): its type, path and age.
//!
//! Promises: what systemd-tmpfiles ignores as malformed is refused here too, so
//! that nothing ages by a line that never had an effect. Must not know: other
//! lines, roots, the disk.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::age::{self, Age};
use super::path::LinePath;
use super::words;
use crate::model::escape_control;

/// Where a line stands, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its file.
    #[serde(serialize_with = "shown")]
    pub file: PathBuf,
    /// Its number, from 1.
    pub line: usize,
    /// The line itself, for people: control characters escaped.
    pub text: String,
}

fn shown<S: serde::Serializer>(file: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&file.to_string_lossy())
}

impl Source {
    /// `FILE:LINE`.
    pub fn place(&self) -> String {
        format!("{}:{}", escape_control(&self.file.to_string_lossy()), self.line)
    }
}

/// A line that systemd-tmpfiles refuses, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Malformed {
    /// Which line.
    #[serde(flatten)]
    pub source: Source,
    /// Where in it, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.source.place(), self.column, escape_control(&self.reason))
    }
}

/// A line, read.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) source: Source,
    pub(super) letter: char,
    /// `!`: systemd-tmpfiles-clean does not read it.
    pub(super) at_boot_only: bool,
    pub(super) path: LinePath,
    /// It says `/var/run`, and `/run` is what counts.
    pub(super) of_var_run: bool,
    pub(super) age: Option<Age>,
}

const LETTERS: &str = "fFwdDevqQpLcbCxXrRzZtThHaAm";
/// Those that systemd 252 knows, `$` of 255 and `?` of 256.
const MODIFIERS: &str = "+!-=~^$?";

impl Line {
    /// Whether its path is a pattern.
    pub(super) fn is_pattern(&self) -> bool {
        "wxXerRzZtThHaAm".contains(self.letter)
    }

    /// Whether it is an exclusion.
    pub(super) fn is_exclusion(&self) -> bool {
        matches!(self.letter, 'x' | 'X')
    }

    /// Whether its type cleans a directory, given an age.
    pub(super) fn cleans(&self) -> bool {
        "dDevqQC".contains(self.letter)
    }

    /// Whether of two such lines for one path only the first counts.
    pub(super) fn owns(&self) -> bool {
        "fFwdDevqQpLcbCxXrR".contains(self.letter)
    }
}

/// All lines of a file. Comments and empty lines are none.
pub(super) fn read(file: &Path, bytes: &[u8], lines: &mut Vec<Line>, malformed: &mut Vec<Malformed>) {
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let plain = line.trim_ascii();
        if plain.is_empty() || plain.starts_with(b"#") {
            continue;
        }
        let text = escape_control(&String::from_utf8_lossy(plain));
        let source = Source { file: file.to_owned(), line: index + 1, text };
        match fields(line) {
            Ok((letter, at_boot_only, path, age)) => {
                let (path, of_var_run) = path.updated();
                lines.push(Line { source, letter, at_boot_only, path, of_var_run, age });
            }
            Err((column, reason)) => malformed.push(Malformed { source, column, reason }),
        }
    }
}

type Fields = (char, bool, LinePath, Option<Age>);

fn fields(line: &[u8]) -> Result<Fields, (usize, String)> {
    let words = words::split(line)?;
    let [kind, path, rest @ ..] = words.as_slice() else {
        return Err((1, "a type without a path".to_owned()));
    };
    let (letter, at_boot_only) = read_kind(&kind.text()).map_err(|reason| (kind.column, reason))?;
    let read_path = LinePath::read(&path.bytes).map_err(|reason| (path.column, reason))?;
    if let Some(mode) = rest.first().filter(|mode| !mode.is_unset() && !is_mode(&mode.text())) {
        return Err((mode.column, format!("{:?} is not a mode", mode.text())));
    }
    let age = match rest.get(3).filter(|age| !age.is_unset()) {
        Some(age) => Some(age::read(&age.bytes).map_err(|reason| (age.column, reason))?),
        None => None,
    };
    Ok((letter, at_boot_only, read_path, age))
}

fn read_kind(text: &str) -> Result<(char, bool), String> {
    let mut letters = text.chars();
    let letter = letters.next().filter(|letter| LETTERS.contains(*letter));
    let letter = letter.ok_or_else(|| format!("there is no type {text:?}"))?;
    let mut seen = String::new();
    for modifier in letters {
        if !MODIFIERS.contains(modifier) || seen.contains(modifier) {
            return Err(format!("{modifier:?} can't follow in the type {text:?}"));
        }
        seen.push(modifier);
    }
    Ok((letter, seen.contains('!')))
}

fn is_mode(text: &str) -> bool {
    let digits = text.trim_start_matches(['~', ':']);
    u32::from_str_radix(digits, 8).is_ok_and(|mode| mode <= 0o7777) && !digits.starts_with('+')
}
