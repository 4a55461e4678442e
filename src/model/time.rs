//! Points in time, as nanoseconds since the Unix epoch.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in wall-clock time with the resolution of `statx`
/// (nanoseconds; representable from 1677 to 2262).
///
/// Written as RFC 3339 in UTC; read as that or as integer Unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From the seconds and nanoseconds that the kernel reports. Times outside
    /// the representable range are clamped to its ends: a file system may hold
    /// any number.
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long before `now` this was; a time in the future counts as now.
    pub fn age_at(self, now: Self) -> Duration {
        Duration::from_nanos(u64::try_from(now.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// This time moved later by `span` (saturating).
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(span)))
    }

    /// This time moved earlier by `span` (saturating).
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(span)))
    }

    /// Reads RFC 3339 (any offset) or integer Unix seconds, clamped like those of the kernel.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Self::from_unix(seconds, 0));
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(read) => {
                let nanos = read.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into());
                i64::try_from(nanos).ok().map(Self)
            }
            Err(_) => Self::at_the_end(text),
        }
    }

    /// RFC 3339 goes a day further than what can be computed with.
    fn at_the_end(text: &str) -> Option<Self> {
        let pieces = jiff::fmt::temporal::Pieces::parse(text).ok()?;
        (pieces.time().and(pieces.offset()))?;
        match pieces.date().year() {
            9999.. => Some(Self(i64::MAX)),
            ..=0 => Some(Self(i64::MIN)),
            _ => None,
        }
    }
}

fn saturating_nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC. `{:#}` is for people: the next whole second, so that
    /// "not before" stays true.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: i64 = 1_000_000_000;
        let whole = self.0.div_euclid(SECOND).saturating_add(1).saturating_mul(SECOND);
        let nanos = if f.alternate() && self.0.rem_euclid(SECOND) != 0 { whole } else { self.0 };
        let shown = jiff::Timestamp::from_nanosecond(i128::from(nanos)).map_err(|_| fmt::Error)?;
        write!(f, "{shown}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a time: RFC 3339 in UTC, or integer Unix seconds")]
        enum Raw {
            Seconds(i64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Seconds(seconds) => Ok(Self::from_unix(seconds, 0)),
            Raw::Text(text) => Self::parse(&text).ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "{text:?} is not a time: expected RFC 3339 in UTC (2026-01-31T12:00:00Z) or integer Unix seconds"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        let now = Timestamp::from_unix(1_000, 0);
        assert_eq!(Timestamp::from_unix(2_000, 0).age_at(now), Duration::ZERO);
        assert_eq!(Timestamp::from_unix(400, 0).age_at(now), Duration::from_secs(600));
    }

    #[test]
    fn times_read_back_as_they_were_written() {
        for text in ["2026-11-21T00:31:37Z", "1970-01-01T00:00:00Z", "2026-11-21T00:31:37.000000001Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse("1700000000").unwrap().as_unix_seconds(), 1_700_000_000);
        assert_eq!(Timestamp::parse("9999-12-31T00:00:00Z"), Some(Timestamp::from_nanos(i64::MAX)));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn people_see_whole_seconds_and_never_a_time_too_early() {
        for (nanos, shown) in
            [(1, "1970-01-01T00:00:01Z"), (0, "1970-01-01T00:00:00Z"), (-1, "1970-01-01T00:00:00Z")]
        {
            assert_eq!(format!("{:#}", Timestamp::from_nanos(nanos)), shown);
        }
        assert!(!format!("{:#}", Timestamp::from_nanos(i64::MAX)).is_empty());
    }

    #[test]
    fn absurd_kernel_times_are_clamped_and_still_print() {
        for t in [Timestamp::from_unix(i64::MAX, 0), Timestamp::from_unix(i64::MIN, 0)] {
            assert!(!t.to_string().is_empty());
        }
    }
}
