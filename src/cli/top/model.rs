//! What the screen of `guardian top` shows, made from answers, events and
//! keys. Pure: time comes with what happened.

use std::collections::{BTreeMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::output::Tone;
use super::trend::Trend;
use super::words;
use crate::api::{Event, Health, Progress, RootHealth, RootStats, Stats, SweepResource, SweepState};
use crate::model::{Level, Policy, RootName, RunId, Timestamp};

/// Lines of events that are kept.
const EVENTS: usize = 200;

/// Something that is new.
pub(super) enum News {
    Health(Box<Health>),
    Stats(Box<Stats>),
    Sweeps(Vec<SweepResource>),
    Event(Box<Event>),
    /// Events come again, after a gap.
    Listening,
    /// The agent did not answer.
    Silent,
    /// What a dry run would do, or why nobody knows.
    DryRun(Result<Vec<String>, String>),
    /// What came of something else that was asked for.
    Told(Result<String, String>),
}

/// What somebody wants done.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    Quit,
    DryRun(RootName),
    Hold(String),
    Cancel(RunId),
}

/// What lies over the screen.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Dialog {
    #[default]
    None,
    Help,
    Hold {
        path: String,
    },
    Cancel {
        id: RunId,
        what: String,
    },
    DryRun {
        root: RootName,
        /// `None` while it is under way.
        told: Option<Result<Vec<String>, String>>,
        from: usize,
    },
}

/// A sweep under way.
pub(super) struct Running {
    /// `None`: the agent began it by itself.
    pub(super) id: Option<RunId>,
    pub(super) policy: Policy,
    pub(super) roots: String,
    pub(super) state: SweepState,
    pub(super) progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    Roots,
    Sweeps,
}

pub(super) struct Model {
    pub(super) health: Option<Health>,
    pub(super) stats: Option<Stats>,
    pub(super) sweeps: Vec<Running>,
    pub(super) events: VecDeque<(Timestamp, Tone, String)>,
    pub(super) trends: BTreeMap<RootName, Trend>,
    pub(super) root: usize,
    pub(super) sweep: usize,
    pub(super) focus: Focus,
    pub(super) by_growth: bool,
    pub(super) dialog: Dialog,
    pub(super) note: Option<(Tone, String)>,
    /// The agent's last word.
    pub(super) answered: Timestamp,
    pub(super) silent: bool,
    /// The last alert, which the level it is about may follow.
    alert: Option<(RootName, Level, Timestamp)>,
}

impl Model {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            health: None,
            stats: None,
            sweeps: Vec::new(),
            events: VecDeque::new(),
            trends: BTreeMap::new(),
            root: 0,
            sweep: 0,
            focus: Focus::Roots,
            by_growth: false,
            dialog: Dialog::None,
            note: None,
            answered: now,
            silent: false,
            alert: None,
        }
    }

    pub(super) fn roots(&self) -> &[RootHealth] {
        self.health.as_ref().map_or(&[], |health| &health.roots)
    }

    pub(super) fn selected(&self) -> Option<&RootHealth> {
        self.roots().get(self.root)
    }

    pub(super) fn stats_of(&self, root: &RootName) -> Option<&RootStats> {
        self.stats.as_ref()?.roots.iter().find(|one| one.name == *root)
    }

    /// Takes what is new.
    pub(super) fn take(&mut self, news: News, now: Timestamp) {
        if matches!(news, News::Health(_) | News::Stats(_) | News::Sweeps(_) | News::Event(_)) {
            self.answered = now;
            self.silent = false;
        }
        match news {
            News::Health(health) => {
                let selected = self.selected().map(|root| root.name.clone());
                for root in &health.roots {
                    if let Some(percent) = root.usage_percent {
                        self.trends.entry(root.name.clone()).or_default().add(now, percent);
                    }
                }
                let place = health.roots.iter().position(|root| Some(&root.name) == selected.as_ref());
                self.root = place.unwrap_or(self.root).min(health.roots.len().saturating_sub(1));
                self.trends.retain(|name, _| health.roots.iter().any(|root| root.name == *name));
                self.health = Some(*health);
            }
            News::Stats(stats) => self.stats = Some(*stats),
            News::Sweeps(listed) => self.take_sweeps(listed),
            News::Event(event) => self.take_event(*event, now),
            // What ended in the gap is not known: who still works tells soon.
            News::Listening => self.sweeps.retain(|one| one.id.is_some()),
            News::Silent => {
                self.silent = true;
                self.sweeps.clear();
            }
            News::DryRun(told) => {
                if let Dialog::DryRun { told: place, .. } = &mut self.dialog {
                    *place = Some(told);
                }
            }
            News::Told(Ok(text)) => self.note = Some((Tone::Good, text)),
            News::Told(Err(text)) => self.note = Some((Tone::Bad, text)),
        }
        self.sweep = self.sweep.min(self.sweeps.len().saturating_sub(1));
    }

    fn take_sweeps(&mut self, listed: Vec<SweepResource>) {
        self.sweeps.retain(|one| one.id.is_none());
        let under_way = listed.into_iter().filter(|sweep| !sweep.state.is_over());
        let asked_for = under_way.map(|sweep| {
            let root = sweep.request.as_ref().and_then(|request| request.root.clone());
            Running {
                policy: sweep.request.as_ref().map_or(Policy::Scheduled, |request| request.policy),
                roots: root.map_or_else(|| "all roots".to_owned(), |root| root.to_string()),
                id: Some(sweep.id),
                state: sweep.state,
                progress: sweep.progress,
            }
        });
        self.sweeps.extend(asked_for.collect::<Vec<_>>());
    }

    fn take_event(&mut self, event: Event, now: Timestamp) {
        let mut is_news = true;
        if let Event::Sweep { sweep, policy, roots, state, progress, .. } = &event {
            let roots = roots.iter().map(|root| root.as_str()).collect::<Vec<_>>().join(", ");
            let known = self.sweeps.iter_mut().find(|one| match (&one.id, sweep) {
                (Some(a), Some(b)) => a == b,
                (None, None) => one.policy == *policy && one.roots == roots,
                _ => false,
            });
            is_news = state.is_over() || known.is_none();
            match known {
                Some(known) => (known.state, known.progress) = (*state, *progress),
                None => self.sweeps.push(Running {
                    id: sweep.clone(),
                    policy: *policy,
                    roots,
                    state: *state,
                    progress: *progress,
                }),
            }
            self.sweeps.retain(|one| !one.state.is_over());
        }
        self.say_once(&event);
        if is_news {
            let (time, tone, text) = words::of_event(&event, now);
            self.events.push_front((time, tone, text));
            self.events.truncate(EVENTS);
        }
    }

    /// A crossing is told as an alert and as a level: the level's line says more, and stays alone.
    fn say_once(&mut self, event: &Event) {
        match event {
            Event::Alert { time, level, root: Some(root), .. } => {
                self.alert = Some((root.clone(), *level, *time));
            }
            Event::Level { time, level, root, .. } => {
                let same = self.alert.take().is_some_and(|(of, as_bad, at)| {
                    of == *root && as_bad == *level && at.age_at(*time).as_secs() <= 1
                });
                if same {
                    self.events.pop_front();
                }
            }
            _ => self.alert = None,
        }
    }

    /// Takes a key; what it asks for.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Wish> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c')) {
            return Some(Wish::Quit);
        }
        self.note = None;
        match std::mem::take(&mut self.dialog) {
            Dialog::None => self.key_on_screen(key.code),
            Dialog::Help => None,
            Dialog::Hold { path } => self.key_in_path(path, key.code, control),
            Dialog::Cancel { id, what } => match key.code {
                KeyCode::Char('y' | 'Y') => Some(Wish::Cancel(id)),
                KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter => None,
                // A slip neither cancels nor hides the question.
                _ => {
                    self.dialog = Dialog::Cancel { id, what };
                    None
                }
            },
            Dialog::DryRun { root, told, from } => {
                let from = match key.code {
                    KeyCode::Down | KeyCode::Char('j') => from + 1,
                    KeyCode::Up | KeyCode::Char('k') => from.saturating_sub(1),
                    _ => return None,
                };
                let last = told.as_ref().and_then(|told| told.as_ref().ok()).map_or(0, Vec::len);
                self.dialog = Dialog::DryRun { root, told, from: from.min(last.saturating_sub(1)) };
                None
            }
        }
    }

    fn key_on_screen(&mut self, code: KeyCode) -> Option<Wish> {
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
            KeyCode::Char('?') => self.dialog = Dialog::Help,
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = if self.focus == Focus::Roots { Focus::Sweeps } else { Focus::Roots };
            }
            KeyCode::Char('g') => self.by_growth = !self.by_growth,
            KeyCode::Char('d') => {
                let root = self.selected()?.name.clone();
                self.dialog = Dialog::DryRun { root: root.clone(), told: None, from: 0 };
                return Some(Wish::DryRun(root));
            }
            KeyCode::Char('h') => {
                let below = self.selected().map(|root| format!("{}/", root.path.path.trim_end_matches('/')));
                self.dialog = Dialog::Hold { path: below.unwrap_or_else(|| "/".to_owned()) };
            }
            KeyCode::Char('c') => self.ask_to_cancel(),
            _ => {}
        }
        None
    }

    fn ask_to_cancel(&mut self) {
        match self.sweeps.get(self.sweep) {
            None => self.note = Some((Tone::Warn, "no sweep runs".to_owned())),
            Some(Running { id: Some(id), policy, roots, .. }) => {
                self.dialog = Dialog::Cancel { id: id.clone(), what: format!("{policy} over {roots}") };
            }
            Some(_) => {
                let text = "the agent began this sweep itself: `guardian pause` stops removals";
                self.note = Some((Tone::Warn, text.to_owned()));
            }
        }
    }

    fn step(&mut self, by: isize) {
        let (place, count) = match self.focus {
            Focus::Roots => (&mut self.root, self.health.as_ref().map_or(0, |health| health.roots.len())),
            Focus::Sweeps => (&mut self.sweep, self.sweeps.len()),
        };
        *place = place.saturating_add_signed(by).min(count.saturating_sub(1));
    }

    fn key_in_path(&mut self, mut path: String, code: KeyCode, control: bool) -> Option<Wish> {
        match code {
            KeyCode::Esc => return None,
            KeyCode::Enter if path.starts_with('/') => return Some(Wish::Hold(path)),
            KeyCode::Enter => self.note = Some((Tone::Warn, "expected an absolute path".to_owned())),
            KeyCode::Backspace => drop(path.pop()),
            KeyCode::Char('u') if control => path.clear(),
            KeyCode::Char(_) if control => {}
            KeyCode::Char(c) => path.push(c),
            _ => {}
        }
        self.dialog = Dialog::Hold { path };
        None
    }
}
