//! The raw mirror: values as they stand in a source, each with its place.
//! Nothing is judged here but syntax, the shape of tables, and unknown keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::key::{self, Key, Scope};
use super::{Origin, Problem};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) data: Data,
    pub(super) origin: Origin,
}

/// A value as written.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Text(String),
    /// Whole numbers that do not fit become a [`Data::Other`].
    Whole(i64),
    Fraction(f64),
    Flag(bool),
    List(Vec<Value>),
    /// A path from a flag, which need not be UTF-8.
    Path(PathBuf),
    /// A kind of value that no key takes, as people would write it.
    Other(String),
}

impl Data {
    /// As it stands in the file.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Text(text) => super::show::text(text),
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.data.show()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Path(path) => super::show::text(&path.to_string_lossy()),
            Self::Other(text) => text.clone(),
        }
    }
}

/// The keys of one table, with dotted names.
#[derive(Debug, Clone)]
pub(super) struct RawTable {
    /// Where it begins.
    pub(super) origin: Origin,
    pub(super) values: Vec<(&'static Key, Value)>,
}

impl RawTable {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }
}

/// One source: a file, the environment, or the flags.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) agent: Vec<(&'static Key, Value)>,
    pub(super) roots: Vec<RawTable>,
    pub(super) hooks: Vec<RawTable>,
}

/// Reads one file. What cannot be understood goes to `problems`; the rest is kept,
/// so that all problems of all sources show at once.
pub(super) fn read(path: &Path, bytes: &[u8], problems: &mut Vec<Problem>) -> Layer {
    let path: Arc<Path> = path.into();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            problems.push(Problem {
                origin: Places { path, text: &good }.at(good.len()),
                key: String::new(),
                found: "a byte that is not UTF-8".to_owned(),
                allowed: "TOML, which is UTF-8 text".to_owned(),
            });
            return Layer::default();
        }
    };
    let mut reader = Reader { places: Places { path, text }, problems };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let (found, allowed) = describe(text, error);
        let offset = error.span().map_or(text.len(), |span| span.start);
        reader.report(offset, String::new(), found, allowed);
    }
    // What the parser salvaged from broken text is not what was meant: judging it
    // would only add noise.
    if errors.is_empty() { reader.document(document.get_ref()) } else { Layer::default() }
}

/// Reads a list as in a file (`["a", "b"]`), for the environment. Items that are not text are kept as they are.
pub(super) fn read_list(text: &str, origin: &Origin) -> Result<Data, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(data(value.get_ref(), &|_| origin.clone())),
        Err(error) => Err(error.message().to_owned()),
    }
}

fn describe(text: &str, error: &toml::de::Error) -> (String, String) {
    let found = error
        .span()
        .and_then(|span| text.get(span))
        .map(|part| part.lines().next().unwrap_or_default().chars().take(60).collect::<String>())
        .filter(|part| !part.trim().is_empty());
    (
        found.map_or_else(|| "text that is not TOML".to_owned(), |part| format!("{part:?}")),
        format!("TOML ({})", error.message().replace('\n', " ")),
    )
}

struct Places<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: Arc::clone(&self.path),
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            // Continuation bytes of UTF-8 do not begin a character.
            column: 1 + before[line_start..].iter().filter(|b| (**b & 0xC0) != 0x80).count(),
        }
    }
}

struct Reader<'a> {
    places: Places<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, offset: usize, key: String, found: String, allowed: String) {
        self.problems.push(Problem { origin: self.places.at(offset), key, found, allowed });
    }

    fn document(&mut self, document: &DeTable<'_>) -> Layer {
        let mut layer = Layer::default();
        for (name, value) in document {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("agent", DeValue::Table(table)) => {
                    let begin = value.span().start;
                    layer.agent = self.table(Scope::Agent, "agent", begin, table).values;
                }
                ("root", DeValue::Array(tables)) => layer.roots = self.tables(Scope::Root, tables),
                ("alert_hook", DeValue::Array(tables)) => layer.hooks = self.tables(Scope::Hook, tables),
                ("agent", other) => self.shape(name, other, "[agent]"),
                ("root", other) => self.shape(name, other, "[[root]]"),
                ("alert_hook", other) => self.shape(name, other, "[[alert_hook]]"),
                (unknown, _) => {
                    let candidates = ["agent", "root", "alert_hook"];
                    let allowed = suggest(unknown, &candidates, |table| match table {
                        "agent" => "[agent]".to_owned(),
                        table => format!("[[{table}]]"),
                    });
                    let hint = key::find(Scope::Agent, unknown).map(|key| (key, "[agent]"));
                    let hint = hint.or_else(|| key::find(Scope::Root, unknown).map(|key| (key, "[[root]]")));
                    let allowed = match hint {
                        Some((key, table)) => format!("{} in {table}", key.name),
                        None => allowed,
                    };
                    self.report(
                        name.span().start,
                        unknown.to_owned(),
                        format!("the unknown key {}", super::show::text(unknown)),
                        allowed,
                    );
                }
            }
        }
        layer
    }

    fn shape(&mut self, name: &Spanned<toml::de::DeString<'_>>, found: &DeValue<'_>, allowed: &str) {
        let found = match found {
            DeValue::Table(_) => format!("one table [{}]", name.get_ref()),
            other => format!("a value of type {}", other.type_str()),
        };
        self.report(name.span().start, name.get_ref().to_string(), found, format!("tables headed {allowed}"));
    }

    fn tables(&mut self, scope: Scope, tables: &DeArray<'_>) -> Vec<RawTable> {
        let mut read = Vec::new();
        for table in tables {
            match table.get_ref() {
                DeValue::Table(inner) => {
                    let label = match inner.get("name").and_then(|name| name.get_ref().as_str()) {
                        Some(name) if scope == Scope::Root => format!("root.{name}"),
                        _ => scope.heading().to_owned(),
                    };
                    read.push(self.table(scope, &label, table.span().start, inner));
                }
                other => self.report(
                    table.span().start,
                    scope.heading().to_owned(),
                    format!("a value of type {}", other.type_str()),
                    format!("tables headed [[{}]]", scope.heading()),
                ),
            }
        }
        read
    }

    fn table(&mut self, scope: Scope, label: &str, begin: usize, table: &DeTable<'_>) -> RawTable {
        let mut values = Vec::new();
        self.keys(scope, label, "", table, &mut values);
        RawTable { origin: self.places.at(begin), values }
    }

    fn keys(
        &mut self,
        scope: Scope,
        label: &str,
        prefix: &str,
        table: &DeTable<'_>,
        into: &mut Vec<(&'static Key, Value)>,
    ) {
        for (name, value) in table {
            let dotted = format!("{prefix}{}", name.get_ref());
            let beneath = format!("{dotted}.");
            let is_table = key::of(scope).any(|key| key.name.starts_with(&beneath));
            match (key::find(scope, &dotted), value.get_ref()) {
                (Some(key), raw) => {
                    let places = &self.places;
                    let data = data(raw, &|offset| places.at(offset));
                    into.push((key, Value { data, origin: places.at(value.span().start) }));
                }
                (None, DeValue::Table(inner)) if is_table => self.keys(scope, label, &beneath, inner, into),
                (None, other) if is_table => {
                    let found = format!("a value of type {}", other.type_str());
                    let allowed = format!("a table headed [{}.{dotted}]", scope.heading());
                    self.report(value.span().start, format!("{label}.{dotted}"), found, allowed);
                }
                (None, _) => {
                    let allowed = unknown_key(scope, prefix, name.get_ref());
                    let found = format!("the unknown key {}", super::show::text(name.get_ref()));
                    self.report(name.span().start, format!("{label}.{dotted}"), found, allowed);
                }
            }
        }
    }
}

/// What to write instead of an unknown key beneath `prefix`.
fn unknown_key(scope: Scope, prefix: &str, typed: &str) -> String {
    let mut here: Vec<&str> = key::of(scope)
        .filter_map(|key| key.name.strip_prefix(prefix))
        .map(|rest| rest.split('.').next().unwrap_or(rest))
        .collect();
    here.dedup();
    // A key of another table of the same root is a likelier slip than a mistyped one.
    let elsewhere = key::of(scope).find(|key| key.name.rsplit('.').next() == Some(typed));
    match elsewhere {
        Some(key) => match key.name.split_once('.') {
            Some((table, last)) => format!("{last} in [{}.{table}]", scope.heading()),
            None => format!("{} directly in [[{}]]", key.name, scope.heading()),
        },
        None => suggest(typed, &here, str::to_owned),
    }
}

fn suggest(typed: &str, candidates: &[&str], show: impl Fn(&str) -> String) -> String {
    let all: Vec<String> = candidates.iter().map(|candidate| show(candidate)).collect();
    match key::nearest(typed, candidates.iter().copied()) {
        Some(near) => format!("did you mean {}? One of {}", show(near), all.join(", ")),
        None => format!("one of {}", all.join(", ")),
    }
}

fn data(value: &DeValue<'_>, place: &dyn Fn(usize) -> Origin) -> Data {
    match value {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Boolean(flag) => Data::Flag(*flag),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => Data::Whole(whole),
            Err(_) => Data::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(fraction) => Data::Fraction(fraction),
            Err(_) => Data::Other(number.to_string()),
        },
        DeValue::Array(items) => Data::List(
            items
                .iter()
                .map(|item| Value { data: data(item.get_ref(), place), origin: place(item.span().start) })
                .collect(),
        ),
        DeValue::Datetime(time) => Data::Other(time.to_string()),
        DeValue::Table(_) => Data::Other("a table".to_owned()),
    }
}
