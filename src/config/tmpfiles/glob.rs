//! Paths and patterns of lines as globs of `protect`.
//!
//! Promises: the glob covers all that the line named, and where the two
//! languages of patterns differ, more. Must not know: roots.

use globset::{Candidate, GlobBuilder};

use super::path::Piece;

/// A glob of `protect` for what lies at `parts` beneath a root, and what is in it.
/// `is_pattern`: the components may hold wildcards, as fnmatch(3) reads them.
pub(super) fn protecting(parts: &[Vec<Piece>], is_pattern: bool) -> String {
    let parts: Vec<String> = parts.iter().map(|part| component(part, is_pattern)).collect();
    match parts.as_slice() {
        // Without a slash it would match at every depth.
        [only] => format!("{{{only},{only}/*}}"),
        several => several.join("/"),
    }
}

/// Whether a component of a line's path matches the name `name`; in doubt it does.
pub(super) fn matches(part: &[Piece], is_pattern: bool, name: &[u8]) -> bool {
    let glob = GlobBuilder::new(&component(part, is_pattern)).literal_separator(true).build();
    glob.map_or(true, |glob| glob.compile_matcher().is_match_candidate(&Candidate::from_bytes(name)))
}

/// A step of a component.
enum Step {
    Literal(u8),
    /// Any text: `*`, and what guardian's globs can't say as narrowly.
    Any,
    /// One character of this class.
    Class(String),
}

/// One component as a glob.
fn component(pieces: &[Piece], is_pattern: bool) -> String {
    let (mut glob, mut literal) = (String::new(), Vec::new());
    let mut rest = pieces;
    while let Some((step, used)) = step(rest, is_pattern) {
        rest = &rest[used..];
        if let Step::Literal(byte) = step {
            literal.push(byte);
            continue;
        }
        escape(&std::mem::take(&mut literal), &mut glob);
        match step {
            Step::Class(class) => glob.push_str(&class),
            _ => star(&mut glob),
        }
    }
    escape(&literal, &mut glob);
    glob
}

/// The first step of `pieces` and how many it takes; `None` at the end.
fn step(pieces: &[Piece], is_pattern: bool) -> Option<(Step, usize)> {
    let byte = match pieces.first()? {
        Piece::Unknown(_) => return Some((Step::Any, 1)),
        Piece::Byte(byte) => *byte,
    };
    Some(match (byte, pieces.get(1)) {
        _ if !is_pattern => (Step::Literal(byte), 1),
        // guardian's `?` is one byte, that of fnmatch one character.
        (b'*' | b'?', _) => (Step::Any, 1),
        (b'\\', Some(Piece::Byte(escaped))) => (Step::Literal(*escaped), 2),
        (b'[', _) => class(pieces),
        _ => (Step::Literal(byte), 1),
    })
}

/// What begins with a bracket: a plain class such as `[0-9]` stays; behind any
/// other bracket everything may stand.
fn class(pieces: &[Piece]) -> (Step, usize) {
    let content: Vec<u8> = pieces[1..]
        .iter()
        .map_while(|piece| match piece {
            Piece::Byte(byte) if byte.is_ascii_alphanumeric() || *byte == b'-' => Some(*byte),
            _ => None,
        })
        .collect();
    let class = format!("[{}]", String::from_utf8_lossy(&content));
    let is_closed = pieces.get(1 + content.len()) == Some(&Piece::Byte(b']'));
    if is_closed && !content.is_empty() && GlobBuilder::new(&class).build().is_ok() {
        (Step::Class(class), content.len() + 2)
    } else {
        (Step::Any, pieces.len())
    }
}

/// Appends bytes as a glob that matches just them; what is not UTF-8 matches anything.
fn escape(bytes: &[u8], glob: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '*' | '?' | '[' | ']' | '{' | '}' | ',' => glob.extend(['[', c, ']']),
                '\\' => glob.push_str("\\\\"),
                c => glob.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            star(glob);
        }
    }
}

/// Appends a star; two of them would cross components.
fn star(glob: &mut String) {
    if !glob.ends_with('*') {
        glob.push('*');
    }
}
