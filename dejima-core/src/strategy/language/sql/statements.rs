//! The statements of a file: one's own, and what pg_dump prints beside tables.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// What psql does itself; pg_dump writes these around what it prints.
const COMMANDS: [&str; 3] = ["\\restrict ", "\\unrestrict ", "\\connect "];

/// What can be created and altered without a word on what tables can store. PostgreSQL has more ways to say these than the
/// parser reads, so they need not be read.
const OTHERS: [&str; 20] = [
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DEFAULT",
    "DOMAIN",
    "EVENT",
    "EXTENSION",
    "FUNCTION",
    "INDEX",
    "LANGUAGE",
    "OPERATOR",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "SCHEMA",
    "SEQUENCE",
    "STATISTICS",
    "TRIGGER",
    "TYPE",
];

/// All of them that can matter.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, ParserError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, &without_commands(text)).tokenize_with_location()?;
    let mut all = Vec::new();
    for one in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let parser = Parser::new(&dialect).with_tokens_with_locations(one.to_vec());
        match { parser }.parse_statements() {
            Ok(statements) => all.extend(statements),
            Err(_) if is_other(one) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// With blanks in place of psql's commands; all else stays where it is.
fn without_commands(text: &str) -> String {
    let blank = |line: &str| {
        if COMMANDS.iter().any(|command| line.starts_with(command)) {
            line.replace(|c: char| !c.is_whitespace(), " ")
        } else {
            line.to_owned()
        }
    };
    text.split_inclusive('\n').map(blank).collect()
}

fn is_other(statement: &[TokenWithSpan]) -> bool {
    let words = statement.iter().filter_map(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    });
    let mut words = words.filter(|word| !["OR", "REPLACE", "UNIQUE"].contains(&word.as_str()));
    match words.next().as_deref() {
        Some("CREATE" | "ALTER") => words.next().is_some_and(|what| OTHERS.contains(&&*what)),
        Some(first) => ["COMMENT", "GRANT", "REVOKE", "SECURITY", "SET"].contains(&first),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_of_tables_need_not_be_readable() {
        let read = |text: &str| statements(text).map(|all| all.len());
        let dump = "\\restrict 'a;\nCREATE SEQUENCE s AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE;
            COMMENT ON CAST (text AS xml) IS 'a; b'; CREATE OR REPLACE TRIGGER t NO SQL; CREATE UNIQUE INDEX i ON t STRANGE;
            CREATE TABLE t (id integer);\n\\unrestrict 'a\n";
        assert_eq!(read(dump), Ok(1));
        for bad in [
            "CREATE TABLE t (id integer,;",
            "CRATE TABLE t (id integer);",
            "ALTER TABLE t ADD STRANGE;",
            "CREATE VIEW v SELECT 1;",
            "\\echo a",
        ] {
            assert!(statements(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_is_where_it_was() {
        let error = statements("\\connect a\nCREATE TABLE t (\n  id integer,,);");
        let error = error.expect_err("a comma too many").to_string();
        assert!(error.contains("at Line: 3, Column: 14"), "{error}");
    }
}
