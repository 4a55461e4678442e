//! The table of keys: names, kinds and defaults, in the order in which the
//! reference and `config show` list them.
//!
//! It drives parsing, defaults, environment names, the texts of errors,
//! `config show`, and the test of `config/guardian.toml`.

use super::settings::{Futile, LogFormat, Unit, UserMarks, Watch, Word};

/// Which table a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `[agent]`.
    Agent,
    /// `[[root]]`; keys of `[root.retain]` and `[root.limits]` have dotted names.
    Root,
    /// `[[alert_hook]]`.
    Hook,
}

impl Scope {
    /// The heading of its table.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Root => "root",
            Self::Hook => "alert_hook",
        }
    }
}

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds.
    Count { min: u64, max: u64 },
    /// A percentage from 1 to 100, decimals allowed.
    Percent,
    /// A span of time of at least so many seconds.
    Span { min_seconds: u64 },
    /// A span of time, or empty for none.
    OptionalSpan,
    /// A size, or empty for none.
    OptionalSize,
    /// A size.
    Size,
    /// `60/hour`.
    Rate,
    /// The name of a root.
    Name,
    /// The name of a group, or empty for none.
    Group,
    /// An absolute path.
    Path,
    /// An absolute path, or empty for none.
    OptionalPath,
    /// An IP address with a port, or empty for none.
    Address,
    /// Globs; the lists of all sources append.
    Globs,
    /// Name patterns; the lists of all sources append.
    Patterns,
    /// One word out of a few.
    Word(&'static [&'static str]),
    /// Several words out of a few, at least one.
    Words(&'static [&'static str]),
    /// A program with its arguments.
    Command,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) scope: Scope,
    /// Its name, dotted beneath a table.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The default as TOML text; `None` for a value that has to be given, follows
    /// from the path, or (`*_reset`) does not outlive merging.
    pub(super) default: Option<&'static str>,
}

/// Spans up to 100 years: longer ones only overflow clocks.
pub(super) const LONGEST_SPAN_DAYS: u64 = 36_500;

const AGE: Kind = Kind::Span { min_seconds: 0 };
const INTERVAL: Kind = Kind::Span { min_seconds: 1 };
const POSITIVE: Kind = Kind::Count { min: 1, max: i64::MAX as u64 };

const fn key(scope: Scope, name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { scope, name, kind, default: Some(default) }
}

const fn agent(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::Agent, name, kind, default)
}

const fn root(name: &'static str, kind: Kind, default: &'static str) -> Key {
    key(Scope::Root, name, kind, default)
}

const fn bare(scope: Scope, name: &'static str, kind: Kind) -> Key {
    Key { scope, name, kind, default: None }
}

const fn words<W: Word, const N: usize>() -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = W::CHOICES[i].0;
        i += 1;
    }
    names
}

/// All keys.
pub(super) const KEYS: &[Key] = &[
    agent("state_dir", Kind::Path, r#""/var/lib/guardian""#),
    agent("socket", Kind::Path, r#""/run/guardian/guardian.sock""#),
    agent("admin_group", Kind::Group, r#""guardian""#),
    agent("automatic", Kind::Flag, "true"),
    agent("dry_run", Kind::Flag, "false"),
    agent("keep_files_for_debugging", Kind::Flag, "false"),
    agent("sample_interval", INTERVAL, r#""30s""#),
    agent("sweep_interval", INTERVAL, r#""1h""#),
    agent("orphan_sweep_interval", INTERVAL, r#""6h""#),
    agent("reconcile_interval", INTERVAL, r#""24h""#),
    agent("rate_limit", Kind::Rate, r#""60/hour""#),
    agent("workers", Kind::Count { min: 0, max: 1024 }, "0"),
    agent("audit_retention", AGE, r#""90d""#),
    agent("ballast", Kind::Size, r#""0""#),
    agent("forecast_warning", AGE, r#""1h""#),
    agent("metrics_textfile", Kind::OptionalPath, r#""""#),
    agent("metrics_listen", Kind::Address, r#""""#),
    agent("log_format", Kind::Word(&words::<LogFormat, 4>()), r#""auto""#),
    bare(Scope::Root, "name", Kind::Name),
    bare(Scope::Root, "path", Kind::Path),
    root("require_mount", Kind::Flag, "false"),
    root("allow_system_root", Kind::Flag, "false"),
    root("capacity", Kind::OptionalSize, r#""""#),
    root("warning", Kind::Percent, "85"),
    root("high_water", Kind::Percent, "95"),
    root("low_water", Kind::Percent, "85"),
    root("min_free", Kind::OptionalSize, r#""""#),
    root("inodes_warning", Kind::Percent, "85"),
    root("inodes_high_water", Kind::Percent, "95"),
    root("inodes_low_water", Kind::Percent, "85"),
    root("patterns", Kind::Patterns, r#"["job_{job}_chunk_{chunk}_*", "job_{job}_*", "job_{job}"]"#),
    bare(Scope::Root, "patterns_reset", Kind::Flag),
    root("results", Kind::Globs, "[]"),
    bare(Scope::Root, "results_reset", Kind::Flag),
    root("protect", Kind::Globs, "[]"),
    bare(Scope::Root, "protect_reset", Kind::Flag),
    root("age_by", Kind::Words(&["mtime", "ctime", "atime", "btime"]), r#"["mtime", "ctime"]"#),
    root("registry_grace", Kind::OptionalSpan, r#""""#),
    root("adoption_grace", AGE, r#""24h""#),
    root("orphans_untracked", Kind::Flag, "false"),
    root("unit", Kind::Word(&words::<Unit, 2>()), r#""file""#),
    root("watch", Kind::Word(&words::<Watch, 4>()), r#""auto""#),
    root("user_marks", Kind::Word(&words::<UserMarks, 3>()), r#""not_in_emergency""#),
    root("xattr_expiry", Kind::Flag, "true"),
    root("remove_empty_dirs", Kind::Flag, "true"),
    root("emergency_futile", Kind::Word(&words::<Futile, 2>()), r#""stop""#),
    root("retain.orphans", AGE, r#""24h""#),
    root("retain.emergency_orphans", AGE, r#""1h""#),
    root("retain.failed_jobs", AGE, r#""1h""#),
    root("retain.completed_jobs", AGE, r#""1h""#),
    root("retain.results", AGE, r#""30d""#),
    root("retain.sessions", AGE, r#""1h""#),
    root("retain.trash", AGE, r#""30d""#),
    root("retain.records", AGE, r#""90d""#),
    root("retain.max_age", Kind::OptionalSpan, r#""""#),
    root("retain.min_age", AGE, r#""60s""#),
    root("limits.batch", Kind::Count { min: 1, max: 1_000_000 }, "1000"),
    root("limits.max_files", POSITIVE, "10000"),
    root("limits.max_share", Kind::Percent, "50"),
    root("limits.max_attempts", POSITIVE, "3"),
    bare(Scope::Hook, "command", Kind::Command),
    key(Scope::Hook, "levels", Kind::Words(&["warning", "critical"]), r#"["critical"]"#),
    key(Scope::Hook, "timeout", INTERVAL, r#""10s""#),
];

/// Keys whose feature is not in this version: accepted at their default only.
/// Removing a line is all that is needed once the feature is there.
const LATER: &[(Scope, &str)] = &[(Scope::Agent, "ballast")];

/// Words whose feature is not in this version, of keys that otherwise are.
const LATER_WORDS: &[(Scope, &str, &str)] = &[(Scope::Root, "watch", "fanotify")];

impl Key {
    /// Whether the feature is missing, so that only the default is accepted.
    pub(super) fn is_later(&self) -> bool {
        LATER.contains(&(self.scope, self.name))
    }

    /// Whether this word of the key is not available yet.
    pub(super) fn is_later_word(&self, word: &str) -> bool {
        LATER_WORDS.contains(&(self.scope, self.name, word))
    }

    /// Whether lists of all sources append instead of replacing each other.
    pub(super) const fn appends(&self) -> bool {
        matches!(self.kind, Kind::Globs | Kind::Patterns)
    }

    /// The name of its environment variable; `root` names the root of a root key.
    pub(super) fn variable(&self, root: Option<&str>) -> String {
        let text = match root {
            Some(root) => format!("GUARDIAN_ROOT_{root}_{}", self.name),
            None => format!("GUARDIAN_{}", self.name),
        };
        text.to_ascii_uppercase().replace(['-', '.'], "_")
    }

    /// What is allowed, for people.
    pub(super) fn allowed(&self) -> String {
        let mut text = match self.kind {
            Kind::Flag => "true or false".to_owned(),
            Kind::Count { min, max } if max >= i64::MAX as u64 => format!("a whole number from {min}"),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Percent => "a percentage from 1 to 100".to_owned(),
            Kind::Span { min_seconds: 0 } => format!("{SPAN} up to {LONGEST_SPAN_DAYS}d"),
            Kind::Span { min_seconds } => format!("{SPAN} from {min_seconds}s to {LONGEST_SPAN_DAYS}d"),
            Kind::OptionalSpan => format!("{SPAN} up to {LONGEST_SPAN_DAYS}d, or \"\" for none"),
            Kind::OptionalSize => format!("{SIZE}, or \"\" for none"),
            Kind::Size => SIZE.to_owned(),
            Kind::Rate => "a rate such as \"60/hour\" (per second, minute, hour or day)".to_owned(),
            Kind::Name => "1 to 64 of the characters A-Z a-z 0-9 . _ -".to_owned(),
            Kind::Group => "the name of a group, or \"\" for none".to_owned(),
            Kind::Path => "an absolute path without \"..\"".to_owned(),
            Kind::OptionalPath => "an absolute path without \"..\", or \"\" for none".to_owned(),
            Kind::Address => {
                "an IP address with a port such as \"127.0.0.1:9743\" or \"[::1]:9743\", or \"\" for none".to_owned()
            }
            Kind::Globs => {
                "a list of globs relative to the root, such as [\"*.out\", \"results/**\"]".to_owned()
            }
            Kind::Patterns => {
                "a list of name patterns with one {job}, at most one {chunk}, and *, such as [\"job_{job}_*\"]"
                    .to_owned()
            }
            Kind::Word(choices) => quoted(choices, " or "),
            Kind::Words(choices) => format!("a list with at least one of {}", quoted(choices, ", ")),
            Kind::Command => "a list of an absolute program and its arguments".to_owned(),
        };
        if let Some(default) = self.default.filter(|_| self.is_later()) {
            text = format!("only the default {default} in this version");
        }
        text
    }
}

const SPAN: &str = "a duration such as \"90s\", \"15m\", \"24h\", \"30d\" or \"1h30m\"";
const SIZE: &str = "a size such as \"512KiB\", \"1GiB\" or \"10GB\"";

fn quoted(words: &[&str], between: &str) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(between)
}

/// Finds a key.
pub(super) fn find(scope: Scope, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.scope == scope && key.name == name)
}

/// The keys of a scope, in order.
pub(super) fn of(scope: Scope) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.scope == scope)
}

/// The candidate nearest to what was typed, if it is near enough to be a slip.
pub(super) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.chars().take(64).collect();
    candidates
        .map(|candidate| (distance(&typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) from one text to the other.
fn distance(typed: &[char], candidate: &str) -> usize {
    let other: Vec<char> = candidate.chars().collect();
    let width = other.len() + 1;
    let mut rows = vec![vec![0; width]; typed.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=typed.len() {
        for j in 1..width {
            let replace = rows[i - 1][j - 1] + usize::from(typed[i - 1] != other[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && typed[i - 1] == other[j - 2] && typed[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[typed.len()][other.len()]
}
