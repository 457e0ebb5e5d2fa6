//! The other tables of a SELECT: how they decide which rows are shown, and what is written into them.

use std::collections::BTreeSet;

use super::branch::Branched;
use super::build::{absent, any, atom, distinct, present, rule, test, variable};
use super::rules::trimmed;
use super::{Derived, UseKind, question};
use crate::strategy::language::Diagnostic;
use crate::strategy::language::syntax::{
    Atom, Expression, ExpressionKind, Literal, Name, Sign, Statement,
};

/// Uses that decide together whether a row is shown.
pub(super) struct Group {
    pub(super) kind: UseKind,
    uses: Vec<usize>,
    /// Conditions on columns that are theirs.
    tests: Vec<Expression>,
    /// Hidden columns of the root that follow from what is shown of this group.
    pub(super) determines: Vec<String>,
    /// Its rows are written, so they need not be there.
    pub(super) is_written: bool,
    /// The relation that stands for several tables, or conditions.
    helper: Option<(Name, Vec<String>)>,
}

/// Sorts the conditions: those of the root alone, and groups of other tables with theirs.
pub(super) fn groups(
    branched: &Branched<'_>,
    conditions: Vec<Expression>,
) -> Derived<(Vec<Expression>, Vec<Group>)> {
    let mut groups: Vec<Group> = Vec::new();
    for (used, text) in branched.branch.uses.iter().enumerate() {
        if used == branched.root || text.kind == UseKind::Left {
            continue;
        }
        groups.push(Group {
            kind: text.kind,
            uses: vec![used],
            tests: Vec::new(),
            determines: Vec::new(),
            is_written: branched.is_written(used),
            helper: None,
        });
    }
    let mut tests = Vec::new();
    for condition in conditions {
        let names: BTreeSet<String> = condition.variables().into_iter().collect();
        let touched: Vec<usize> = (0..groups.len())
            .filter(|&group| groups[group].owns(branched, &names))
            .collect();
        if let Some(written) = touched.iter().find(|&&group| groups[group].is_written) {
            let table = branched.table(groups[*written].uses[0]);
            return Err(Box::new(
                Diagnostic::error(
                    format!(
                        "{} is written, and only some of its rows are shown",
                        table.name.text
                    ),
                    condition.span,
                    "this condition hides others",
                )
                .help(format!(
                    "`-- put: read {}`, or leave the condition out",
                    table.name.text
                )),
            ));
        }
        let of_left = (0..branched.branch.uses.len())
            .filter(|&used| branched.branch.uses[used].kind == UseKind::Left)
            .any(|left| {
                branched
                    .own_variables(left)
                    .iter()
                    .any(|name| names.contains(name))
            });
        if of_left {
            return Err(Box::new(
                Diagnostic::error(
                    "this condition is about a table that is joined by LEFT JOIN",
                    condition.span,
                    "",
                )
                .help("join it by JOIN if its row must be there"),
            ));
        }
        match touched[..] {
            [] => tests.push(condition),
            [first, ref others @ ..] => {
                groups[first].tests.push(condition);
                for &other in others.iter().rev() {
                    let other = groups.remove(other);
                    groups[first].absorb(other);
                }
            }
        }
    }
    merge(branched, &mut groups);
    for (number, group) in groups.iter_mut().enumerate() {
        group.complete(branched, number)?;
    }
    Ok((tests, groups))
}

/// Unites groups that share a column that is neither shown nor the root's.
fn merge(branched: &Branched<'_>, groups: &mut Vec<Group>) {
    let visible: BTreeSet<String> = branched.shown();
    let mut at = 0;
    while at < groups.len() {
        let own: BTreeSet<String> = groups[at]
            .own(branched)
            .difference(&visible)
            .cloned()
            .collect();
        let other = (at + 1..groups.len()).find(|&other| {
            groups[at].kind != UseKind::Absent
                && groups[other].kind != UseKind::Absent
                && groups[other]
                    .own(branched)
                    .intersection(&own)
                    .next()
                    .is_some()
        });
        match other {
            Some(other) => {
                let other = groups.remove(other);
                groups[at].absorb(other);
            }
            None => at += 1,
        }
    }
}

impl Group {
    fn absorb(&mut self, other: Self) {
        self.uses.extend(other.uses);
        self.tests.extend(other.tests);
        if other.kind == UseKind::Inner {
            self.kind = UseKind::Inner;
        }
    }

    /// The variables of its tables that are not the root's.
    fn own(&self, branched: &Branched<'_>) -> BTreeSet<String> {
        self.uses
            .iter()
            .flat_map(|&used| branched.own_variables(used))
            .collect()
    }

    fn owns(&self, branched: &Branched<'_>, names: &BTreeSet<String>) -> bool {
        !self.own(branched).is_disjoint(names)
    }

    /// Finds out what stands for the group in a negation, and what follows from it.
    fn complete(&mut self, branched: &Branched<'_>, number: usize) -> Derived<()> {
        let visible: BTreeSet<String> = branched
            .shown()
            .union(&branched.root_variables())
            .cloned()
            .collect();
        let atoms = self.uses.iter().flat_map(|&used| branched.row(used));
        let in_atoms: BTreeSet<String> = atoms.flat_map(|value| value.variables()).collect();
        for test in &self.tests {
            if let Some(name) = test
                .variables()
                .into_iter()
                .find(|name| !in_atoms.contains(name))
            {
                return Err(Box::new(
                    Diagnostic::error(
                        "this condition compares a joined table with another one",
                        test.span,
                        format!("{} is a column of the other one", name.to_lowercase()),
                    )
                    .help("write put rules (Datalog), which can say what is to happen"),
                ));
            }
        }
        if self.uses.len() > 1 || !self.tests.is_empty() {
            let table = branched.table(self.uses[0]);
            let view = &branched.definition.view.text;
            let text = format!(
                "{}_of_{view}_{}{}",
                table.name.text,
                branched.number + 1,
                number + 1
            );
            let name = Name {
                text: text.replace('.', "_"),
                span: branched.branch.uses[self.uses[0]].span,
            };
            let parameters = in_atoms.intersection(&visible).cloned().collect();
            self.helper = Some((name, parameters));
        }
        self.determines = self.determined(branched);
        Ok(())
    }

    /// Hidden columns of the root by which a single row of a table is found that what is shown identifies.
    fn determined(&self, branched: &Branched<'_>) -> Vec<String> {
        let (UseKind::Inner, [used], None) = (self.kind, &self.uses[..], &self.helper) else {
            return Vec::new();
        };
        let (table, row, shown) = (branched.table(*used), branched.row(*used), branched.shown());
        let is_known = |column: &usize| {
            !table.columns[*column].nullable
                && row[*column]
                    .variables()
                    .iter()
                    .all(|name| shown.contains(name))
        };
        let is_identified = table
            .keys
            .iter()
            .any(|key| key.columns.iter().all(is_known));
        let root = branched.root_variables();
        let hidden = |name: &String| root.contains(name) && !shown.contains(name);
        let names = row.iter().flat_map(Expression::variables).filter(hidden);
        if is_identified && !self.is_written {
            names.collect()
        } else {
            Vec::new()
        }
    }

    /// The atom that stands for the group, with `_` for what nobody sees.
    pub(super) fn atom(&self, branched: &Branched<'_>) -> Atom {
        let span = branched.branch.uses[self.uses[0]].span;
        if let Some((name, parameters)) = &self.helper {
            let arguments = parameters.iter().map(|name| variable(name, span)).collect();
            return atom(None, name, arguments, span);
        }
        let visible: BTreeSet<String> = branched
            .shown()
            .union(&branched.root_variables())
            .cloned()
            .collect();
        let row = branched.row(self.uses[0]).into_iter();
        let arguments = row.map(|value| match &value.kind {
            ExpressionKind::Variable(name) if !visible.contains(name) => any(span),
            _ => value,
        });
        branched.use_atom(self.uses[0], arguments.collect())
    }

    /// The group in the body of what is shown.
    pub(super) fn literals(&self, branched: &Branched<'_>) -> Vec<Literal> {
        if self.kind == UseKind::Absent {
            return vec![absent(self.atom(branched))];
        }
        let atoms = self
            .uses
            .iter()
            .map(|&used| present(branched.use_atom(used, branched.row(used))));
        atoms.chain(self.tests.iter().cloned().map(test)).collect()
    }

    /// The rule of the relation that stands for the group.
    pub(super) fn definition(&self, branched: &Branched<'_>) -> Option<Statement> {
        self.helper.as_ref()?;
        let head = self.atom(branched);
        let atoms = self
            .uses
            .iter()
            .map(|&used| present(branched.use_atom(used, branched.row(used))));
        let body = atoms.chain(self.tests.iter().cloned().map(test)).collect();
        let body = trimmed(&head, body);
        Some(rule(head, body))
    }

    /// Whether the group is a table itself, joined to the root by these columns of the table.
    pub(super) fn is_table(&self, branched: &Branched<'_>, table: &str) -> Option<usize> {
        let single = self.helper.is_none() && self.kind != UseKind::Absent;
        let used = *self.uses.first()?;
        (single && branched.table(used).name.text == table).then_some(used)
    }
}

impl Branched<'_> {
    /// What is written into a joined table: the columns that are shown, by key.
    pub(super) fn lookup_statements(&self, used: usize) -> Vec<Statement> {
        let table = self.table(used);
        let row = self.row(used);
        let shown = self.shown();
        let key = table
            .key()
            .map(|key| key.columns.clone())
            .unwrap_or_default();
        let is_shown =
            |value: &Expression| value.variables().iter().all(|name| shown.contains(name));
        let hidden: Vec<usize> = (0..row.len())
            .filter(|&column| !is_shown(&row[column]))
            .collect();
        let keep = |keeps: &dyn Fn(usize) -> bool| -> Vec<Expression> {
            let columns = row.iter().enumerate();
            columns
                .map(|(column, value)| {
                    if keeps(column) {
                        value.clone()
                    } else {
                        any(value.span)
                    }
                })
                .collect()
        };
        let names = |keeps: &dyn Fn(usize) -> bool| -> BTreeSet<String> {
            let columns = row.iter().enumerate().filter(|(column, _)| keeps(*column));
            columns.flat_map(|(_, value)| value.variables()).collect()
        };
        let view_with = |wanted: &BTreeSet<String>| {
            let view = self.view_row().into_iter();
            let arguments = view.map(|value| match &value.kind {
                ExpressionKind::Variable(name) if !wanted.contains(name) => any(value.span),
                _ => value,
            });
            self.view_atom(arguments.collect())
        };
        let is_key = |column: usize| key.contains(&column);
        let is_hidden = |column: usize| hidden.contains(&column);
        let stored = |sign, row: Vec<Expression>| atom(sign, &table.name, row, self.span());
        let now = || stored(None, row.clone());
        let wish = || present(view_with(&names(&|column| !is_hidden(column))));
        let same_key = present(view_with(&names(&is_key)));
        let unwanted = absent(view_with(&names(&|column| !is_hidden(column))));
        let mut statements = vec![rule(
            stored(Some(Sign::Delete), row.clone()),
            vec![present(now()), same_key, unwanted],
        )];
        let inserted = |row: Vec<Expression>, body: Vec<Literal>| {
            let head = stored(Some(Sign::Insert), row);
            let body = trimmed(&head, body);
            rule(head, body)
        };
        if hidden.is_empty() {
            statements.push(inserted(row.clone(), vec![wish(), absent(now())]));
            return statements;
        }
        let there = present(stored(
            None,
            keep(&|column| is_key(column) || is_hidden(column)),
        ));
        statements.push(inserted(row.clone(), vec![wish(), there, absent(now())]));
        let filled = row.iter().enumerate().map(|(column, value)| {
            if is_hidden(column) {
                question::default(self.definition, table, &table.columns[column])
                    .unwrap_or_else(|_| value.clone())
            } else {
                value.clone()
            }
        });
        let is_new = absent(stored(None, keep(&is_key)));
        statements.push(inserted(filled.collect(), vec![wish(), is_new]));
        statements
    }

    /// Rows of the view that name the same row of a written table say the same of it.
    pub(super) fn lookup_agreement(&self, used: usize) -> Vec<Vec<Literal>> {
        let table = self.table(used);
        let key = table
            .key()
            .map(|key| key.columns.clone())
            .unwrap_or_default();
        let (row, shown) = (self.row(used), self.shown());
        let key_names: BTreeSet<String> = key
            .iter()
            .flat_map(|&column| row[column].variables())
            .collect();
        let mut agreements = Vec::new();
        for value in &row {
            let names = value.variables();
            let Some(name) = names
                .first()
                .filter(|name| shown.contains(*name) && !key_names.contains(*name))
            else {
                continue;
            };
            let other_name = format!("OTHER_{name}");
            let view = |mine: &str| {
                let arguments = self
                    .view_row()
                    .into_iter()
                    .map(|argument| match &argument.kind {
                        ExpressionKind::Variable(found) if found == name => {
                            variable(mine, argument.span)
                        }
                        ExpressionKind::Variable(found) if !key_names.contains(found) => {
                            any(argument.span)
                        }
                        _ => argument,
                    });
                present(self.view_atom(arguments.collect()))
            };
            let differ = distinct(
                variable(name, self.span()),
                variable(&other_name, self.span()),
            );
            agreements.push(vec![view(name), view(&other_name), test(differ)]);
        }
        agreements
    }
}
