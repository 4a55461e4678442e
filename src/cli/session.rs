//! One command under way: its output, its sources, its way to the agent.
//! (`guardian session`, the verb, is in `sessions`.)
//!
//! Promises: no command works beside an agent on one ledger; what is shown as
//! JSON is what the agent wrote. Must not know: any verb.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Answer, Client, Refusal};
use super::failure::{Exit, Failure};
use super::global::{Global, When};
use super::host::{Host, Sources, Standalone};
use super::output::{Format, Output};
use super::settings::{directory, is_directory, read, sockets};
use crate::api::Listing;
use crate::config::{Overrides, Settings, Verbosity};
use crate::model::{RootName, Timestamp};

/// Items of a list that a terminal is shown unasked.
pub(super) const SCREENS: u64 = 1000;

pub(super) struct Session<'a> {
    pub(super) out: Output,
    pub(super) host: &'a dyn Host,
    pub(super) sources: Sources,
}

/// Who does the work.
pub(super) enum Worker {
    Agent(Client),
    Own(Box<dyn Standalone>),
}

impl<'a> Session<'a> {
    pub(super) fn new(global: &Global, host: &'a dyn Host) -> Self {
        let format = match (global.json, global.jsonl) {
            (true, _) => Format::Json,
            (_, true) => Format::JsonLines,
            _ => Format::Text,
        };
        let colour = match global.color {
            When::Auto => None,
            When::Always => Some(true),
            When::Never => Some(false),
        };
        let out = Output::stdout(format, colour, global.quiet, global.verbose);
        let sources = Sources { config: global.config.clone(), socket: global.socket.clone() };
        Self { out, host, sources }
    }

    pub(super) fn is_text(&self) -> bool {
        self.out.format == Format::Text
    }

    pub(super) const fn verbosity(&self) -> Verbosity {
        match (self.out.quiet, self.out.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    /// The agent, or exit 4.
    pub(super) fn agent(&self, attempt: &str) -> Result<Client, Failure> {
        let found = Client::find(&sockets(&self.sources)?).map_err(|none| none.into_failure(attempt))?;
        self.tell_agent(&found);
        Ok(found)
    }

    fn tell_agent(&self, client: &Client) {
        if self.out.verbose {
            self.out.note(&format!("guardian: asking the agent at {}", client.socket().display()));
        }
    }

    /// The agent, or this process where there is none. An agent that is there
    /// but cannot be spoken to is exit 4: two must not work on one ledger.
    pub(super) fn worker(&self, attempt: &str) -> Result<Worker, Failure> {
        self.worker_for(None, attempt).map(|(worker, _)| worker)
    }

    /// The same for a sweep of `root` (a name or a directory), which in this
    /// process becomes a root of the settings; with an agent it stays open.
    pub(super) fn worker_for(
        &self,
        root: Option<&str>,
        attempt: &str,
    ) -> Result<(Worker, Option<RootName>), Failure> {
        match Client::find(&sockets(&self.sources)?) {
            Ok(client) => {
                self.tell_agent(&client);
                Ok((Worker::Agent(client), None))
            }
            Err(none) if none.absent => {
                if self.out.verbose {
                    self.out.note(&format!("guardian: {none}; working in this process"));
                }
                let directory = root.filter(|text| is_directory(text)).map(directory);
                let roots = directory.iter().cloned().collect();
                let settings = read(
                    &self.sources,
                    Overrides { roots, verbosity: self.verbosity(), ..Overrides::default() },
                )?;
                for warning in &settings.warnings {
                    self.out.note(&format!("warning: {warning}"));
                }
                let name =
                    root.map(|text| root_of(&settings, text, directory.as_deref(), attempt)).transpose()?;
                let own =
                    self.host.standalone(settings).map_err(|error| Failure::refused(attempt, &error))?;
                Ok((Worker::Own(own), name))
            }
            Err(none) => Err(none.into_failure(attempt)),
        }
    }

    /// An answer that must be a success. With `--json` a refusal's body goes to stdout too.
    pub(super) fn expect(
        &mut self,
        answer: Result<Answer, Refusal>,
        attempt: &str,
    ) -> Result<Answer, Failure> {
        answer.or_else(|refusal| {
            if let Refusal::Problem(_, body) = &refusal
                && !self.is_text()
            {
                self.out.body(body)?;
            }
            Err(refusal.into_failure(attempt))
        })
    }

    /// Shows an answer: as it came with `--json`, else by `show`.
    pub(super) fn show<T: DeserializeOwned>(
        &mut self,
        answer: &Answer,
        attempt: &str,
        show: impl FnOnce(&T, &mut Output) -> Result<(), Failure>,
    ) -> Result<T, Failure> {
        let value: T = answer.read(attempt)?;
        match self.out.format {
            Format::Text => show(&value, &mut self.out)?,
            Format::Json => self.out.body(&answer.body)?,
            Format::JsonLines => self.out.json(&answer.read::<Value>(attempt)?)?,
        }
        Ok(value)
    }

    /// Shows a value that was made here, in the shape the agent would give it.
    pub(super) fn show_own<T: serde::Serialize>(
        &mut self,
        value: &T,
        show: impl FnOnce(&T, &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.is_text() {
            return show(value, &mut self.out);
        }
        let json = serde_json::to_value(value)
            .map_err(|why| Failure::new(Exit::Failures, "write the result as JSON", why.to_string()))?;
        self.out.json(&json)
    }

    /// Shows a list: with `--jsonl`, and as text into a pipe or file, all of its
    /// pages as they come; with `--json` one page as it came. `limit` bounds the
    /// items, and [`SCREENS`] do on a terminal, where nobody reads a million lines.
    pub(super) fn show_list<T: DeserializeOwned>(
        &mut self,
        path: &str,
        query: &str,
        paging: &Paging,
        attempt: &str,
        mut show: impl FnMut(&[T], &mut Output) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let client = self.agent(attempt)?;
        let mut after = paging.after.clone();
        let at_terminal = self.is_text() && self.out.width.is_some();
        let unasked = paging.limit.is_none() && at_terminal;
        let mut left = paging.limit.unwrap_or(if unasked { SCREENS } else { u64::MAX });
        let mut first = true;
        while left > 0 && !self.out.is_gone() {
            let mut target = format!("{path}?limit={}", left.min(1000));
            if let Some(key) = &after {
                target.push_str(&format!("&after={}", super::client::quote(key.as_bytes())));
            }
            if !query.is_empty() {
                target.push_str(&format!("&{query}"));
            }
            let answer = self.expect(client.get(&target), attempt)?;
            let mut count = 0;
            let page: Listing<Value> = answer.read(attempt)?;
            count += page.items.len() as u64;
            match self.out.format {
                Format::Json => return self.out.body(&answer.body),
                Format::JsonLines => {
                    for item in &page.items {
                        self.out.line(item.to_string())?;
                    }
                }
                Format::Text => {
                    let typed: Listing<T> = answer.read(attempt)?;
                    if first || !typed.items.is_empty() {
                        show(&typed.items, &mut self.out)?;
                    }
                }
            }
            first = false;
            left = left.saturating_sub(count);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if let Some(key) = after.filter(|_| unasked && left == 0) {
            self.out.flush()?;
            self.out.note(&format!(
                "guardian: the first {SCREENS}; there are more: --limit N for so many, --after {key} to go on"
            ));
        }
        Ok(())
    }
}

/// The root that `--root` means.
fn root_of(
    settings: &Settings,
    text: &str,
    directory: Option<&Path>,
    attempt: &str,
) -> Result<RootName, Failure> {
    let found = settings.roots.iter().find(|root| match directory {
        Some(path) => root.path == path || root.path.canonicalize().is_ok_and(|real| real == path),
        None => root.name.as_str() == text,
    });
    found.map(|root| root.name.clone()).ok_or_else(|| {
        Failure::usage(attempt, format!("{text} is not the name of a configured root"))
            .with_help("for a directory write a path with a slash, such as ./NAME")
    })
}

/// Which part of a list is shown.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Paging {
    /// At most so many items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Go on after this key (`next` of the page before)
    #[arg(long, value_name = "KEY")]
    pub(super) after: Option<String>,
}

/// The wall clock, for ages shown to people.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.plus(since)
}

/// How long ago, in two units at most.
pub(super) fn ago(time: Timestamp) -> String {
    let whole = std::time::Duration::from_secs(time.age_at(now()).as_secs());
    format!("{} ago", crate::model::TimeSpan(whole))
}
