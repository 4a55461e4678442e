use proptest::prelude::*;

use super::*;
use crate::model::ProcessId;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

proptest! {
    #[test]
    fn a_batch_exceeds_the_need_by_one_file_at_most(sizes in prop::collection::vec(0u64..1000, 0..50), batch in 0usize..60, need in 0u64..9000) {
        let n = next_batch(sizes.iter().copied(), batch, Some(need));
        let sum: u64 = sizes[..n].iter().sum();
        prop_assert!(n <= batch);
        prop_assert!(n == 0 || sum - sizes[n - 1] < need);
        prop_assert!(sum >= need || n == batch.min(sizes.len()));
    }

    #[test]
    fn the_pause_stays_in_bounds_and_shrinks_with_the_headroom(headroom: u64, less: u64, fastest in 0.0f64..1e12, past_warning: bool, stirring: bool) {
        let pace = Pace { longest: secs(30), headroom, past_warning, fastest, stirring };
        let pause = next_pause(&pace);
        prop_assert!(pause >= SHORTEST && pause <= secs(30));
        let tighter = Pace { headroom: headroom.min(less), ..pace };
        prop_assert!(next_pause(&tighter) <= pause);
    }

    #[test]
    fn credit_only_delays_and_for_five_seconds_at_most(need in 1u64..1000, unlinked in 0u64..2000) {
        let mut settle = Settle::new(10_000, PATIENCE);
        settle.unlinked(unlinked);
        match settle.next(need, false, secs(0)) {
            Step::Proceed { bytes } => prop_assert_eq!(bytes, need - unlinked),
            Step::Wait => {
                prop_assert!(unlinked >= need);
                prop_assert_eq!(settle.next(need, false, secs(5)), Step::GiveUp { missing: unlinked });
                prop_assert_eq!(settle.next(need, false, secs(5)), Step::Proceed { bytes: need });
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_steady_rise_is_the_fastest(rate in 1u64..1_000_000, n in 2u64..40) {
        let mut growth = Growth::default();
        (0..n).for_each(|i| growth.add(secs(i), i * rate));
        prop_assert_eq!(growth.fastest(secs(n), secs(60)), Some(rate as f64));
    }
}

#[test]
fn an_idle_host_is_looked_at_as_rarely_as_allowed() {
    let idle = Pace { longest: secs(30), headroom: 1, past_warning: false, fastest: 0.0, stirring: false };
    assert_eq!(next_pause(&idle), secs(30));
}

#[test]
fn what_the_volume_shows_settles_the_credit() {
    let mut settle = Settle::new(1000, PATIENCE);
    settle.unlinked(400);
    settle.sampled(700);
    assert_eq!(settle.credit(), 100);
    assert_eq!(settle.next(0, false, secs(1)), Step::Done);
}

#[test]
fn futility_aims_lower_and_then_nowhere() {
    assert_eq!(aim(100, 100, 10, false), Aim::Target);
    assert_eq!(aim(99, 100, 10, false), Aim::JustBelowHigh);
    assert_eq!(aim(9, 100, 10, false), Aim::Nothing);
    assert_eq!(aim(9, 100, 10, true), Aim::Target);
    let mut returns = Returns::default();
    assert_eq!(
        [(100, 9), (100, 9), (100, 10), (100, 0), (100, 0), (100, 0)].map(|(u, f)| returns.settled(u, f)),
        [false, false, false, false, false, true]
    );
}

#[test]
fn the_fuse_blows_above_the_share_only() {
    let root = Amount { files: 10, bytes: 1000 };
    assert_eq!(fuse(Amount { files: 5, bytes: 500 }, root, 50.0), Fuse::Holds);
    assert!(matches!(fuse(Amount { files: 1, bytes: 501 }, root, 50.0), Fuse::Blown { .. }));
    assert_eq!(fuse(Amount { files: 10, bytes: 1000 }, root, 100.0), Fuse::Holds);
}

#[test]
fn missed_intervals_are_made_up_once_and_a_new_ledger_missed_nothing() {
    assert_eq!(due(now(), HOUR, Some(ago(5.5)), now()), Due::Now { missed: 4 });
    assert_eq!(due(now(), HOUR, None, ago(0.5)), Due::At(ago(0.5).plus(HOUR)));
    assert_eq!(due(now(), HOUR, None, ago(1.0)), Due::Now { missed: 0 });
    assert_eq!(due(now(), HOUR, Some(now().plus(HOUR)), now()), Due::At(now().plus(HOUR)));
}

#[test]
fn a_clock_that_jumps_is_not_trusted_until_somebody_says_so() {
    let mut guard = ClockGuard::at_start(now(), secs(0), Some(ago(1.0)), false);
    assert_eq!(guard.observe(now().plus(HOUR), HOUR, false), None);
    assert!(matches!(guard.observe(now().plus(3 * HOUR), HOUR, false), Some(Doubt::Drift(_))));
    assert!(guard.observe(now().plus(HOUR), HOUR, false).is_some());
    guard.trust(now(), HOUR);
    assert_eq!(guard.doubt(), None);
    assert!(matches!(
        ClockGuard::at_start(ago(1.0), secs(0), Some(now()), false).doubt(),
        Some(Doubt::BeforeLedger(_))
    ));
    assert!(matches!(
        ClockGuard::at_start(now(), secs(0), Some(ago(169.0)), false).doubt(),
        Some(Doubt::LongAfterLedger(_))
    ));
    assert_eq!(ClockGuard::at_start(now(), secs(0), Some(ago(169.0)), true).doubt(), None);
}

#[test]
fn runs_in_vain_back_off_up_to_a_cap_and_one_that_helps_ends_it() {
    let mut backoff = Backoff::default();
    let pauses: Vec<u64> = (0..12).map(|_| backoff.ended(0, 1000, secs(0)).as_secs()).collect();
    assert_eq!(pauses[..4], [1, 2, 4, 8]);
    assert_eq!(pauses[11], 300);
    assert!(!backoff.allows(secs(299)) && backoff.allows(secs(300)));
    assert_eq!(backoff.ended(500, 1000, secs(0)), Duration::ZERO);
}

#[test]
fn only_active_jobs_are_presumed_failed() {
    let process = ProcessId { pid: 7, start_ticks: 1, boot_id: "b".into() };
    let ask = |state, deadline, lives, boot| presume(state, deadline, Some(&process), lives, boot, secs(100));
    assert_eq!(
        ask(JobState::Active, Some(secs(90)), Some(true), "b"),
        Some(Presumption::HeartbeatsStopped(secs(10)))
    );
    assert_eq!(ask(JobState::Active, Some(secs(101)), None, "b"), None);
    assert_eq!(ask(JobState::Active, None, Some(false), "b"), Some(Presumption::ProcessGone));
    assert_eq!(ask(JobState::Active, None, Some(true), "c"), Some(Presumption::OtherBoot));
    assert_eq!(ask(JobState::Pending, Some(secs(1)), Some(false), "c"), None);
    assert_eq!(deadline_after_downtime(secs(5), Some(secs(30))), Some(secs(605)));
    assert_eq!(deadline_after_beat(secs(5), None), None);
}

#[test]
fn a_job_that_ends_shortens_a_long_pause_but_does_not_turn_waiting_off() {
    let second = Duration::from_secs(1);
    let mut backoff = Backoff::default();
    for _ in 0..6 {
        backoff.ended(0, 100, Duration::ZERO);
    }
    assert!(!backoff.allows(31 * second), "after six runs in vain");
    backoff.ease(3 * second);
    assert!(!backoff.allows(3 * second) && backoff.allows(4 * second));
    assert_eq!(backoff.ended(0, 100, 4 * second), 64 * second, "the pause grows on");
    backoff.ease(90 * second);
    assert!(backoff.allows(90 * second), "it never puts a run off");
}
