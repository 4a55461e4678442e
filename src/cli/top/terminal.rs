//! The terminal while `guardian top` has it: raw, on its other screen, and
//! back as it was in every case, a panic too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Gives the terminal back when dropped.
pub(super) struct Screen {
    pub(super) terminal: DefaultTerminal,
    ended_by: Arc<AtomicUsize>,
    continued: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal. A panic gives it back before it is reported.
    pub(super) fn take(colour: bool) -> io::Result<Self> {
        let (ended_by, continued) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&ended_by), usize::try_from(signal).unwrap_or(1))?;
        }
        flag::register(SIGCONT, Arc::clone(&continued))?;
        // What was decided from --color and NO_COLOR holds; nothing decides it again.
        ratatui::crossterm::style::force_color_output(colour);
        Ok(Self { terminal: ratatui::try_init()?, ended_by, continued })
    }

    /// Whether a signal asked for an end.
    pub(super) fn is_ended(&self) -> bool {
        self.ended_by.load(Ordering::Relaxed) != 0
    }

    /// After a stop whoever had the terminal meanwhile left it as it liked.
    pub(super) fn take_again_if_continued(&mut self) -> io::Result<bool> {
        if !self.continued.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        use ratatui::crossterm::{execute, terminal};
        terminal::enable_raw_mode()?;
        execute!(io::stdout(), terminal::EnterAlternateScreen)?;
        self.terminal.clear()?;
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that went away needs nothing back.
        let _ = ratatui::try_restore();
        let _ = self.terminal.show_cursor();
    }
}
