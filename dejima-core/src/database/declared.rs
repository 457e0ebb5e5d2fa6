//! A Dejima table as it is in the database, and what it hangs on there.

use std::collections::{BTreeMap, BTreeSet};

use super::condition;
use crate::delta::{Column, Schema};
use crate::group::{Attribute, Links};
use crate::name::TableName;
use crate::strategy::depend::{self, Dependence};
use crate::strategy::program::RelationId;
use crate::strategy::{Bound, Known, Plan, Source, Strategy};

/// A Dejima table as it is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTable {
    /// Its name.
    pub name: TableName,
    /// Its columns and key.
    pub schema: Schema,
    /// Its base tables.
    pub base_tables: Vec<UsedTable>,
    /// For each of its columns, the base columns whose values it shows.
    pub shows: Vec<BTreeSet<Origin>>,
    /// Base columns that decide which rows it shows.
    pub decides: BTreeSet<Origin>,
    /// Which rows it shows, as its declaration says it, if not all.
    pub condition: Option<String>,
}

/// A base table of a Dejima table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedTable {
    /// Quoted and qualified.
    pub name: String,
    /// Put writes it; otherwise it is only looked up.
    pub is_written: bool,
    /// The columns relied on, each with its type.
    pub columns: Vec<(String, String)>,
    /// What its strategy knows of its constraints; a declaration says nothing of them.
    pub known: Known,
}

/// A base column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The base table, quoted and qualified.
    pub base_table: String,
    /// Its column.
    pub column: String,
}

impl DeclaredTable {
    /// All Dejima tables of a plan.
    pub(super) fn all(plan: &Plan) -> Vec<Self> {
        let strategies = plan.strategies.iter().map(Self::of_strategy);
        strategies
            .chain(plan.programs.iter().map(Self::of_program))
            .collect()
    }

    fn of_strategy(strategy: &Strategy) -> Self {
        let base_table = strategy.base.sql_name();
        let origin = |column: &str| Origin {
            base_table: base_table.clone(),
            column: column.to_owned(),
        };
        let columns = strategy.columns.iter();
        let decides = strategy.condition.iter().flat_map(|condition| {
            condition::columns(condition, &strategy.base)
                .into_iter()
                .map(origin)
        });
        Self {
            name: strategy.table.clone(),
            schema: strategy.schema.clone(),
            shows: columns
                .clone()
                .map(|column| [origin(&column.name)].into())
                .collect(),
            decides: decides.collect(),
            base_tables: vec![UsedTable {
                name: base_table.clone(),
                is_written: true,
                columns: columns
                    .map(|column| (column.name.clone(), column.type_name.clone()))
                    .collect(),
                known: strategy.known.clone(),
            }],
            condition: strategy.condition.clone(),
        }
    }

    fn of_program(bound: &Bound) -> Self {
        let program = &bound.program;
        let dependence = Dependence::of(program);
        let sources = bound.sources.iter();
        let names: BTreeMap<&str, String> = sources
            .map(|(&relation, source)| {
                (
                    program.relation(relation).name.as_str(),
                    source.base.sql_name(),
                )
            })
            .collect();
        let origins = |columns: &BTreeSet<depend::BaseColumn>| {
            let origin = |column: &depend::BaseColumn| {
                Some(Origin {
                    base_table: names.get(column.table.as_str())?.clone(),
                    column: column.column.clone(),
                })
            };
            columns.iter().filter_map(origin).collect()
        };
        let written: BTreeSet<RelationId> = program.written().collect();
        let used = |(relation, source): (&RelationId, &Source)| UsedTable {
            name: source.base.sql_name(),
            is_written: written.contains(relation),
            columns: source
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.type_name.clone()))
                .collect(),
            known: bound.known.get(relation).cloned().unwrap_or_default(),
        };
        Self {
            name: bound.table.clone(),
            schema: bound.schema.clone(),
            base_tables: bound.sources.iter().map(used).collect(),
            shows: dependence.shows.iter().map(origins).collect(),
            decides: origins(&dependence.decides),
            condition: None,
        }
    }

    /// For each of its columns, the columns of the other ones of `tables` that show the same base column.
    pub fn links(&self, tables: &[Self]) -> Links {
        let others = || tables.iter().filter(|other| other.name != self.name);
        let linked = |origins: &BTreeSet<Origin>| {
            let attributes = others().flat_map(|other| {
                let same = other
                    .attributes()
                    .filter(move |(_, shown)| !shown.is_disjoint(origins));
                same.map(|(attribute, _)| attribute)
            });
            attributes.collect()
        };
        self.attributes()
            .map(|(attribute, origins)| (attribute.column, linked(origins)))
            .collect()
    }

    /// Its columns, each with the base columns that it shows.
    pub fn attributes(&self) -> impl Iterator<Item = (Attribute, &BTreeSet<Origin>)> {
        let attribute = |column: &Column| Attribute {
            table: self.name.clone(),
            column: column.name.clone(),
        };
        self.schema.columns.iter().map(attribute).zip(&self.shows)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::strategy::language::{File, Format, read};

    /// A Dejima table over one base table, with columns named d_BASE and the first one for a key.
    pub(in crate::database) fn over(
        name: &str,
        base_table: &str,
        base_columns: &[&str],
        decides: &[&str],
    ) -> DeclaredTable {
        let origin = |column: &&str| Origin {
            base_table: base_table.into(),
            column: (*column).into(),
        };
        let column = |base: &&str| Column {
            name: format!("d_{base}"),
            type_name: "text".into(),
        };
        let used = |base: &&str| ((*base).to_owned(), "text".to_owned());
        DeclaredTable {
            name: TableName::new(name).expect("a name"),
            schema: Schema {
                columns: base_columns.iter().map(column).collect(),
                key: vec![0],
            },
            base_tables: vec![UsedTable {
                name: base_table.into(),
                is_written: true,
                columns: base_columns.iter().map(used).collect(),
                known: Known::default(),
            }],
            shows: base_columns
                .iter()
                .map(|base| [origin(base)].into())
                .collect(),
            decides: decides.iter().map(origin).collect(),
            condition: None,
        }
    }

    /// A Dejima table as a view says it is, over base tables as they are declared there.
    pub(in crate::database) fn of_view(text: &str) -> DeclaredTable {
        let file = File {
            name: "view.sql",
            text,
        };
        let program = read(file, Format::Sql, None).remove(0).program;
        let program = program.expect("well formed");
        let table = TableName::new(&program.view().name).expect("a name");
        let bound = Bound::as_declared(table, program.into()).expect("types that exist");
        DeclaredTable::of_program(&bound)
    }

    const TABLES: &str = "CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL UNIQUE);
        CREATE TABLE client (id int PRIMARY KEY, name text, city int NOT NULL REFERENCES city, kind text); -- put: read city\n";

    fn joined() -> DeclaredTable {
        of_view(&format!(
            "{TABLES} CREATE VIEW v AS SELECT c.id, c.name, t.name AS city FROM client c JOIN city t ON c.city = t.id WHERE c.kind = 'a'"
        ))
    }

    #[test]
    fn a_program_uses_several_base_tables_and_writes_some() {
        let used: Vec<_> = joined()
            .base_tables
            .into_iter()
            .map(|used| (used.name, used.is_written))
            .collect();
        assert_eq!(
            used,
            [
                (r#""public"."city""#.to_owned(), false),
                (r#""public"."client""#.to_owned(), true)
            ]
        );
    }

    #[test]
    fn columns_of_both_kinds_that_show_one_base_column_are_linked() {
        let plain = over("D", r#""public"."city""#, &["id", "name"], &[]);
        let tables = [joined(), plain];
        let linked = |at: usize| -> Vec<(String, Vec<String>)> {
            let links = tables[at].links(&tables).into_iter();
            let text = |attribute: Attribute| format!("{}.{}", attribute.table, attribute.column);
            links
                .filter(|(_, others)| !others.is_empty())
                .map(|(column, others)| (column, others.into_iter().map(text).collect()))
                .collect()
        };
        assert_eq!(linked(0), [("city".into(), vec!["D.d_name".into()])]);
        assert_eq!(linked(1), [("d_name".into(), vec!["v.city".into()])]);
    }
}
