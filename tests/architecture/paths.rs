//! Which paths of the crate a file names, and which of its parts are tests.

use std::path::Path;

use super::tokens::{Token, tokens};

/// A path such as `crate::sys::remove::verify`, from the crate's root on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Components after `crate`; `*` for a glob.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// One source file, read.
pub(crate) struct Source {
    /// Relative to the package, such as `src/sys/remove.rs`.
    pub(crate) file: String,
    pub(crate) tokens: Vec<Token>,
    /// For each token whether only tests see it.
    pub(crate) in_test: Vec<bool>,
    /// Paths of modules that only tests see, such as `["sys", "trees"]`.
    pub(crate) test_modules: Vec<Vec<String>>,
    pub(crate) named: Vec<Named>,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let tokens = tokens(text);
        let in_test = test_parts(&tokens);
        let mut source = Self {
            file: file.to_owned(),
            in_test,
            test_modules: Vec::new(),
            named: Vec::new(),
            lines: text.lines().count(),
            tokens,
        };
        source.follow_modules();
        source
    }

    /// The module that this file is: `src/sys/remove.rs` is `["sys", "remove"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = Path::new(&self.file).with_extension("");
        let mut parts: Vec<String> =
            path.iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|last| last == "mod" || (parts.len() == 1 && last == "lib")) {
            parts.pop();
        }
        parts
    }

    /// How long the file is when its inline tests are left out, comments among them too.
    pub(crate) fn lines_outside_tests(&self) -> usize {
        let mut tested = 0;
        let mut start = None;
        for (token, in_test) in self.tokens.iter().zip(&self.in_test) {
            match (start, in_test) {
                (None, true) => start = Some(token.line),
                (Some(first), false) => {
                    tested += token.line - first;
                    start = None;
                }
                _ => {}
            }
        }
        tested += start.map_or(0, |first| self.lines + 1 - first);
        self.lines - tested.min(self.lines)
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// Goes through the file with the inline modules it is in, which `super` climbs.
    fn follow_modules(&mut self) {
        let mut module = self.module();
        // For each open brace whether it opened a module.
        let mut braces = Vec::new();
        let (mut named, mut test_modules) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < self.tokens.len() {
            match self.text(at) {
                "mod" if is_name(self.text(at + 1)) && self.text(at + 2) == "{" => {
                    module.push(self.text(at + 1).to_owned());
                    braces.push(true);
                    at += 3;
                    continue;
                }
                "mod" if is_name(self.text(at + 1)) && self.text(at + 2) == ";" && self.in_test[at] => {
                    test_modules.push([&module[..], &[self.text(at + 1).to_owned()]].concat());
                }
                "{" => braces.push(false),
                "}" if braces.pop() == Some(true) => {
                    module.pop();
                }
                start @ ("crate" | "super" | "guardian") if self.begins_path(at) => {
                    let mut base = module.clone();
                    if start == "super" {
                        base.pop();
                    } else {
                        base.clear();
                    }
                    at = self.tree(at + 2, base, &mut named);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.named = named;
        self.test_modules = test_modules;
    }

    fn begins_path(&self, at: usize) -> bool {
        match self.text(at + 1) {
            "::" => self.text(at) != "guardian" || at == 0 || self.text(at - 1) != "::",
            // `use crate as x` would hide what is used.
            "as" => self.text(at) == "crate",
            _ => false,
        }
    }

    /// Reads what follows `base::`, and returns where it ends.
    fn tree(&self, mut at: usize, mut base: Vec<String>, named: &mut Vec<Named>) -> usize {
        loop {
            match self.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") || self.is_literal(at) {
                        let before = at;
                        at = self.tree(at, base.clone(), named).max(before + 1);
                        while self.text(at) == "as" || (self.text(at) != "," && is_name(self.text(at))) {
                            at += 1;
                        }
                        if self.text(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "super" => {
                    base.pop();
                    at += 1;
                }
                "*" => {
                    base.push("*".to_owned());
                    at += 1;
                }
                name if is_name(name) => {
                    base.push(name.to_owned());
                    at += 1;
                }
                _ => {}
            }
            if self.text(at) != "::" {
                break;
            }
            at += 1;
        }
        let line = self.tokens.get(at.saturating_sub(1)).map_or(0, |token| token.line);
        named.push(Named { segments: base, line });
        at
    }

    fn is_literal(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text.is_empty())
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Marks what stands under an attribute `#[cfg(test)]` or `#[test]`.
fn test_parts(tokens: &[Token]) -> Vec<bool> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let mut marks = vec![false; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        let inner = text(at) == "#" && text(at + 1) == "!" && text(at + 2) == "[";
        let outer = text(at) == "#" && text(at + 1) == "[";
        if !inner && !outer {
            at += 1;
            continue;
        }
        let open = if inner { at + 2 } else { at + 1 };
        let end = closing(tokens, open);
        let words: Vec<&str> = (open + 1..end).map(text).collect();
        let for_tests = words == ["test"]
            || (words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not"));
        if for_tests && inner {
            marks.fill(true);
        } else if for_tests {
            let item_end = item_end(tokens, end + 1);
            marks[at..item_end].fill(true);
        }
        at = end + 1;
    }
    marks
}

/// Where the bracket at `open` closes.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len().saturating_sub(1)
}

/// One past the end of the item that begins at `start` (further attributes included).
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => return closing(tokens, at) + 1,
            "(" | "[" => at = closing(tokens, at) + 1,
            ";" | "," => return at + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}
