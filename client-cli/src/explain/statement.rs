//! What SQL text writes, read without the database: which tables, and which of their columns.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, FromTable, Insert, ObjectName, OnConflictAction,
    OnInsert, Query, SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::failure::Failure;

/// What is written of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) operation: Operation,
    /// The table's name and what qualifies it, as the database has them.
    pub(crate) table: Vec<String>,
    /// What an UPDATE sets; the others write whole rows and have none.
    pub(crate) columns: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Delete,
}

/// Everything that the statements write. At least one write, or an error that says what can be explained.
pub(crate) fn writes(sql: &str) -> Result<Vec<Write>, Failure> {
    let statements = parse(sql)
        .map_err(|error| Failure::usage(format!("the statement cannot be read: {error}")))?;
    let mut writes = Vec::new();
    for statement in &statements {
        add_statement(statement, &mut writes)?;
    }
    if writes.is_empty() {
        return Err(Failure::usage("there is no statement to explain"));
    }
    Ok(writes)
}

fn parse(sql: &str) -> Result<Vec<Statement>, ParserError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location()?;
    let tokens = without_only(tokens);
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    parser.parse_statements()
}

/// Drops ONLY from UPDATE ONLY and DELETE FROM ONLY, which the parser takes for the name of a table. No base table has
/// children, so the word makes no difference.
fn without_only(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut before = [Keyword::NoKeyword; 2];
    let mut kept = Vec::with_capacity(tokens.len());
    for token in tokens {
        let keyword = match &token.token {
            Token::Whitespace(_) => {
                kept.push(token);
                continue;
            }
            // A quoted word is no keyword.
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let has_target = before[1] == Keyword::UPDATE || before == [Keyword::DELETE, Keyword::FROM];
        if !(has_target && keyword == Keyword::ONLY) {
            kept.push(token);
        }
        before = [before[1], keyword];
    }
    kept
}

fn add_statement(statement: &Statement, writes: &mut Vec<Write>) -> Result<(), Failure> {
    match statement {
        Statement::Insert(insert) => add_insert(insert, writes),
        Statement::Update(update) => add_update(update, writes),
        Statement::Delete(delete) => add_delete(delete, writes),
        Statement::Query(query) => {
            let before = writes.len();
            add_query(query, writes)?;
            if writes.len() == before {
                return Err(unexplained("SELECT"));
            }
            Ok(())
        }
        other => Err(unexplained(first_word(&other.to_string()))),
    }
}

/// What is in its WITH, then what it is itself.
fn add_query(query: &Query, writes: &mut Vec<Write>) -> Result<(), Failure> {
    for part in query.with.iter().flat_map(|with| &with.cte_tables) {
        add_query(&part.query, writes)?;
    }
    match query.body.as_ref() {
        SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => {
            add_statement(statement, writes)
        }
        SetExpr::Merge(_) => Err(unexplained("MERGE")),
        SetExpr::Query(query) => add_query(query, writes),
        // PostgreSQL lets nothing below these write, but functions.
        SetExpr::Select(_)
        | SetExpr::SetOperation { .. }
        | SetExpr::Values(_)
        | SetExpr::Table(_) => Ok(()),
    }
}

fn add_insert(insert: &Insert, writes: &mut Vec<Write>) -> Result<(), Failure> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(unexplained("INSERT into what is no table"));
    };
    let table = path(name)?;
    if let Some(source) = &insert.source {
        add_query(source, writes)?;
    }
    writes.push(Write {
        operation: Operation::Insert,
        table: table.clone(),
        columns: BTreeSet::new(),
    });
    if let Some(OnInsert::OnConflict(conflict)) = &insert.on
        && let OnConflictAction::DoUpdate(update) = &conflict.action
    {
        writes.push(Write {
            operation: Operation::Update,
            table,
            columns: columns(&update.assignments)?,
        });
    }
    Ok(())
}

fn add_update(update: &Update, writes: &mut Vec<Write>) -> Result<(), Failure> {
    writes.push(Write {
        operation: Operation::Update,
        table: target(std::slice::from_ref(&update.table))?,
        columns: columns(&update.assignments)?,
    });
    Ok(())
}

fn add_delete(delete: &Delete, writes: &mut Vec<Write>) -> Result<(), Failure> {
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    writes.push(Write {
        operation: Operation::Delete,
        table: target(from)?,
        columns: BTreeSet::new(),
    });
    Ok(())
}

/// The parser knows statements of other databases, too, which change a join.
fn target(tables: &[TableWithJoins]) -> Result<Vec<String>, Failure> {
    match tables {
        [TableWithJoins { relation, joins }] if joins.is_empty() => match relation {
            TableFactor::Table {
                name, args: None, ..
            } => path(name),
            _ => Err(unexplained("a change of what is no table")),
        },
        _ => Err(unexplained("a change of a join")),
    }
}

fn columns(assignments: &[Assignment]) -> Result<BTreeSet<String>, Failure> {
    let names = assignments
        .iter()
        .flat_map(|assignment| match &assignment.target {
            AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
            AssignmentTarget::Tuple(names) => names,
        });
    // Behind a column stand fields of its value: PostgreSQL takes no table there.
    let column = |name: &ObjectName| {
        let first = path(name)?.into_iter().next();
        first.ok_or_else(|| unexplained("an assignment to nothing"))
    };
    names.map(column).collect()
}

/// The parts of a name, as PostgreSQL reads them: what is not quoted is in lower case.
fn path(name: &ObjectName) -> Result<Vec<String>, Failure> {
    let parts = name.0.iter().map(|part| {
        let identifier = part.as_ident();
        let identifier = identifier.ok_or_else(|| unexplained("a function as a name"))?;
        Ok(match identifier.quote_style {
            Some(_) => identifier.value.clone(),
            None => identifier.value.to_ascii_lowercase(),
        })
    });
    parts.collect()
}

fn unexplained(what: &str) -> Failure {
    Failure::usage(format!(
        "UPDATE, INSERT and DELETE can be explained, also in WITH; this is {what}"
    ))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as "operation schema|table: column, column".
    fn read(sql: &str) -> Vec<String> {
        let writes = writes(sql).unwrap_or_else(|failure| panic!("{sql}: {failure}"));
        let text = |write: Write| {
            let columns: Vec<_> = write.columns.into_iter().collect();
            let (operation, table) = (write.operation, write.table.join("|"));
            format!("{operation:?} {table}: {}", columns.join(", "))
        };
        writes.into_iter().map(text).collect()
    }

    fn error(sql: &str) -> String {
        writes(sql).expect_err(sql).to_string()
    }

    #[test]
    fn an_update_sets_columns() {
        let expected = ["Update users: address, phone"];
        assert_eq!(
            read("UPDATE users SET phone = '1', address = DEFAULT"),
            expected
        );
        assert_eq!(
            read("update Users set (Phone, address) = ('1', '2');"),
            expected
        );
        let sql = "UPDATE users AS u SET phone = o.phone, address = o.address FROM others o WHERE u.id = o.id RETURNING *";
        assert_eq!(read(sql), expected);
        let sql = "UPDATE users u SET (address, phone) = (SELECT a, p FROM o), phone = $1 WHERE id = $2::int";
        assert_eq!(read(sql), expected);
    }

    #[test]
    fn only_makes_no_difference() {
        assert_eq!(
            read("UPDATE ONLY users AS u SET a = 1"),
            ["Update users: a"]
        );
        assert_eq!(
            read("UPDATE /* all */ ONLY s.users SET a = 1"),
            ["Update s|users: a"]
        );
        assert_eq!(read("DELETE FROM ONLY users"), ["Delete users: "]);
        assert_eq!(read("UPDATE \"only\" SET a = 1"), ["Update only: a"]);
        assert_eq!(read("UPDATE \"ONLY\" SET a = 1"), ["Update ONLY: a"]);
    }

    #[test]
    fn names_are_read_as_the_database_reads_them() {
        let sql = r#"UPDATE Public."Odd ""Users""" SET "a b" = 1, "Select" = 2, ADDRESS = 3"#;
        assert_eq!(
            read(sql),
            [r#"Update public|Odd "Users": Select, a b, address"#]
        );
        assert_eq!(read(r#"DELETE FROM "a.b"."c.d" x"#), ["Delete a.b|c.d: "]);
        assert_eq!(read("UPDATE t SET place.street = 'x'"), ["Update t: place"]);
    }

    #[test]
    fn whole_rows_come_and_go() {
        assert_eq!(
            read("INSERT INTO s.users (a, b) VALUES (1, 2)"),
            ["Insert s|users: "]
        );
        assert_eq!(read("INSERT INTO users DEFAULT VALUES"), ["Insert users: "]);
        assert_eq!(
            read("INSERT INTO users AS u SELECT * FROM o"),
            ["Insert users: "]
        );
        assert_eq!(
            read("DELETE FROM users AS u USING o WHERE u.id = o.id RETURNING u.*"),
            ["Delete users: "]
        );
    }

    #[test]
    fn an_insert_may_update_instead() {
        let sql = "INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = 2 WHERE users.a > 0";
        assert_eq!(read(sql), ["Insert users: ", "Update users: a, b"]);
        let sql = "INSERT INTO users VALUES (1) ON CONFLICT DO NOTHING";
        assert_eq!(read(sql), ["Insert users: "]);
    }

    #[test]
    fn everything_in_a_with_is_written() {
        let sql = "WITH gone AS (DELETE FROM a RETURNING *), seen AS (SELECT 1), moved AS (INSERT INTO b SELECT * FROM gone) \
                   UPDATE c SET x = 1 FROM seen";
        assert_eq!(read(sql), ["Delete a: ", "Insert b: ", "Update c: x"]);
        let sql = "WITH RECURSIVE done AS (UPDATE a SET x = 1 RETURNING x) SELECT * FROM done";
        assert_eq!(read(sql), ["Update a: x"]);
        let sql = "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x";
        assert_eq!(read(sql), ["Insert a: "]);
        let sql = "WITH x AS (SELECT 1) DELETE FROM a USING x";
        assert_eq!(read(sql), ["Delete a: "]);
    }

    #[test]
    fn statements_of_one_transaction_are_explained_together() {
        let sql = "UPDATE a SET x = 1; -- and\nDELETE FROM b;";
        assert_eq!(read(sql), ["Update a: x", "Delete b: "]);
    }

    #[test]
    fn what_cannot_be_explained_is_named() {
        let reads = [
            ("SELECT 1", "SELECT"),
            ("WITH x AS (SELECT 1) SELECT * FROM x", "SELECT"),
            ("TRUNCATE users", "TRUNCATE"),
            ("UPDATE a SET x = 1; COMMIT", "COMMIT"),
            ("EXPLAIN UPDATE a SET x = 1", "EXPLAIN"),
            (
                "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
                "MERGE",
            ),
            ("UPDATE a JOIN b ON true SET x = 1", "join"),
        ];
        for (sql, named) in reads {
            let error = error(sql);
            assert!(error.starts_with("UPDATE, INSERT and DELETE"), "{error}");
            assert!(error.ends_with(named), "{error}");
        }
        assert!(error("").contains("no statement"));
        let wrong = error("UPDATE users\nSET a 1");
        assert!(
            wrong.contains("cannot be read") && wrong.contains("Line: 2"),
            "{wrong}"
        );
        assert!(error("UPDATE users SET a = 'x").contains("Unterminated"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = format!(
            "UPDATE t SET a = {}1{}",
            "(".repeat(10_000),
            ")".repeat(10_000)
        );
        assert!(error(&deep).contains("recursion"));
    }
}
