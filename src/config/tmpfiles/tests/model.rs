//! Against a small model of what systemd-tmpfiles cleans: guardian never takes
//! sooner what it takes, and never takes what it leaves.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::RelPath;
use crate::policy::Globs;

/// fnmatch(3) with `*` and `?` within a component; a leading period only by itself.
fn fnmatch(pattern: &str, path: &str) -> bool {
    fn component(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                component(rest, name) || name.split_first().is_some_and(|(_, name)| component(pattern, name))
            }
            (Some((b'?', pattern)), Some((_, name))) => component(pattern, name),
            (Some((one, pattern)), Some((other, name))) => one == other && component(pattern, name),
            _ => false,
        }
    }
    let (patterns, names): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == names.len()
        && patterns.iter().zip(&names).all(|(pattern, name)| {
            (!name.starts_with('.') || pattern.starts_with('.'))
                && component(pattern.as_bytes(), name.as_bytes())
        })
}

/// A line of the model.
#[derive(Debug, Clone)]
struct Rule {
    letter: char,
    boot: bool,
    path: String,
    days: Option<u64>,
}

impl Rule {
    fn text(&self) -> String {
        let age = self.days.map_or("-".to_owned(), |days| format!("{days}d"));
        format!("{}{} {} - - - {age}", self.letter, if self.boot { "!" } else { "" }, self.path)
    }

    fn is_pattern(&self) -> bool {
        "exXrz".contains(self.letter)
    }
}

/// After how many days systemd-tmpfiles takes a file that nobody touches; `None`: never.
fn taken_after(rules: &[Rule], file: &str) -> Option<u64> {
    let mut in_effect: Vec<&Rule> = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.boot) {
        let overrules = |other: &&Rule| {
            other.letter != 'z' && (other.is_pattern(), &other.path) == (rule.is_pattern(), &rule.path)
        };
        // `z` changes modes and may stand beside any other line.
        if rule.letter == 'z' || !in_effect.iter().any(overrules) {
            in_effect.push(rule);
        }
    }
    let has_a_line = |path: &str| {
        let of = |rule: &&Rule| if rule.is_pattern() { fnmatch(&rule.path, path) } else { rule.path == path };
        in_effect.iter().any(of)
    };
    let above: Vec<&str> = file.match_indices('/').skip(1).map(|(at, _)| &file[..at]).collect();
    let mut soonest = None;
    for (place, dir) in above.iter().enumerate() {
        let between = above[place + 1..].iter().copied().chain([file]);
        if between.into_iter().any(has_a_line) {
            continue;
        }
        for rule in &in_effect {
            let cleans = match rule.letter {
                'd' => rule.path == *dir,
                'e' => fnmatch(&rule.path, dir),
                _ => false,
            };
            if let (true, Some(days)) = (cleans, rule.days) {
                soonest = Some(soonest.map_or(days, |other: u64| other.min(days)));
            }
        }
    }
    soonest
}

/// After how many days guardian takes it.
fn guardian_takes_after(settings: &Settings, file: &str) -> Option<u64> {
    let root = settings.roots.iter().find(|root| Path::new(file).starts_with(&root.path))?;
    let relative = Path::new(file).strip_prefix(&root.path).unwrap();
    let relative = RelPath::from_bytes(relative.as_os_str().as_encoded_bytes()).unwrap();
    if relative.is_root() || Globs::compile(&root.protect).unwrap().covers(&relative) {
        return None;
    }
    root.retain.max_age.map(|age| age.as_secs() / Duration::from_secs(86_400).as_secs())
}

const NAMES: [&str; 4] = ["a", "ab", "b", ".a"];

fn files() -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..4 {
        paths = paths.iter().flat_map(|dir| NAMES.map(|name| format!("{dir}/{name}"))).collect();
        all.extend(paths.iter().cloned());
    }
    all
}

fn rule() -> impl Strategy<Value = Rule> {
    // Mostly the same names, so that lines meet.
    let part = prop::sample::select(vec!["a", "a", "a", "a", "a", "ab", "b", ".a", "*", "a*", "?", ".*"]);
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let letter = prop::sample::select(vec!['d', 'd', 'd', 'e', 'e', 'x', 'x', 'X', 'f', 'z', 'r']);
    let days = prop::option::of(1_u64..9);
    (letter, prop::bool::weighted(0.1), path, days).prop_map(|(letter, boot, path, days)| {
        // Exclusions whose contents age by themselves are beyond the model.
        let days = days.filter(|_| "de".contains(letter));
        Rule { letter, boot, path, days }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn guardian_takes_nothing_sooner_than_systemd_tmpfiles(rules in prop::collection::vec(rule(), 1..7)) {
        let text: String = rules.iter().map(|rule| rule.text() + "\n").collect();
        let settings = settled(&from(&text).to_toml());
        // What is cleaned as a directory is one.
        let is_directory = |path: &str| rules.iter().any(|rule| "de".contains(rule.letter) && rule.path == path);
        for file in files().iter().filter(|path| !is_directory(path)) {
            if let Some(days) = guardian_takes_after(&settings, file) {
                let model = taken_after(&rules, file);
                prop_assert!(
                    model.is_some_and(|other| other <= days),
                    "{file}: guardian after {days} days, systemd-tmpfiles {model:?}\n{text}"
                );
            }
        }
    }
}

#[test]
fn the_model_agrees_with_what_systemd_tmpfiles_was_seen_to_do() {
    let rule = |letter, boot, path: &str, days| Rule { letter, boot, path: path.to_owned(), days };
    let rules = [
        rule('d', false, "/t", Some(1)),
        rule('d', false, "/t/inner", Some(10)),
        rule('d', true, "/t/boot", Some(10)),
        rule('d', false, "/t/noage", None),
        rule('x', false, "/t/x*", None),
        rule('z', false, "/t/zfile", None),
    ];
    for (file, days) in [
        ("/t/a", Some(1)),
        ("/t/inner/a", Some(10)),
        ("/t/boot/a", Some(1)),
        ("/t/noage/a", None),
        ("/t/x/a", None),
        ("/t/.x/a", Some(1)),
        ("/t/zfile", None),
    ] {
        assert_eq!(taken_after(&rules, file), days, "{file}");
    }
}
