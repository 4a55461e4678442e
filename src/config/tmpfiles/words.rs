//! A line's fields: words with quotes and escapes, as systemd splits them.
//!
//! Promises: no bytes make it panic, and a field is what systemd-tmpfiles makes
//! of it: an escape that is none stands for itself. Must not know: what the
//! fields mean.

/// One field, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes and escapes.
    pub(super) bytes: Vec<u8>,
    /// In characters, from 1.
    pub(super) column: usize,
}

impl Word {
    /// For messages.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether the field says nothing.
    pub(super) fn is_unset(&self) -> bool {
        matches!(self.bytes.as_slice(), b"" | b"-")
    }
}

/// Type, path, mode, user, group and age; what follows is the argument, which no age depends on.
const FIELDS: usize = 6;

/// The first fields of a line; an error is the column and the reason.
pub(super) fn split(line: &[u8]) -> Result<Vec<Word>, (usize, String)> {
    let mut words = Vec::new();
    let mut at = 0;
    while words.len() < FIELDS {
        at += line[at..].iter().take_while(|byte| is_blank(**byte)).count();
        if at == line.len() {
            break;
        }
        let column = column(line, at);
        words.push(Word { bytes: word(line, &mut at)?, column });
    }
    Ok(words)
}

/// The column of a byte.
fn column(line: &[u8], at: usize) -> usize {
    String::from_utf8_lossy(&line[..at]).chars().count() + 1
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Reads one word, which begins at `at`, and leaves `at` behind it.
fn word(line: &[u8], at: &mut usize) -> Result<Vec<u8>, (usize, String)> {
    let mut bytes = Vec::new();
    let mut quote: Option<(u8, usize)> = None;
    while let Some(byte) = line.get(*at).copied() {
        match (byte, quote) {
            (0, _) => return Err((column(line, *at), "a NUL byte".to_owned())),
            (b'\\', _) => {
                let rest = &line[*at + 1..];
                if rest.is_empty() {
                    return Err((column(line, *at), "a backslash with nothing behind it".to_owned()));
                }
                let used = unescape(rest, &mut bytes).unwrap_or_else(|| {
                    bytes.push(b'\\');
                    0
                });
                *at += used;
            }
            (b'"' | b'\'', None) => quote = Some((byte, *at)),
            (_, Some((mark, _))) if byte == mark => quote = None,
            (_, None) if is_blank(byte) => break,
            _ => bytes.push(byte),
        }
        *at += 1;
    }
    match quote {
        Some((_, opened)) => Err((column(line, opened), "a quote that is never closed".to_owned())),
        None => Ok(bytes),
    }
}

/// Reads what follows a backslash. How many bytes it took; `None` if it is no escape.
fn unescape(rest: &[u8], bytes: &mut Vec<u8>) -> Option<usize> {
    let plain = match rest.first()? {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b's' => b' ',
        same @ (b'\\' | b'"' | b'\'') => *same,
        b'x' => return numbered(rest, 1, 2, 16, bytes),
        b'u' => return numbered(rest, 1, 4, 16, bytes),
        b'U' => return numbered(rest, 1, 8, 16, bytes),
        b'0'..=b'7' => return numbered(rest, 0, 3, 8, bytes),
        _ => return None,
    };
    bytes.push(plain);
    Some(1)
}

/// A character by its number: `\x2f`, `\057` are bytes, `\u` and `\U` characters.
fn numbered(rest: &[u8], skip: usize, digits: usize, base: u32, bytes: &mut Vec<u8>) -> Option<usize> {
    let text = std::str::from_utf8(rest.get(skip..skip + digits)?).ok()?;
    let digits_only = text.bytes().all(|byte| char::from(byte).is_digit(base));
    let number = u32::from_str_radix(text, base).ok().filter(|number| digits_only && *number != 0)?;
    if digits <= 3 {
        bytes.push(u8::try_from(number).ok()?);
    } else {
        bytes.extend(char::from_u32(number)?.encode_utf8(&mut [0; 4]).bytes());
    }
    Some(skip + digits)
}
