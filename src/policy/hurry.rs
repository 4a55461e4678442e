//! Whether the scheduled sweeps are to come now, because a volume will be full
//! before it could be emptied.
//!
//! An emergency begins at the high mark. Where removing is slow (millions of
//! small files) and writing is fast, that is too late; but to take before the
//! mark what an emergency takes would be to remove files that nobody needed to
//! lose. So what is brought forward is only what is due anyway.

use std::time::Duration;

/// Between two sweeps that were brought forward.
pub const HURRY_PAUSE: Duration = Duration::from_secs(600);

/// What it depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Haste {
    /// Usage is at or above the warning mark, and no emergency is called for.
    pub is_between_marks: bool,
    /// When the volume is full; `None` where nobody can tell.
    pub time_to_full: Option<Duration>,
    /// Bytes above the low mark.
    pub to_free: u64,
    /// Bytes a second that past runs freed; `None` before there were any.
    pub drain_rate: Option<f64>,
    /// Since the last sweep that was brought forward.
    pub since_last: Option<Duration>,
}

/// The time that emptying would take, if that is longer than filling will.
pub fn hurries(haste: &Haste) -> Option<Duration> {
    let rested = haste.since_last.is_none_or(|since| since >= HURRY_PAUSE);
    let rate = haste.drain_rate.filter(|rate| *rate > 0.0)?;
    let to_drain = Duration::try_from_secs_f64(haste.to_free as f64 / rate).ok()?;
    (haste.is_between_marks && rested && haste.time_to_full? < to_drain).then_some(to_drain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASTE: Haste = Haste {
        is_between_marks: true,
        time_to_full: Some(Duration::from_secs(59)),
        to_free: 6000,
        drain_rate: Some(100.0),
        since_last: None,
    };

    #[test]
    fn a_volume_that_is_full_before_it_could_be_emptied_is_swept_now() {
        assert_eq!(hurries(&HASTE), Some(Duration::from_secs(60)));
        let soon = Some(HURRY_PAUSE);
        assert!(hurries(&Haste { since_last: soon, ..HASTE }).is_some());
    }

    #[test]
    fn nothing_is_brought_forward_without_need_knowledge_or_rest() {
        let minute = Some(Duration::from_secs(60));
        for calm in [
            Haste { time_to_full: minute, ..HASTE },
            Haste { time_to_full: None, ..HASTE },
            Haste { drain_rate: None, ..HASTE },
            Haste { drain_rate: Some(0.0), ..HASTE },
            Haste { is_between_marks: false, ..HASTE },
            Haste { to_free: 0, ..HASTE },
            Haste { since_last: minute, ..HASTE },
        ] {
            assert_eq!(hurries(&calm), None, "{calm:?}");
        }
    }
}
