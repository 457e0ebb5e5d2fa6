//! From declarations to strategies: everything that a user can get wrong is found here, before any SQL runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::capture::{Logged, Shown};
use super::{
    BaseColumn, BaseTable, Bound, Declaration, HiddenColumn, Known, Strategy, Unbound, UniqueKey,
    capture, identifier, put, sql, view,
};
use crate::delta::{Column, ColumnIndex, Schema};
use crate::name::{IDENTIFIER_BYTES_MAX, TableName};

/// Why a declaration cannot be carried out. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A program does not fit the database.
    #[error(transparent)]
    Unbound(Box<Unbound>),
    /// Two declarations of one name.
    #[error("Dejima table \"{table}\" is declared twice; remove one of the declarations")]
    Twice {
        /// The Dejima table.
        table: TableName,
    },
    /// A Dejima table without columns or without a key.
    #[error("Dejima table \"{table}\" has no {what}; name at least one column in `{what}`")]
    Empty {
        /// The Dejima table.
        table: TableName,
        /// `columns` or `key`.
        what: &'static str,
    },
    /// The base table is not there.
    #[error(
        "Dejima table \"{table}\": base table {base_table} does not exist; write it as schema.table, quoted as in SQL, or create it"
    )]
    UnknownBaseTable {
        /// The Dejima table.
        table: TableName,
        /// As declared.
        base_table: String,
    },
    /// The base column is not there.
    #[error(
        "Dejima table \"{table}\": base table {base_table} has no column \"{column}\"; its columns are {known}"
    )]
    UnknownColumn {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// As declared.
        column: String,
        /// What there is.
        known: String,
    },
    /// A name that PostgreSQL would cut.
    #[error(
        "Dejima table \"{table}\": column name \"{column}\" has not 1 to {IDENTIFIER_BYTES_MAX} bytes; choose another"
    )]
    ColumnName {
        /// The Dejima table.
        table: TableName,
        /// As declared.
        column: String,
    },
    /// One name or one base column twice.
    #[error("Dejima table \"{table}\" names column \"{column}\" twice; remove one of them")]
    RepeatedColumn {
        /// The Dejima table.
        table: TableName,
        /// As declared.
        column: String,
    },
    /// The key names a column that the Dejima table has not.
    #[error(
        "Dejima table \"{table}\": key column \"{column}\" is none of its columns; add it to `columns`, or correct `key`"
    )]
    UnknownKeyColumn {
        /// The Dejima table.
        table: TableName,
        /// As declared.
        column: String,
    },
    /// A key column may be NULL.
    #[error("Dejima table \"{table}\": key column \"{column}\" of {base_table} may be NULL; run: ALTER TABLE {base_table} ALTER COLUMN {quoted} SET NOT NULL", quoted = identifier(column))]
    NullableKey {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
    },
    /// No unique index on the key.
    #[error(
        "Dejima table \"{table}\": nothing keeps its key unique in {base_table}; run: ALTER TABLE {base_table} ADD UNIQUE ({columns})"
    )]
    KeyNotUnique {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The quoted base columns of the key.
        columns: String,
    },
    /// The only unique constraint on the key is checked late.
    #[error(
        "Dejima table \"{table}\": the unique constraint on its key in {base_table} is DEFERRABLE; run: ALTER TABLE {base_table} ADD UNIQUE ({columns})"
    )]
    KeyDeferrable {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The quoted base columns of the key.
        columns: String,
    },
    /// PostgreSQL computes the column.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} is GENERATED and cannot be written; leave it out of the Dejima table"
    )]
    Generated {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
    },
    /// Values that mean nothing elsewhere.
    #[error(
        "Dejima table \"{table}\": column \"{column}\" of {base_table} holds {type_name}, whose values mean nothing in another database; leave it out of the Dejima table, or share a text in its place"
    )]
    LocalType {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
        /// Its type, or the part of it that is so.
        type_name: String,
    },
    /// A default for a column that is shared.
    #[error(
        "Dejima table \"{table}\": a default for column \"{column}\" of {base_table}, which Dejima table \"{shown_by}\" shows; remove the default: a shared value is unset until somebody sets it"
    )]
    DefaultOfShared {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
        /// The Dejima table that shows it.
        shown_by: TableName,
    },
    /// Inserts could never succeed: NOT NULL without any default.
    #[error("Dejima table \"{table}\": column \"{column}\" of {base_table} is NOT NULL, is not shown and has no default, so no insert could succeed; add to the declaration: defaults = [{{ column = \"{column}\", value = \"...\" }}], or run: ALTER TABLE {base_table} ALTER COLUMN {quoted} SET DEFAULT ...", quoted = identifier(column))]
    NotNullHidden {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
    },
    /// Inserts could never succeed: NOT NULL, and only another Dejima table can set it.
    #[error("Dejima table \"{table}\": column \"{column}\" of {base_table} is NOT NULL and shown only by Dejima table \"{shown_by}\", so no insert through \"{table}\" could succeed; run: ALTER TABLE {base_table} ALTER COLUMN {quoted} DROP NOT NULL", quoted = identifier(column))]
    NotNullElsewhere {
        /// The Dejima table.
        table: TableName,
        /// The base table.
        base_table: String,
        /// The base column.
        column: String,
        /// The Dejima table that shows it.
        shown_by: TableName,
    },
}

/// What is to be in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One strategy a declaration, in their order, and one for each program that says no more than a declaration could.
    pub strategies: Vec<Strategy>,
    /// The other programs of the strategy language.
    pub programs: Vec<Bound>,
    /// The SQL, in the order in which it must be created.
    pub parts: Vec<Part>,
}

/// What a part makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// The view of a Dejima table, by its quoted and qualified name.
    View(String),
    /// The put function of a Dejima table.
    Put,
    /// What finds the changes of a program's Dejima table.
    Derive,
    /// The capture functions and triggers of the base table with this oid.
    Capture(u32),
    /// `dejima.put` and `dejima.derive`.
    Dispatcher,
}

/// SQL that belongs together, is created together and removed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Unique among the parts of a database, and stable.
    pub name: String,
    /// What it makes.
    pub kind: PartKind,
    /// Creates it, once what stood there before is removed.
    pub create: String,
    /// Removes it.
    pub remove: String,
}

/// Plans all Dejima tables of a peer. `base_tables` holds what the catalogue says, by the declared text;
/// `ids` the numbers of the Dejima tables.
pub fn plan(
    declarations: &[Declaration],
    base_tables: &BTreeMap<String, Arc<BaseTable>>,
    ids: &BTreeMap<TableName, i32>,
    programs: Vec<Bound>,
) -> Result<Plan, Invalid> {
    let mut seen = BTreeSet::new();
    for program in &programs {
        let shared = program.check_shared();
        shared.map_err(|unbound| Invalid::Unbound(Box::new(unbound)))?;
        if !seen.insert(&program.table) {
            return Err(Invalid::Twice {
                table: program.table.clone(),
            });
        }
    }
    let mut mapped = Vec::new();
    for declaration in declarations {
        if !seen.insert(&declaration.name) {
            return Err(Invalid::Twice {
                table: declaration.name.clone(),
            });
        }
        mapped.push(Mapped::new(declaration, base_tables)?);
    }
    let strategies = mapped
        .iter()
        .map(|m| {
            m.strategy(
                &mapped,
                ids.get(&m.declaration.name).copied().unwrap_or_default(),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (mappings, programs) = divided(programs);
    let strategies = [strategies, mappings].concat();
    Ok(Plan {
        parts: parts(&strategies, &programs),
        strategies,
        programs,
    })
}

/// Programs that say no more than a declaration could, as the strategies that they are; and the others.
pub fn divided(programs: Vec<Bound>) -> (Vec<Strategy>, Vec<Bound>) {
    let mut strategies = Vec::new();
    let others = programs
        .into_iter()
        .filter(|program| match sql::mapping(program) {
            Some(strategy) => {
                strategies.push(strategy);
                false
            }
            None => true,
        });
    let others = others.collect();
    (strategies, others)
}

/// The SQL of all Dejima tables.
pub fn parts(strategies: &[Strategy], programs: &[Bound]) -> Vec<Part> {
    let views = strategies.iter().map(|s| Part {
        name: format!("view {}", s.id),
        kind: PartKind::View(view::name(s)),
        create: view::create(s),
        remove: view::remove(s),
    });
    let puts = strategies.iter().map(|s| Part {
        name: format!("put {}", s.id),
        kind: PartKind::Put,
        create: put::create(s),
        remove: put::remove(s),
    });
    let mut by_base: BTreeMap<u32, (&BaseTable, Vec<Logged<'_>>)> = BTreeMap::new();
    for strategy in strategies {
        let base = by_base.entry(strategy.base.oid);
        let (_, logged) = base.or_insert_with(|| (&strategy.base, Vec::new()));
        logged.push(Logged::Shown(Shown::of(strategy)));
    }
    for program in programs {
        let mut all = sql::logged(program);
        for (relation, source) in &program.sources {
            let base = by_base.entry(source.base.oid);
            let (_, logged) = base.or_insert_with(|| (&source.base, Vec::new()));
            logged.extend(all.remove(relation).unwrap_or_default());
        }
    }
    let captures = by_base.iter().map(|(&oid, (base, logged))| Part {
        name: format!("capture {oid}"),
        kind: PartKind::Capture(oid),
        create: capture::create(base, logged),
        remove: capture::remove(oid),
    });
    let dispatcher = Part {
        name: "dispatcher".into(),
        kind: PartKind::Dispatcher,
        create: format!(
            "{};\n{}",
            put::create_dispatcher(strategies, programs),
            sql::create_dispatcher(programs)
        ),
        remove: "DROP FUNCTION IF EXISTS dejima.put(jsonb), dejima.derive()".into(),
    };
    views
        .chain(puts)
        .chain(programs.iter().flat_map(sql::parts))
        .chain(captures)
        .chain([dispatcher])
        .collect()
}

/// A declaration whose columns are found.
struct Mapped<'a> {
    declaration: &'a Declaration,
    base: Arc<BaseTable>,
    columns: Vec<BaseColumn>,
    key: Vec<ColumnIndex>,
    unique: UniqueKey,
}

impl<'a> Mapped<'a> {
    fn new(
        declaration: &'a Declaration,
        base_tables: &BTreeMap<String, Arc<BaseTable>>,
    ) -> Result<Self, Invalid> {
        let table = &declaration.name;
        let base =
            base_tables
                .get(&declaration.base_table)
                .ok_or_else(|| Invalid::UnknownBaseTable {
                    table: table.clone(),
                    base_table: declaration.base_table.clone(),
                })?;
        check_names(declaration)?;
        let columns = declaration
            .columns
            .iter()
            .map(|mapping| sharable(table, base, &mapping.column))
            .collect::<Result<Vec<_>, _>>()?;
        let key = key(declaration)?;
        let unique = unique_key(
            table,
            base,
            &key.iter()
                .map(|&at| &columns[usize::from(at)])
                .collect::<Vec<_>>(),
        )?;
        Ok(Self {
            declaration,
            base: base.clone(),
            columns,
            key,
            unique,
        })
    }

    fn strategy(&self, all: &[Mapped<'_>], id: i32) -> Result<Strategy, Invalid> {
        let columns = self.declaration.columns.iter().zip(&self.columns);
        Ok(Strategy {
            table: self.declaration.name.clone(),
            id,
            schema: Schema {
                columns: columns
                    .map(|(mapping, base)| Column {
                        name: mapping.name.clone(),
                        type_name: base.type_name.clone(),
                    })
                    .collect(),
                key: self.key.clone(),
            },
            base: self.base.clone(),
            columns: self.columns.clone(),
            condition: self.declaration.condition.clone(),
            key: self.unique.clone(),
            hidden: self.hidden(all)?,
            known: Known::default(),
        })
    }

    fn shows(&self, column: &BaseColumn) -> bool {
        self.columns.contains(column)
    }

    /// What inserts write into the base columns that this Dejima table does not show.
    fn hidden(&self, all: &[Mapped<'_>]) -> Result<Vec<HiddenColumn>, Invalid> {
        for default in &self.declaration.defaults {
            let column = writable(&self.declaration.name, &self.base, &default.column)?;
            if let Some(shown_by) = self.shown_by(all, &column) {
                return Err(Invalid::DefaultOfShared {
                    table: self.declaration.name.clone(),
                    base_table: self.base.sql_name(),
                    column: column.name,
                    shown_by,
                });
            }
        }
        let unseen = self
            .base
            .columns
            .iter()
            .filter(|c| !self.shows(c) && !c.generated);
        unseen
            .filter_map(|column| self.hidden_column(all, column).transpose())
            .collect()
    }

    fn hidden_column(
        &self,
        all: &[Mapped<'_>],
        column: &BaseColumn,
    ) -> Result<Option<HiddenColumn>, Invalid> {
        let (table, base_table) = (self.declaration.name.clone(), self.base.sql_name());
        let default = self
            .declaration
            .defaults
            .iter()
            .find(|d| d.column == column.name);
        match (self.shown_by(all, column), default) {
            (Some(shown_by), _) if column.not_null => Err(Invalid::NotNullElsewhere {
                table,
                base_table,
                column: column.name.clone(),
                shown_by,
            }),
            (Some(_), _) => Ok(Some(HiddenColumn {
                column: column.clone(),
                value: None,
            })),
            (None, Some(default)) => Ok(Some(HiddenColumn {
                column: column.clone(),
                value: Some(default.value.0.clone()),
            })),
            (None, None) if column.not_null && !column.has_default => Err(Invalid::NotNullHidden {
                table,
                base_table,
                column: column.name.clone(),
            }),
            (None, None) => Ok(None),
        }
    }

    /// A Dejima table of this peer that shows the column.
    fn shown_by(&self, all: &[Mapped<'_>], column: &BaseColumn) -> Option<TableName> {
        let over_same_base = |m: &&Mapped<'_>| m.base.oid == self.base.oid && m.shows(column);
        all.iter()
            .find(over_same_base)
            .map(|m| m.declaration.name.clone())
    }
}

fn check_names(declaration: &Declaration) -> Result<(), Invalid> {
    let table = &declaration.name;
    for (what, is_empty) in [
        ("columns", declaration.columns.is_empty()),
        ("key", declaration.key.is_empty()),
    ] {
        if is_empty {
            return Err(Invalid::Empty {
                table: table.clone(),
                what,
            });
        }
    }
    let (mut names, mut bases) = (BTreeSet::new(), BTreeSet::new());
    for mapping in &declaration.columns {
        if !(1..=IDENTIFIER_BYTES_MAX).contains(&mapping.name.len()) || mapping.name.contains('\0')
        {
            return Err(Invalid::ColumnName {
                table: table.clone(),
                column: mapping.name.clone(),
            });
        }
        let repeated = if !names.insert(&mapping.name) {
            Some(&mapping.name)
        } else {
            None
        };
        let repeated = repeated.or(if bases.insert(&mapping.column) {
            None
        } else {
            Some(&mapping.column)
        });
        if let Some(column) = repeated {
            return Err(Invalid::RepeatedColumn {
                table: table.clone(),
                column: column.clone(),
            });
        }
    }
    Ok(())
}

fn writable(table: &TableName, base: &BaseTable, name: &str) -> Result<BaseColumn, Invalid> {
    let base_table = base.sql_name();
    let Some(column) = base.column(name) else {
        let known = base
            .columns
            .iter()
            .map(|c| identifier(&c.name))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Invalid::UnknownColumn {
            table: table.clone(),
            base_table,
            column: name.to_owned(),
            known,
        });
    };
    if column.generated {
        return Err(Invalid::Generated {
            table: table.clone(),
            base_table,
            column: name.to_owned(),
        });
    }
    Ok(column.clone())
}

fn sharable(table: &TableName, base: &BaseTable, name: &str) -> Result<BaseColumn, Invalid> {
    let column = writable(table, base, name)?;
    match column.local_type {
        None => Ok(column),
        Some(type_name) => Err(Invalid::LocalType {
            table: table.clone(),
            base_table: base.sql_name(),
            column: column.name,
            type_name,
        }),
    }
}

fn key(declaration: &Declaration) -> Result<Vec<ColumnIndex>, Invalid> {
    let position = |name: &String| {
        let at = declaration
            .columns
            .iter()
            .position(|mapping| mapping.name == *name);
        at.and_then(|at| ColumnIndex::try_from(at).ok())
            .ok_or_else(|| Invalid::UnknownKeyColumn {
                table: declaration.name.clone(),
                column: name.clone(),
            })
    };
    let key = declaration
        .key
        .iter()
        .map(position)
        .collect::<Result<Vec<_>, _>>()?;
    for (at, column) in key.iter().enumerate() {
        if key[..at].contains(column) {
            let column = declaration.key[at].clone();
            return Err(Invalid::RepeatedColumn {
                table: declaration.name.clone(),
                column,
            });
        }
    }
    Ok(key)
}

fn unique_key(
    table: &TableName,
    base: &BaseTable,
    key: &[&BaseColumn],
) -> Result<UniqueKey, Invalid> {
    let (table, base_table) = (table.clone(), base.sql_name());
    if let Some(column) = key.iter().find(|c| !c.not_null) {
        return Err(Invalid::NullableKey {
            table,
            base_table,
            column: column.name.clone(),
        });
    }
    let names: Vec<_> = key.iter().map(|c| c.name.as_str()).collect();
    let columns = names
        .iter()
        .map(|n| identifier(n))
        .collect::<Vec<_>>()
        .join(", ");
    match base.unique_key(&names) {
        None => Err(Invalid::KeyNotUnique {
            table,
            base_table,
            columns,
        }),
        Some(found) if found.deferrable => Err(Invalid::KeyDeferrable {
            table,
            base_table,
            columns,
        }),
        Some(found) => Ok(found.clone()),
    }
}
