//! `guardian top`: the roots, what fills them and what is done about it, on a
//! screen that goes on by itself.
//!
//! Promises: drawing never waits for the agent, which may come and go; nothing
//! is removed from here; the terminal comes back as it was, however it ends.
//! This file is the shell: [`model`] knows what is shown, [`view`] how.

mod dialog;
mod feed;
mod holders;
mod model;
mod terminal;
#[cfg(test)]
mod tests;
mod trend;
mod view;
mod words;

use std::io::IsTerminal;
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};

use super::failure::{Exit, Failure};
use super::session::{Session, now};
use super::settings::sockets;
use feed::Feed;
use model::{Model, Wish};
use terminal::Screen;
use view::Theme;

/// The longest time without a look at keys, signals and news.
const LOOK: Duration = Duration::from_millis(100);
/// The longest time without drawing: clocks and trends go on by themselves.
const REDRAW: Duration = Duration::from_secs(1);

pub(super) fn run(session: &Session<'_>) -> Result<Exit, Failure> {
    let attempt = "show the screen";
    if !session.is_text() {
        let why = "a screen has no JSON: use `guardian status`, `guardian stats` or GET /v1/events";
        return Err(Failure::usage(attempt, why));
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage(attempt, "standard output is not a terminal")
            .with_help("`guardian status` and `guardian stats` print the same once"));
    }
    if std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb") {
        return Err(Failure::usage(attempt, "this terminal cannot place text (TERM)")
            .with_help("`guardian status --watch` needs less"));
    }
    // Nobody wants a screen of an agent that was never there.
    drop(session.agent(attempt)?);
    let failed = |why: std::io::Error| Failure::new(Exit::Failures, attempt, why.to_string());
    let (tell, news) = mpsc::channel();
    let feed = Feed::start(sockets(&session.sources)?, tell).map_err(failed)?;
    let mut screen = Screen::take(session.out.colour).map_err(failed)?;
    let theme = Theme { colour: session.out.colour };
    let mut model = Model::new(now());
    let mut drawn: Option<Instant> = None;
    loop {
        let mut changed = screen.take_again_if_continued().map_err(failed)?;
        loop {
            match news.try_recv() {
                Ok(one) => model.take(one, now()),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::new(Exit::Failures, attempt, "nobody asks the agent any more"));
                }
            }
            changed = true;
        }
        if changed || drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
            screen.terminal.draw(|frame| view::draw(frame, &model, theme, now())).map_err(failed)?;
            drawn = Some(Instant::now());
        }
        if !screen.wait(LOOK) {
            return Ok(Exit::Interrupted);
        }
        let came = match event::poll(Duration::ZERO) {
            Ok(came) => came,
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => false,
            Err(why) => return Err(failed(why)),
        };
        if came {
            drawn = None;
            if let Input::Key(key) = event::read().map_err(failed)?
                && key.kind != KeyEventKind::Release
            {
                match model.key(key) {
                    Some(Wish::Quit) => return Ok(Exit::Done),
                    Some(wish) => feed.fulfil(wish),
                    None => {}
                }
            }
        }
        if screen.is_ended() {
            return Ok(Exit::Interrupted);
        }
    }
}
