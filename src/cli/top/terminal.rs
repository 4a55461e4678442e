//! The terminal while `guardian top` has it: raw, on its other screen, and
//! back as it was in every case, a panic too.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::super::failure::Exit;

/// Gives the terminal back when dropped.
pub(super) struct Screen {
    pub(super) terminal: DefaultTerminal,
    ended_by: Arc<AtomicUsize>,
    continued: Arc<AtomicBool>,
    /// Where keys come from.
    input: File,
}

/// How long the loop has to end after a signal.
const END_WITHIN: Duration = Duration::from_secs(2);

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
        // A terminal that hangs up can catch a reader of keys in a loop: then the loop never ends by itself.
        let watched = Arc::clone(&ended_by);
        std::thread::Builder::new().name("guardian-end".to_owned()).spawn(move || {
            while watched.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(END_WITHIN / 4);
            }
            std::thread::sleep(END_WITHIN);
            let _ = ratatui::try_restore();
            std::process::exit(Exit::Interrupted.code().into());
        })?;
        let stdin = io::stdin();
        let input = if stdin.is_terminal() {
            File::from(stdin.as_fd().try_clone_to_owned()?)
        } else {
            File::open("/dev/tty")?
        };
        let terminal = ratatui::try_init().inspect_err(|_| {
            // Half of it may have been done.
            let _ = ratatui::try_restore();
        })?;
        Ok(Self { terminal, ended_by, continued, input })
    }

    /// Waits for keys and signals; false once the terminal is gone.
    pub(super) fn wait(&self, longest: Duration) -> bool {
        let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
        let longest = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
        // A signal ends the wait, too: whoever waits looks for it.
        let _ = poll(&mut fds, Some(&longest));
        !fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
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
        execute!(io::stdout(), terminal::EnterAlternateScreen, terminal::Clear(terminal::ClearType::All))?;
        // A new one draws everything, and asks the terminal nothing.
        self.terminal = ratatui::Terminal::new(ratatui::backend::CrosstermBackend::new(io::stdout()))?;
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
