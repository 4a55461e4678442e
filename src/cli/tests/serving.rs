//! How connections are taken, seen from a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fake::Served;
use crate::api::{PeerIdentity, Pulse};
use crate::cli::Client;

#[test]
fn a_peer_that_takes_long_to_be_identified_stops_no_pulse_and_is_served() {
    let beats = Arc::new(AtomicU64::new(0));
    let (its, seen) = (Arc::clone(&beats), Arc::clone(&beats));
    let pulse = Pulse {
        every: Duration::from_millis(5),
        beat: Box::new(move || {
            its.fetch_add(1, Ordering::Relaxed);
        }),
    };
    // As where the groups of users lie with a server that does not answer.
    let identify = move |_: &tokio::net::UnixStream| {
        let (before, deadline) = (seen.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(10));
        while seen.load(Ordering::Relaxed) < before + 3 {
            if Instant::now() > deadline {
                return Err(std::io::Error::other("the pulse stopped"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(PeerIdentity { uid: 0, gid: 0, pid: 1, admin: true })
    };
    let served = Served::start_with(identify, false, Some(pulse));
    let client = Client::find(std::slice::from_ref(&served.socket)).unwrap();
    assert!(client.get("/v1/health").is_ok(), "it was turned away");
}
