//! `guardian top` on a terminal whose other end a test holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "what is skipped, measured or failed is told there")]

#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use harness::{Home, root, scratch};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A terminal with a command on it.
struct Terminal {
    ours: File,
    theirs: File,
    seen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    fn with(command: &mut Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = File::from(rustix::fs::open(&*name, flags, Mode::empty()).unwrap());
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).unwrap();
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let ours = File::from(ours);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, into) = (ours.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count) = from.read(&mut some) {
                into.lock().unwrap().extend_from_slice(&some[..count]);
            }
        });
        Self { ours, theirs, seen, child }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// The whole screen. Only what is different is drawn, so it is made to draw
    /// everything, as after a stop.
    fn screen(&self, home: &Home) -> String {
        self.seen.lock().unwrap().clear();
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
        home.until("the screen is drawn", |_| {
            let seen = self.seen();
            let drawn = seen.rsplit_once("\u{1b}[?1049h")?.1;
            Some(drawn.rsplit_once("\u{1b}[?25l")?.0.to_owned())
        })
    }

    /// Waits until all these words stand on the screen.
    fn until(&self, home: &Home, words: &str) {
        home.until(&format!("{words:?} on the screen"), |home| {
            let screen = self.screen(home);
            words.split(' ').all(|word| screen.contains(word)).then_some(())
        });
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; the exit code. The terminal must be as it was.
    fn ended(mut self, home: &Home) -> Option<i32> {
        let status = home.until("top ends", |_| self.child.try_wait().unwrap());
        let modes = tcgetattr(&self.theirs).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "the terminal is still raw");
        home.until("the first screen and the cursor are back", |_| {
            let seen = self.seen();
            (seen.contains("\u{1b}[?1049l") && seen.contains("\u{1b}[?25h")).then_some(())
        });
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what came to the terminal:\n{:?}", self.seen());
        }
    }
}

fn top(home: &Home, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("XDG_RUNTIME_DIR");
    command.arg("--socket").arg(home.path("socket")).arg("top").args(more);
    command
}

fn started() -> Home {
    let mut home = Home::new();
    let dir = scratch(&home);
    std::fs::write(dir.join("file"), "x").unwrap();
    home.configure("", &root(&dir, "capacity = \"10MiB\""));
    home.start();
    home.until_root_is("ready");
    home
}

#[test]
fn it_shows_the_roots_and_gives_the_terminal_back_at_q() {
    let home = started();
    let mut terminal = Terminal::with(&mut top(&home, &[]));
    terminal.until(&home, "scratch");
    terminal.until(&home, "EVENTS");
    let modes = tcgetattr(&terminal.theirs).unwrap().local_modes;
    assert!(!modes.contains(LocalModes::ICANON), "keys come one by one");
    terminal.press("q");
    assert_eq!(terminal.ended(&home), Some(0));
}

#[test]
fn escape_control_c_and_signals_end_it_as_cleanly() {
    let home = started();
    for keys in ["\u{1b}", "\u{3}"] {
        let mut terminal = Terminal::with(&mut top(&home, &[]));
        terminal.until(&home, "scratch");
        terminal.press(keys);
        assert_eq!(terminal.ended(&home), Some(0));
    }
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let terminal = Terminal::with(&mut top(&home, &[]));
        terminal.until(&home, "scratch");
        kill_process(Pid::from_child(&terminal.child), signal).unwrap();
        assert_eq!(terminal.ended(&home), Some(130));
    }
}

#[test]
fn it_outlives_the_agent_and_finds_it_again() {
    let mut home = started();
    let mut terminal = Terminal::with(&mut top(&home, &[]));
    terminal.until(&home, "healthy");
    home.kill();
    terminal.until(&home, "does not answer");
    home.start();
    home.until("the agent is found again", |home| (!terminal.screen(home).contains("answer,")).then_some(()));
    terminal.press("q");
    assert_eq!(terminal.ended(&home), Some(0));
}

#[test]
fn a_dry_run_shows_what_would_go_and_a_hold_keeps_a_file() {
    let home = started();
    harness::aged(&home.path("scratch/file"), 48 * 3600);
    let mut terminal = Terminal::with(&mut top(&home, &[]));
    terminal.until(&home, "healthy");
    terminal.press("d");
    terminal.until(&home, "nothing is removed");
    terminal.until(&home, "looked at");
    terminal.press("x");
    terminal.press("h");
    terminal.until(&home, "Hold which");
    terminal.press("file\r");
    terminal.until(&home, "held until released");
    assert!(home.path("scratch/file").exists());
    let holds = home.ask("/v1/holds").unwrap();
    assert!(holds["items"][0]["path"].as_str().unwrap().ends_with("/scratch/file"), "{holds}");
    terminal.press("q");
    assert_eq!(terminal.ended(&home), Some(0));
}

#[test]
fn colours_can_be_done_without() {
    let home = started();
    let mut plain = top(&home, &[]);
    plain.env("NO_COLOR", "1");
    // A colour is 30-37, 90-97 or 38;…: what comes instead is bold, dim or reversed.
    let coloured = |text: &str| {
        ["\u{1b}[3", "\u{1b}[9", "\u{1b}[38;"].iter().any(|code| {
            text.match_indices(code).any(|(at, _)| {
                let rest: String =
                    text[at..].chars().skip(2).take_while(|c| c.is_ascii_digit() || *c == ';').collect();
                text[at + 2 + rest.len()..].starts_with('m') && rest != "39"
            })
        })
    };
    for command in [&mut top(&home, &["--color", "never"]), &mut plain] {
        let mut terminal = Terminal::with(command);
        terminal.until(&home, "healthy");
        assert!(!coloured(&terminal.seen()), "{:?}", terminal.seen());
        terminal.press("q");
        terminal.ended(&home);
    }
    let mut terminal = Terminal::with(&mut top(&home, &[]));
    terminal.until(&home, "healthy");
    assert!(coloured(&terminal.seen()), "{:?}", terminal.seen());
    terminal.press("q");
    terminal.ended(&home);
}

#[test]
fn without_a_terminal_or_with_json_it_refuses() {
    let home = started();
    let (code, _, err) = home.run(&["top"]);
    assert!(code == 2 && err.contains("not a terminal") && err.contains("guardian status"), "{err}");
    let (code, _, err) = home.run(&["top", "--json"]);
    assert!(code == 2 && err.contains("no JSON"), "{err}");
    let nobody = Home::new();
    let mut child = Terminal::with(&mut top(&nobody, &[]));
    let status = home.until("it ends", |_| child.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(4));
}
