//! `config show`: every value in effect and where it came from.

use std::fmt::Write;
use std::time::Duration;

use super::Origin;
use super::settings::{RateLimit, Settings};
use super::typed::Typed;

/// One table as `config show` prints it.
#[derive(Debug, Clone)]
pub(super) struct ShownTable {
    /// Its heading without brackets (`agent`, `root`).
    pub(super) heading: &'static str,
    /// Key, value as TOML text, origin; in the order of the key table.
    pub(super) values: Vec<(&'static str, String, Origin)>,
}

impl Settings {
    /// The settings in effect as TOML that reads back to the same settings, each
    /// value that is not built in with a comment of where it came from.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for table in &self.shown {
            let heading = table.heading;
            let mut within = "";
            let brackets = if heading == "agent" { ("[", "]") } else { ("\n[[", "]]") };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}{heading}{}", brackets.0, brackets.1);
            for (key, value, origin) in &table.values {
                let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
                if section != within {
                    within = section;
                    let _ = writeln!(text, "[{heading}.{section}]");
                }
                let _ = match origin {
                    Origin::Default => writeln!(text, "{last} = {value}"),
                    from => writeln!(text, "{last} = {value} # {from}"),
                };
            }
        }
        text
    }

    /// The same as JSON: `{"agent":{KEY:{"value","origin"}},"roots":[…],"alert_hooks":[…],"warnings":[…]}`,
    /// with keys dotted as in errors.
    pub fn show_json(&self) -> serde_json::Value {
        let tables = |heading: &str| -> Vec<serde_json::Value> {
            self.shown.iter().filter(|table| table.heading == heading).map(ShownTable::to_json).collect()
        };
        serde_json::json!({
            "agent": tables("agent").pop(),
            "roots": tables("root"),
            "alert_hooks": tables("alert_hook"),
            "warnings": self.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

impl ShownTable {
    fn to_json(&self) -> serde_json::Value {
        let values = self.values.iter().map(|(key, value, origin)| {
            // TOML and JSON write the literals used here alike, but for \U escapes.
            let value =
                serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value.as_str()));
            ((*key).to_owned(), serde_json::json!({"value": value, "origin": origin.to_string()}))
        });
        serde_json::Value::Object(values.collect())
    }
}

/// A value as TOML text that reads back to it.
pub(super) fn literal(value: &Typed) -> String {
    match value {
        Typed::Flag(flag) => flag.to_string(),
        Typed::Count(count) => count.to_string(),
        Typed::Percent(percent) => number(*percent),
        Typed::Span(None) | Typed::Size(None) | Typed::OptionalPath(None) | Typed::Address(None) => text(""),
        Typed::OptionalPath(Some(path)) => text(&path.to_string_lossy()),
        Typed::Address(Some(address)) => text(&address.to_string()),
        Typed::Span(Some(length)) => text(&span(*length)),
        Typed::Size(Some(bytes)) => text(&size(*bytes)),
        Typed::Rate(RateLimit { count, per }) => text(&format!(
            "{count}/{}",
            match per.as_secs() {
                1 => "second",
                60 => "minute",
                3_600 => "hour",
                _ => "day",
            }
        )),
        Typed::Text(plain) => text(plain),
        Typed::Path(path) => text(&path.to_string_lossy()),
        Typed::List(items) => {
            let items: Vec<String> = items.iter().map(|item| text(item)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A number without needless decimals.
pub(super) fn number(value: f64) -> String {
    format!("{value}")
}

/// The shortest exact form: whole units only, one unit (`24h`, `90s`).
pub(super) fn span(length: Duration) -> String {
    let millis = length.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit)) {
        // One day reads as 24h, as in the reference.
        Some((unit, "d")) if millis == *unit => "24h".to_owned(),
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// The shortest exact form.
fn size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Text as a TOML basic string.
pub(super) fn text(plain: &str) -> String {
    let mut quoted = String::with_capacity(plain.len() + 2);
    quoted.push('"');
    for c in plain.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                // Writing to a String cannot fail. Control characters all fit four digits.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
