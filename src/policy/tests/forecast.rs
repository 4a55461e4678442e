//! When a volume will be full: a robust rate, or no number at all.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One sample a second.
fn series(used: impl IntoIterator<Item = u64>) -> Forecast {
    let mut forecast = Forecast::default();
    used.into_iter().enumerate().for_each(|(i, used)| forecast.add(secs(i as u64), used));
    forecast
}

proptest! {
    #[test]
    fn a_steady_rise_fills_what_is_available_at_its_rate(
        rate in 1u64..1 << 30,
        n in 11u64..200,
        left in 1u64..1_000_000,
    ) {
        let forecast = series((0..n).map(|i| i * rate));
        prop_assert_eq!(forecast.rate(), Some(rate as f64));
        let expected = Outlook::Full(secs(left));
        prop_assert_eq!(forecast.outlook(secs(n), left * rate), expected);
    }

    #[test]
    fn a_fifth_of_outliers_of_any_size_does_not_move_the_rate(
        rate in 1u64..1 << 20,
        outliers in proptest::collection::btree_map(0u64..60, 0u64..u64::MAX >> 8, 0..12),
    ) {
        let line = |i: u64| outliers.get(&i).copied().unwrap_or((i + 1) * rate);
        let forecast = series((0..60).map(line));
        prop_assert_eq!(forecast.rate(), Some(rate as f64));
    }

    #[test]
    fn the_more_is_available_the_longer_it_lasts(
        used in proptest::collection::vec(0u64..1 << 40, 11..100),
        available in 0u64..1 << 40,
        more in 0u64..1 << 40,
    ) {
        let forecast = series(used.iter().copied());
        let now = secs(used.len() as u64);
        let time = |available| forecast.outlook(now, available).time_to_full();
        match (time(available), time(available + more)) {
            (Some(less), Some(more)) => prop_assert!(less <= more),
            (None, Some(_)) => prop_assert!(false, "with more room it fills, with less not"),
            (_, None) => {}
        }
    }

    #[test]
    fn what_fills_faster_is_full_no_later(
        steps in proptest::collection::vec(0u64..1 << 20, 11..100),
        faster in 1u64..1 << 20,
        available in 1u64..1 << 40,
    ) {
        let sums = |extra: u64| {
            let mut sum = 0;
            steps.iter().map(|step| { sum += step + extra; sum }).collect::<Vec<u64>>()
        };
        let now = secs(steps.len() as u64);
        let (slow, fast) = (series(sums(0)), series(sums(faster)));
        if let Some(slow) = slow.outlook(now, available).time_to_full() {
            let fast = fast.outlook(now, available).time_to_full();
            prop_assert!(fast.is_some_and(|fast| fast <= slow), "{fast:?} after {slow:?}");
        }
    }

    #[test]
    fn what_is_flat_or_falls_is_never_full(
        falls in proptest::collection::vec(0u64..1 << 20, 11..100),
        available in 0u64..1 << 40,
    ) {
        let mut used = 1u64 << 40;
        let forecast = series(falls.iter().map(|fall| { used -= fall; used }));
        prop_assert_eq!(forecast.outlook(secs(falls.len() as u64), available), Outlook::Steady);
    }

    #[test]
    fn too_few_samples_or_too_short_a_time_say_nothing(
        n in 0usize..MIN_SAMPLES,
        rate in 1u64..1 << 20,
        many in 0u32..98,
    ) {
        // An hour apart: far too slow for the last moments, too.
        let mut few = Forecast::default();
        (0..n as u64).for_each(|i| few.add(secs(i * 3600), i * rate));
        prop_assert_eq!(few.outlook(secs(n as u64 * 3600), 1 << 40), Outlook::Unknown);
        let mut short = Forecast::default();
        (0..many).for_each(|i| short.add(Duration::from_millis(100) * i, u64::from(i) * rate));
        prop_assert_eq!(short.outlook(MIN_SPAN, u64::MAX >> 1), Outlook::Unknown);
    }
}

#[test]
fn noise_on_a_flat_line_is_no_trend() {
    // A fixed pseudo-random series (xorshift), so that it fails always or never.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut trends = 0;
    for _ in 0..200 {
        let noise = (0..40).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (1 << 30) + state % (1 << 20)
        });
        trends += u32::from(series(noise).rate() != Some(0.0));
    }
    // 2.5 standard deviations: about 1 in 80 by chance.
    assert!(trends <= 8, "{trends} trends in 200 series of noise");
}

#[test]
fn the_last_seconds_are_seen_before_there_is_a_median() {
    let mut forecast = Forecast::default();
    for i in 0..30u64 {
        forecast.add(Duration::from_millis(100 * i), i * 1000);
    }
    let now = Duration::from_millis(2900);
    assert_eq!(forecast.rate(), None);
    let rate = forecast.sustained(now).unwrap();
    assert!((rate - 10_000.0).abs() < 1.0, "{rate}");
    assert!(
        matches!(forecast.outlook(now, 100_000), Outlook::Full(time) if time.as_secs_f64().round() == 10.0)
    );
    assert_eq!(forecast.outlook(now, 10_000_000), Outlook::Unknown, "an hour away is for the median to say");
}

#[test]
fn one_burst_is_not_sustained() {
    let mut forecast = Forecast::default();
    forecast.add(secs(0), 0);
    forecast.add(Duration::from_millis(100), 1 << 30);
    forecast.add(Duration::from_millis(200), 1 << 30);
    assert_eq!(forecast.sustained(Duration::from_millis(200)), None);
    assert_eq!(forecast.outlook(Duration::from_millis(200), 1 << 20), Outlook::Unknown);
}

#[test]
fn what_rose_long_ago_is_not_the_last_seconds() {
    let mut forecast = Forecast::default();
    (0..5u64).for_each(|i| forecast.add(secs(i), i << 20));
    assert!(forecast.sustained(secs(5)).is_some());
    assert_eq!(forecast.sustained(secs(60)), None);
}

#[test]
fn guardians_own_removals_begin_the_series_anew() {
    let mut forecast = series((0..20).map(|i| i * 1000));
    forecast.removed(9, 1000);
    assert_eq!(forecast.rate(), Some(1000.0), "less than a hundredth of the volume is part of how it fills");
    forecast.removed(2, 1000);
    assert_eq!(forecast.rate(), None);
    assert_eq!(forecast.outlook(secs(20), 1), Outlook::Unknown);
}

#[test]
fn the_series_reaches_back_half_an_hour_and_not_for_ever() {
    // Flat for an hour, then a lasting rise: after half an hour the flat part is forgotten.
    let flat = std::iter::repeat_n(0, 3600);
    let rise = (1..=1900).map(|i| i * 10);
    assert_eq!(series(flat.chain(rise)).rate(), Some(10.0));
}

#[test]
fn a_warning_comes_once_again_each_hour_and_ends_when_it_is_far_away() {
    let mut alert = ForecastAlert::default();
    let (within, soon) = (secs(3600), Outlook::Full(secs(1800)));
    let far = |seconds| Outlook::Full(secs(seconds));
    assert_eq!(alert.observe(secs(0), far(3601), within), None);
    assert_eq!(alert.observe(secs(10), soon, within), None, "not before it has held for a moment");
    assert_eq!(alert.observe(secs(15), soon, within), Some(ForecastChange::Expected(secs(1800))));
    assert!(alert.is_raised());
    assert_eq!(alert.observe(secs(16), soon, within), None);
    assert_eq!(alert.observe(secs(20), far(3700), within), None, "just past the limit is no recovery");
    assert_eq!(alert.observe(secs(90), far(3700), within), None, "however long that lasts");
    assert_eq!(alert.observe(secs(3615), soon, within), Some(ForecastChange::Lasts(secs(1800))));
    assert_eq!(alert.observe(secs(3620), Outlook::Unknown, within), None, "not knowing is no recovery");
    assert_eq!(alert.observe(secs(3630), Outlook::Steady, within), None, "nor is a moment of calm");
    assert_eq!(alert.observe(secs(3640), soon, within), None);
    assert_eq!(alert.observe(secs(3650), far(7201), within), None);
    assert_eq!(alert.observe(secs(3710), Outlook::Steady, within), Some(ForecastChange::Over));
    assert!(!alert.is_raised());
    assert_eq!(alert.observe(secs(3711), Outlook::Steady, within), None);
}

#[test]
fn a_volume_about_to_be_full_is_warned_of_at_once_and_a_span_of_zero_warns_of_nothing() {
    let mut alert = ForecastAlert::default();
    let now = Outlook::Full(secs(10));
    assert_eq!(alert.observe(secs(0), now, Duration::ZERO), None);
    assert_eq!(alert.observe(secs(1), now, secs(3600)), Some(ForecastChange::Expected(secs(10))));
    assert_eq!(
        alert.observe(secs(2), now, Duration::ZERO),
        Some(ForecastChange::Over),
        "turned off meanwhile"
    );
}
