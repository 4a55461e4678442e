//! The values of one table, taken key by key, each with its default and its
//! origin, and noted for `config show`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::key::{self, Scope};
use super::merge::Values;
use super::settings::{RateLimit, Word};
use super::show::{self, ShownTable};
use super::typed::{self, Typed};
use super::{Origin, Problem};

/// A table being checked.
pub(super) struct Fields<'a> {
    scope: Scope,
    /// `agent`, `root.scratch`.
    pub(super) label: String,
    values: &'a Values,
    shown: Vec<(&'static str, String, Origin)>,
    pub(super) problems: &'a mut Vec<Problem>,
}

macro_rules! takers {
    ($($(#[$doc:meta])* $name:ident -> $type:ty = $variant:ident, $fallback:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(&mut self, name: &'static str) -> $type {
            match self.take(name) {
                Some(Typed::$variant(value)) => value,
                _ => $fallback,
            }
        })*
    };
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        scope: Scope,
        label: String,
        values: &'a Values,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self { scope, label, values, shown: Vec::new(), problems }
    }

    /// Where the key was given, if it was.
    pub(super) fn given(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|value| &value.origin)
    }

    /// The checked value or the default. A bad value is reported and the default
    /// stands in, so that checking goes on; the settings are refused in the end.
    fn take(&mut self, name: &'static str) -> Option<Typed> {
        let key = key::find(self.scope, name)?;
        let value = self.values.get(name);
        let typed = value.and_then(|value| typed::check(key, &self.label, value, self.problems));
        let typed = typed.or_else(|| key.default_typed())?;
        self.note(name, show::literal(&typed), value.map_or(Origin::Default, |value| value.origin.clone()));
        Some(typed)
    }

    /// Notes a value in effect; a later note of the same key replaces the earlier.
    pub(super) fn note(&mut self, name: &'static str, text: String, origin: Origin) {
        self.shown.retain(|(noted, _, _)| *noted != name);
        self.shown.push((name, text, origin));
    }

    /// Reports a value that is fine by itself, at the place of its key.
    pub(super) fn refuse(&mut self, name: &str, found: String, allowed: String) {
        let origin = self.given(name).cloned().unwrap_or(Origin::Default);
        self.problems.push(Problem { origin, key: format!("{}.{name}", self.label), found, allowed });
    }

    takers! {
        /// `true` or `false`.
        flag -> bool = Flag, false;
        /// A whole number.
        count -> u64 = Count, 0;
        /// A percentage.
        percent -> f64 = Percent, 100.0;
        /// A span, or none.
        optional_span -> Option<Duration> = Span, None;
        /// Bytes, or none.
        size -> Option<u64> = Size, None;
        /// A rate.
        rate -> RateLimit = Rate, RateLimit { count: 1, per: Duration::from_secs(1) };
        /// Text.
        text -> String = Text, String::new();
        /// A path; empty if none was given.
        path -> PathBuf = Path, PathBuf::new();
        /// A path, or none.
        optional_path -> Option<PathBuf> = OptionalPath, None;
        /// An address, or none.
        address -> Option<SocketAddr> = Address, None;
        /// A list.
        list -> Vec<String> = List, Vec::new();
    }

    /// A span that always has a value.
    pub(super) fn span(&mut self, name: &'static str) -> Duration {
        self.optional_span(name).unwrap_or(Duration::MAX)
    }

    /// A word; the first choice stands in for one that is not known.
    pub(super) fn word<W: Word>(&mut self, name: &'static str) -> W {
        let text = self.text(name);
        W::CHOICES.iter().find(|(word, _)| *word == text).unwrap_or(&W::CHOICES[0]).1
    }

    /// What was noted, in the order of the key table.
    pub(super) fn finish(mut self) -> ShownTable {
        let order = |name: &str| key::of(self.scope).position(|key| key.name == name);
        self.shown.sort_by_key(|(name, _, _)| order(name));
        ShownTable { heading: self.scope.heading(), values: self.shown }
    }
}
