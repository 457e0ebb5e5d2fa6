//! A program bound to the base tables of one database: what its relations are there, and whether they are as it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::program::{Predicate, Program, Relation, RelationId};
use super::unbound::Unbound;
use super::value::Sort;
use super::{BaseColumn, BaseTable, Known, UniqueKey, identifier};
use crate::delta::{Column, ColumnIndex, Schema};
use crate::name::{IDENTIFIER_BYTES_MAX, TableName};

/// A program whose relations are found in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The Dejima table.
    pub table: TableName,
    /// Names the generated functions; given by the database once for each Dejima table.
    pub id: i32,
    /// Columns and key of the Dejima table; all columns are its key if it says none.
    pub schema: Schema,
    /// What it means.
    pub program: Arc<Program>,
    /// Its base tables.
    pub sources: BTreeMap<RelationId, Source>,
    /// What it knows of their constraints; nothing yet as long as nobody has looked ([`Bound::knowing`]).
    pub known: BTreeMap<RelationId, Known>,
}

/// A base table of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The base table.
    pub base: Arc<BaseTable>,
    /// For each column that the program names, in order, the base table's.
    pub columns: Vec<BaseColumn>,
    /// Positions, among these, of the columns by which a row is found.
    pub key: Option<Vec<usize>>,
}

/// What the database is asked before a program can be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Schema and name of each base table, by its relation.
    pub tables: BTreeMap<RelationId, (String, String)>,
    /// Types of the Dejima table's columns, as PostgreSQL reads them.
    pub types: Vec<String>,
}

/// Types of PostgreSQL's without an operator that says whether two values are the same.
const NOT_COMPARABLE: [&str; 9] = [
    "json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle",
];

impl Names {
    /// What the database is to be asked.
    pub fn of(program: &Program) -> Self {
        let name = |source: RelationId| {
            let name = &program.relation(source).name;
            let (schema, table) = name.split_once('.').unwrap_or(("public", name));
            (source, (schema.to_owned(), table.to_owned()))
        };
        let columns = program.view().columns.iter();
        Self {
            tables: program.sources().map(name).collect(),
            types: columns.map(|c| type_name(&c.type_name)).collect(),
        }
    }
}

/// The existing dialect has two names of its own, and a serial is an integer with a default.
fn type_name(written: &str) -> String {
    match written {
        "string" => "text",
        "float" | "double" => "double precision",
        "serial" | "serial4" => "integer",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        other => other,
    }
    .to_owned()
}

/// Without length or precision.
fn base_type(written: &str) -> String {
    let written = type_name(written);
    match (written.find('('), written.find(')')) {
        (Some(open), Some(close)) => {
            format!("{}{}", written[..open].trim_end(), &written[close + 1..])
        }
        _ => written,
    }
}

fn declared(
    program: &Program,
    relation: RelationId,
    schema: &str,
    name: &str,
    oid: u32,
) -> BaseTable {
    let declared = program.relation(relation);
    let column = |column: &super::program::Column| {
        let type_name = base_type(&column.type_name);
        BaseColumn {
            name: column.name.clone(),
            not_null: !column.nullable,
            has_default: false,
            generated: false,
            keeps_spaces: false,
            local_type: None,
            is_foreign_type: false,
            blind_collation: None,
            base_type: type_name.clone(),
            type_name,
        }
    };
    let key = declared.key.iter().map(|key| UniqueKey {
        columns: key
            .iter()
            .map(|&at| declared.columns[at].name.clone())
            .collect(),
        operators: vec!["OPERATOR(pg_catalog.=)".to_owned(); key.len()],
        deferrable: false,
    });
    BaseTable {
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: declared.columns.iter().map(column).collect(),
        is_partitioned: false,
        toast: None,
        unique_keys: key.collect(),
    }
}

impl Bound {
    /// Binds a program. `bases` are the base tables found, by relation; `types` the types of the Dejima table's columns in
    /// PostgreSQL's own spelling, without length or precision, where it knows them.
    pub fn new(
        table: TableName,
        id: i32,
        program: Arc<Program>,
        bases: &BTreeMap<RelationId, Arc<BaseTable>>,
        types: &[Option<String>],
    ) -> Result<Self, Unbound> {
        let schema = schema(&table, &program, types)?;
        let sources = program.sources().map(|relation| {
            let source = Source::new(&table, &program, relation, bases.get(&relation))?;
            Ok((relation, source))
        });
        Ok(Self {
            sources: sources.collect::<Result<_, _>>()?,
            known: BTreeMap::new(),
            table,
            id,
            schema,
            program,
        })
    }

    /// As if a database had the base tables just as the program declares them; for SQL that is shown and not run. Tables get
    /// numbers from 1 in place of PostgreSQL's ids.
    pub fn as_declared(table: TableName, program: Arc<Program>) -> Result<Self, Unbound> {
        let names = Names::of(&program);
        let tables = names.tables.iter().zip(1..);
        let bases = tables.map(|((&relation, (schema, name)), oid)| {
            (
                relation,
                Arc::new(declared(&program, relation, schema, name, oid)),
            )
        });
        let bases = bases.collect();
        let types: Vec<_> = names
            .types
            .iter()
            .map(|name| Some(base_type(name)))
            .collect();
        Self::new(table, 1, program, &bases, &types)
    }

    /// A base table of the program.
    pub fn source(&self, relation: RelationId) -> &Source {
        &self.sources[&relation]
    }

    /// The type of a column of a base table or of the Dejima table, without length or precision.
    pub(super) fn column_type(&self, relation: RelationId, column: usize) -> &str {
        match self.sources.get(&relation) {
            Some(source) => &source.columns[column].base_type,
            None => &self.schema.columns[column].type_name,
        }
    }

    /// Positions of the Dejima table's key columns.
    pub(super) fn key(&self) -> Vec<usize> {
        self.schema.key.iter().map(|&at| usize::from(at)).collect()
    }

    /// Whether no column of the key can be NULL; peers could not speak about such rows.
    pub fn check_shared(&self) -> Result<(), Unbound> {
        let view = self.program.view();
        let mut key = self
            .schema
            .key
            .iter()
            .map(|&at| &view.columns[usize::from(at)]);
        match key.find(|column| column.nullable) {
            None => Ok(()),
            Some(column) => Err(Unbound::NullableKey {
                table: self.table.clone(),
                column: column.name.clone(),
            }),
        }
    }
}

fn schema(
    table: &TableName,
    program: &Program,
    types: &[Option<String>],
) -> Result<Schema, Unbound> {
    let view = program.view();
    let invalid = |column: &str, what, cure| Unbound::Column {
        table: table.clone(),
        column: column.to_owned(),
        what,
        cure,
    };
    let columns = view.columns.iter().enumerate().map(|(at, column)| {
        let name = &column.name;
        if !(1..=IDENTIFIER_BYTES_MAX).contains(&name.len()) || name.contains('\0') {
            return Err(invalid(name, "the name", "choose one of 1 to 63 bytes"));
        }
        let type_name = types.get(at).cloned().flatten();
        let type_name = type_name
            .ok_or_else(|| invalid(name, "the type", "write one that the database has"))?;
        Ok(Column {
            name: name.clone(),
            type_name,
        })
    });
    let position = |at: usize| ColumnIndex::try_from(at).unwrap_or(ColumnIndex::MAX);
    let key = match &view.key {
        Some(key) => key.iter().copied().map(position).collect(),
        None => (0..view.columns.len()).map(position).collect(),
    };
    Ok(Schema {
        columns: columns.collect::<Result<_, _>>()?,
        key,
    })
}

impl Source {
    fn new(
        table: &TableName,
        program: &Program,
        relation: RelationId,
        base: Option<&Arc<BaseTable>>,
    ) -> Result<Self, Unbound> {
        let declared = program.relation(relation);
        let Some(base) = base else {
            let (schema, name) = declared
                .name
                .split_once('.')
                .unwrap_or(("public", &declared.name));
            return Err(Unbound::UnknownTable {
                table: table.clone(),
                base_table: format!("{}.{}", identifier(schema), identifier(name)),
            });
        };
        let is_written = program.written().any(|written| written == relation);
        let columns = columns(table, declared, base, is_written)?;
        let key = key(table, declared, base)?;
        if is_written {
            check_unnamed(table, program, relation, base, &columns, key.is_some())?;
        }
        Ok(Self {
            base: Arc::clone(base),
            columns,
            key,
        })
    }

    /// Positions of the columns by which a row is found: its key, or all of them.
    pub fn identity(&self) -> Vec<usize> {
        self.key
            .clone()
            .unwrap_or_else(|| (0..self.columns.len()).collect())
    }
}

fn columns(
    table: &TableName,
    declared: &Relation,
    base: &BaseTable,
    is_written: bool,
) -> Result<Vec<BaseColumn>, Unbound> {
    let of = |column: &super::program::Column| {
        let (table, base_table, name) = (table.clone(), base.sql_name(), column.name.clone());
        let Some(found) = base.column(&name) else {
            let known = base.columns.iter().map(|c| identifier(&c.name));
            return Err(Unbound::UnknownColumn {
                table,
                base_table,
                column: name,
                known: known.collect::<Vec<_>>().join(", "),
            });
        };
        if let Some(type_name) = &found.local_type {
            let type_name = type_name.clone();
            return Err(Unbound::LocalType {
                table,
                base_table,
                column: name,
                type_name,
            });
        }
        let type_name = found.base_type.trim_end_matches("[]");
        if NOT_COMPARABLE.contains(&type_name) {
            let type_name = found.type_name.clone();
            return Err(Unbound::NotComparable {
                table,
                base_table,
                column: name,
                type_name,
            });
        }
        if found.is_foreign_type {
            let type_name = found.type_name.clone();
            return Err(Unbound::ForeignType {
                table,
                base_table,
                column: name,
                type_name,
            });
        }
        if let Some(collation) = &found.blind_collation {
            let collation = collation.clone();
            return Err(Unbound::BlindCollation {
                table,
                base_table,
                column: name,
                collation,
            });
        }
        if !is_alike(&column.sort, &found.base_type) {
            return Err(Unbound::OtherType {
                table,
                base_table,
                column: name,
                said: column.type_name.clone(),
                found: found.type_name.clone(),
            });
        }
        match (column.nullable, found.not_null) {
            (false, false) => {
                return Err(Unbound::Nullable {
                    table,
                    base_table,
                    column: name,
                });
            }
            (true, true) if is_written => {
                return Err(Unbound::NotNullable {
                    table,
                    base_table,
                    column: name,
                });
            }
            _ => {}
        }
        if is_written && found.generated {
            return Err(Unbound::Generated {
                table,
                base_table,
                column: name,
            });
        }
        Ok(found.clone())
    };
    declared.columns.iter().map(of).collect()
}

/// Whether the checks took the column for what it is. Of types that they only copy and compare, the database's own is right.
fn is_alike(said: &Sort, found: &str) -> bool {
    let found = Sort::of_type(found);
    match (said, &found) {
        (Sort::Opaque(_), Sort::Opaque(_)) => true,
        _ => *said == found,
    }
}

fn key(
    table: &TableName,
    declared: &Relation,
    base: &BaseTable,
) -> Result<Option<Vec<usize>>, Unbound> {
    let Some(key) = &declared.key else {
        return Ok(None);
    };
    let name = |&at: &usize| declared.columns[at].name.clone();
    let names: Vec<String> = key.iter().map(name).collect();
    check_unique(table, base, &names)?;
    Ok(Some(key.clone()))
}

/// Refuses what nothing keeps unique at every moment.
pub(super) fn check_unique(
    table: &TableName,
    base: &BaseTable,
    columns: &[String],
) -> Result<(), Unbound> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    match base.unique_key(&names) {
        Some(found) if !found.deferrable => Ok(()),
        _ => {
            let columns: Vec<_> = columns.iter().map(|name| identifier(name)).collect();
            Err(Unbound::KeyNotUnique {
                table: table.clone(),
                base_table: base.sql_name(),
                columns: columns.join(", "),
            })
        }
    }
}

/// What becomes of columns that the strategy does not name, when it writes.
fn check_unnamed(
    table: &TableName,
    program: &Program,
    relation: RelationId,
    base: &BaseTable,
    named: &[BaseColumn],
    has_key: bool,
) -> Result<(), Unbound> {
    let inserts = program
        .rules_of(Predicate::Insert(relation))
        .next()
        .is_some();
    let is_named = |column: &BaseColumn| named.iter().any(|named| named.name == column.name);
    for column in base.columns.iter().filter(|column| !is_named(column)) {
        let (table, base_table, name) = (table.clone(), base.sql_name(), column.name.clone());
        if !has_key {
            return Err(Unbound::Unnamed {
                table,
                base_table,
                column: name,
            });
        }
        if inserts && column.not_null && !column.has_default && !column.generated {
            return Err(Unbound::NotNullUnnamed {
                table,
                base_table,
                column: name,
            });
        }
    }
    Ok(())
}
