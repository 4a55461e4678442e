//! A report of completion is not forgotten before a sweep has looked for its files.

use super::*;
use crate::agent::chunks::request;
use crate::agent::chunks_served::{chunks_to_serve, forget_served_chunks};
use crate::agent::jobs::{Caller, JobChange, Now};
use crate::model::{ChunkId, JobId};

#[test]
fn a_chunk_that_is_reported_while_a_sweep_for_it_runs_stays_on_record_for_the_next() {
    let host = Host::start();
    let agent = host.running.agent();
    let (job, chunk) = (JobId::parse("a").unwrap(), ChunkId::parse("1").unwrap());
    let by = Caller { uid: 0, admin: true };
    agent.registry.put(&job, &JobChange::default(), by, Now::read()).unwrap();
    let report = || drop(agent.registry.complete_chunk(&job, &chunk, None, by, Now::read()).unwrap());
    for target in agent.targets(None) {
        agent.ingest.settle(target.key.unwrap(), Instant::now() + Duration::from_secs(20)).unwrap();
    }
    let of = request(&job, &chunk);
    report();
    let before = chunks_to_serve(agent, &of);
    report();
    forget_served_chunks(agent, before);
    let left = chunks_to_serve(agent, &of);
    assert_eq!(left.len(), 1, "the first is served, the second still to come");
    forget_served_chunks(agent, left);
    assert!(chunks_to_serve(agent, &of).is_empty());
}
