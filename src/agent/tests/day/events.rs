//! What the users of the host do: jobs, chunks and sessions, and what lay there before.

use super::*;

impl Day {
    pub(super) fn begin_job(&mut self, number: u64) {
        let id = format!("d{number}");
        let ends_at = self.now + STEP * (1 + self.dice.below(30));
        self.jobs.insert(
            id.clone(),
            JobLife {
                alive: true,
                ended: 0,
                presumed: false,
                last_sign: self.now,
                has_ttl: number.is_multiple_of(3),
                silent: false,
                done_chunks: Vec::new(),
                ends_at,
            },
        );
        self.put_job(&id, JobState::Active);
        let life = Life { job: Some(id.clone()), ..Life::default() };
        for chunk in 0..self.dice.below(4) {
            for n in 0..2 {
                let life = Life { chunk: Some(chunk), ..life.clone() };
                self.write(&format!("job_{id}_chunk_{chunk}_{n}"), 0, life);
            }
        }
        self.write(&format!("job_{id}_tmp"), 0, life.clone());
        self.write(&format!("results/job_{id}_out"), 0, Life { result: true, ..life.clone() });
        let expires = self.now + self.dice.below(3 * HOUR);
        let name = format!("job_{id}_lease");
        self.write(&name, 0, Life { expires: Some(expires), ..life });
        self.track(&name, None, Some(expires));
    }

    pub(super) fn end_job(&mut self, id: &str) {
        let state = match self.dice.below(8) {
            0 => JobState::Failed,
            1 => JobState::Cancelled,
            2 => JobState::Error,
            _ => JobState::Completed,
        };
        let silent = self.dice.below(2) == 0;
        let life = self.jobs.get_mut(id).unwrap();
        if life.silent || life.has_ttl && silent {
            life.silent = true;
            return;
        }
        life.alive = false;
        life.ended = self.now as i64;
        life.last_sign = self.now;
        self.put_job(id, state);
    }

    pub(super) fn complete_chunk(&mut self, id: &str) {
        let chunk = self.dice.below(4);
        let job = JobId::parse(id).unwrap();
        let named = ChunkId::parse(&chunk.to_string()).unwrap();
        self.host().registry.complete_chunk(&job, &named, None, ROOT, self.moment()).unwrap();
        self.jobs.get_mut(id).unwrap().done_chunks.push(chunk);
        let request = SweepRequest { job: Some(job), chunk: Some(named), ..SweepRequest::of(Policy::Chunks) };
        self.run(&request, None);
        let left: Vec<_> = self
            .files
            .iter()
            .filter(|(_, life)| life.job.as_deref() == Some(id) && life.chunk == Some(chunk))
            .collect();
        assert!(left.is_empty(), "files of a completed chunk are left: {left:?}");
    }

    pub(super) fn sessions(&mut self) {
        let id = format!("s{}", self.dice.below(12));
        match self.sessions.get_mut(&id) {
            Some(life) if life.ended => {}
            Some(life) if self.dice.below(5) == 0 => {
                life.ended = true;
                let only = SessionId::parse(&id).unwrap();
                self.host().references.end(&only, ROOT, self.time()).unwrap();
                self.run(&SweepRequest { session: Some(only), ..SweepRequest::of(Policy::Session) }, None);
                let left = |life: &&Life| life.session.as_deref() == Some(&id) && self.is_due(life, false);
                assert_eq!(self.files.values().filter(left).count(), 0, "files of an ended session are left");
            }
            known => {
                let active = self.now;
                match known {
                    Some(life) => life.active = active,
                    None => drop(self.sessions.insert(id.clone(), SessionLife { active, ended: false })),
                }
                self.host().references.touch(&SessionId::parse(&id).unwrap(), ROOT, self.time()).unwrap();
                let n = self.files.len();
                let job = self.jobs.iter().find(|(_, job)| job.alive).map(|(id, _)| id.clone());
                // Now and then a member that a living job uses.
                let job = job.filter(|_| self.dice.below(3) == 0);
                let name = match &job {
                    Some(job) => format!("sess/{id}/job_{job}_{n}_{}", self.now),
                    None => format!("sess/{id}/f{n}_{}", self.now),
                };
                let expires = (self.dice.below(2) == 0).then_some(3 * DAY);
                self.write(&name, 0, Life { job, session: Some(id.clone()), expires, ..Life::default() });
                self.track(&name, Some(&id), expires);
            }
        }
    }

    pub(super) fn before_the_day(&mut self) {
        for n in 0..60 {
            // Orphans of tomorrow, due within the day.
            let age = self.dice.below(DAY);
            let life = Life { orphan_from: Some(DAY - age), ..Life::default() };
            self.write(&format!("plain/{n}"), age, life);
            if n % 7 == 0 {
                let until = self.dice.below(DAY + 6 * HOUR);
                self.hold(&format!("plain/{n}"), until);
                self.files.get_mut(&format!("plain/{n}")).unwrap().held_until = Some(until);
            }
        }
        for n in 0..20 {
            let id = format!("old{n}");
            let ended = -((30 * DAY) as i64) + self.dice.below(2 * DAY) as i64;
            let job = JobLife {
                alive: false,
                ended,
                presumed: false,
                last_sign: 0,
                has_ttl: false,
                silent: false,
                done_chunks: vec![],
                ends_at: 0,
            };
            self.jobs.insert(id.clone(), job);
            let state = if n % 2 == 0 { JobState::Completed } else { JobState::Failed };
            // It ended long before the day.
            let then = Now { wall: self.at(ended), ..self.moment() };
            self.put_job_at(&id, JobState::Active, then);
            self.put_job_at(&id, state, then);
            let name = format!("results/job_{id}_out");
            self.write(&name, 20 * DAY, Life { job: Some(id), result: true, ..Life::default() });
        }
    }
}
