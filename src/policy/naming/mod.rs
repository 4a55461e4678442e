//! Which jobs and chunks a path may name.
//!
//! A pattern such as `job_{job}_chunk_{chunk}_*` is matched against one
//! component of a path, as bytes. A name can be read in several ways
//! (`job_my_job_x` names `my` and `my_job`), and every reading counts: the
//! promise of this module is that none is missed and that none is invented,
//! in bounded work, for names that were made to hurt.
//!
//! `{job}` and `{chunk}` stand for 1 to 128 of `[A-Za-z0-9._-]`, `*` for any
//! bytes or none, everything else for itself. Must not know: the registry.

mod reading;

use std::fmt;

use crate::model::{ChunkId, JobId, RelPath};
use reading::Matcher;

/// Why a pattern or a glob cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `{job}` is missing or stands twice.
    #[error("failed to read pattern {0:?}: it needs {{job}} exactly once")]
    JobCount(String),
    /// `{chunk}` stands twice.
    #[error("failed to read pattern {0:?}: {{chunk}} may stand once at most")]
    ChunkCount(String),
    /// A brace that opens or closes nothing known.
    #[error("failed to read pattern {pattern:?}: {found:?} is neither {{job}} nor {{chunk}}")]
    Placeholder {
        /// The pattern.
        pattern: String,
        /// What stands there.
        found: String,
    },
    /// A byte that no component of a path can hold.
    #[error(
        "failed to read pattern {0:?}: it is matched against one component of a path, which has no '/' and no NUL"
    )]
    NotOneComponent(String),
    /// Not a glob.
    #[error("failed to read glob {glob:?}: {cause}")]
    Glob {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// One way to read a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reading {
    /// The job it names.
    pub job: JobId,
    /// The chunk it names with it.
    pub chunk: Option<ChunkId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(Box<[u8]>),
    Job,
    Chunk,
    Any,
}

/// The compiled patterns of a root.
#[derive(Clone, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

#[derive(Clone)]
struct Pattern {
    text: String,
    tokens: Vec<Token>,
    /// Where `{job}` stands in `tokens`.
    job: usize,
    /// Where `{chunk}` stands.
    chunk: Option<usize>,
}

impl Patterns {
    /// Compiles patterns; the first bad one is the error.
    pub fn compile(texts: &[String]) -> Result<Self, PatternError> {
        let patterns = texts.iter().map(|text| Pattern::compile(text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether there are none: then no name names a job.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Every job that the component may name, with the chunk it names with it;
    /// sorted, each once.
    ///
    /// No job is ever missing. Of chunks at most [`MAX_PAIRS`] pairs per
    /// pattern are listed: beyond that (no default pattern gets there) the job
    /// stands without a chunk, which protects as much and cleans less.
    pub fn readings(&self, component: &[u8]) -> Vec<Reading> {
        let mut found = Vec::new();
        for pattern in self.candidates(component) {
            Matcher::new(pattern, component).readings(&mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Adds the shortest readings of the component to `out` and reduces `out`
    /// to those that have no other as prefix, sorted. Every job that the
    /// component names has one of them as prefix: the index keys on them.
    pub fn shortest(&self, component: &[u8], out: &mut Vec<Box<[u8]>>) {
        let before = out.len();
        for pattern in self.candidates(component) {
            Matcher::new(pattern, component).shortest(out);
        }
        if out.len() != before {
            reduce_to_prefixes(out);
        }
    }

    /// Whether the component can be read to name this very job.
    pub fn could_name(&self, component: &[u8], job: &JobId) -> bool {
        self.candidates(component)
            .any(|pattern| Matcher::new(pattern, component).names(job.as_str().as_bytes()))
    }

    /// Byte prefixes, of which every name that reads as this job has one. An
    /// empty prefix means that any name may (a pattern begins with `*` or `{chunk}`).
    pub fn name_prefixes(&self, job: &JobId) -> Vec<Vec<u8>> {
        let mut prefixes: Vec<Vec<u8>> =
            self.patterns.iter().map(|pattern| pattern.prefix_for(job, None)).collect();
        reduce_to_prefixes(&mut prefixes);
        prefixes
    }

    /// A name that stands for this job and nothing else: by the first pattern
    /// that has neither `{chunk}` nor `*`.
    pub fn plain_name(&self, job: &JobId) -> Option<Vec<u8>> {
        let plain = |pattern: &&Pattern| pattern.chunk.is_none() && !pattern.tokens.contains(&Token::Any);
        self.patterns.iter().find(plain).map(|pattern| pattern.prefix_for(job, None))
    }

    /// Whether the component can be read to name this chunk of this job.
    pub fn could_name_chunk(&self, component: &[u8], job: &JobId, chunk: &ChunkId) -> bool {
        self.could_name(component, job)
            && self.readings(component).iter().any(|one| one.job == *job && one.chunk.as_ref() == Some(chunk))
    }

    /// As [`Self::name_prefixes`], for names that read as this chunk of this job.
    pub fn chunk_prefixes(&self, job: &JobId, chunk: &ChunkId) -> Vec<Vec<u8>> {
        let with_chunks = self.patterns.iter().filter(|pattern| pattern.chunk.is_some());
        let mut prefixes: Vec<Vec<u8>> =
            with_chunks.map(|pattern| pattern.prefix_for(job, Some(chunk))).collect();
        reduce_to_prefixes(&mut prefixes);
        prefixes
    }

    /// The patterns whose outer literals fit: most names fit none, and this
    /// runs for each of millions of files.
    fn candidates<'a>(&'a self, component: &'a [u8]) -> impl Iterator<Item = &'a Pattern> {
        self.patterns.iter().filter(move |pattern| pattern.may_match(component))
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns.iter().map(|p| &p.text)).finish()
    }
}

/// The most (job, chunk) pairs listed for one pattern and component.
pub const MAX_PAIRS: usize = 1024;

/// Keeps what has no other as prefix, sorted.
fn reduce_to_prefixes<T: AsRef<[u8]> + Ord>(keys: &mut Vec<T>) {
    keys.sort_unstable();
    // Sorted, whatever begins with a key follows it directly.
    keys.dedup_by(|later, kept| later.as_ref().starts_with((*kept).as_ref()));
}

impl Pattern {
    fn compile(text: &str) -> Result<Self, PatternError> {
        if text.contains(['/', '\0']) {
            return Err(PatternError::NotOneComponent(text.to_owned()));
        }
        let mut tokens: Vec<Token> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (token, length) = match first {
                '*' => (Token::Any, 1),
                '{' | '}' if rest.starts_with("{job}") => (Token::Job, "{job}".len()),
                '{' | '}' if rest.starts_with("{chunk}") => (Token::Chunk, "{chunk}".len()),
                '{' | '}' => {
                    let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                    return Err(PatternError::Placeholder {
                        pattern: text.to_owned(),
                        found: rest[..end].to_owned(),
                    });
                }
                _ => {
                    let end = rest.find(['*', '{', '}']).unwrap_or(rest.len());
                    (Token::Literal(rest.as_bytes()[..end].into()), end)
                }
            };
            if token != Token::Any || tokens.last() != Some(&Token::Any) {
                tokens.push(token);
            }
            rest = &rest[length..];
        }
        let places = |wanted: &Token| -> Vec<usize> {
            tokens.iter().enumerate().filter(|(_, t)| *t == wanted).map(|(at, _)| at).collect()
        };
        let [job] = places(&Token::Job)[..] else {
            return Err(PatternError::JobCount(text.to_owned()));
        };
        let chunk = match places(&Token::Chunk)[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(PatternError::ChunkCount(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), tokens, job, chunk })
    }

    fn may_match(&self, component: &[u8]) -> bool {
        let begins = match self.tokens.first() {
            Some(Token::Literal(literal)) => component.starts_with(literal),
            _ => true,
        };
        let ends = || match self.tokens.last() {
            Some(Token::Literal(literal)) => component.ends_with(literal),
            _ => true,
        };
        begins && ends()
    }

    fn prefix_for(&self, job: &JobId, chunk: Option<&ChunkId>) -> Vec<u8> {
        let mut prefix = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Literal(literal) => prefix.extend_from_slice(literal),
                Token::Job => prefix.extend_from_slice(job.as_str().as_bytes()),
                Token::Chunk => match chunk {
                    Some(chunk) => prefix.extend_from_slice(chunk.as_str().as_bytes()),
                    None => break,
                },
                Token::Any => break,
            }
        }
        prefix
    }
}

/// All readings of a whole relative path: those of each of its components.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathReadings {
    readings: Vec<Reading>,
}

impl PathReadings {
    /// Reads every component of `path`.
    pub fn of(patterns: &Patterns, path: &RelPath) -> Self {
        let mut readings: Vec<Reading> =
            path.components().flat_map(|component| patterns.readings(component)).collect();
        readings.sort_unstable();
        readings.dedup();
        Self { readings }
    }

    /// The readings: sorted, each once.
    pub fn all(&self) -> &[Reading] {
        &self.readings
    }

    /// The jobs named (a job read with several chunks comes several times).
    pub fn jobs(&self) -> impl Iterator<Item = &JobId> {
        self.readings.iter().map(|reading| &reading.job)
    }

    /// Whether the path names no job.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// Whether one reading names both.
    pub fn names_chunk(&self, job: &JobId, chunk: &ChunkId) -> bool {
        self.readings.iter().any(|r| r.job == *job && r.chunk.as_ref() == Some(chunk))
    }
}
