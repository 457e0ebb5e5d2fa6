//! From tokens to a document: declarations, keys, rules and constraints. Expressions are in [`super::expression`].
//!
//! After a mistake reading goes on behind the next full stop, so that all mistakes are reported at once.

use super::cursor::{Parsed, Parser};
use super::diagnostic::Diagnostic;
use super::source::Span;
use super::syntax::{
    Atom, ColumnText, ConstraintText, Document, ForeignKeyDeclaration, KeyDeclaration, Literal,
    Name, RelationDeclaration, RelationKind, RuleText, Sign, Statement,
};
use super::token::{TokenKind, tokens};

/// Reads a Datalog strategy. What could be read comes with what could not.
pub fn parse(file: u16, text: &str) -> (Document, Vec<Diagnostic>) {
    let (tokens, findings) = tokens(file, text);
    let mut parser = Parser::new(tokens, findings);
    let mut document = Document::default();
    while !matches!(parser.peek(), TokenKind::End) {
        let start = parser.at;
        match parser.statement() {
            Ok(statement) => document.statements.push(statement),
            Err(finding) => {
                parser.findings.push(*finding);
                parser.skip_statement(start);
            }
        }
    }
    (document, parser.findings)
}

/// What can be written about a column, behind its type.
const COLUMN_OPTIONS: [&str; 3] = ["not", "null", "default"];

impl Parser {
    fn statement(&mut self) -> Parsed<Statement> {
        if let Some(kind) = self.relation_kind() {
            return self.relation(kind);
        }
        if self.starts_key() {
            return self.key();
        }
        let is_bottom = self.is_symbol_ahead(0, "_|_")
            || (self.is_word_ahead(0, "bot") && self.is_symbol_ahead(1, ":-"));
        if is_bottom {
            return self.constraint();
        }
        if self.is_symbol_ahead(0, "?-") {
            return Err(Box::new(
                Diagnostic::error("a strategy has no queries", self.here(), "this asks")
                    .help("leave it out; the Dejima table itself is what can be queried"),
            ));
        }
        self.rule()
    }

    /// `source` or `view` where a declaration begins; both may be names of relations elsewhere.
    fn relation_kind(&mut self) -> Option<RelationKind> {
        let kind = if self.is_word_ahead(0, "source") {
            RelationKind::Source
        } else if self.is_word_ahead(0, "view") {
            RelationKind::View
        } else {
            return None;
        };
        let follows = if self.is_symbol_ahead(1, ":") { 2 } else { 1 };
        matches!(self.ahead(follows), TokenKind::Word { .. }).then_some(kind)
    }

    fn relation(&mut self, kind: RelationKind) -> Parsed<Statement> {
        let start = self.advance().span;
        self.symbol(":");
        let name = self.relation_name()?;
        self.expect("(", "after the name of a relation")?;
        let mut columns = vec![self.column()?];
        while self.symbol(",") {
            columns.push(self.column()?);
        }
        self.expect(")", "after the columns of a relation")?;
        let end = self.full_stop("a declaration")?;
        Ok(Statement::Relation(RelationDeclaration {
            kind,
            name,
            columns,
            span: start.to(end),
        }))
    }

    /// Every statement ends with a full stop.
    fn full_stop(&mut self, what: &str) -> Parsed<Span> {
        if self.is_symbol_ahead(0, ".") {
            return Ok(self.advance().span);
        }
        let mut finding = self.unexpected("`.`", &format!("at the end of {what}"));
        if let Some(label) = finding.labels.first_mut() {
            let end = self.before().end;
            label.span = Span {
                start: end.saturating_sub(1),
                ..self.before()
            };
            label.text = "a `.` must come behind this".to_owned();
        }
        Err(finding)
    }

    fn column(&mut self) -> Parsed<ColumnText> {
        let name = self.column_name()?;
        self.symbol(":");
        let type_name = self.type_name(&name)?;
        let mut column = ColumnText {
            name,
            type_name,
            nullable: false,
            default: None,
        };
        loop {
            if self.keyword("null") {
                column.nullable = true;
            } else if self.negation() {
                if !self.keyword("null") {
                    return Err(self.unexpected("`null`", "after `not` in a column"));
                }
                column.nullable = false;
            } else if self.keyword("default") {
                column.default = Some(self.operand()?);
            } else {
                return Ok(column);
            }
        }
    }

    /// In single quotes as the existing dialect has it, or as in SQL.
    fn column_name(&mut self) -> Parsed<Name> {
        if let TokenKind::Text(text) = self.peek() {
            let text = text.to_lowercase();
            let span = self.advance().span;
            return Ok(Name { text, span });
        }
        self.name("the name of a column", "here")
    }

    pub(super) fn name(&mut self, what: &str, after: &str) -> Parsed<Name> {
        let TokenKind::Word { text, quoted } = self.peek() else {
            return Err(self.unexpected(what, after));
        };
        let text = if *quoted {
            text.clone()
        } else {
            text.to_lowercase()
        };
        let span = self.advance().span;
        Ok(Name { text, span })
    }

    /// `r`, or `schema.r` without a space.
    fn relation_name(&mut self) -> Parsed<Name> {
        let first = self.name("the name of a relation", "here")?;
        if !self.is_qualified(0) {
            return Ok(first);
        }
        self.advance();
        let second = self.name("the name of a relation", "after the schema")?;
        Ok(Name {
            text: qualified(&first.text, &second.text),
            span: first.span.to(second.span),
        })
    }

    /// A point and a name follow, all written together, and then a parenthesis or something else that no
    /// statement begins with.
    fn is_qualified(&self, by: usize) -> bool {
        let place = |by: usize| self.tokens.get(self.at + by).map(|token| token.span);
        let together = |left: usize, right: usize| match (place(left), place(right)) {
            (Some(left), Some(right)) => left.end == right.start,
            _ => false,
        };
        self.is_symbol_ahead(by, ".")
            && matches!(self.ahead(by + 1), TokenKind::Word { .. })
            && together(by, by + 1)
            && self.at > 0
            && self.before().end == place(by).map_or(0, |span| span.start)
    }

    /// PostgreSQL's words for a type: several of them, with numbers in parentheses, as an array.
    fn type_name(&mut self, column: &Name) -> Parsed<Name> {
        let start = self.here();
        let mut text = String::new();
        while let TokenKind::Word { text: word, quoted } = self.peek() {
            let is_option = COLUMN_OPTIONS
                .iter()
                .any(|option| word.eq_ignore_ascii_case(option));
            if !quoted && is_option && !text.is_empty() {
                break;
            }
            if !text.is_empty() && !text.ends_with('.') {
                text.push(' ');
            }
            if *quoted {
                text.push_str(&crate::strategy::identifier(word));
            } else {
                text.push_str(&word.to_lowercase());
            }
            self.advance();
            if self.is_symbol_ahead(0, "(") {
                self.type_arguments(&mut text)?;
            } else if self.symbol(".") {
                text.push('.');
            }
        }
        if text.is_empty() {
            return Err(Box::new(
                Diagnostic::error(
                    format!("column \"{}\" has no type", column.text),
                    column.span,
                    "its type must come behind it",
                )
                .help(format!("write the type: '{}': int", column.text)),
            ));
        }
        while self.is_symbol_ahead(0, "[") {
            self.advance();
            self.expect("]", "in the type of an array")?;
            text.push_str("[]");
        }
        let span = start.to(self.before());
        Ok(Name { text, span })
    }

    fn type_arguments(&mut self, text: &mut String) -> Parsed<()> {
        self.expect("(", "in a type")?;
        text.push('(');
        while !self.symbol(")") {
            match self.peek() {
                TokenKind::Number(number) => text.push_str(number),
                TokenKind::Symbol(symbol @ ("-" | ",")) => text.push_str(symbol),
                _ => return Err(self.unexpected("a number", "in a type")),
            }
            self.advance();
        }
        text.push(')');
        Ok(())
    }

    /// `PK(r, [...])`, `primary key (r, [...])`, `UNIQUE(...)`, `FK(...)`; elsewhere these words may be names.
    fn starts_key(&self) -> bool {
        let words = ["pk", "primarykey", "unique", "fk"];
        let single = words.iter().any(|word| self.is_word_ahead(0, word));
        let by = if single {
            1
        } else if self.is_word_ahead(0, "primary") && self.is_word_ahead(1, "key") {
            2
        } else {
            return false;
        };
        let open = (by..by + 6).find(|&ahead| self.is_symbol_ahead(ahead, ","));
        self.is_symbol_ahead(by, "(")
            && open.is_some_and(|comma| self.is_symbol_ahead(comma + 1, "["))
    }

    fn key(&mut self) -> Parsed<Statement> {
        let (is_foreign, is_unique) =
            (self.is_word_ahead(0, "fk"), self.is_word_ahead(0, "unique"));
        let start = self.advance().span;
        self.keyword("key");
        self.expect("(", "before the relation of a key")?;
        let relation = self.relation_name()?;
        self.expect(",", "after the relation of a key")?;
        let columns = self.column_list()?;
        if is_foreign {
            self.expect(",", "after the columns of a foreign key")?;
            let target = self.relation_name()?;
            self.expect(",", "after the relation that a foreign key refers to")?;
            let target_columns = self.column_list()?;
            self.expect(")", "at the end of a foreign key")?;
            let span = start.to(self.full_stop("a foreign key")?);
            return Ok(Statement::ForeignKey(ForeignKeyDeclaration {
                relation,
                columns,
                target,
                target_columns,
                span,
            }));
        }
        self.expect(")", "at the end of a key")?;
        let span = start.to(self.full_stop("a key")?);
        Ok(Statement::Key(KeyDeclaration {
            relation,
            columns,
            is_primary: !is_unique,
            span,
        }))
    }

    fn column_list(&mut self) -> Parsed<Vec<Name>> {
        self.expect("[", "before the columns of a key")?;
        let mut columns = vec![self.column_name()?];
        while self.symbol(",") {
            columns.push(self.column_name()?);
        }
        self.expect("]", "after the columns of a key")?;
        Ok(columns)
    }

    fn constraint(&mut self) -> Parsed<Statement> {
        let first = self.advance();
        if self.symbol("(") {
            self.expect(")", "after `_|_(`")?;
        }
        self.expect(":-", "after `_|_`")?;
        let body = self.body()?;
        let span = first.span.to(self.full_stop("a constraint")?);
        Ok(Statement::Constraint(ConstraintText {
            body,
            reason: first.note,
            check: None,
            span,
        }))
    }

    fn rule(&mut self) -> Parsed<Statement> {
        let head = self.atom()?;
        let body = if self.symbol(":-") {
            self.body()?
        } else if self.is_symbol_ahead(0, ".") {
            Vec::new()
        } else {
            return Err(self.unexpected("`:-`", "after the head of a rule"));
        };
        let span = head.span.to(self.full_stop("a rule")?);
        Ok(Statement::Rule(RuleText { head, body, span }))
    }

    fn body(&mut self) -> Parsed<Vec<Literal>> {
        let mut body = vec![self.literal()?];
        while self.symbol(",") || self.keyword("and") {
            body.push(self.literal()?);
        }
        if self.is_word_ahead(0, "or") {
            return Err(Box::new(
                Diagnostic::error("`or` stands alone", self.here(), "between what and what?")
                    .help("put alternative conditions in parentheses: (X = 1 or X = 2)")
                    .help("write alternative rows as rules of their own"),
            ));
        }
        Ok(body)
    }

    fn literal(&mut self) -> Parsed<Literal> {
        let negations = if self.is_symbol_ahead(0, "not") || self.is_word_ahead(0, "not") {
            1
        } else {
            0
        };
        if !self.starts_atom(negations) {
            return Ok(Literal::Condition(self.expression_above_and()?));
        }
        let negated = self.negation();
        let atom = self.atom()?;
        Ok(Literal::Atom { negated, atom })
    }

    /// A name and parentheses, with no operator behind them.
    fn starts_atom(&self, from: usize) -> bool {
        let mut by = from;
        if self.is_symbol_ahead(by, "+") || self.is_symbol_ahead(by, "-") {
            by += 1;
        }
        if !matches!(self.ahead(by), TokenKind::Word { .. }) {
            return false;
        }
        by += 1;
        if self.is_symbol_ahead(by, ".") && self.is_symbol_ahead(by + 2, "(") {
            by += 2;
        }
        if !self.is_symbol_ahead(by, "(") {
            return false;
        }
        let mut depth = 0;
        loop {
            match self.ahead(by) {
                TokenKind::Symbol("(") => depth += 1,
                TokenKind::Symbol(")") => depth -= 1,
                TokenKind::End => return true,
                _ => {}
            }
            by += 1;
            if depth == 0 {
                return !self.is_operator_ahead(by);
            }
        }
    }

    pub(super) fn atom(&mut self) -> Parsed<Atom> {
        let start = self.here();
        let sign = if self.symbol("+") {
            Some(Sign::Insert)
        } else if self.symbol("-") {
            Some(Sign::Delete)
        } else {
            None
        };
        let relation = self.relation_name()?;
        self.expect("(", "after the name of a relation")?;
        let mut arguments = Vec::new();
        if !self.is_symbol_ahead(0, ")") {
            arguments.push(self.argument()?);
            while self.symbol(",") {
                arguments.push(self.argument()?);
            }
        }
        let end = self.expect(")", "after the arguments of a relation")?;
        Ok(Atom {
            sign,
            relation,
            arguments,
            span: start.to(end),
        })
    }
}

/// A qualified name in one text, quoted where a part needs it.
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{schema}.{name}")
}
