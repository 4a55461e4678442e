//! The age field: `10d`, `1h30m`, `~1w`, `bmCA:12h`.
//!
//! Promises: reads what systemd reads, and refuses the rest. Must not know: what
//! an age is used for.

use std::time::Duration;

use crate::model::FileTimes;

/// An age, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Age {
    /// How old; `None` for `infinity`: nothing is ever old enough.
    pub(super) span: Option<Duration>,
    /// `~`: what lies directly in the directory stays.
    pub(super) keeps_first_level: bool,
    /// The times of files that count. All, unless the field names some.
    pub(super) by: FileTimes,
}

/// What counts where an age names no times of files (systemd 252: `abcmABM`).
pub(super) const ALL_TIMES: FileTimes = FileTimes { mtime: true, ctime: true, atime: true, btime: true };

const SECOND: u64 = 1_000_000;

/// The longer name before the shorter one that it begins with.
const UNITS: &[(&str, u64)] = &[
    ("seconds", SECOND),
    ("second", SECOND),
    ("sec", SECOND),
    ("s", SECOND),
    ("minutes", 60 * SECOND),
    ("minute", 60 * SECOND),
    ("min", 60 * SECOND),
    ("months", 2_629_800 * SECOND),
    ("month", 2_629_800 * SECOND),
    ("M", 2_629_800 * SECOND),
    ("msec", 1_000),
    ("ms", 1_000),
    ("m", 60 * SECOND),
    ("hours", 3_600 * SECOND),
    ("hour", 3_600 * SECOND),
    ("hr", 3_600 * SECOND),
    ("h", 3_600 * SECOND),
    ("days", 86_400 * SECOND),
    ("day", 86_400 * SECOND),
    ("d", 86_400 * SECOND),
    ("weeks", 604_800 * SECOND),
    ("week", 604_800 * SECOND),
    ("w", 604_800 * SECOND),
    ("years", 31_557_600 * SECOND),
    ("year", 31_557_600 * SECOND),
    ("y", 31_557_600 * SECOND),
    ("usec", 1),
    ("us", 1),
    ("\u{b5}s", 1),  // micro sign
    ("\u{3bc}s", 1), // Greek mu
];

/// Reads the field; an error is the reason.
pub(super) fn read(field: &[u8]) -> Result<Age, String> {
    let text = std::str::from_utf8(field).map_err(|_| "the age is not UTF-8".to_owned())?;
    let (keeps_first_level, rest) = text.strip_prefix('~').map_or((false, text), |rest| (true, rest));
    let (by, span) = match rest.split_once(':') {
        Some((by, span)) => (times(by)?, span),
        None => (ALL_TIMES, rest),
    };
    let span = if span.trim() == "infinity" {
        None
    } else {
        Some(sum(span).ok_or_else(|| {
            format!("{span:?} is not an age: expected numbers with units, such as 10d, 1h30m or 90 (seconds)")
        })?)
    };
    Ok(Age { span, keeps_first_level, by })
}

/// Reads an age-by argument. Capital letters are about directories: guardian
/// never goes by their age.
fn times(text: &str) -> Result<FileTimes, String> {
    let mut by = FileTimes { mtime: false, ctime: false, atime: false, btime: false };
    let mut is_empty = true;
    for letter in text.chars().filter(|letter| !letter.is_ascii_whitespace()) {
        match letter {
            'a' => by.atime = true,
            'b' => by.btime = true,
            'c' => by.ctime = true,
            'm' => by.mtime = true,
            'A' | 'B' | 'C' | 'M' => {}
            _ => {
                return Err(format!(
                    "{letter:?} is no time of a file: allowed are a, b, c, m, A, B, C and M"
                ));
            }
        }
        is_empty = false;
    }
    if is_empty {
        return Err("no time of a file before the colon: allowed are a, b, c, m, A, B, C and M".to_owned());
    }
    let names_none = by == FileTimes { mtime: false, ctime: false, atime: false, btime: false };
    Ok(if names_none { ALL_TIMES } else { by })
}

/// The sum of numbers with units; `None` if it is none, or beyond what can be counted.
fn sum(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut is_empty = true;
    while !rest.is_empty() {
        rest = rest.strip_prefix('+').unwrap_or(rest);
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let after = after.trim_start();
        // Without a unit the number is in seconds.
        let (unit, after) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((*unit, after.strip_prefix(name)?)))
            .unwrap_or((SECOND, after));
        let number: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = number.checked_mul(unit)?.checked_add(part(fraction, unit))?.checked_add(total)?;
        rest = after.trim_start();
        is_empty = false;
    }
    (!is_empty).then(|| Duration::from_micros(total))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Decimals of a unit, rounded up: an age never becomes shorter.
fn part(fraction: &str, unit: u64) -> u64 {
    let mut left = unit;
    let mut total: u64 = 0;
    for digit in fraction.bytes() {
        left = left.div_ceil(10);
        total = total.saturating_add(left.saturating_mul(u64::from(digit - b'0')));
    }
    total
}
