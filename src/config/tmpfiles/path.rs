//! The path field: specifiers and components.
//!
//! Promises: what a specifier stands for is filled in only where it is the same
//! on every host and after every boot; the rest stays unknown, never guessed.
//! Must not know: the disk.

/// A piece of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Piece {
    /// A byte.
    Byte(u8),
    /// What this specifier stands for: text that depends on host or boot.
    Unknown(char),
}

/// An absolute path, in components without `.` and empty ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinePath(pub(super) Vec<Vec<Piece>>);

/// systemd-tmpfiles reads what lies beneath it as beneath `/run`.
const LEGACY_RUN: [&str; 2] = ["var", "run"];

/// Specifiers that depend on the host, its system, or the boot.
const VARYING: &str = "aAbBHlmMovwW";

/// What the others stand for when the system's own service reads the line.
const FIXED: &[(char, &str)] = &[
    ('%', "%"),
    ('C', "/var/cache"),
    ('g', "root"),
    ('G', "0"),
    ('h', "/root"),
    ('L', "/var/log"),
    ('S', "/var/lib"),
    ('t', "/run"),
    ('T', "/tmp"),
    ('u', "root"),
    ('U', "0"),
    ('V', "/var/tmp"),
];

impl LinePath {
    /// Reads the field; an error is the reason.
    pub(super) fn read(field: &[u8]) -> Result<Self, String> {
        let mut pieces = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            // One at the very end stands for itself.
            let Some(letter) = after.first().filter(|_| *first == b'%') else {
                pieces.push(Piece::Byte(*first));
                continue;
            };
            rest = &after[1..];
            let letter = char::from(*letter);
            if let Some((_, text)) = FIXED.iter().find(|(name, _)| *name == letter) {
                pieces.extend(text.bytes().map(Piece::Byte));
            } else if VARYING.contains(letter) {
                pieces.push(Piece::Unknown(letter));
            } else if letter.is_ascii_alphanumeric() {
                return Err(format!("there is no specifier %{letter}"));
            } else {
                // Neither letter nor digit: systemd takes both for themselves.
                pieces.extend([Piece::Byte(b'%'), Piece::Byte(after[0])]);
            }
        }
        if pieces.first() != Some(&Piece::Byte(b'/')) {
            return Err("the path is not absolute".to_owned());
        }
        let parts = pieces.split(|piece| *piece == Piece::Byte(b'/')).map(<[Piece]>::to_vec);
        Ok(Self(parts.filter(|part| !part.is_empty() && *part != [Piece::Byte(b'.')]).collect()))
    }

    /// The path that systemd-tmpfiles makes of it, and whether it is another one.
    pub(super) fn updated(mut self) -> (Self, bool) {
        let is = |part: &Vec<Piece>, name: &str| part.iter().copied().eq(name.bytes().map(Piece::Byte));
        // Of /var/run itself a line speaks as it is.
        let is_legacy = self.0.len() > LEGACY_RUN.len()
            && self.0.iter().zip(LEGACY_RUN).all(|(part, name)| is(part, name));
        if is_legacy {
            self.0.remove(0);
        }
        (self, is_legacy)
    }

    /// The path as text; an error says why guardian can't name it.
    pub(super) fn text(&self) -> Result<String, String> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            bytes.push(b'/');
            for piece in part {
                match piece {
                    Piece::Byte(byte) => bytes.push(*byte),
                    Piece::Unknown(letter) => {
                        return Err(format!(
                            "%{letter} depends on the host or the boot, a root has one path"
                        ));
                    }
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        if self.has_parent() {
            return Err("the path of a root has no \"..\"".to_owned());
        }
        String::from_utf8(bytes).map_err(|_| "the path is not UTF-8, as a configuration has to be".to_owned())
    }

    /// Whether it climbs: what it names then depends on links.
    pub(super) fn has_parent(&self) -> bool {
        self.0.iter().any(|part| part == &[Piece::Byte(b'.'); 2])
    }

    /// Whether it is a pattern where patterns are allowed.
    pub(super) fn has_wildcards(&self) -> bool {
        let wild = |piece: &Piece| matches!(piece, Piece::Byte(b'*' | b'?' | b'[' | b'{' | b'\\'));
        self.0.iter().flatten().any(wild)
    }

    /// The specifiers in it that are not known.
    pub(super) fn unknown(&self) -> Vec<char> {
        let letters = self.0.iter().flatten().filter_map(|piece| match piece {
            Piece::Unknown(letter) => Some(*letter),
            Piece::Byte(_) => None,
        });
        letters.collect()
    }
}
