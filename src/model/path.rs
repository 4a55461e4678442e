//! Paths as the kernel has them: bytes, not text.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why bytes are not a path below a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Has `.`, `..`, an empty component or a NUL byte.
    #[error("{0:?} is not a path below a root: it has an empty, '.' or '..' component or a NUL byte")]
    NotPlain(String),
    /// A percent escape that is not two hexadecimal digits.
    #[error("{0:?} is not percent-encoded: after each '%' two hexadecimal digits must follow")]
    BadEscape(String),
    /// An encoding that is not known.
    #[error("unknown path_encoding {0:?}: allowed is \"percent\"")]
    UnknownEncoding(String),
}

/// A path relative to its root: components joined by `/`, no leading or
/// trailing slash, no `.` or `..`; empty for the root itself. Any length: a
/// tree can be deeper than `PATH_MAX`.
///
/// In records it is written as a [`WirePath`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "WirePath", into = "WirePath")]
pub struct RelPath(Box<[u8]>);

/// So that a map by path can be asked with a part of a longer one: hash and
/// order are those of the bytes.
impl std::borrow::Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<WirePath> for RelPath {
    type Error = PathError;

    fn try_from(path: WirePath) -> Result<Self, PathError> {
        Self::from_bytes(path.to_bytes()?)
    }
}

impl From<RelPath> for WirePath {
    fn from(path: RelPath) -> Self {
        Self::from_bytes(&path.0)
    }
}

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks and takes bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Result<Self, PathError> {
        let bytes = bytes.into();
        let plain = bytes.is_empty()
            || bytes
                .split(|b| *b == b'/')
                .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0));
        if plain {
            Ok(Self(bytes))
        } else {
            Err(PathError::NotPlain(String::from_utf8_lossy(&bytes).into_owned()))
        }
    }

    /// This path with one more component. `name` is a single name as a
    /// directory lists it.
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/'), "a name is one component");
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the top down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The path without its last component; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..cut].into()))
    }

    /// Whether `self` is `above` or lies beneath it.
    pub fn starts_with(&self, above: &Self) -> bool {
        above.is_root()
            || (self.0.starts_with(&above.0)
                && (self.0.len() == above.0.len() || self.0[above.0.len()] == b'/'))
    }

    /// The absolute path under `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        if self.is_root() { root.to_owned() } else { root.join(std::ffi::OsStr::from_bytes(&self.0)) }
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl fmt::Display for RelPath {
    /// For people: control characters escaped, bytes that are not UTF-8 replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_control(&String::from_utf8_lossy(&self.0)))
    }
}

/// Escapes control characters so that a file name can neither break a log line
/// nor drive a terminal.
pub fn escape_control(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A path in JSON: as text, or percent-encoded when its bytes are not UTF-8
/// (then `path_encoding` says so).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct WirePath {
    /// The path, or its percent-encoded form.
    pub path: String,
    /// `"percent"` when `path` is percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["percent", null]))]
    pub path_encoding: Option<String>,
}

impl WirePath {
    /// Encodes bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { path: text.to_owned(), path_encoding: None },
            Err(_) => Self { path: percent_encode(bytes), path_encoding: Some("percent".to_owned()) },
        }
    }

    /// Encodes a path.
    pub fn from_path(path: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self::from_bytes(path.as_os_str().as_bytes())
    }

    /// The bytes that were meant.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PathError> {
        match self.path_encoding.as_deref() {
            None => Ok(self.path.clone().into_bytes()),
            Some("percent") => percent_decode(&self.path),
            Some(other) => Err(PathError::UnknownEncoding(other.to_owned())),
        }
    }
}

fn percent_encode(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    text
}

fn percent_decode(text: &str) -> Result<Vec<u8>, PathError> {
    let bad = || PathError::BadEscape(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(bad);
        let value = digit()? * 16 + digit()?;
        bytes.push(value as u8);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_paths_below_the_root_are_taken() {
        for good in ["", "a", "a/b", "...", "a/..b"] {
            assert!(RelPath::from_bytes(good.as_bytes()).is_ok(), "{good:?}");
        }
        for bad in ["/a", "a/", "a//b", ".", "..", "a/../b", "a\0b"] {
            assert!(RelPath::from_bytes(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn beneath_is_judged_by_components_not_by_characters() {
        let path = |text: &str| RelPath::from_bytes(text.as_bytes()).unwrap();
        assert!(path("a/b").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
        assert!(path("a").starts_with(&RelPath::root()));
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(escape_control("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
    }

    proptest! {
        #[test]
        fn any_bytes_survive_the_wire(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(WirePath::from_bytes(&bytes).to_bytes().unwrap(), bytes);
        }

        #[test]
        fn joining_and_taking_the_parent_are_inverse(parts in proptest::collection::vec("[^/\\x00]{1,20}", 1..6)) {
            let mut path = RelPath::root();
            for part in &parts {
                let deeper = path.join(part.as_bytes());
                prop_assert_eq!(deeper.parent().unwrap(), path);
                prop_assert_eq!(deeper.name(), part.as_bytes());
                path = deeper;
            }
            prop_assert_eq!(path.components().count(), parts.len());
        }
    }
}
