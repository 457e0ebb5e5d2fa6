//! Statements as SQL.

use std::fmt::{self, Display, Formatter};

use super::{
    Attempt, Conflict, Copy, Cursor, Delete, Insert, Merge, Prepared, Source, Statement, Truncate,
    Update, With,
};
use crate::schema::Column;
use crate::value::Value;

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(insert) => insert.fmt(f),
            Self::Update(update) => update.fmt(f),
            Self::Delete(delete) => delete.fmt(f),
            Self::Merge(merge) => merge.fmt(f),
            Self::Copy(copy) => copy.fmt(f),
            Self::Truncate(truncate) => truncate.fmt(f),
            Self::With(with) => with.fmt(f),
            Self::Do(attempts) => {
                f.write_str("DO $do$ BEGIN")?;
                attempts.iter().try_for_each(|attempt| attempt.fmt(f))?;
                f.write_str(" END $do$")
            }
            Self::Cursor(cursor) => cursor.fmt(f),
            Self::Prepared(prepared) => prepared.fmt(f),
            Self::Plain(sql) => f.write_str(sql),
        }
    }
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {} AS t", self.table.name)?;
        match &self.source {
            Source::DefaultValues => f.write_str(" DEFAULT VALUES")?,
            Source::Query(query) => write!(f, " ({}) {query}", names(&self.columns))?,
            Source::Values(rows) => {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|row| format!("({})", row.join(", ")))
                    .collect();
                write!(f, " ({}) VALUES {}", names(&self.columns), rows.join(", "))?;
            }
        }
        match &self.conflict {
            Conflict::Error => {}
            Conflict::Nothing => f.write_str(" ON CONFLICT DO NOTHING")?,
            Conflict::Update(assignments) => {
                let key: Vec<&Column> = self.table.key_columns().iter().collect();
                write!(
                    f,
                    " ON CONFLICT ({}) DO UPDATE SET {}",
                    names(&key),
                    assignments.join(", ")
                )?;
            }
        }
        returning(f, self.returning)
    }
}

impl Display for Update {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "UPDATE {} AS t SET {}",
            self.table.name,
            self.assignments.join(", ")
        )?;
        if let Some(from) = &self.from {
            write!(f, " FROM {from}")?;
        }
        write!(f, " WHERE {}", self.condition)?;
        returning(f, self.returning)
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DELETE FROM {} AS t", self.table.name)?;
        if let Some(using) = &self.using {
            write!(f, " USING {using}")?;
        }
        write!(f, " WHERE {}", self.condition)?;
        returning(f, self.returning)
    }
}

impl Display for Merge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MERGE INTO {} AS t USING {} ON {} {}",
            self.table.name,
            self.source,
            self.condition,
            self.branches.join(" ")
        )
    }
}

impl Copy {
    /// What follows the command.
    pub(crate) fn text(&self) -> String {
        let line = |row: &Vec<Value>| {
            let fields: Vec<String> = row.iter().map(|value| value.copy_text()).collect();
            fields.join("\t") + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

impl Display for Copy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "COPY {} ({}) FROM STDIN",
            self.table.name,
            names(&self.columns)
        )
    }
}

impl Display for Truncate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tables: Vec<&str> = self.tables.iter().map(|table| table.name).collect();
        let cascade = if self.cascade { " CASCADE" } else { "" };
        write!(f, "TRUNCATE {}{cascade}", tables.join(", "))
    }
}

impl Display for With {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let begin = if at == 0 { "WITH" } else { "," };
            write!(f, "{begin} w{at} AS ({part})")?;
        }
        write!(f, " {}", self.last)
    }
}

impl Display for Attempt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(" BEGIN")?;
        for statement in &self.statements {
            write!(f, " {statement};")?;
        }
        if self.raises {
            f.write_str(" RAISE EXCEPTION 'caught';")?;
        }
        // Not OTHERS: a deliberate refusal must reach the client.
        f.write_str(
            " EXCEPTION WHEN raise_exception OR integrity_constraint_violation OR data_exception \
             OR cardinality_violation OR with_check_option_violation THEN NULL; END;",
        )
    }
}

impl Display for Cursor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let table = self.table;
        let key: Vec<&Column> = table.key_columns().iter().collect();
        write!(
            f,
            "DECLARE c CURSOR FOR SELECT * FROM {} AS t WHERE {} ORDER BY {} FOR UPDATE; ",
            table.name,
            self.condition,
            names(&key)
        )?;
        write!(f, "MOVE {} FROM c; FETCH c; ", self.skipped)?;
        if self.assignments.is_empty() {
            write!(f, "DELETE FROM {} WHERE CURRENT OF c; CLOSE c", table.name)
        } else {
            let assignments = self.assignments.join(", ");
            write!(
                f,
                "UPDATE {} AS t SET {assignments} WHERE CURRENT OF c; CLOSE c",
                table.name
            )
        }
    }
}

impl Display for Prepared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DEALLOCATE ALL; PREPARE p ({}) AS {}",
            self.types.join(", "),
            self.statement
        )?;
        for arguments in &self.arguments {
            write!(f, "; EXECUTE p ({})", arguments.join(", "))?;
        }
        f.write_str("; DEALLOCATE p")
    }
}

fn names(columns: &[&Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.sql()).collect();
    names.join(", ")
}

fn returning(f: &mut Formatter<'_>, wanted: bool) -> fmt::Result {
    f.write_str(if wanted { " RETURNING t.*" } else { "" })
}
