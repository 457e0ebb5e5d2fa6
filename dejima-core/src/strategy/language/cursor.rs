//! A place in a list of tokens, and looking ahead from it.

use super::diagnostic::Diagnostic;
use super::source::Span;
use super::token::{Token, TokenKind};

/// What a part of the grammar gives.
pub(super) type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Reads tokens; the grammar itself is in [`super::parse`] and [`super::expression`].
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) findings: Vec<Diagnostic>,
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>, findings: Vec<Diagnostic>) -> Self {
        Self {
            tokens,
            at: 0,
            findings,
        }
    }

    pub(super) fn peek(&self) -> &TokenKind {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> &TokenKind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + by).min(last)].kind
    }

    /// The place of the next token.
    pub(super) fn here(&self) -> Span {
        self.tokens[self.at].span
    }

    /// The place of the token before.
    pub(super) fn before(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    pub(super) fn is_symbol_ahead(&self, by: usize, symbol: &str) -> bool {
        matches!(self.ahead(by), TokenKind::Symbol(found) if *found == symbol)
    }

    pub(super) fn is_word_ahead(&self, by: usize, word: &str) -> bool {
        matches!(self.ahead(by), TokenKind::Word { text, quoted: false } if text.eq_ignore_ascii_case(word))
    }

    /// Takes a symbol if it is next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol_ahead(0, symbol);
        if found {
            self.advance();
        }
        found
    }

    /// Takes a keyword if it is next.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let found = self.is_word_ahead(0, word);
        if found {
            self.advance();
        }
        found
    }

    /// Takes a negation if it is next.
    pub(super) fn negation(&mut self) -> bool {
        self.symbol("not") || self.keyword("not")
    }

    pub(super) fn expect(&mut self, symbol: &str, after: &str) -> Parsed<Span> {
        if self.is_symbol_ahead(0, symbol) {
            return Ok(self.advance().span);
        }
        Err(self.unexpected(&format!("`{symbol}`"), after))
    }

    /// The next token is not what must come.
    pub(super) fn unexpected(&self, wanted: &str, after: &str) -> Box<Diagnostic> {
        let found = match self.peek() {
            TokenKind::Word { text, .. } => format!("`{text}`"),
            TokenKind::Number(text) => format!("the number {text}"),
            TokenKind::Text(text) => format!("the text '{text}'"),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::End => "the end of the file".to_owned(),
        };
        let message = format!("{wanted} must come {after}, and {found} comes");
        Box::new(Diagnostic::error(
            message,
            self.here(),
            format!("{wanted} must come here"),
        ))
    }

    /// Goes on behind the full stop of the statement that began at `start`.
    pub(super) fn skip_statement(&mut self, start: usize) {
        if self.at == start {
            self.advance();
        }
        while !matches!(self.peek(), TokenKind::End) {
            let ends = self.is_symbol_ahead(0, ".");
            self.advance();
            if ends {
                return;
            }
        }
    }
}
