//! `config/guardian.toml` says every key with its default.

use super::*;

const REFERENCE: &str = include_str!("../../../config/guardian.toml");

#[test]
fn the_reference_changes_nothing_and_guards_nothing() {
    let reference = from_files(&[REFERENCE]).unwrap();
    let nothing = from_files(&[]).unwrap();
    assert_eq!(reference.agent, nothing.agent);
    assert!(reference.roots.is_empty() && reference.alert_hooks.is_empty() && reference.warnings.is_empty());
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    // Commented-out keys have no space after the #, prose has.
    let all: String = REFERENCE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut found = Vec::new();
    let layer = super::raw::read(Path::new("guardian.toml"), all.as_bytes(), &mut found);
    assert_eq!(found, []);
    let named: Vec<&RawTable> = layer.roots.iter().chain(&layer.hooks).collect();
    for key in KEYS {
        let written = match key.scope {
            Scope::Agent => layer.agent.iter().find(|(one, _)| one.name == key.name).map(|(_, value)| value),
            _ => named
                .iter()
                .filter(|t| t.values.iter().any(|(one, _)| one.scope == key.scope))
                .find_map(|t| t.get(key.name)),
        };
        let written = written.unwrap_or_else(|| panic!("{} is missing", key.name)).data.show();
        let expected = key.default.or(key.name.ends_with("_reset").then_some("false"));
        assert!(
            expected.is_none_or(|expected| expected == written),
            "{}: {written}, not {expected:?}",
            key.name
        );
    }
    assert_eq!((layer.roots.len(), layer.hooks.len()), (1, 1));
}

#[test]
fn every_default_is_a_value_that_its_key_takes() {
    for key in KEYS.iter().filter(|key| key.default.is_some()) {
        let typed = key.default_typed().unwrap_or_else(|| panic!("{}", key.name));
        assert_eq!(
            super::super::show::literal(&typed),
            key.default.unwrap().replace("\"60s\"", "\"1m\""),
            "{}",
            key.name
        );
        assert!(key::find(key.scope, key.name).is_some());
    }
}
