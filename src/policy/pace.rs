//! When to look at a volume again.

use std::time::Duration;

/// What the pace depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The longest pause (configuration `sample_interval`).
    pub longest: Duration,
    /// What is left to the high mark; past it, what is available. In bytes.
    pub headroom: u64,
    /// Whether usage is at or above the warning mark.
    pub past_warning: bool,
    /// The fastest recent rise in bytes a second.
    pub fastest: f64,
    /// Whether changes were seen below the root since the last look.
    pub stirring: bool,
}

/// The shortest pause, whatever happens.
pub const SHORTEST: Duration = Duration::from_millis(5);
/// The shortest pause while nothing rises and nothing stirs.
pub const SHORTEST_AT_REST: Duration = Duration::from_millis(250);
/// How fast a volume may suddenly begin to fill, in bytes a second: one
/// writer into tmpfs copies memory at about this rate.
pub const SUDDEN_RATE: f64 = 2.0 * 1024.0 * 1024.0 * 1024.0;
/// At least this many looks while the headroom fills at the rate that is assumed.
pub const LOOKS: f64 = 4.0;

/// The pause until the next look: the time in which the headroom would be
/// gone, divided by [`LOOKS`], so that the mark is overshot by a quarter of
/// the headroom at most (after earlyoom, which sleeps by headroom over fill rate).
///
/// `pause = headroom / (LOOKS x max(fastest, SUDDEN_RATE past the warning or while stirring))`,
/// between [`SHORTEST`] (at rest [`SHORTEST_AT_REST`]) and `longest`. Below the
/// warning mark, at rest and not rising, it is `longest`: an idle host costs nothing.
pub fn next_pause(pace: &Pace) -> Duration {
    let rising = pace.fastest > 0.0;
    if !rising && !pace.stirring && !pace.past_warning {
        return pace.longest;
    }
    let sudden = if pace.past_warning || pace.stirring { SUDDEN_RATE } else { 0.0 };
    let rate = LOOKS * pace.fastest.max(sudden);
    let shortest = if rising || pace.stirring { SHORTEST } else { SHORTEST_AT_REST };
    let pause = Duration::try_from_secs_f64(pace.headroom as f64 / rate).unwrap_or(pace.longest);
    pause.max(shortest).min(pace.longest)
}
