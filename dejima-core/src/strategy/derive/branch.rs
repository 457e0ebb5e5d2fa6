//! One SELECT: which table its rows come from, what stands for each column, and the rules that follow.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{any, atom, is_constant, present, test, variable};
use super::classes::{Classes, Place};
use super::lookup::{Group, groups};
use super::question::{self, Treatment};
use super::{Branch, Definition, Derived, Table, UseKind, variable_column};
use crate::strategy::language::syntax::{Atom, Expression, ExpressionKind, Literal, Sign};
use crate::strategy::language::{Diagnostic, Span};

/// A SELECT with everything found out about it.
pub(super) struct Branched<'a> {
    pub(super) definition: &'a Definition,
    pub(super) branch: &'a Branch,
    pub(super) number: usize,
    /// The use whose rows are shown.
    pub(super) root: usize,
    /// What stands for each column: a variable or a constant.
    pub(super) meaning: BTreeMap<Place, Expression>,
    /// One for each output: a variable, a constant, or an expression over variables.
    pub(super) outputs: Vec<Expression>,
    /// The variable that stands for each output in the view's row.
    pub(super) output_names: Vec<String>,
    /// Conditions on columns of the root alone, or on what is shown.
    pub(super) tests: Vec<Expression>,
    /// Other tables, as they decide which rows are shown.
    pub(super) groups: Vec<Group>,
    /// Left joins: the use, and its atom's arguments.
    pub(super) lefts: Vec<usize>,
    /// For each column of the root, what a new row gets if it is hidden.
    pub(super) defaults: BTreeMap<usize, Expression>,
}

impl<'a> Branched<'a> {
    /// Finds out all about a branch.
    pub(super) fn of(definition: &'a Definition, number: usize) -> Derived<Self> {
        let branch = &definition.branches[number];
        let mut classes = Classes::of(definition, branch);
        let root = root(definition, branch, &classes)?;
        let outputs_by_class = classes.name(definition, branch);
        let meaning = classes.meaning(definition, branch);
        let mut branched = Self {
            definition,
            branch,
            number,
            root,
            meaning,
            outputs: Vec::new(),
            output_names: outputs_by_class,
            tests: Vec::new(),
            groups: Vec::new(),
            lefts: Vec::new(),
            defaults: BTreeMap::new(),
        };
        let of = |output: &Expression| branched.resolved(output);
        branched.outputs = branch.outputs.iter().map(of).collect();
        let left = |used: &usize| branch.uses[*used].kind == UseKind::Left;
        branched.lefts = (0..branch.uses.len()).filter(left).collect();
        branched.check_treatments()?;
        let rest: Vec<Expression> = classes
            .rest
            .iter()
            .map(|condition| branched.resolved(condition))
            .collect();
        let (tests, groups) = groups(&branched, rest)?;
        branched.tests = tests;
        branched.groups = groups;
        branched.check_lefts()?;
        branched.check_outputs()?;
        branched.find_defaults()?;
        Ok(branched)
    }

    pub(super) fn table(&self, used: usize) -> &'a Table {
        &self.definition.tables[self.branch.uses[used].table]
    }

    pub(super) fn root_table(&self) -> &'a Table {
        self.table(self.root)
    }

    pub(super) fn span(&self) -> Span {
        self.branch.span
    }

    /// An expression over what stands for the columns.
    fn resolved(&self, expression: &Expression) -> Expression {
        expression.map_variables(&|name| match variable_column(name) {
            Some(place) => self.meaning[&place].kind.clone(),
            None => ExpressionKind::Variable(name.to_owned()),
        })
    }

    /// What stands for the columns of a use.
    pub(super) fn row(&self, used: usize) -> Vec<Expression> {
        let columns = 0..self.table(used).columns.len();
        columns
            .map(|column| self.meaning[&(used, column)].clone())
            .collect()
    }

    /// The variables that the view's row gives a value.
    pub(super) fn shown(&self) -> BTreeSet<String> {
        let plain = self.outputs.iter().filter_map(|output| match &output.kind {
            ExpressionKind::Variable(name) => Some(name.clone()),
            _ => None,
        });
        let lefts: BTreeSet<String> = self
            .lefts
            .iter()
            .flat_map(|&left| self.own_variables(left))
            .collect();
        plain.filter(|name| !lefts.contains(name)).collect()
    }

    /// The variables of the root's columns.
    pub(super) fn root_variables(&self) -> BTreeSet<String> {
        self.row(self.root)
            .iter()
            .flat_map(Expression::variables)
            .collect()
    }

    /// The variables of a use that are not the root's.
    pub(super) fn own_variables(&self, used: usize) -> Vec<String> {
        let root = self.root_variables();
        let all = self
            .row(used)
            .into_iter()
            .flat_map(|column| column.variables());
        all.filter(|name| !root.contains(name)).collect()
    }

    /// Columns of the root that the view's row does not give: neither shown nor fixed nor found by a look-up.
    pub(super) fn hidden(&self) -> Vec<usize> {
        let known = self.known();
        let row = self.row(self.root);
        let is_hidden = |column: &usize| match &row[*column].kind {
            ExpressionKind::Variable(name) => !known.contains(name),
            _ => false,
        };
        (0..row.len()).filter(is_hidden).collect()
    }

    /// The variables that have a value in [`Self::wish`].
    pub(super) fn known(&self) -> BTreeSet<String> {
        let mut known = self.shown();
        for group in &self.groups {
            known.extend(group.determines.iter().cloned());
        }
        known
    }

    /// The columns of the root's key that are variables; none if it has no key.
    pub(super) fn key(&self) -> Vec<usize> {
        self.root_table()
            .key()
            .map(|key| key.columns.clone())
            .unwrap_or_default()
    }

    pub(super) fn is_keyed(&self) -> bool {
        self.root_table().key().is_some()
    }

    /// The view's row, as the branch shows it.
    pub(super) fn view_row(&self) -> Vec<Expression> {
        let pairs = self.outputs.iter().zip(&self.output_names);
        pairs
            .map(|(output, name)| match &output.kind {
                ExpressionKind::Unary(..)
                | ExpressionKind::Binary(..)
                | ExpressionKind::Call(..) => variable(name, output.span),
                _ => output.clone(),
            })
            .collect()
    }

    pub(super) fn view_atom(&self, row: Vec<Expression>) -> Atom {
        atom(None, &self.definition.view, row, self.span())
    }

    pub(super) fn root_atom(&self, sign: Option<Sign>, row: Vec<Expression>) -> Atom {
        atom(sign, &self.root_table().name, row, self.span())
    }

    /// A wanted row of this branch, and what finds the root's hidden columns from it. Only what is used later is named.
    pub(super) fn wish(&self) -> Vec<Literal> {
        let mut literals = vec![present(self.view_atom(self.view_row()))];
        if self.definition.branches.len() > 1 {
            literals.extend(self.belongs().into_iter().map(test));
        }
        for group in self
            .groups
            .iter()
            .filter(|group| !group.determines.is_empty())
        {
            literals.push(present(group.atom(self)));
        }
        literals
    }

    /// Conditions on the shown row alone: the selection's and constants that are shown are not among them.
    pub(super) fn belongs(&self) -> Vec<Expression> {
        let shown = self.shown();
        let is_shown =
            |test: &&Expression| test.variables().iter().all(|name| shown.contains(name));
        self.tests.iter().filter(is_shown).cloned().collect()
    }

    pub(super) fn use_atom(&self, used: usize, row: Vec<Expression>) -> Atom {
        atom(
            None,
            &self.table(used).name,
            row,
            self.branch.uses[used].span,
        )
    }

    /// The row of a use with `_` for the columns that are its own.
    pub(super) fn linked_row(&self, used: usize) -> Vec<Expression> {
        let own = self.own_variables(used);
        let row = self.row(used).into_iter();
        row.map(|value| match &value.kind {
            ExpressionKind::Variable(name) if own.contains(name) => any(value.span),
            _ => value,
        })
        .collect()
    }

    /// A row of the root with this key and other values `_`, or a hidden column's variable where it is wanted.
    pub(super) fn keyed_row(&self, names_hidden: bool) -> Vec<Expression> {
        let (key, hidden) = (self.key(), self.hidden());
        let row = self.row(self.root).into_iter().enumerate();
        row.map(|(column, value)| {
            let is_named = key.contains(&column) || (names_hidden && hidden.contains(&column));
            if is_named { value } else { any(value.span) }
        })
        .collect()
    }

    /// Whether a joined table is written, too.
    pub(super) fn is_written(&self, used: usize) -> bool {
        used != self.root
            && self.branch.uses[used].kind == UseKind::Inner
            && question::treatment(self.definition, self.table(used)) == Some(Treatment::Write)
            && self.shows_own(used).is_some()
    }

    /// The first output that shows a column of the use that is not the root's.
    pub(super) fn shows_own(&self, used: usize) -> Option<usize> {
        let own = self.own_variables(used);
        self.outputs
            .iter()
            .position(|output| output.variables().iter().any(|name| own.contains(name)))
    }

    fn check_treatments(&self) -> Derived<()> {
        for used in 0..self.branch.uses.len() {
            let kind = self.branch.uses[used].kind;
            if used == self.root || !matches!(kind, UseKind::Inner | UseKind::Left) {
                continue;
            }
            let Some(output) = self.shows_own(used) else {
                continue;
            };
            let table = self.table(used);
            match question::treatment(self.definition, table) {
                None => {
                    let column = &self.definition.columns[output];
                    let place = self.branch.uses[used].span;
                    return Err(question::which_table(
                        column,
                        table,
                        self.root_table(),
                        place,
                    ));
                }
                Some(Treatment::Write) if kind == UseKind::Left => {
                    return Err(Box::new(
                        Diagnostic::error(
                            format!("{} is joined by LEFT JOIN and cannot be written", table.name.text),
                            self.branch.uses[used].span,
                            "NULL here may mean that there is no row, or that there is one with NULL",
                        )
                        .help(format!("`-- put: read {}`, or an inner join", table.name.text)),
                    ));
                }
                Some(Treatment::Write) => {
                    if let Some(hidden) = self.hidden_key_of(used) {
                        return Err(question::which_row(
                            table,
                            hidden,
                            self.branch.uses[used].span,
                        ));
                    }
                }
                Some(Treatment::Read) => {}
            }
        }
        Ok(())
    }

    /// A column of the use's key that is not shown.
    fn hidden_key_of(&self, used: usize) -> Option<usize> {
        let (row, shown) = (self.row(used), self.shown());
        let is_shown = |&column: &usize| row[column].variables().iter().all(|v| shown.contains(v));
        let key = &self.table(used).key()?.columns;
        key.iter().copied().find(|column| !is_shown(column))
    }

    /// A left join finds one row at most, and by what the root's row says.
    fn check_lefts(&self) -> Derived<()> {
        for &left in &self.lefts {
            let table = self.table(left);
            let own = self.own_variables(left);
            let row = self.row(left);
            let is_linked = |column: &usize| {
                !row[*column]
                    .variables()
                    .iter()
                    .any(|name| own.contains(name))
            };
            let by_key = table
                .key()
                .is_some_and(|key| key.columns.iter().all(is_linked));
            if !by_key {
                return Err(question::no_root(self.definition, &self.branch.uses));
            }
        }
        Ok(())
    }

    /// A computed column is checked against what it is computed from, which must be there.
    fn check_outputs(&self) -> Derived<()> {
        let known = self.shown();
        for (output, name) in self.outputs.iter().zip(&self.definition.columns) {
            let is_computed = !matches!(output.kind, ExpressionKind::Variable(_))
                && !output.variables().is_empty();
            let missing: Vec<String> = output
                .variables()
                .into_iter()
                .filter(|variable| !known.contains(variable))
                .collect();
            if is_computed && !missing.is_empty() {
                return Err(Box::new(
                    Diagnostic::error(
                        format!("what does a change of \"{}\" mean?", name.text),
                        output.span,
                        "it is computed from columns that are not shown",
                    )
                    .help(format!(
                        "show {}, too, or leave \"{}\" out",
                        missing.join(", ").to_lowercase(),
                        name.text
                    )),
                ));
            }
        }
        Ok(())
    }

    fn find_defaults(&mut self) -> Derived<()> {
        let hidden = self.hidden();
        let table = self.root_table();
        let span = self.branch.uses[self.root].span;
        let hidden_key: Vec<usize> = self
            .key()
            .into_iter()
            .filter(|column| hidden.contains(column))
            .collect();
        if !hidden_key.is_empty() {
            return Err(question::hidden_key(table, &hidden_key, span));
        }
        if !self.is_keyed() && !hidden.is_empty() {
            return Err(question::no_key(table, &hidden, span));
        }
        for column in hidden {
            let value = question::default(self.definition, table, &table.columns[column])?;
            self.defaults.insert(column, value);
        }
        Ok(())
    }
}

/// The use whose key determines all the others.
fn root(definition: &Definition, branch: &Branch, classes: &Classes) -> Derived<usize> {
    let inner: Vec<usize> = (0..branch.uses.len())
        .filter(|&used| branch.uses[used].kind == UseKind::Inner)
        .collect();
    let reaches_all = |&root: &usize| {
        let mut reached = vec![root];
        loop {
            let next = inner.iter().find(|used| {
                !reached.contains(used) && classes.is_found(definition, branch, **used, &reached)
            });
            match next {
                Some(&next) => reached.push(next),
                None => return reached.len() == inner.len(),
            }
        }
    };
    let root = inner.iter().copied().find(reaches_all);
    root.ok_or_else(|| question::no_root(definition, &branch.uses))
}

/// The equation of a constant and what is shown in its place.
pub(super) fn shown_constants(branch: &Branched<'_>) -> Vec<Expression> {
    let pairs = branch.outputs.iter().zip(&branch.output_names);
    pairs
        .filter(|(output, _)| output.variables().is_empty())
        .map(|(output, name)| is_constant(variable(name, output.span), output))
        .collect()
}
