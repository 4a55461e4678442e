//! TERM and INT stop, HUP reloads, a second TERM or INT exits at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// What the supervisor waits for.
pub enum Notice {
    /// Stop.
    Stop,
    /// Read the settings again.
    Reload,
    /// A worker ended.
    Ended(&'static str),
}

/// Exit status after a second signal: as a shell tells of an interruption.
const AT_ONCE: i32 = 130;

/// Forwards signals to the supervisor, from a thread of its own.
pub fn forward(notices: Sender<Notice>) -> std::io::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down and raises it, the second exits.
        flag::register_conditional_shutdown(signal, AT_ONCE, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("guardian-signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            let notice = if signal == SIGHUP { Notice::Reload } else { Notice::Stop };
            if notices.send(notice).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
