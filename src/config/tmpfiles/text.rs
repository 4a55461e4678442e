//! The import as TOML with comments, and as JSON.
//!
//! Promises: the text is a valid configuration. A root that guardian would
//! refuse stands in it as a comment, whole, so that nothing is allowed unasked.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Difference, Import, ImportedRoot, Note, Source};
use crate::config::show;
use crate::model::escape_control;

const HEAD: &str = "# From lines of tmpfiles.d, by `guardian import tmpfiles`.\n";

const OF_ROOTS: &str = "\
# Read it, put it into /etc/guardian/guardian.d/, and run `guardian config check`.
#
# max_age is the age of the line. The same age stands for three other keys, because
# by default what belongs to no job goes after a day (orphans), and in an emergency
# after an hour (emergency_orphans) or a minute (min_age).
# In protect, \"{a,a/*}\" is a directly in the root, and all that is in it.
";

const NO_ROOTS: &str = "# None of them can be imported as a root.\n";

/// Columns of comments in running text.
const WIDTH: usize = 90;

impl Import {
    /// As a configuration.
    pub fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        text.push_str(if self.roots.is_empty() { NO_ROOTS } else { OF_ROOTS });
        for root in &self.roots {
            text.push('\n');
            push_root(&mut text, root);
        }
        let differences: Vec<String> = self.differences.iter().map(told).collect();
        push_list(&mut text, "What differs", &differences);
        let notes: Vec<String> = self.not_imported.iter().map(noted).collect();
        push_list(&mut text, "Not imported", &notes);
        let malformed: Vec<String> = self.malformed.iter().map(ToString::to_string).collect();
        push_list(&mut text, "Not understood, and without effect for systemd-tmpfiles", &malformed);
        text
    }

    /// The same as one object.
    pub fn to_json(&self) -> Value {
        let protected: Vec<Value> = self
            .roots
            .iter()
            .flat_map(|root| root.protect.iter().map(move |one| (root, one)))
            .map(|(root, one)| {
                let mut value = json!(one);
                if let Some(object) = value.as_object_mut() {
                    object.insert("root".to_owned(), json!(root.name));
                }
                value
            })
            .collect();
        json!({
            "roots": self.roots,
            "protected": protected,
            "differences": self.differences,
            "not_imported": self.not_imported,
            "malformed": self.malformed,
            "lines_without_age": self.lines_without_age,
            "configuration": self.to_toml(),
        })
    }
}

fn told(difference: &Difference) -> String {
    let place = difference.source.as_ref().map(|source| format!("{}: ", source.place()));
    place.unwrap_or_default() + &difference.reason
}

fn noted(note: &Note) -> String {
    format!("{}: {}", note.source.place(), note.reason)
}

fn push_root(text: &mut String, root: &ImportedRoot) {
    let Source { text: line, .. } = &root.source;
    push_comment(text, &root.source.place());
    push_comment(text, &format!("    {line}"));
    for note in &root.notes {
        push_running(text, "", note);
    }
    let table = table(root);
    let Some(why) = &root.refused else {
        text.push_str(&table);
        return;
    };
    push_running(
        text,
        "",
        &format!(
            "Not active: guardian refuses this directory as a root ({why}). If it is right, take the # off:"
        ),
    );
    for line in table.lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "#{line}");
    }
}

fn table(root: &ImportedRoot) -> String {
    let list: Vec<String> = root.age_by.iter().map(|word| show::text(word)).collect();
    let mut lines = vec![
        "[[root]]".to_owned(),
        format!("name = {}", show::text(&root.name)),
        format!("path = {}", show::text(&root.path)),
    ];
    if root.refused.is_some() {
        lines.push("allow_system_root = true".to_owned());
    }
    lines.push(format!("age_by = [{}]", list.join(", ")));
    lines.push("remove_empty_dirs = false".to_owned());
    if !root.protect.is_empty() {
        lines.push("protect = [".to_owned());
        lines.extend(root.protect.iter().map(|one| {
            format!(
                "    {}, # {}: {}",
                show::text(&one.glob),
                one.source.place(),
                escape_control(&one.reason)
            )
        }));
        lines.push("]".to_owned());
    }
    lines.push("[root.retain]".to_owned());
    let age = show::text(&root.max_age);
    lines.extend(["max_age", "orphans", "emergency_orphans", "min_age"].map(|key| format!("{key} = {age}")));
    lines.join("\n") + "\n"
}

fn push_list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n# {title}:");
    for item in items {
        text.push_str("#\n");
        push_running(text, "- ", item);
    }
}

/// A comment of one line.
fn push_comment(text: &mut String, comment: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# {}", escape_control(comment));
}

/// A comment of as many lines as it takes, `mark` before the first.
fn push_running(text: &mut String, mark: &str, comment: &str) {
    let mut line = mark.to_owned();
    for word in escape_control(comment).split(' ') {
        let is_begun = line.len() > mark.len();
        if is_begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            push_comment(text, &std::mem::replace(&mut line, " ".repeat(mark.len())));
        } else if is_begun {
            line.push(' ');
        }
        line.push_str(word);
    }
    push_comment(text, &line);
}
