//! Calling programs about alerts.
//!
//! Promises: whoever raises an alert never waits; of each hook one program runs
//! at a time, for as long as its time allows; what could not be handed to it is
//! counted and told. Must not know: what alerts mean.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::agent::chain;
use crate::api::Event;
use crate::config::AlertHook;
use crate::model::TimeSpan;
use crate::sys::program::{self, Ended};

/// Alerts that wait for one hook: they are few, and an old one helps nobody.
const WAITING: usize = 64;
/// Where hooks find programs: the agent's own path is nobody's promise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The hooks in force.
#[derive(Default)]
pub struct Hooks {
    all: Mutex<Vec<Hook>>,
}

struct Hook {
    settings: AlertHook,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What lies before one hook.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Call>,
    /// Left out since the last call.
    left_out: u64,
    closed: bool,
}

struct Call {
    input: Vec<u8>,
    environment: Vec<(&'static str, String)>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays an alert down; false if there is no room.
    fn put(&self, call: Call) -> bool {
        let mut state = self.state();
        let room = state.waiting.len() < WAITING;
        if room {
            state.waiting.push_back(call);
            self.changed.notify_all();
        } else {
            state.left_out += 1;
        }
        room
    }

    /// The next, and how many were left out before; `None` once closed.
    fn take(&self) -> Option<(Call, u64)> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(call) = state.waiting.pop_front() {
                return Some((call, std::mem::take(&mut state.left_out)));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more, and ends what runs; how many wait in vain.
    fn close(&self) -> u64 {
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        state.waiting.len() as u64 + std::mem::take(&mut state.left_out)
    }
}

impl Hooks {
    fn all(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes these hooks from now on. Those that did not change go on with what they have.
    pub fn take(&self, hooks: &[AlertHook], socket: &Path) {
        let mut old = std::mem::take(&mut *self.all());
        let mut next = Vec::new();
        for settings in hooks {
            let kept = old.iter().position(|hook| hook.settings == *settings);
            next.extend(match kept {
                Some(place) => Some(old.swap_remove(place)),
                None => start(settings, socket),
            });
        }
        *self.all() = next;
        old.into_iter().for_each(Hook::end);
    }

    /// Ends all hooks, those that run after a moment.
    pub fn stop(&self) {
        let all = std::mem::take(&mut *self.all());
        for hook in &all {
            hook.desk.close();
        }
        all.into_iter().for_each(Hook::end);
    }

    /// Has the hooks called that are for alerts of this level.
    pub(super) fn call(&self, event: &Event) {
        let Event::Alert { level, .. } = event else { return };
        for hook in self.all().iter().filter(|hook| hook.settings.levels.contains(level)) {
            if let Some(call) = call_about(event)
                && !hook.desk.put(call)
            {
                tracing::debug!(program = hook.program(), "an alert hook is behind: an alert is left out");
            }
        }
    }
}

impl Hook {
    fn program(&self) -> &str {
        name(&self.settings)
    }

    fn end(self) {
        let in_vain = self.desk.close();
        if in_vain > 0 {
            tracing::warn!(
                program = self.program(),
                alerts = in_vain,
                "an alert hook ends before its alerts do"
            );
        }
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of an alert hook panicked");
        }
    }
}

fn name(settings: &AlertHook) -> &str {
    settings.command.first().map_or("", String::as_str)
}

fn call_about(event: &Event) -> Option<Call> {
    let Event::Alert { kind, state, level, root, message, .. } = event else { return None };
    let mut input = serde_json::to_vec(event).ok()?;
    input.push(b'\n');
    let environment = vec![
        ("PATH", PATH.to_owned()),
        ("GUARDIAN_ALERT_KIND", kind.to_string()),
        ("GUARDIAN_ALERT_STATE", state.as_str().to_owned()),
        ("GUARDIAN_ALERT_LEVEL", level.as_str().to_owned()),
        ("GUARDIAN_ALERT_ROOT", root.as_ref().map_or_else(String::new, ToString::to_string)),
        // No NUL can stand in an environment.
        ("GUARDIAN_ALERT_MESSAGE", message.replace('\0', "")),
    ];
    Some(Call { input, environment })
}

fn start(settings: &AlertHook, socket: &Path) -> Option<Hook> {
    let desk = Arc::new(Desk::default());
    let (its, hook, socket) = (Arc::clone(&desk), settings.clone(), socket.to_owned());
    let thread = std::thread::Builder::new().name("guardian-hook".to_owned());
    match thread.spawn(move || work(&its, &hook, &socket)) {
        Ok(thread) => Some(Hook { settings: settings.clone(), desk, thread: Some(thread) }),
        Err(error) => {
            tracing::error!(program = name(settings), reason = %error, "failed to start the thread of an alert hook");
            None
        }
    }
}

/// Calls one program after the other until the desk is closed.
fn work(desk: &Desk, hook: &AlertHook, socket: &Path) {
    let program = name(hook);
    let mut failing = false;
    while let Some((mut call, left_out)) = desk.take() {
        if left_out > 0 {
            tracing::warn!(program, alerts = left_out, "alerts were left out: the alert hook was behind");
        }
        call.environment.push(("GUARDIAN_SOCKET", socket.display().to_string()));
        let stop = || desk.state().closed;
        let ended = program::run(&hook.command, &call.environment, &call.input, hook.timeout, &stop);
        let why = match ended {
            Ok(Ended::Exited(status)) if status.success() => None,
            Ok(Ended::Exited(status)) => Some(format!("it ended with {status}")),
            Ok(Ended::Killed) if stop() => None,
            Ok(Ended::Killed) => {
                Some(format!("it did not end within {} and was killed", TimeSpan(hook.timeout)))
            }
            Err(error) => Some(chain(&error)),
        };
        match why {
            // Each call that fails is an alert that nobody may have got.
            Some(why) => {
                failing = true;
                tracing::error!(program, reason = %why, "an alert hook failed");
            }
            None if std::mem::take(&mut failing) => tracing::info!(program, "an alert hook works again"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{AlertKind, AlertState, Level, Timestamp};

    fn alert() -> Event {
        Event::Alert {
            time: Timestamp::EPOCH,
            kind: AlertKind::Clock,
            state: AlertState::Raised,
            level: Level::Critical,
            root: None,
            message: "x".repeat(200_000),
            grown: None,
        }
    }

    #[test]
    fn what_a_hook_can_not_keep_up_with_is_counted_and_takes_no_room() {
        let desk = Desk::default();
        let taken = (0..1000).filter(|_| desk.put(call_about(&alert()).unwrap())).count();
        assert_eq!(taken, WAITING);
        assert_eq!(desk.take().unwrap().1, 1000 - WAITING as u64);
        assert_eq!(desk.take().unwrap().1, 0, "told once");
        assert_eq!(desk.close(), WAITING as u64 - 2);
        assert!(desk.take().is_none());
    }

    #[test]
    fn whoever_raises_an_alert_waits_for_no_hook_and_neither_does_the_end() {
        let hooks = Hooks::default();
        let hook = AlertHook {
            // It reads nothing of what is more than a pipe holds.
            command: ["/bin/sh", "-c", "sleep 600"].map(str::to_owned).to_vec(),
            levels: vec![Level::Critical],
            timeout: Duration::from_secs(600),
        };
        let socket = Path::new("/run/guardian.sock");
        hooks.take(std::slice::from_ref(&hook), socket);
        let begun = Instant::now();
        for _ in 0..1000 {
            hooks.call(&alert());
        }
        // Unchanged, it goes on with what it has.
        hooks.take(&[hook], socket);
        hooks.stop();
        assert!(begun.elapsed() < Duration::from_secs(300), "nobody waits for its 600 s");
    }
}
