//! One value, checked against the kind of its key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::GlobBuilder;

use crate::model::{ByteSize, RootName, TimeSpan};

use super::key::{Key, Kind, LONGEST_SPAN_DAYS};
use super::paths;
use super::pattern::check_pattern;
use super::raw::{Data, Value};
use super::settings::RateLimit;
use super::{Origin, Problem};

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Typed {
    Flag(bool),
    Count(u64),
    Percent(f64),
    Span(Option<Duration>),
    Size(Option<u64>),
    Rate(RateLimit),
    Text(String),
    Path(PathBuf),
    OptionalPath(Option<PathBuf>),
    Address(Option<SocketAddr>),
    List(Vec<String>),
}

/// Checks a value. A bad one is reported (each item of a list for itself) and `None`.
pub(super) fn check(key: &Key, label: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Typed> {
    let before = problems.len();
    let typed = if let (true, Data::List(items)) = (is_list(key.kind), &value.data) {
        let read: Vec<String> =
            items.iter().filter_map(|item| list_item(key, label, item, problems)).collect();
        let empty_allowed = key.appends();
        (empty_allowed || !read.is_empty()).then_some(Typed::List(read))
    } else {
        scalar(key.kind, &value.data)
    };
    let typed = typed.filter(|typed| !key.is_later() || key.default_typed().as_ref() == Some(typed));
    if let Some(Typed::Text(word)) = &typed
        && key.is_later_word(word)
    {
        let found = format!("{}, which is not available in this version", value.data.show());
        problems.push(problem(key, label, &value.origin, found));
        return None;
    }
    if typed.is_none() && problems.len() == before {
        problems.push(problem(key, label, &value.origin, value.data.show()));
    }
    typed.filter(|_| problems.len() == before)
}

fn problem(key: &Key, label: &str, origin: &Origin, found: String) -> Problem {
    Problem { origin: origin.clone(), key: format!("{label}.{}", key.name), found, allowed: key.allowed() }
}

impl Key {
    /// The default, checked; `None` for keys without one.
    pub(super) fn default_typed(&self) -> Option<Typed> {
        let text = self.default?;
        let data = super::raw::read_list(text, &Origin::Default).ok()?;
        match data {
            Data::List(items) => Some(Typed::List(
                items
                    .into_iter()
                    .filter_map(|item| match item.data {
                        Data::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect(),
            )),
            data => scalar(self.kind, &data),
        }
    }
}

const fn is_list(kind: Kind) -> bool {
    matches!(kind, Kind::Globs | Kind::Patterns | Kind::Words(_) | Kind::Command)
}

fn list_item(key: &Key, label: &str, item: &Value, problems: &mut Vec<Problem>) -> Option<String> {
    let Data::Text(text) = &item.data else {
        problems.push(problem(key, label, &item.origin, item.data.show()));
        return None;
    };
    let verdict = match key.kind {
        Kind::Globs => check_glob(text),
        Kind::Patterns => check_pattern(text),
        Kind::Words(choices) if !choices.contains(&text.as_str()) => Err(String::new()),
        _ => Ok(()),
    };
    match verdict {
        Ok(()) => Some(text.clone()),
        Err(why) => {
            let found =
                if why.is_empty() { item.data.show() } else { format!("{} ({why})", item.data.show()) };
            problems.push(problem(key, label, &item.origin, found));
            None
        }
    }
}

/// Whether a glob of `protect` or `results` is one: relative to the root, and it compiles.
pub(super) fn check_glob(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    if text.starts_with('/') {
        return Err("globs are relative to the root".to_owned());
    }
    if text.split('/').any(|part| part == ".." || part == ".") {
        return Err("\".\" and \"..\" match no file".to_owned());
    }
    match GlobBuilder::new(text).literal_separator(true).build() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.kind().to_string()),
    }
}

fn scalar(kind: Kind, data: &Data) -> Option<Typed> {
    match (kind, data) {
        (Kind::Flag, Data::Flag(flag)) => Some(Typed::Flag(*flag)),
        (Kind::Count { min, max }, Data::Whole(number)) => {
            u64::try_from(*number).ok().filter(|n| (min..=max).contains(n)).map(Typed::Count)
        }
        (Kind::Percent, Data::Whole(number)) => percent(*number as f64),
        (Kind::Percent, Data::Fraction(number)) => percent(*number),
        (Kind::Span { min_seconds }, Data::Text(text)) => {
            span(text).filter(|span| *span >= Duration::from_secs(min_seconds)).map(|s| Typed::Span(Some(s)))
        }
        (Kind::OptionalSpan, Data::Text(text)) if text.is_empty() => Some(Typed::Span(None)),
        (Kind::OptionalSpan, Data::Text(text)) => span(text).map(|span| Typed::Span(Some(span))),
        (Kind::OptionalSize, Data::Text(text)) if text.is_empty() => Some(Typed::Size(None)),
        (Kind::OptionalSize | Kind::Size, Data::Text(text)) => {
            text.parse::<ByteSize>().ok().map(|size| Typed::Size(Some(size.0)))
        }
        (Kind::OptionalSize | Kind::Size, Data::Whole(bytes)) => {
            u64::try_from(*bytes).ok().map(|bytes| Typed::Size(Some(bytes)))
        }
        (Kind::Rate, Data::Text(text)) => rate(text).map(Typed::Rate),
        (Kind::Name, Data::Text(text)) => {
            let plain = RootName::parse(text).is_ok() && text != "." && text != "..";
            plain.then(|| Typed::Text(text.clone()))
        }
        (Kind::Group, Data::Text(text)) => {
            let plain = !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == ':');
            plain.then(|| Typed::Text(text.clone()))
        }
        (Kind::Path, Data::Text(text)) => paths::plain_absolute(Path::new(text)).map(Typed::Path),
        (Kind::Path, Data::Path(path)) => paths::plain_absolute(path).map(Typed::Path),
        (Kind::OptionalPath, Data::Text(text)) if text.is_empty() => Some(Typed::OptionalPath(None)),
        (Kind::OptionalPath, Data::Text(text)) => {
            paths::plain_absolute(Path::new(text)).map(|path| Typed::OptionalPath(Some(path)))
        }
        (Kind::Address, Data::Text(text)) if text.is_empty() => Some(Typed::Address(None)),
        (Kind::Address, Data::Text(text)) => text.parse().ok().map(|address| Typed::Address(Some(address))),
        (Kind::Word(choices), Data::Text(text)) => {
            choices.contains(&text.as_str()).then(|| Typed::Text(text.clone()))
        }
        _ => None,
    }
}

fn percent(number: f64) -> Option<Typed> {
    (1.0..=100.0).contains(&number).then_some(Typed::Percent(number))
}

fn span(text: &str) -> Option<Duration> {
    let longest = Duration::from_secs(LONGEST_SPAN_DAYS * 86_400);
    text.parse::<TimeSpan>().ok().map(|span| span.0).filter(|span| *span <= longest)
}

fn rate(text: &str) -> Option<RateLimit> {
    let (count, per) = text.split_once('/')?;
    let count = count.trim().parse().ok().filter(|count| *count > 0)?;
    let seconds = match per.trim() {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    Some(RateLimit { count, per: Duration::from_secs(seconds) })
}
