//! When a volume will be full, and whether that is worth a warning.
//!
//! Two estimates, because they answer different questions. The *lasting* rate
//! is the median of the slopes between all pairs of samples (Theil-Sen): a
//! burst does not move it. The *sustained* rate is the fastest rise over at
//! least a second of the last ten; it counts only for the last minute before
//! a volume is full, where waiting for a median would be too late.
//!
//! Promises: what can't be told is [`Outlook::Unknown`], never a number made
//! up from too few samples or from noise. Times are those of the boot-time clock.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples of the lasting rate: 1770 pairs, compared at most once per gap.
const LASTING: usize = 60;
/// The shortest and the longest gap between two of them. It doubles when they
/// are full, so that they reach back as far as half an hour.
const SHORTEST_GAP: Duration = Duration::from_secs(1);
const LONGEST_GAP: Duration = Duration::from_secs(30);
/// No trend from fewer samples than this,
pub const MIN_SAMPLES: usize = 8;
/// or from a shorter time.
pub const MIN_SPAN: Duration = Duration::from_secs(10);
/// Rising pairs must outnumber falling ones by so many standard deviations
/// (Mann-Kendall): noise on a flat line is no trend.
const SIGNIFICANT: f64 = 2.5;
/// Further away is no forecast.
const FARTHEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The gap between two samples of the sustained rate, how long they count, and
/// over how long a rise must have lasted.
const RECENT_GAP: Duration = Duration::from_millis(100);
const RECENT: Duration = Duration::from_secs(10);
const SUSTAINED: Duration = Duration::from_secs(1);
/// A rise over fewer samples than this may be a single write.
const SUSTAINED_SAMPLES: usize = 4;
/// The sustained rate counts when it fills the volume within this.
const LAST_MOMENTS: Duration = Duration::from_secs(60);

/// Guardian's own removals of more than this share of a volume begin the series
/// anew; less is part of how it fills.
const CUT_SHARE: f64 = 0.01;

/// When a volume will be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Too few samples to say anything.
    Unknown,
    /// It does not fill, or so slowly that it doesn't matter.
    Steady,
    /// Full after this time, if it goes on like that.
    Full(Duration),
}

impl Outlook {
    /// The time, where there is one.
    pub const fn time_to_full(self) -> Option<Duration> {
        match self {
            Self::Full(time) => Some(time),
            Self::Unknown | Self::Steady => None,
        }
    }
}

type Sample = (Duration, u64);

/// What a volume held over time.
#[derive(Debug, Clone)]
pub struct Forecast {
    lasting: VecDeque<Sample>,
    gap: Duration,
    recent: VecDeque<Sample>,
    /// The lasting rate; `None` while unknown, 0 where there is no trend.
    rate: Option<f64>,
    /// Bytes that guardian removed since the series began.
    removed: u64,
}

impl Default for Forecast {
    fn default() -> Self {
        Self { lasting: VecDeque::new(), gap: SHORTEST_GAP, recent: VecDeque::new(), rate: None, removed: 0 }
    }
}

fn is_due(samples: &VecDeque<Sample>, at: Duration, gap: Duration) -> bool {
    samples.back().is_none_or(|(last, _)| at >= last.saturating_add(gap))
}

impl Forecast {
    /// Adds a sample. One that comes too soon after the last is left out.
    pub fn add(&mut self, at: Duration, used: u64) {
        if is_due(&self.recent, at, RECENT_GAP) {
            self.recent.push_back((at, used));
            let from = at.saturating_sub(RECENT);
            while self.recent.front().is_some_and(|(first, _)| *first < from) {
                self.recent.pop_front();
            }
        }
        if !is_due(&self.lasting, at, self.gap) {
            return;
        }
        self.lasting.push_back((at, used));
        if self.lasting.len() > LASTING {
            if self.gap < LONGEST_GAP {
                self.gap = (self.gap * 2).min(LONGEST_GAP);
                let mut number = 0;
                self.lasting.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
            } else {
                self.lasting.pop_front();
            }
        }
        self.rate = trend(&self.lasting);
    }

    /// Guardian removed so many bytes of a volume that holds `usable`.
    pub fn removed(&mut self, bytes: u64, usable: u64) {
        self.removed = self.removed.saturating_add(bytes);
        if self.removed as f64 > usable as f64 * CUT_SHARE {
            self.cut();
        }
    }

    /// Begins anew: what was before says nothing about what comes.
    pub fn cut(&mut self) {
        *self = Self::default();
    }

    /// The lasting rate in bytes a second, negative while the volume empties and
    /// 0 where nothing but noise is seen; `None` while unknown.
    pub const fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// The fastest rise that lasted at least a second of the last ten, in bytes a
    /// second; `None` where nothing rose for so long.
    pub fn sustained(&self, now: Duration) -> Option<f64> {
        let from = now.saturating_sub(RECENT);
        let recent: Vec<Sample> = self.recent.iter().copied().filter(|(at, _)| *at >= from).collect();
        let mut fastest: Option<f64> = None;
        for (i, first) in recent.iter().enumerate() {
            for last in recent.iter().skip(i + SUSTAINED_SAMPLES - 1) {
                if last.0.saturating_sub(first.0) >= SUSTAINED
                    && let Some(rate) = slope(*first, *last).filter(|rate| *rate > 0.0)
                {
                    fastest = Some(fastest.map_or(rate, |known| known.max(rate)));
                }
            }
        }
        fastest
    }

    /// When `available` bytes are used up.
    pub fn outlook(&self, now: Duration, available: u64) -> Outlook {
        let last_moments =
            self.sustained(now).and_then(|rate| time(available, rate)).filter(|time| *time <= LAST_MOMENTS);
        let lasting = self.rate.and_then(|rate| time(available, rate)).filter(|time| *time <= FARTHEST);
        match [last_moments, lasting].into_iter().flatten().min() {
            Some(time) => Outlook::Full(time),
            None if self.rate.is_some() => Outlook::Steady,
            None => Outlook::Unknown,
        }
    }
}

fn time(available: u64, rate: f64) -> Option<Duration> {
    if rate <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(available as f64 / rate).ok()
}

fn slope(a: Sample, b: Sample) -> Option<f64> {
    let seconds = b.0.checked_sub(a.0)?.as_secs_f64();
    (seconds > 0.0).then(|| (b.1 as f64 - a.1 as f64) / seconds)
}

fn trend(samples: &VecDeque<Sample>) -> Option<f64> {
    let (first, last) = (samples.front()?, samples.back()?);
    if samples.len() < MIN_SAMPLES || last.0.saturating_sub(first.0) < MIN_SPAN {
        return None;
    }
    let mut slopes: Vec<f64> = Vec::with_capacity(samples.len() * samples.len() / 2);
    for (i, a) in samples.iter().enumerate() {
        slopes.extend(samples.iter().skip(i + 1).filter_map(|b| slope(*a, *b)));
    }
    let rising = slopes.iter().filter(|slope| **slope > 0.0).count() as f64;
    let falling = slopes.iter().filter(|slope| **slope < 0.0).count() as f64;
    let n = samples.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    if (rising - falling).abs() < SIGNIFICANT * deviation {
        return Some(0.0);
    }
    slopes.sort_unstable_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

/// How often a lasting forecast is reported again.
const REPEAT: Duration = Duration::from_secs(3600);
/// A forecast must hold for so long before it is a warning,
const PERSISTENCE: Duration = Duration::from_secs(5);
/// unless the volume is full within this.
const AT_ONCE: Duration = Duration::from_secs(30);
/// It is over when the forecast is so many times as far away as what is warned of,
const RECOVERY: u32 = 2;
/// for so long.
const CALM: Duration = Duration::from_secs(60);

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForecastChange {
    /// The volume is expected to be full after this time.
    Expected(Duration),
    /// The same, an hour after it was last reported.
    Lasts(Duration),
    /// It is not any more.
    Over,
}

/// The reported forecast of one root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForecastAlert {
    /// When it was last reported, while it lasts.
    reported_at: Option<Duration>,
    /// Since when the forecast says otherwise than what was reported.
    since: Option<Duration>,
}

impl ForecastAlert {
    /// Whether the volume is expected to be full soon.
    pub const fn is_raised(&self) -> bool {
        self.reported_at.is_some()
    }

    /// Takes a forecast; `within` is what is warned of, 0 for nothing. What is
    /// unknown changes nothing.
    pub fn observe(&mut self, now: Duration, outlook: Outlook, within: Duration) -> Option<ForecastChange> {
        let time = match outlook {
            _ if within.is_zero() => None,
            Outlook::Unknown => {
                self.since = None;
                return None;
            }
            Outlook::Steady => None,
            Outlook::Full(time) => Some(time),
        };
        let Some(reported_at) = self.reported_at else { return self.quiet(now, time?, within) };
        let over = time.is_none_or(|time| time > within.saturating_mul(RECOVERY));
        match time {
            _ if over => {
                let since = *self.since.get_or_insert(now);
                if now.saturating_sub(since) < CALM && !within.is_zero() {
                    return None;
                }
                *self = Self::default();
                Some(ForecastChange::Over)
            }
            Some(time) if time <= within && now >= reported_at.saturating_add(REPEAT) => {
                *self = Self { reported_at: Some(now), since: None };
                Some(ForecastChange::Lasts(time))
            }
            _ => {
                self.since = None;
                None
            }
        }
    }

    fn quiet(&mut self, now: Duration, time: Duration, within: Duration) -> Option<ForecastChange> {
        if time > within {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) < PERSISTENCE && time > AT_ONCE {
            return None;
        }
        *self = Self { reported_at: Some(now), since: None };
        Some(ForecastChange::Expected(time))
    }
}
