use proptest::prelude::*;

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn promises(by: &[u64]) -> Vec<Promise> {
    const NAMES: [&str; 3] = ["sampling", "the socket", "supervision"];
    by.iter().zip(NAMES).map(|(by, part)| Promise { part, by: secs(*by) }).collect()
}

#[test]
fn whoever_is_silent_longest_is_named_with_for_how_long() {
    let parts = promises(&[100, 40, 90]);
    assert_eq!(silent(&parts, secs(50), secs(10), secs(0)), None, "ten seconds late is still in time");
    let found = silent(&parts, secs(51), secs(10), secs(0));
    assert_eq!(found, Some(Silent { part: "the socket", late: secs(11) }));
    let found = silent(&parts, secs(200), secs(10), secs(0));
    assert_eq!(found, Some(Silent { part: "the socket", late: secs(160) }));
}

#[test]
fn a_process_that_was_stopped_for_an_hour_is_not_dead_when_it_goes_on() {
    let parts = promises(&[100, 100, 100]);
    assert_eq!(silent(&parts, secs(3700), secs(10), secs(3600)), None);
    // What was silent before stays so.
    assert!(silent(&promises(&[10]), secs(3700), secs(10), secs(3600)).is_some());
}

proptest! {
    #[test]
    fn a_promise_that_is_kept_is_never_silence(by in prop::collection::vec(0u64..1000, 0..4), now in 0u64..1000, patience in 0u64..100, overslept in 0u64..100) {
        let kept: Vec<u64> = by.iter().map(|by| by + now).collect();
        prop_assert_eq!(silent(&promises(&kept), secs(now), secs(patience), secs(overslept)), None);
    }

    #[test]
    fn silence_lasts_until_it_is_broken_and_patience_only_delays_it(by in prop::collection::vec(0u64..1000, 1..4), now in 0u64..2000, later in 0u64..1000, patience in 0u64..100, more in 0u64..100, overslept in 0u64..100) {
        let parts = promises(&by);
        let found = silent(&parts, secs(now), secs(patience), secs(overslept));
        if found.is_some() {
            prop_assert!(silent(&parts, secs(now + later), secs(patience), secs(overslept)).is_some());
        } else {
            prop_assert_eq!(silent(&parts, secs(now), secs(patience + more), secs(overslept)), None);
            prop_assert_eq!(silent(&parts, secs(now), secs(patience), secs(overslept + more)), None);
        }
        // Nobody is silent for ever without being found.
        let end = by.iter().max().unwrap() + patience + overslept + 1;
        prop_assert!(silent(&parts, secs(end), secs(patience), secs(overslept)).is_some());
    }
}
