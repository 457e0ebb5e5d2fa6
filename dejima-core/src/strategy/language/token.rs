//! From text to tokens.

use super::diagnostic::Diagnostic;
use super::source::Span;

/// A token and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// The comment in the line above, if the token is the first in its line.
    pub(super) note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or a keyword; quoted ones are never keywords.
    Word {
        text: String,
        quoted: bool,
    },
    /// Digits, perhaps with a point or an exponent.
    Number(String),
    /// Between single quotes.
    Text(String),
    /// Anything else, in one spelling: `:-` for `<-` and `←`, `not` for `¬` and `!`, `_|_` for `⊥`, `||` for `^`.
    Symbol(&'static str),
    End,
}

/// Longest first where one begins with another.
const SYMBOLS: &[(&str, &str)] = &[
    ("_|_", "_|_"),
    (":-", ":-"),
    ("<-", ":-"),
    ("?-", "?-"),
    ("?_", "_"),
    ("<>", "<>"),
    ("!=", "<>"),
    ("\\=", "<>"),
    ("<=", "<="),
    (">=", ">="),
    ("||", "||"),
    ("←", ":-"),
    ("⊥", "_|_"),
    ("¬", "not"),
    ("!", "not"),
    ("^", "||"),
    ("(", "("),
    (")", ")"),
    ("[", "["),
    ("]", "]"),
    (",", ","),
    (".", "."),
    (":", ":"),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("+", "+"),
    ("-", "-"),
    ("*", "*"),
    ("/", "/"),
];

/// Cuts the text into tokens, the last of which is the end. What is no token is reported and left out.
pub(super) fn tokens(file: u16, text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer {
        file,
        text,
        at: 0,
        tokens: Vec::new(),
        findings: Vec::new(),
        line_is_empty: true,
        note: None,
    };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.push(text.len(), TokenKind::End);
    (lexer.tokens, lexer.findings)
}

struct Lexer<'a> {
    file: u16,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    findings: Vec<Diagnostic>,
    /// No token stands before this place in its line.
    line_is_empty: bool,
    /// The comment that was a whole line, until the next token or an empty line.
    note: Option<String>,
}

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn span(&self, start: usize) -> Span {
        let byte = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            start: byte(start),
            end: byte(self.at),
        }
    }

    fn push(&mut self, start: usize, kind: TokenKind) {
        let span = self.span(start);
        let note = self.note.take();
        self.line_is_empty = false;
        self.tokens.push(Token { kind, span, note });
    }

    /// Takes as many bytes as the predicate wants characters of.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }

    fn step(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return;
        };
        if first.is_whitespace() {
            self.take_while(char::is_whitespace);
            match self.text[start..self.at].matches('\n').count() {
                0 => {}
                1 => self.line_is_empty = true,
                _ => (self.line_is_empty, self.note) = (true, None),
            }
        } else if first == '%' {
            self.comment();
        } else if first == '\'' {
            self.quoted('\'', TokenKind::Text);
        } else if first == '"' {
            self.quoted('"', |text| TokenKind::Word { text, quoted: true });
        } else if starts_number(rest) {
            self.number();
            self.push(
                start,
                TokenKind::Number(self.text[start..self.at].to_owned()),
            );
        } else if starts_word(first) && !rest.starts_with("_|_") {
            self.word();
        } else if let Some((written, symbol)) = SYMBOLS
            .iter()
            .find(|(written, _)| rest.starts_with(written))
        {
            self.at += written.len();
            self.push(start, TokenKind::Symbol(symbol));
        } else {
            self.at += first.len_utf8();
            self.findings.push(Diagnostic::error(
                format!("`{first}` means nothing here"),
                self.span(start),
                "",
            ));
        }
    }

    /// A comment, unless it is one of the marks `%s:` and `%v:` with which old programs declare relations.
    fn comment(&mut self) {
        let rest = self.rest();
        let mark = match rest.get(..3) {
            Some("%s:") => "source",
            Some("%v:") => "view",
            _ => "",
        };
        let declared = rest.get(3..).unwrap_or_default().trim_start();
        let name = declared.trim_start_matches(continues_word);
        if !mark.is_empty() && name.len() < declared.len() && name.trim_start().starts_with('(') {
            let start = self.at;
            self.at += 3;
            let word = TokenKind::Word {
                text: mark.to_owned(),
                quoted: false,
            };
            return self.push(start, word);
        }
        let start = self.at;
        self.take_while(|c| c != '\n');
        let text = self.text[start..self.at].trim_start_matches('%').trim();
        self.note = (self.line_is_empty && !text.is_empty()).then(|| text.to_owned());
    }

    fn quoted(&mut self, quote: char, kind: impl Fn(String) -> TokenKind) {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(end) = rest.find(quote) else {
                self.at = start + 1;
                self.take_while(|c| c != '\n');
                self.findings.push(
                    Diagnostic::error(
                        "a quote is opened and never closed",
                        self.span(start),
                        format!("no {quote} follows"),
                    )
                    .help(format!(
                        "close it; inside, {quote} is written {quote}{quote}"
                    )),
                );
                return;
            };
            text.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.rest().starts_with(quote) {
                break;
            }
            text.push(quote);
            self.at += 1;
        }
        self.push(start, kind(text));
    }

    fn number(&mut self) {
        let digit = |c: char| c.is_ascii_digit();
        self.take_while(digit);
        let mut following = self.rest().chars();
        if following.next() == Some('.') && following.next().is_some_and(digit) {
            self.at += 1;
            self.take_while(digit);
        }
        let exponent = self.rest().strip_prefix(['e', 'E']).unwrap_or_default();
        let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if signed.starts_with(digit) {
            self.at += 1 + exponent.len() - signed.len();
            self.take_while(digit);
        }
    }

    fn word(&mut self) {
        let start = self.at;
        self.take_while(continues_word);
        if &self.text[start..self.at] == "_" {
            return self.push(start, TokenKind::Symbol("_"));
        }
        // X' and X'' are variables of their own.
        self.take_while(|c| c == '\'');
        let text = self.text[start..self.at].to_owned();
        self.push(
            start,
            TokenKind::Word {
                text,
                quoted: false,
            },
        );
    }
}

/// A digit, or a point before one.
fn starts_number(text: &str) -> bool {
    let digits = text.strip_prefix('.').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let (tokens, findings) = tokens(0, text);
        assert_eq!(findings, []);
        tokens.into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn the_marks_of_old_programs_are_no_comments() {
        assert_eq!(kinds("%v:a(X)").len(), 6);
        assert_eq!(kinds("%s: this is one\n%v\n% and this"), [TokenKind::End]);
    }

    #[test]
    fn a_point_ends_a_number_only_before_a_digit() {
        let number = |text: &str| TokenKind::Number(text.into());
        let end = [TokenKind::Symbol("."), TokenKind::End];
        assert_eq!(kinds("1."), [&[number("1")], &end[..]].concat());
        assert_eq!(kinds("1.5e-3."), [&[number("1.5e-3")], &end[..]].concat());
    }

    #[test]
    fn spellings_are_one() {
        assert_eq!(kinds("⊥ <- ¬ ^ \\="), kinds("_|_ :- ! || <>"));
    }

    #[test]
    fn an_open_quote_is_reported_once() {
        assert_eq!(tokens(0, "r('x).\nq(X).").1.len(), 1);
    }

    #[test]
    fn a_comment_belongs_to_what_begins_the_next_line() {
        let note = |text: &str| {
            let (tokens, _) = tokens(0, text);
            let bottom = tokens
                .into_iter()
                .find(|token| token.kind == TokenKind::Symbol("_|_"));
            bottom.and_then(|bottom| bottom.note)
        };
        assert_eq!(note("% why\n_|_ :- r(1)."), Some("why".to_owned()));
        assert_eq!(
            note("% head\n%% why %\n  ⊥ :- r(1)."),
            Some("why %".to_owned())
        );
        assert_eq!(note("% head\n\n_|_ :- r(1)."), None);
        assert_eq!(note("r(1). % behind\n_|_ :- r(1)."), None);
        assert_eq!(note("% of r\nr(1). _|_ :- r(1)."), None);
        assert_eq!(note("%\n_|_ :- r(1)."), None);
    }
}
