//! What must be there and what must be gone, said without the policy's help.

use super::{DAY, Day, HOUR};

/// Heartbeats of so many seconds may be lost with an agent that dies.
const UNWRITTEN: u64 = 600;

/// Numbers that look random and are the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What the model knows of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// What is in it: no two have the same.
    pub(super) number: u64,
    pub(super) job: Option<String>,
    pub(super) chunk: Option<u64>,
    pub(super) result: bool,
    pub(super) session: Option<String>,
    pub(super) expires: Option<u64>,
    pub(super) held_until: Option<u64>,
    /// When it was written, if that was today.
    pub(super) written: Option<u64>,
    /// From when on it is an orphan.
    pub(super) orphan_from: Option<u64>,
}

/// What the model knows of a job. Times are seconds of the day; the days before count down from zero.
#[derive(Debug, Clone)]
pub(super) struct JobLife {
    pub(super) alive: bool,
    pub(super) ended: i64,
    pub(super) presumed: bool,
    pub(super) last_sign: u64,
    /// It must beat its heart, else it counts as failed.
    pub(super) has_ttl: bool,
    /// It does not any more.
    pub(super) silent: bool,
    pub(super) done_chunks: Vec<u64>,
    pub(super) ends_at: u64,
}

/// What the model knows of a session.
#[derive(Debug, Clone)]
pub(super) struct SessionLife {
    pub(super) active: u64,
    pub(super) ended: bool,
}

impl Life {
    pub(super) fn content(&self) -> Vec<u8> {
        [[b'x'; 4000].as_slice(), &self.number.to_le_bytes()].concat()
    }
}

impl Day {
    /// Whether the model says that nobody may give a file up.
    pub(super) fn is_spoken_for(&self, life: &Life) -> bool {
        life.held_until.is_some_and(|until| until > self.now)
            || life.job.as_ref().and_then(|id| self.jobs.get(id)).is_some_and(|job| job.alive)
    }

    /// Whether the model says that a file must be there.
    pub(super) fn must_live(&self, life: &Life, emergency: bool) -> bool {
        if life.held_until.is_some_and(|until| until > self.now) {
            return true;
        }
        let job = life.job.as_ref().and_then(|id| self.jobs.get(id));
        let completed =
            job.is_some_and(|job| life.chunk.is_some_and(|chunk| job.done_chunks.contains(&chunk)));
        if let Some(job) = job {
            let counts_as_alive =
                job.alive || emergency && job.presumed && self.now - job.last_sign < HOUR - UNWRITTEN;
            if counts_as_alive && !completed {
                return true;
            }
        }
        // An emergency takes what is left, but nothing of the last minute.
        if emergency {
            return !completed && life.written.is_some_and(|at| self.now - at < 60);
        }
        !completed && !self.is_due_after(life, true, HOUR - UNWRITTEN)
    }

    /// Whether the model says that a scheduled sweep takes a file.
    pub(super) fn is_due(&self, life: &Life, with_orphans: bool) -> bool {
        self.is_due_after(life, with_orphans, HOUR)
    }

    /// The same, where a job that fell silent may come back for so long.
    fn is_due_after(&self, life: &Life, with_orphans: bool, comes_back: u64) -> bool {
        if life.held_until.is_some_and(|until| until > self.now) {
            return false;
        }
        let job = life.job.as_ref().and_then(|id| self.jobs.get(id));
        if let Some(job) = job {
            if life.chunk.is_some_and(|chunk| job.done_chunks.contains(&chunk)) {
                return true;
            }
            if job.alive {
                return false;
            }
        }
        // A job that only fell silent may come back for what no retention keeps.
        let silent = job.is_some_and(|job| job.presumed && self.now - job.last_sign < comes_back);
        if silent && (life.session.is_some() || life.expires.is_some()) {
            return false;
        }
        if let Some(session) = &life.session {
            let session = &self.sessions[session];
            return session.ended || self.now - session.active >= HOUR;
        }
        if let Some(at) = life.expires {
            return at <= self.now;
        }
        match job {
            Some(job) => {
                let keep = if life.result { 30 * DAY } else { HOUR };
                self.now as i64 - job.ended >= keep as i64
            }
            None => with_orphans && life.orphan_from.is_some_and(|from| from <= self.now),
        }
    }
}
