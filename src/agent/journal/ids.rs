//! What kinds of messages somebody should know about, by ids that stay: the
//! journal's catalog (`systemd/guardian.catalog`) has a text for each.

use tracing::Level;

/// One kind of message.
pub(super) struct Known {
    /// The alert's name in JSON.
    alert: &'static str,
    /// The lines that are meant; `None`: those of all levels that no other takes.
    level: Option<Level>,
    /// 128 bits in hexadecimal digits (sd-id128(3)): never changed, never used again.
    pub(super) id: &'static str,
}

const fn known(alert: &'static str, level: Option<Level>, id: &'static str) -> Known {
    Known { alert, level, id }
}

/// What is over, of whatever kind it was.
pub(super) const OVER: &str = "1ece7414d44040eeb846356354e74fbc";

/// All but [`OVER`].
pub(super) const ALL: [Known; 17] = [
    known("usage", Some(Level::WARN), "df83466ef4b643cc818e39fa8e311647"),
    known("usage", Some(Level::ERROR), "c368a563b0f449db8fb4fc9d4a61c05d"),
    known("usage", Some(Level::INFO), "19130e6057d145bfa49e5a3986e3885f"),
    known("inodes", Some(Level::WARN), "af03eeb21fe74a44af17bbb84f2e6675"),
    known("inodes", Some(Level::ERROR), "aa43000f37bd4c70955617bc1dcc90de"),
    known("inodes", Some(Level::INFO), "96c92f080bdf444f84c076d80b9f649d"),
    known("forecast", None, "f3883783189449f1a667783e7c28472b"),
    known("shortfall", None, "84ad16775bd4450f9dff18c1881c4252"),
    known("futile", None, "3ad9440efc2d4e89802e8f9b8e82ccab"),
    known("root_suspended", None, "2a39635b7c5d4398b31c04aa8d299a49"),
    known("root_unwatched", None, "e55c58a4faf44a64b31247deea11f025"),
    known("private_directory", None, "3168e01026a043ed82c9f583c8be242f"),
    known("volume_unreadable", None, "cc6f02aeec3a4d458279352107221283"),
    known("policy_failing", None, "ab054954580f4b65a66db163d3e627f1"),
    known("plan_waits", None, "ba9fd03d24be48b3ad1df18f928b6ca7"),
    known("clock", None, "84af4a4ce68949a3b199e28717665cfa"),
    known("ledger_lost", None, "19782a3b2c3a4fe789ad12cd4ddd7ebf"),
];

/// The id of a line that is about an alert of this kind.
pub(super) fn of(alert: &str, level: Level) -> Option<&'static str> {
    let mut its = ALL.iter().filter(|one| one.alert == alert).peekable();
    // Not about an alert.
    its.peek()?;
    its.find(|one| match one.level {
        Some(meant) => meant == level,
        None => level != Level::INFO,
    })
    .map_or(Some(OVER), |one| Some(one.id))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Command;

    use super::*;
    use crate::model::AlertKind;

    const CATALOG: &str = include_str!("../../../systemd/guardian.catalog");

    /// Each entry: its id, its head, its text.
    fn entries() -> BTreeMap<&'static str, (BTreeMap<&'static str, &'static str>, &'static str)> {
        let mut all = BTreeMap::new();
        for entry in CATALOG.split("\n-- ").skip(1) {
            let (id, rest) = entry.split_once('\n').unwrap();
            let (head, text) = rest.split_once("\n\n").unwrap();
            let head = head.lines().map(|line| line.split_once(": ").unwrap()).collect();
            assert!(all.insert(id, (head, text)).is_none(), "{id} twice");
        }
        all
    }

    #[test]
    fn every_id_has_a_text_and_every_text_an_id() {
        let ids: BTreeSet<&str> = ALL.iter().map(|one| one.id).chain([OVER]).collect();
        assert_eq!(ids.len(), ALL.len() + 1, "no id is used twice");
        assert_eq!(entries().into_keys().collect::<BTreeSet<_>>(), ids);
        let is_hex =
            |id: &str| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(ids.iter().all(|id| is_hex(id)));
    }

    #[test]
    fn every_text_says_what_it_is_and_what_to_do_in_the_form_of_a_catalog() {
        for (id, (head, text)) in entries() {
            let keys: Vec<&str> = head.keys().copied().collect();
            assert_eq!(keys, ["Defined-By", "Documentation", "Subject", "Support"], "{id}");
            assert!(head["Subject"].len() < 100 && head["Defined-By"] == "guardian", "{id}");
            assert!(text.len() > 100, "{id}");
            // Fields stand between two @, all on one line.
            for line in head.values().copied().chain(text.lines()) {
                let parts: Vec<&str> = line.split('@').collect();
                assert!(parts.len() % 2 == 1, "{id}: {line}");
                for field in parts.iter().skip(1).step_by(2) {
                    assert!(*field == "MESSAGE" || field.starts_with("GUARDIAN_"), "{id}: {field}");
                }
            }
        }
    }

    #[test]
    fn every_kind_of_alert_has_an_id_at_each_level() {
        for kind in AlertKind::ALL {
            let of = |level| of(kind.as_str(), level).unwrap();
            let apart = matches!(kind, AlertKind::Usage | AlertKind::Inodes);
            assert_eq!(of(Level::WARN) != of(Level::ERROR), apart, "{kind}");
            assert_eq!(of(Level::INFO) == OVER, !apart, "{kind}");
        }
        assert_eq!(of("something_else", Level::ERROR), None);
    }

    #[test]
    fn the_journals_own_program_reads_the_catalog() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) =
            (root.path().join("usr/lib/systemd/catalog"), root.path().join("var/lib/systemd/catalog"));
        std::fs::create_dir_all(&from).unwrap();
        std::fs::create_dir_all(&to).unwrap();
        std::fs::write(from.join("guardian.catalog"), CATALOG).unwrap();
        let journalctl = |what: &str| {
            Command::new("journalctl")
                .arg("--root")
                .arg(root.path())
                .arg(what)
                .env("SYSTEMD_LOG_LEVEL", "info")
                .output()
        };
        let Ok(updated) = journalctl("--update-catalog") else { return };
        let said = String::from_utf8_lossy(&updated.stderr).into_owned();
        assert!(
            updated.status.success() && !said.contains("invalid") && !said.contains("duplicate"),
            "{said}"
        );
        let listed = journalctl("--list-catalog").unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for (id, (head, _)) in entries() {
            assert!(listed.contains(&format!("{id} guardian: {}", head["Subject"])), "{id}: {listed}");
        }
    }
}
