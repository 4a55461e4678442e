//! What guardian does otherwise than systemd-tmpfiles, whatever the lines say.
//!
//! Promises: what goes that systemd-tmpfiles spares comes first. Must not know:
//! how it is written down.

use super::{Difference, ImportedRoot};

/// Of these roots; none where there are no roots.
pub(super) fn of_all(roots: &[ImportedRoot]) -> Vec<Difference> {
    if roots.is_empty() {
        return Vec::new();
    }
    let paths: Vec<String> = roots.iter().map(|root| quoted(&root.path)).collect();
    let spared = format!(
        "systemd-tmpfiles spares files with the sticky bit and root's files that nobody may write; guardian \
         goes by age alone. What there is of them: find {} -xdev -type f \\( -perm -1000 -o -user root ! -perm \
         -200 \\). Protect what has to stay.",
        paths.join(" ")
    );
    let texts = [
        spared.as_str(),
        "guardian also has emergencies: when the volume is fuller than high_water, it removes the oldest files \
         down to low_water. min_age and emergency_orphans keep what is younger than the age even then, until \
         less is available than a quarter of what high_water leaves; from there on any file may go. Lower them \
         to let emergencies do more; automatic = false under [agent] does without.",
        "guardian cleans each hour (sweep_interval), not once a day. On a new root it only plans for a day \
         (adoption_grace), and a plan over half of a root waits for you (limits.max_share).",
        "Directories stay (remove_empty_dirs = false). With true guardian removes those that it emptied, by \
         their mtime alone, and never those directly in the root.",
        "What stays longer: files that somebody has open, sockets, FIFOs, and names that begin with a dot where \
         the * of an exclusion does not cover them for systemd-tmpfiles.",
        "A line whose user or group nobody knows has no effect for systemd-tmpfiles; guardian does not ask and \
         takes its age.",
        "Files of jobs and files that carry a mark of their expiry (user.expires) go when those say so. Nothing \
         does before somebody registers jobs or sets marks; xattr_expiry = false leaves marks aside.",
        "systemd-tmpfiles goes on creating files, setting modes and owners, and removing at boot (D, r, R). Only \
         its cleaning has to end, or both clean: systemctl mask --now systemd-tmpfiles-clean.timer ends all of \
         it, also for lines that are not imported. For single lines copy their file to /etc/tmpfiles.d under the \
         same name and write - for the age there.",
    ];
    texts.iter().map(|text| Difference { source: None, reason: (*text).to_owned() }).collect()
}

/// A path as one word of a shell.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("/var/cache/man"), "/var/cache/man");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }
}
