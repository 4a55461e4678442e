//! Names and identifiers: jobs, chunks, sessions, roots, runs, plans, holds, ledgers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a name is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Characters or length out of bounds.
    #[error("{text:?} is not a valid {what}: expected 1 to {max} of the characters A-Z a-z 0-9 . _ -")]
    Malformed {
        /// What kind of name was wanted.
        what: &'static str,
        /// What was given.
        text: String,
        /// The longest allowed length in bytes.
        max: usize,
    },
    /// A job may not be called what the interface uses as a word.
    #[error("the job id {0:?} is reserved")]
    Reserved(String),
}

/// Whether `byte` may stand in a job, chunk or root name.
pub(crate) const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn check(what: &'static str, text: &str, max: usize) -> Result<(), IdError> {
    if !text.is_empty() && text.len() <= max && text.bytes().all(is_id_byte) {
        Ok(())
    } else {
        Err(IdError::Malformed { what, text: text.to_owned(), max })
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Longest allowed length, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Checks and takes a name.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, text, $max)?;
                let reserved: &[&str] = $reserved;
                if reserved.contains(&text) {
                    return Err(IdError::Reserved(text.to_owned()));
                }
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of a job: `[A-Za-z0-9._-]{1,128}`, not `failed`
    /// (the word stands in a route of its own).
    JobId, "job id", 128, &["failed"]
);
name_type!(
    /// The name of a chunk of a job.
    ChunkId, "chunk id", 128, &[]
);
name_type!(
    /// The name of a session.
    SessionId, "session id", 128, &[]
);
name_type!(
    /// The name of a root.
    RootName, "root name", 64, &[]
);

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes an identifier that was made elsewhere (an effect: it needs a clock and randomness).
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uuid_type!(
    /// One sweep of one root; sorts by time (UUID version 7).
    RunId
);
uuid_type!(
    /// One kept plan; sorts by time (UUID version 7).
    PlanId
);
uuid_type!(
    /// One entry of the queue or the trash, and its name in the private
    /// directory; sorts by time (UUID version 7).
    EntryId
);
uuid_type!(
    /// One hold; sorts by time (UUID version 7).
    HoldId
);
uuid_type!(
    /// One ledger, from its creation on (UUID version 4).
    LedgerId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_are_short_and_plain_and_never_the_reserved_word() {
        assert!(JobId::parse("render_42.a-b").is_ok());
        assert!(JobId::parse(&"x".repeat(128)).is_ok());
        for text in ["", "a/b", "a b", "ü", "a\n", "failed"] {
            assert!(JobId::parse(text).is_err(), "{text:?}");
        }
        assert!(JobId::parse(&"x".repeat(129)).is_err());
    }
}
