//! When a deletion that failed is tried again.

use std::time::Duration;

/// The pause after the first try in vain.
const FIRST: Duration = Duration::from_secs(30);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long to wait after so many tries in vain: four times as long each time.
pub fn pause_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).saturating_mul(2);
    2_u32
        .checked_pow(doublings)
        .and_then(|times| FIRST.checked_mul(times))
        .map_or(LONGEST, |it| it.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let seconds: Vec<u64> = (1..=6).map(|attempts| pause_after(attempts).as_secs()).collect();
        assert_eq!(seconds, [30, 120, 480, 1920, 3600, 3600]);
        assert_eq!(pause_after(u32::MAX), LONGEST);
    }
}
