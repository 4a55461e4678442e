//! Matching one pattern against one name: which positions fit, read off in both directions.
//!
//! For each place between two tokens two sets of positions are kept: where the
//! tokens before it can have ended (`before`), and from where the tokens after
//! it can match to the end (`after`). A job reading is then any run of name
//! bytes from a position of the one to a position of the other. Work is
//! bounded by tokens x length x 128, whatever the name.

use super::{MAX_PAIRS, Pattern, Reading, Token};
use crate::model::{ChunkId, JobId};

/// Longest job or chunk name, in bytes.
const MAX_NAME: usize = JobId::MAX_LEN;

/// A set of positions in a name, 0 to its length.
type Positions = Vec<bool>;

/// One pattern laid over one component.
pub(super) struct Matcher<'a> {
    pattern: &'a Pattern,
    component: &'a [u8],
    /// How many bytes from each position on may stand in a name.
    run: Vec<usize>,
    /// Where `{job}` can begin, by what stands before it.
    starts: Positions,
    /// From where what stands after `{job}` matches.
    ends: Positions,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(pattern: &'a Pattern, component: &'a [u8]) -> Self {
        let mut run = vec![0; component.len() + 1];
        for at in (0..component.len()).rev() {
            run[at] = if is_name_byte(component[at]) { run[at + 1] + 1 } else { 0 };
        }
        let mut matcher = Self { pattern, component, run, starts: Vec::new(), ends: Vec::new() };
        matcher.ends = matcher.backward(&pattern.tokens[pattern.job + 1..]);
        if matcher.ends.contains(&true) {
            let origin = matcher.only(0);
            matcher.starts = matcher.forward(&pattern.tokens[..pattern.job], origin);
        } else {
            matcher.starts = matcher.none();
        }
        matcher
    }

    /// All readings, added to `out` (not sorted, perhaps repeated).
    pub(super) fn readings(&self, out: &mut Vec<Reading>) {
        let first = out.len();
        let mut pairs = 0;
        for start in self.job_starts() {
            for end in self.job_ends(start) {
                let Some(job) = self.job(start, end) else { continue };
                match self.pattern.chunk {
                    Some(at) if pairs < MAX_PAIRS => {
                        let before = out.len();
                        self.chunks(at, start, end, MAX_PAIRS - pairs, |chunk| {
                            out.push(Reading { job: job.clone(), chunk: Some(chunk) });
                        });
                        pairs += out.len() - before;
                        if pairs >= MAX_PAIRS {
                            out.push(Reading { job, chunk: None });
                        }
                    }
                    _ => out.push(Reading { job, chunk: None }),
                }
            }
            // A name of one repeated byte reads the same from every start.
            if out.len() - first > 2 * MAX_PAIRS {
                out[first..].sort_unstable();
                dedup_from(out, first);
            }
        }
    }

    /// For each start the shortest job, added to `out`.
    pub(super) fn shortest(&self, out: &mut Vec<Box<[u8]>>) {
        for start in self.job_starts() {
            if let Some(end) = self.job_ends(start).find(|end| self.job(start, *end).is_some()) {
                out.push(self.component[start..end].into());
            }
        }
    }

    /// Whether `job` is one of the readings.
    pub(super) fn names(&self, job: &[u8]) -> bool {
        self.job_starts()
            .any(|start| self.component[start..].starts_with(job) && self.ends[start + job.len()])
    }

    fn job_starts(&self) -> impl Iterator<Item = usize> {
        self.starts.iter().enumerate().filter(|(_, fits)| **fits).map(|(at, _)| at)
    }

    fn job_ends(&self, start: usize) -> impl Iterator<Item = usize> {
        let longest = self.run[start].min(MAX_NAME);
        (start + 1..=start + longest).filter(|end| self.ends[*end])
    }

    /// The job between two positions; `None` for a reserved word.
    fn job(&self, start: usize, end: usize) -> Option<JobId> {
        JobId::parse(std::str::from_utf8(&self.component[start..end]).ok()?).ok()
    }

    /// At most `limit` chunks that go with the job at `start..end`.
    fn chunks(&self, at: usize, start: usize, end: usize, limit: usize, mut found: impl FnMut(ChunkId)) {
        let tokens = &self.pattern.tokens;
        let (starts, ends) = if at > self.pattern.job {
            let origin = self.only(end);
            (self.forward(&tokens[self.pattern.job + 1..at], origin), self.backward(&tokens[at + 1..]))
        } else {
            let origin = self.only(0);
            (self.forward(&tokens[..at], origin), self.backward_to(&tokens[at + 1..self.pattern.job], start))
        };
        let mut left = limit;
        for (from, _) in starts.iter().enumerate().filter(|(_, fits)| **fits) {
            for to in (from + 1..=from + self.run[from].min(MAX_NAME)).filter(|to| ends[*to]) {
                if left == 0 {
                    return;
                }
                let text = std::str::from_utf8(&self.component[from..to]).ok();
                if let Some(chunk) = text.and_then(|text| ChunkId::parse(text).ok()) {
                    left -= 1;
                    found(chunk);
                }
            }
        }
    }

    fn none(&self) -> Positions {
        vec![false; self.component.len() + 1]
    }

    fn only(&self, at: usize) -> Positions {
        let mut positions = self.none();
        positions[at] = true;
        positions
    }

    /// Where `tokens` can end when they begin at one of `from`.
    fn forward(&self, tokens: &[Token], from: Positions) -> Positions {
        tokens.iter().fold(from, |from, token| {
            let mut to = self.none();
            for (at, _) in from.iter().enumerate().filter(|(_, fits)| **fits) {
                match token {
                    Token::Literal(literal) => {
                        if self.component[at..].starts_with(literal) {
                            to[at + literal.len()] = true;
                        }
                    }
                    Token::Any => {
                        to[at..].fill(true);
                        break; // the first position reaches all that later ones reach
                    }
                    Token::Job | Token::Chunk => {
                        to[at + 1..=at + self.run[at].min(MAX_NAME)].fill(true);
                    }
                }
            }
            to
        })
    }

    /// From where `tokens` match to the end of the name.
    fn backward(&self, tokens: &[Token]) -> Positions {
        self.backward_to(tokens, self.component.len())
    }

    /// From where `tokens` match up to `end`.
    fn backward_to(&self, tokens: &[Token], end: usize) -> Positions {
        tokens.iter().rev().fold(self.only(end), |to, token| {
            let mut from = self.none();
            match token {
                Token::Literal(literal) => {
                    for at in 0..from.len() {
                        from[at] = self.component[at..].starts_with(literal) && to[at + literal.len()];
                    }
                }
                Token::Any => {
                    let last = to.iter().rposition(|fits| *fits);
                    if let Some(last) = last {
                        from[..=last].fill(true);
                    }
                }
                Token::Job | Token::Chunk => {
                    for at in 0..from.len() {
                        from[at] = to[at..=at + self.run[at].min(MAX_NAME)][1..].contains(&true);
                    }
                }
            }
            from
        })
    }
}

fn dedup_from(out: &mut Vec<Reading>, first: usize) {
    let mut tail = out.split_off(first);
    tail.dedup();
    out.append(&mut tail);
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
