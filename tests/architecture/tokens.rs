//! Rust source as words: comments and literals are gone, so that neither a
//! doc comment nor a string is taken for code.

/// One word of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// An identifier, `::`, or one punctuation character; `""` stands for a literal.
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Cuts source into tokens. Anything that is no Rust gives some tokens, never a panic.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { chars: source.chars().collect(), at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(first) = reader.peek(0) {
        let line = reader.line;
        if let Some(text) = reader.token(first) {
            found.push(Token { text, line });
        }
    }
    found
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Reads what begins with `first`; `None` for white space and comments.
    fn token(&mut self, first: char) -> Option<String> {
        match (first, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.step();
                }
                None
            }
            ('/', Some('*')) => {
                self.block_comment();
                None
            }
            (':', Some(':')) => {
                self.skip(2);
                Some("::".to_owned())
            }
            ('"', _) => Some(self.string()),
            ('\'', _) => Some(self.quote()),
            _ if first.is_whitespace() => {
                self.step();
                None
            }
            _ if first.is_alphabetic() || first == '_' => Some(self.word()),
            _ => {
                self.step();
                Some(first.to_string())
            }
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => {
                    depth += 1;
                    self.skip(2);
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    self.skip(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.step(),
            }
        }
    }

    fn string(&mut self) -> String {
        self.step();
        while let Some(c) = self.peek(0) {
            self.step();
            match c {
                '\\' => self.step(),
                '"' => break,
                _ => {}
            }
        }
        String::new()
    }

    /// A character, or a lifetime or label.
    fn quote(&mut self) -> String {
        if self.peek(1) == Some('\\') {
            self.skip(3);
            while self.peek(0).is_some_and(|c| c != '\'') {
                self.step();
            }
            self.step();
        } else if self.peek(2) == Some('\'') {
            self.skip(3);
        } else {
            self.step();
            while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                self.step();
            }
        }
        String::new()
    }

    /// An identifier, or a literal with a prefix such as `b"…"` or `r#"…"#`.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
            self.step();
        }
        let hashes = self.chars[self.at.min(self.chars.len())..].iter().take_while(|c| **c == '#').count();
        match (word.as_str(), self.peek(hashes)) {
            ("r" | "br" | "cr", Some('"')) => {
                self.raw_string(hashes);
                String::new()
            }
            ("b" | "c", Some('"')) if hashes == 0 => self.string(),
            ("b", Some('\'')) if hashes == 0 => self.quote(),
            ("r", Some(_)) if hashes == 1 => {
                self.step();
                self.word()
            }
            _ => word,
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.skip(hashes + 1);
        while let Some(c) = self.peek(0) {
            self.step();
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.skip(hashes);
                return;
            }
        }
    }
}
