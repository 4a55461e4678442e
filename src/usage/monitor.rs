//! One volume over time: samples, growth, and when to look again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::model::{Resource, VolumeUsage};
use crate::policy::{Forecast, Growth, Marks, Outlook, Pace, next_pause};

use super::probe::{Probe, UsageError};

/// How far back the fastest recent rise is looked for.
const RECENT: Duration = Duration::from_secs(60);

/// One look at a volume.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When, by the boot-time clock.
    pub at: Duration,
    /// What the volume said.
    pub usage: VolumeUsage,
}

/// What was seen of a volume.
pub struct SoFar {
    growth: Growth,
    forecast: Forecast,
    last: Option<Look>,
}

/// Watches one volume. Times are those of the boot-time clock, so that sleep
/// counts and a change of the wall clock doesn't.
pub struct VolumeMonitor {
    probe: Probe,
    longest: Duration,
    growth: Growth,
    forecast: Forecast,
    last: Option<Look>,
    /// The answer of a volume that was asked aside and has not answered yet.
    asked: Option<Receiver<Result<VolumeUsage, UsageError>>>,
}

impl VolumeMonitor {
    /// Begins to watch; `longest` is the longest pause between two looks.
    pub fn new(probe: Probe, longest: Duration) -> Self {
        Self {
            probe,
            longest,
            growth: Growth::default(),
            forecast: Forecast::default(),
            last: None,
            asked: None,
        }
    }

    /// Goes on where another one ended, on the same volume asked in another way.
    pub fn going_on(probe: Probe, longest: Duration, seen: SoFar) -> Self {
        Self { growth: seen.growth, forecast: seen.forecast, last: seen.last, ..Self::new(probe, longest) }
    }

    /// What was seen so far, without what keeps the volume open.
    pub fn end(self) -> SoFar {
        SoFar { growth: self.growth, forecast: self.forecast, last: self.last }
    }

    /// The longest pause between two looks, from now on.
    pub const fn set_longest(&mut self, longest: Duration) {
        self.longest = longest;
    }

    /// Looks now.
    pub fn look(&mut self, at: Duration) -> Result<Look, UsageError> {
        let usage = self.probe.look()?;
        Ok(self.note(at, usage))
    }

    /// Looks now, and waits no longer than `patience` for the answer: a network
    /// mount whose server is gone answers never. A late answer is that of the
    /// next look.
    ///
    /// # Errors
    /// [`UsageError::NoAnswer`] while it has not answered.
    pub fn look_within(&mut self, at: Duration, patience: Duration) -> Result<Look, UsageError> {
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => {
                let (answer, asked) = std::sync::mpsc::sync_channel(1);
                let probe = self.probe.clone();
                let ask = move || {
                    // Whoever asked may be gone by now.
                    let _ = answer.send(probe.look());
                };
                let thread = std::thread::Builder::new().name("guardian-look".to_owned());
                thread.spawn(ask).map_err(|source| self.probe.failed(source))?;
                asked
            }
        };
        match asked.recv_timeout(patience) {
            Ok(usage) => Ok(self.note(at, usage?)),
            Err(RecvTimeoutError::Timeout) => {
                self.asked = Some(asked);
                Err(self.probe.no_answer())
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.probe.no_answer()),
        }
    }

    fn note(&mut self, at: Duration, usage: VolumeUsage) -> Look {
        let look = Look { at, usage };
        self.growth.add(at, usage.used);
        self.forecast.add(at, usage.used);
        self.last = Some(look);
        look
    }

    /// The last look; `None` before the first.
    pub const fn last(&self) -> Option<Look> {
        self.last
    }

    /// When the volume will be full.
    pub fn outlook(&self) -> Outlook {
        self.last.map_or(Outlook::Unknown, |look| self.forecast.outlook(look.at, look.usage.available))
    }

    /// The lasting rate in bytes a second; `None` while unknown.
    pub const fn rate(&self) -> Option<f64> {
        self.forecast.rate()
    }

    /// Guardian removed so many bytes from the volume: no trend of whoever fills it.
    pub fn removed(&mut self, bytes: u64) {
        let usable = self.last.map_or(0, |look| look.usage.used.saturating_add(look.usage.available));
        self.forecast.removed(bytes, usable);
    }

    /// Forgets the growth so far: guardian's own removals are no trend.
    pub fn cut(&mut self) {
        self.growth = Growth::default();
        self.forecast.cut();
    }

    /// How long to wait for the next look. `marks` are the strictest of the
    /// volume's roots, `stirring` whether anything changed below them lately.
    pub fn pause(&self, marks: &[Marks], stirring: bool) -> Duration {
        let Some(look) = self.last else { return self.longest };
        let bytes = Resource::Bytes;
        let usable = look.usage.used.saturating_add(look.usage.available) as f64;
        let headroom = marks
            .iter()
            .map(|marks| {
                let to_mark = usable * marks.of(bytes).1 / 100.0 - look.usage.used as f64;
                let to_min_free = look.usage.available.saturating_sub(marks.min_free) as f64;
                if to_mark.min(to_min_free) > 0.0 {
                    to_mark.min(to_min_free) as u64
                } else {
                    look.usage.available
                }
            })
            .min()
            .unwrap_or(look.usage.available);
        let past_warning = marks.iter().any(|marks| look.usage.percent(bytes) >= marks.of(bytes).0);
        next_pause(&Pace {
            longest: self.longest,
            headroom,
            past_warning,
            // A slow but lasting rise hides between two samples that show the same.
            fastest: self.growth.fastest(look.at, RECENT).unwrap_or(0.0).max(self.rate().unwrap_or(0.0)),
            stirring,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;
    use crate::sys::dir::RootDir;

    #[test]
    fn a_volume_that_does_not_answer_is_asked_once_and_its_late_answer_counts() {
        let dir = tempfile::tempdir().unwrap();
        let server = Arc::new((Mutex::new(false), Condvar::new()));
        let asked = Arc::new(AtomicU64::new(0));
        let (its, count) = (Arc::clone(&server), Arc::clone(&asked));
        let counter = move || {
            count.fetch_add(1, Ordering::SeqCst);
            drop(its.1.wait_while(its.0.lock().unwrap(), |up| !*up).unwrap());
            Some(7)
        };
        let root = Arc::new(RootDir::open(dir.path()).unwrap());
        let probe = Probe::Capacity { root, size: 100, counter: Arc::new(counter) };
        let mut monitor = VolumeMonitor::new(probe, Duration::from_secs(30));
        for look in 0..3 {
            let answer = monitor.look_within(Duration::from_secs(look), Duration::from_millis(5));
            assert!(matches!(answer, Err(UsageError::NoAnswer { .. })));
        }
        assert!(monitor.last().is_none(), "what is unknown is not shown as a figure");
        *server.0.lock().unwrap() = true;
        server.1.notify_all();
        let look = monitor.look_within(Duration::from_secs(9), Duration::from_secs(20)).unwrap();
        assert_eq!(look.usage.used, 7);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
