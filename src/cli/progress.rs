//! How far a sweep is, on a terminal: files, bytes, percent of the volume, time left.
//!
//! On standard error, and only where that is a terminal; never with `-q`. A
//! sweep that is over at once shows nothing, so that nothing flickers.

use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::api::Progress;
use crate::model::{ByteSize, TimeSpan};

/// What is over by then was quick enough to wait for.
const DELAY: Duration = Duration::from_millis(400);
/// Between two looks of the drawing thread.
const TICK: Duration = Duration::from_millis(100);
/// Before that much time or work, a guess at what is left is worth nothing.
const GUESS_AFTER: (Duration, f64) = (Duration::from_secs(2), 0.02);

/// The latest word on how far the sweep is.
#[derive(Default)]
struct Latest {
    state: Mutex<(Progress, bool)>,
    ended: Condvar,
}

/// A line that shows how far a sweep is; gone when dropped.
pub(super) struct SweepBar {
    latest: Arc<Latest>,
    drawing: Option<JoinHandle<()>>,
}

impl SweepBar {
    /// Shows nothing unless `wanted` and standard error is a terminal.
    pub(super) fn new(wanted: bool) -> Self {
        let latest = Arc::new(Latest::default());
        let seen = Arc::clone(&latest);
        let shown = wanted && std::io::stderr().is_terminal();
        let thread = std::thread::Builder::new().name("guardian-progress".to_owned());
        // Without the thread there is no bar: the sweep is what counts.
        let drawing = shown.then(|| thread.spawn(move || draw(&seen)).ok()).flatten();
        Self { latest, drawing }
    }

    /// Takes how far the sweep is, from whichever thread knows.
    pub(super) fn listener(&self) -> impl Fn(&Progress) + Send + Sync + use<> {
        let latest = Arc::clone(&self.latest);
        move |progress| latest.state.lock().unwrap_or_else(PoisonError::into_inner).0 = *progress
    }
}

impl Drop for SweepBar {
    fn drop(&mut self) {
        self.latest.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.latest.ended.notify_all();
        if let Some(drawing) = self.drawing.take() {
            // A panic there was reported by its own message.
            let _ = drawing.join();
        }
    }
}

fn draw(latest: &Latest) {
    let begun = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let mut state = latest.state.lock().unwrap_or_else(PoisonError::into_inner);
    while !state.1 {
        let progress = state.0;
        drop(state);
        let elapsed = begun.elapsed();
        if elapsed >= DELAY {
            show(bar.get_or_insert_with(hidden), &progress, elapsed);
        }
        state = latest.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.1 {
            state = latest.ended.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn hidden() -> ProgressBar {
    ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(10))
}

fn show(bar: &ProgressBar, progress: &Progress, elapsed: Duration) {
    // Before the first batch there is nothing that a bar could show.
    let share = share(progress).filter(|_| progress.files > 0);
    // The text is cut off at the terminal's edge, never wrapped: what matters most stands first.
    let form = if share.is_some() { "[{bar:10}] {wide_msg}" } else { "{spinner} {wide_msg}" };
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_position((share.unwrap_or(0.0) * 1000.0) as u64);
    bar.set_message(words(progress, elapsed));
    bar.tick();
}

/// How much of the way is done, from 0 to 1; `None` where nobody knows the end.
fn share(progress: &Progress) -> Option<f64> {
    let (done, goal) = match (progress.bytes_goal, progress.files_goal) {
        (Some(goal), _) => (progress.bytes, goal),
        (None, Some(goal)) => (progress.files, goal),
        (None, None) => return None,
    };
    (goal > 0).then(|| (done as f64 / goal as f64).min(1.0))
}

fn words(progress: &Progress, elapsed: Duration) -> String {
    let seconds = |span: Duration| TimeSpan::from_secs(span.as_secs()).to_string();
    if progress.files == 0 {
        return format!("looking for what may go, {}", seconds(elapsed));
    }
    let left = share(progress)
        .filter(|share| elapsed >= GUESS_AFTER.0 && *share >= GUESS_AFTER.1)
        .map(|share| elapsed.mul_f64((1.0 - share) / share));
    let mut words = vec![match left {
        Some(left) => format!("{} left", seconds(left + Duration::from_secs(1))),
        None => seconds(elapsed),
    }];
    words.push(match progress.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    });
    words.push(match progress.bytes_goal {
        Some(goal) => format!("{} of {}", ByteSize(progress.bytes), ByteSize(goal)),
        None => ByteSize(progress.bytes).to_string(),
    });
    if let Some(percent) = progress.usage_percent {
        let target = progress.target_percent.map_or_else(String::new, |target| format!(" to {target:.1}%"));
        words.push(format!("at {percent:.1}%{target}"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_to_a_target_tells_what_is_left_and_fits_eighty_columns() {
        let progress = Progress {
            files: 1_234_567,
            bytes: 3 << 30,
            bytes_goal: Some(12 << 30),
            usage_percent: Some(93.25),
            target_percent: Some(85.0),
            ..Progress::default()
        };
        let text = words(&progress, Duration::from_secs(10));
        assert_eq!(text, "31s left, 1234567 files, 3.0 GiB of 12.0 GiB, at 93.2% to 85.0%");
        assert!(text.len() + "[==========] ".len() < 80);
        assert_eq!(share(&progress), Some(0.25));
        assert!(words(&progress, Duration::from_secs(1)).starts_with("1s, 1"), "too early to guess");
    }

    #[test]
    fn a_sweep_without_a_known_end_tells_how_long_it_takes() {
        let mut progress = Progress { usage_percent: Some(40.0), ..Progress::default() };
        assert_eq!(words(&progress, Duration::from_secs(75)), "looking for what may go, 1m 15s");
        (progress.files, progress.bytes) = (1, 4096);
        assert_eq!(words(&progress, Duration::from_secs(75)), "1m 15s, 1 file, 4.0 KiB, at 40.0%");
        assert_eq!(share(&progress), None);
    }
}
