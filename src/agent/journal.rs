//! Log lines as entries of the journal.
//!
//! Promises: one event, one entry of one line; what an event says of itself is a
//! field of its own, `GUARDIAN_` before its name (`journalctl GUARDIAN_ROOT=scratch`),
//! and the most important of it is in the message as well; alerts carry the id of
//! their kind, by which the catalog explains them. What the journal does not take
//! goes another way from warnings upwards; of the rest, and where that way is
//! closed too, it is counted and told of later. Must not know: how entries travel.

mod ids;

use std::fmt::{Debug, Write};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::model::escape_control;

/// Before the names of fields: those of the journal itself can't be taken for ours.
const PREFIX: &str = "GUARDIAN_";

/// Fields that a reader of messages alone needs to see, in this order.
const SHOWN: [&str; 10] =
    ["root", "policy", "job", "program", "part", "path", "files_deleted", "bytes", "usage_percent", "reason"];

/// Takes an entry to the journal.
pub type Way = Box<dyn Fn(&[u8]) -> io::Result<()> + Send + Sync>;

/// The layer.
pub struct Journal {
    way: Way,
    /// For lines that the journal does not take, and that somebody has to see.
    aside: Way,
    lost: AtomicU64,
}

impl Journal {
    /// Entries go this way; warnings and errors that can't, as lines `aside`.
    pub const fn new(way: Way, aside: Way) -> Self {
        Self { way, aside, lost: AtomicU64::new(0) }
    }

    fn send(&self, about: &Metadata<'_>, fields: &Fields) {
        if (self.way)(entry(about, fields).as_bytes()).is_err() {
            let matters = *about.level() <= Level::WARN;
            if !(matters && (self.aside)(line(about, fields).as_bytes()).is_ok()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let mut told = Entry::default();
            told.put("MESSAGE", &format!("{lost} lines of the log were lost: the journal did not take them"));
            told.begin(4);
            if (self.way)(told.0.as_bytes()).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.send(event.metadata(), &fields);
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, escape_control(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, escape_control(&format!("{value:?}")));
    }
}

impl Fields {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Entry(String);

impl Entry {
    /// No value has a line break: they are escaped.
    fn put(&mut self, name: &str, value: &str) {
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(value);
        self.0.push('\n');
    }

    fn begin(&mut self, priority: u8) {
        self.put("PRIORITY", &priority.to_string());
        self.put("SYSLOG_IDENTIFIER", "guardian");
        // Daemons (syslog(3)).
        self.put("SYSLOG_FACILITY", "3");
    }
}

/// syslog's numbers, smaller ones being worse.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The journal takes upper-case letters, digits and underscores.
fn name(field: &str) -> String {
    let as_taken = |one: char| if one.is_ascii_alphanumeric() { one.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(field.chars().map(as_taken)).take(64).collect()
}

/// The same in one line, with all that the event says.
fn line(about: &Metadata<'_>, fields: &Fields) -> String {
    let mut line = format!("{} {}", about.level(), fields.message);
    for (field, value) in &fields.others {
        // A String takes everything.
        let _ = write!(line, " {field}={value}");
    }
    line.push('\n');
    line
}

fn entry(about: &Metadata<'_>, fields: &Fields) -> String {
    let mut entry = Entry::default();
    let mut message = fields.message.clone();
    for shown in SHOWN {
        if let Some(value) = fields.get(shown).filter(|value| !value.is_empty()) {
            // A String takes everything.
            let _ = write!(message, " {shown}={value}");
        }
    }
    entry.put("MESSAGE", &message);
    entry.begin(priority(*about.level()));
    if let Some(id) = fields.get("alert").and_then(|alert| ids::of(alert, *about.level())) {
        entry.put("MESSAGE_ID", id);
    }
    entry.put("TARGET", about.target());
    if let (Some(file), Some(line)) = (about.file(), about.line()) {
        entry.put("CODE_FILE", file);
        entry.put("CODE_LINE", &line.to_string());
    }
    for (field, value) in &fields.others {
        entry.put(&name(field), value);
    }
    entry.0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Entries of what `work` logs; the journal takes them while `takes` says so.
    fn logged(takes: impl Fn(usize) -> bool + Send + Sync + 'static, work: impl FnOnce()) -> Vec<String> {
        logged_or_put_aside(takes, |_| Err(io::ErrorKind::BrokenPipe.into()), work)
    }

    fn logged_or_put_aside(
        takes: impl Fn(usize) -> bool + Send + Sync + 'static,
        aside: impl Fn(&[u8]) -> io::Result<()> + Send + Sync + 'static,
        work: impl FnOnce(),
    ) -> Vec<String> {
        let all: Arc<Mutex<(usize, Vec<String>)>> = Arc::default();
        let its = Arc::clone(&all);
        let way = move |entry: &[u8]| {
            let mut all = its.lock().unwrap();
            all.0 += 1;
            if !takes(all.0) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            all.1.push(String::from_utf8(entry.to_vec()).unwrap());
            Ok(())
        };
        let subscriber = tracing_subscriber::registry().with(Journal::new(Box::new(way), Box::new(aside)));
        tracing::subscriber::with_default(subscriber, work);
        all.lock().unwrap().1.clone()
    }

    fn has(entry: &str, line: &str) -> bool {
        entry.lines().any(|one| one == line)
    }

    #[test]
    fn what_an_event_says_is_in_fields_of_its_own_and_in_one_line_for_readers() {
        let all = logged(
            |_| true,
            || {
                tracing::warn!(
                    root = "scratch", policy = %"orphans", run = "r1", bytes = 7_u64, usage_percent = 87.4,
                    path = "/scratch/a\nMESSAGE_ID=b\u{1b}[31m", reason = ?Some(1), none = None::<u32>, "a\tline"
                );
            },
        );
        let [entry] = &all[..] else { panic!("{all:?}") };
        for line in [
            "PRIORITY=4",
            "SYSLOG_IDENTIFIER=guardian",
            "GUARDIAN_ROOT=scratch",
            "GUARDIAN_POLICY=orphans",
            "GUARDIAN_RUN=r1",
            "GUARDIAN_BYTES=7",
            "GUARDIAN_USAGE_PERCENT=87.4",
            "GUARDIAN_REASON=Some(1)",
        ] {
            assert!(has(entry, line), "{line}: {entry}");
        }
        let message = entry.lines().next().unwrap();
        assert!(
            message.starts_with("MESSAGE=a") && message.contains(" root=scratch policy=orphans path="),
            "{entry}"
        );
        assert!(message.contains("usage_percent=87.4"), "{entry}");
        assert!(!entry.contains('\u{1b}') && !entry.contains("GUARDIAN_NONE"), "{entry}");
        assert!(!entry.lines().any(|line| line.starts_with("MESSAGE_ID=")), "nobody forges a field: {entry}");
        assert!(entry.lines().all(|line| line.contains('=')), "{entry}");
    }

    #[test]
    fn alerts_carry_the_id_of_their_kind_and_other_lines_none() {
        let all = logged(
            |_| true,
            || {
                tracing::error!(alert = %"usage", "x");
                tracing::info!(alert = %"clock", "x");
                tracing::error!("x");
                tracing::debug!("x");
            },
        );
        let id =
            |entry: &str| entry.lines().find_map(|line| line.strip_prefix("MESSAGE_ID=")).map(str::to_owned);
        let ids: Vec<Option<String>> = all.iter().map(|entry| id(entry)).collect();
        let expected = [ids::of("usage", Level::ERROR), Some(ids::OVER), None, None];
        assert_eq!(ids, expected.map(|id| id.map(str::to_owned)));
        assert!(has(&all[1], "PRIORITY=6") && has(&all[3], "PRIORITY=7"));
    }

    #[test]
    fn warnings_that_the_journal_does_not_take_go_another_way_in_one_line() {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let its = Arc::clone(&lines);
        let aside = move |line: &[u8]| {
            its.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        };
        let all = logged_or_put_aside(
            |number| number > 3,
            aside,
            || {
                tracing::info!("lost");
                tracing::warn!(root = "r", paths = "/r/a\nERROR forged\u{1b}[31m", "not on record");
                tracing::error!("it ends");
                tracing::warn!("taken");
            },
        );
        let expected =
            ["WARN not on record root=r paths=/r/a\\nERROR forged\\u{1b}[31m\n", "ERROR it ends\n"];
        assert_eq!(*lines.lock().unwrap(), expected);
        let messages: Vec<&str> = all.iter().map(|entry| entry.lines().next().unwrap()).collect();
        let lost = "MESSAGE=1 lines of the log were lost: the journal did not take them";
        assert_eq!(messages, ["MESSAGE=taken", lost], "what went the other way is not lost");
    }

    #[test]
    fn what_the_journal_does_not_take_is_counted_and_told_of() {
        let all = logged(
            |number| !(2..=4).contains(&number),
            || {
                for number in 0..6 {
                    tracing::info!("line {number}");
                }
            },
        );
        let messages: Vec<&str> = all.iter().map(|entry| entry.lines().next().unwrap()).collect();
        let lost = "MESSAGE=3 lines of the log were lost: the journal did not take them";
        assert_eq!(messages, ["MESSAGE=line 0", "MESSAGE=line 4", lost, "MESSAGE=line 5"]);
    }
}
