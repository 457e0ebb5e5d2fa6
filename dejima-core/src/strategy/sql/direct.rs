//! Columns of a Dejima table that are nothing but columns of one base table, and so are updated where they stand.
//!
//! In a put that follows from a view each part has a base table whose rows it shows, its root. A column of the root is *direct* if
//! it is shown, once, and means nothing else: no row is found by it, none is tested or chosen by it, no constraint of the Dejima
//! table asks for it. Then all rules, asked about a row of which only direct columns change, come to one thing: the root's row under
//! that key gets the new values. What is asked about is only whether the old row is there as it is said. Families are
//! locked when what it changed is derived, before anybody votes. Whatever finds no row that way goes the general way, which alone decides about refusals.
//!
//! So it is with a table that is joined and written too, whose row several rows of the Dejima table can *share*, if what they show of
//! it names that row: all of them must get the same values. That is the one constraint that may ask for such a column.
//!
//! The table written is the UPDATE's own, so that PostgreSQL looks at its row once more when it had to wait for it.

use std::collections::BTreeSet;

use super::alone::all_variables;
use super::get::{Now, get_clauses, logged_columns, shown, source_columns, united};
use super::occurrence::Atom;
use super::select::{Names, Select, same};
use super::unfold::{Clause, Item, of_body};
use crate::strategy::bound::Bound;
use crate::strategy::language::syntax::{BinaryOperator, UnaryOperator};
use crate::strategy::program::{Argument, ConstraintKind, Expr, RelationId, Scope, VariableId};
use crate::strategy::{identifier, literal};

/// What one clause of the Dejima table's get lets be updated where it stands, in one base table.
pub(super) struct Direct {
    clause: Clause,
    /// The place of the table's row among the clause's items.
    place: usize,
    relation: RelationId,
    /// The columns, by their positions in the Dejima table and in the base table; at least one.
    pub(super) columns: Vec<(usize, usize)>,
    /// Where the Dejima table shows the base row's key, if several of its rows can share that row.
    pub(super) shared_by: Option<Vec<usize>>,
}

/// An UPDATE of one row, in parts.
pub(super) struct Update {
    /// What a row must have so that it can be one of the clause at all.
    pub(super) guard: String,
    /// The values of the Dejima table's row, in its order.
    pub(super) values: Vec<String>,
    /// No other row of the Dejima table shares the base row.
    is_only_one: Option<String>,
    /// The base row.
    name: String,
    target: String,
    from: Vec<String>,
    conditions: Vec<String>,
}

/// How an updating function leaves PostgreSQL no choice but to look rows up in indexes, whatever it knows of the tables.
pub(super) const BY_INDEX: &str =
    "SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan";

/// For each clause and each of its base tables that has any, the direct columns.
pub(super) fn all(bound: &Bound) -> Vec<Direct> {
    let clauses = get_clauses(bound);
    let of = |clause: &Clause| {
        let places = 0..clause.items.len();
        let found = places.filter_map(|place| Direct::of(bound, &clauses, clause, place));
        found.collect::<Vec<_>>()
    };
    clauses.iter().flat_map(of).collect()
}

impl Direct {
    fn of(bound: &Bound, clauses: &[Clause], clause: &Clause, place: usize) -> Option<Self> {
        let roots = &bound.program.from_view.as_ref()?.roots;
        let Item::Row(relation, row) = &clause.items[place] else {
            return None;
        };
        let own_key = bound.source(*relation).key.as_ref()?;
        let shown_at = |column: usize| clause.head.iter().position(|head| *head == row[column]);
        let is_root = roots.contains(&bound.program.relation(*relation).name);
        let shared_by = if is_root {
            let key: Vec<_> = bound.key().iter().map(|&at| &clause.head[at]).collect();
            let is_given =
                |&at: &usize| matches!(row[at], Argument::Constant(_)) || key.contains(&&row[at]);
            if !own_key.iter().all(is_given) {
                return None;
            }
            None
        } else {
            if clauses.len() > 1 || !is_written_beside(bound, clause, *relation) {
                return None;
            }
            let columns = &bound.source(*relation).columns;
            let names_it = |&at: &usize| {
                variable(&row[at])?;
                // Keys are passed as arrays, and PostgreSQL makes one array of arrays.
                shown_at(at).filter(|_| !columns[at].base_type.ends_with("[]"))
            };
            Some(own_key.iter().map(names_it).collect::<Option<Vec<_>>>()?)
        };
        let is_direct = |&(at, column): &(usize, usize)| {
            !own_key.contains(&column)
                && !is_unique(bound, *relation, column)
                && is_only_shown(bound, clauses, *relation, column)
                && !is_constrained(bound, at, shared_by.as_deref())
        };
        let shown = clause.head.iter().enumerate();
        let columns = shown
            .filter_map(|(at, argument)| {
                variable(argument)?;
                Some((at, row.iter().position(|value| value == argument)?))
            })
            .filter(is_direct)
            .collect::<Vec<_>>();
        (!columns.is_empty()).then(|| Self {
            clause: clause.clone(),
            place,
            relation: *relation,
            columns,
            shared_by,
        })
    }

    /// The Dejima table's columns that are not direct.
    pub(super) fn others(&self) -> Vec<usize> {
        let is_direct = |at: &usize| self.columns.iter().any(|(column, _)| column == at);
        let all = 0..self.clause.head.len();
        all.filter(|at| !is_direct(at)).collect()
    }

    /// Whether every row of the clause has one and the same value there.
    pub(super) fn is_constant(&self, at: usize) -> bool {
        matches!(self.clause.head[at], Argument::Constant(_))
    }

    /// The UPDATE of the base row of a row of the Dejima table with these values, where they are known; its key must be.
    pub(super) fn update(&self, bound: &Bound, asked: &[Option<String>]) -> Update {
        let names = &mut Names::default();
        let mut select = Select::new(bound, &self.clause.variables);
        select.ask(bound.program.view, &self.clause.head, asked);
        let guard = std::mem::take(&mut select.conditions);
        let (mut target, mut name) = (String::new(), String::new());
        for (at, item) in self.clause.items.iter().enumerate() {
            match item {
                Item::Row(relation, row) if at == self.place => {
                    let place = select.from.len();
                    let rows = bound.source(*relation).base.sql_name();
                    name = select.row(*relation, row, &rows, names);
                    target = select.from.remove(place);
                }
                _ => select = followed(bound, select, item, names),
            }
        }
        let values = select.values(bound.program.view, &self.clause.head);
        let is_only_one = self.shared_by.as_ref().map(|shared_by| {
            let mut asked = vec![None; values.len()];
            for &at in shared_by {
                asked[at] = Some(values[at].clone());
            }
            let mut others = self.shown(bound, &asked, names);
            let key = bound.key();
            let other = others.values(bound.program.view, &self.clause.head);
            let alike = key.iter().map(|&at| same(&other[at], &values[at], false));
            let alike = alike.collect::<Vec<_>>().join(" AND ");
            others.conditions.push(format!("NOT ({alike})"));
            // Not as EXISTS: PostgreSQL would join the whole view to the row.
            format!("(SELECT true{} LIMIT 1) IS NULL", others.rest())
        });
        Update {
            guard: and(&guard),
            values,
            is_only_one,
            name,
            target,
            from: select.from,
            conditions: select.conditions,
        }
    }

    /// What is joined to the base row, if it says all by which rows share one, and nothing else of the base row. (The key is the root's.)
    fn beside(&self) -> Option<Vec<Item>> {
        let Item::Row(_, row) = &self.clause.items[self.place] else {
            return None;
        };
        let items = self.clause.items.iter().enumerate();
        let others = items.filter(|(at, _)| *at != self.place);
        let others: Vec<Item> = others.map(|(_, item)| item.clone()).collect();
        let of_rows = others.iter().filter(|item| matches!(item, Item::Row(..)));
        let named: BTreeSet<VariableId> = of_rows.flat_map(all_variables).collect();
        let asked: BTreeSet<VariableId> = others.iter().flat_map(all_variables).collect();
        let shared_by = self.shared_by.iter().flatten();
        let by = shared_by.filter_map(|&at| variable(&self.clause.head[at]));
        let by: BTreeSet<VariableId> = by.collect();
        let own: BTreeSet<VariableId> = row.iter().filter_map(variable).collect();
        let is_enough = by.is_subset(&named) && own.difference(&by).all(|v| !asked.contains(v));
        is_enough.then_some(others)
    }

    /// The rows that share base rows with these values, where they are known.
    pub(super) fn shown<'a>(
        &'a self,
        bound: &'a Bound,
        asked: &[Option<String>],
        names: &mut Names,
    ) -> Select<'a> {
        let mut select = Select::new(bound, &self.clause.variables);
        select.ask(bound.program.view, &self.clause.head, asked);
        let items = self.beside();
        let items = items.as_ref().unwrap_or(&self.clause.items).iter();
        items.fold(select, |select, item| followed(bound, select, item, names))
    }

    /// The values of a row of it.
    pub(super) fn values(&self, select: &Select<'_>) -> Vec<String> {
        select.values(select.bound.program.view, &self.clause.head)
    }

    /// The columns of the base row that mean something: its key, in order, and the others.
    pub(super) fn columns_of(&self, bound: &Bound, update: &Update) -> [Vec<String>; 2] {
        let source = bound.source(self.relation);
        let key = source.key.clone().unwrap_or_default();
        let others = logged_columns(bound, self.relation).into_iter();
        let others = others.filter(|at| !key.contains(at)).collect();
        [key, others].map(|positions| {
            let columns = source_columns(source, &positions).into_iter();
            columns
                .map(|column| format!("{}.{column}", update.name))
                .collect()
        })
    }

    /// The oid of the base table.
    pub(super) fn base(&self, bound: &Bound) -> u32 {
        bound.source(self.relation).base.oid
    }

    /// `column = value`, the value cast as the general way would: without a length, so that too long a value is refused.
    pub(super) fn assignment(&self, bound: &Bound, column: usize, value: &str) -> String {
        let source = bound.source(self.relation);
        let column = &source.columns[column];
        format!(
            "{} = {value}::{}",
            identifier(&column.name),
            column.base_type
        )
    }
}

impl Update {
    /// What must hold so that one row of the Dejima table alone is concerned, beside these.
    pub(super) fn of_one(&self, mut conditions: Vec<String>) -> Vec<String> {
        conditions.extend(self.is_only_one.clone());
        conditions
    }

    pub(super) fn head(&self) -> String {
        format!("UPDATE {} SET ", self.target)
    }

    /// FROM and WHERE of a query for its rows.
    pub(super) fn rest(&self, from: &[String], conditions: &[String]) -> String {
        let rows = [from, std::slice::from_ref(&self.target), &self.from].concat();
        let all = [&self.conditions[..], conditions].concat();
        format!(" FROM {} WHERE {}", rows.join(", "), and(&all))
    }

    /// What follows the assignments. More may stand in its FROM, and must hold.
    pub(super) fn tail(&self, from: &[String], conditions: &[String]) -> String {
        let from = [from, &self.from].concat();
        let from = if from.is_empty() {
            String::new()
        } else {
            format!(" FROM {}", from.join(", "))
        };
        format!(
            "{from} WHERE {}",
            and(&[&self.conditions[..], conditions].concat())
        )
    }
}

/// Refuses as the general way does what a trigger of the base table made of the row: there must be one under its key.
pub(super) fn check(bound: &Bound, asked: &[Option<String>]) -> String {
    let found = shown(bound, asked, &Now(bound), &mut Names::default());
    format!(
        "IF NOT EXISTS ({}) THEN\n    PERFORM dejima.refuse_lost({});\n  END IF;",
        united(&found),
        literal(bound.table.as_str())
    )
}

/// The same for all rows of a FROM and WHERE.
pub(super) fn check_all(bound: &Bound, rows: &str, asked: &[Option<String>]) -> String {
    let found = shown(bound, asked, &Now(bound), &mut Names::default());
    format!(
        "IF EXISTS (SELECT FROM {rows} AND NOT EXISTS ({})) THEN\n    PERFORM dejima.refuse_lost({});\n  END IF;",
        united(&found),
        literal(bound.table.as_str())
    )
}

fn followed<'a>(
    bound: &'a Bound,
    select: Select<'a>,
    item: &Item,
    names: &mut Names,
) -> Select<'a> {
    let followed = select.items(std::slice::from_ref(item), &Now(bound), names);
    followed.into_iter().next().expect("a table is one part")
}

fn and(conditions: &[String]) -> String {
    if conditions.is_empty() {
        "true".to_owned()
    } else {
        conditions.join(" AND ")
    }
}

fn variable(argument: &Argument) -> Option<VariableId> {
    match argument {
        Argument::Variable(variable) => Some(*variable),
        Argument::Constant(_) | Argument::Any => None,
    }
}

/// Row by row values can meet for a moment that one statement would exchange.
fn is_unique(bound: &Bound, relation: RelationId, column: usize) -> bool {
    let source = bound.source(relation);
    let name = &source.columns[column].name;
    let keys = &source.base.unique_keys;
    keys.iter().any(|key| key.columns.contains(name))
}

/// Whether a base column is shown once at most wherever its table stands, not in the key, and stands for nothing else.
fn is_only_shown(bound: &Bound, clauses: &[Clause], relation: RelationId, column: usize) -> bool {
    let key = bound.key();
    clauses.iter().all(|clause| {
        let atoms = Atom::all(clause).into_iter();
        let mut atoms = atoms.filter(|atom| atom.relation == relation);
        atoms.all(|atom| match &atom.arguments[column] {
            Argument::Any => true,
            Argument::Constant(_) => false,
            Argument::Variable(variable) => {
                let places = clause.head.iter().enumerate();
                let shown: Vec<_> = places
                    .filter(|(_, argument)| **argument == Argument::Variable(*variable))
                    .map(|(at, _)| at)
                    .collect();
                is_used_once(clause, *variable)
                    && shown.len() <= 1
                    && shown.iter().all(|at| !key.contains(at))
            }
        })
    })
}

fn is_used_once(clause: &Clause, variable: VariableId) -> bool {
    let all = clause.items.iter().flat_map(all_variables);
    all.filter(|found| *found == variable).count() == 1
}

/// Whether put writes the table beside the root, and it stands nowhere but here.
fn is_written_beside(bound: &Bound, clause: &Clause, relation: RelationId) -> bool {
    let atoms = Atom::all(clause).into_iter();
    bound.program.written().any(|written| written == relation)
        && atoms.filter(|atom| atom.relation == relation).count() == 1
}

/// Whether a constraint of the Dejima table asks for the column, in whichever rows. What asks for other columns only held before,
/// and so does now. That rows which share a base row say the same of it is seen to when it is updated.
fn is_constrained(bound: &Bound, at: usize, shared_by: Option<&[usize]>) -> bool {
    let constraints = bound.program.constraints.iter();
    let mut of_view = constraints.filter(|constraint| constraint.scope == Scope::View);
    of_view.any(|constraint| match &constraint.kind {
        // Of two rows under one key the other columns differ: it names them, but they are what follows.
        ConstraintKind::Key { relation, columns } if *relation == bound.program.view => {
            columns.contains(&at)
        }
        _ => of_body(&bound.program, &constraint.body, &[])
            .iter()
            .any(|clause| {
                asks(bound, clause, at)
                    && !shared_by.is_some_and(|by| says_one_thing(bound, clause, at, by))
            }),
    })
}

fn asks(bound: &Bound, constraint: &Clause, at: usize) -> bool {
    let mut atoms = Atom::all(constraint).into_iter();
    atoms.any(|atom| {
        atom.relation == bound.program.view
            && match &atom.arguments[at] {
                Argument::Any => false,
                Argument::Constant(_) => true,
                Argument::Variable(variable) => !is_used_once(constraint, *variable),
            }
    })
}

/// Whether a constraint says no more than that two rows which are the same in these columns are the same in that one.
fn says_one_thing(bound: &Bound, constraint: &Clause, at: usize, shared_by: &[usize]) -> bool {
    let [
        Item::Row(first, left),
        Item::Row(second, right),
        Item::Test(test),
    ] = &constraint.items[..]
    else {
        return false;
    };
    let Expr::Unary(UnaryOperator::Not, test) = test else {
        return false;
    };
    let Expr::Binary(BinaryOperator::Same, one, other) = &**test else {
        return false;
    };
    let (Expr::Variable(one), Expr::Variable(other)) = (&**one, &**other) else {
        return false;
    };
    let differ = [&left[at], &right[at]].map(variable);
    let is_the_test = differ == [Some(*one), Some(*other)] || differ == [Some(*other), Some(*one)];
    [*first, *second] == [bound.program.view; 2]
        && is_the_test
        && one != other
        && shared_by
            .iter()
            .all(|&by| variable(&left[by]).is_some() && left[by] == right[by])
}
