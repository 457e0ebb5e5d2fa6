//! What a change of a derived Dejima table must keep, so that put can carry it out: everything that would not be shown, or that a
//! base table would refuse, is refused as a constraint that one can read.

use super::branch::{Branched, shown_constants, trimmed};
use super::build::{
    absent, any, constraint, distinct, fails, present, substituted, target_columns, test, variable,
    variables_of,
};
use super::{Definition, Derived, Table, UseKind, union};
use crate::strategy::evaluate;
use crate::strategy::language::syntax::{
    Atom, Expression, ExpressionKind, Literal, Name, Statement, UnaryOperator,
};
use crate::strategy::language::{Diagnostic, Span};
use crate::strategy::program::Expr;
use crate::strategy::value::{Decimal, Value};

/// The constraints of all branches.
pub(super) fn of_all(
    definition: &Definition,
    branches: &[Branched<'_>],
) -> Derived<Vec<Statement>> {
    let mut all = Vec::new();
    for branch in branches {
        let mut keeper = Keeper {
            definition,
            branch,
            found: Vec::new(),
        };
        if branches.len() == 1 {
            keeper.belonging();
        }
        keeper.columns();
        keeper.selection()?;
        keeper.lefts();
        keeper.collisions();
        keeper.unique_keys();
        keeper.foreign_keys()?;
        keeper.references();
        keeper.checks()?;
        keeper.agreement(union::key(definition, branches).is_none());
        for found in keeper.found {
            if !all.contains(&found) {
                all.push(found);
            }
        }
    }
    Ok(all)
}

struct Keeper<'a> {
    definition: &'a Definition,
    branch: &'a Branched<'a>,
    found: Vec<Statement>,
}

impl Keeper<'_> {
    fn span(&self) -> Span {
        self.branch.span()
    }

    fn refuse(&mut self, body: Vec<Literal>, reason: &str, span: Span) {
        let nothing = Atom {
            sign: None,
            relation: Name {
                text: String::new(),
                span,
            },
            arguments: Vec::new(),
            span,
        };
        self.found
            .push(constraint(trimmed(&nothing, body), reason, span));
    }

    /// The view's row with a name of its own for each column.
    fn plain_view(&self) -> Literal {
        let names = self.branch.output_names.iter();
        present(
            self.branch
                .view_atom(names.map(|name| variable(name, self.span())).collect()),
        )
    }

    fn view_name(&self) -> &str {
        &self.definition.view.text
    }

    /// What is not shown cannot be put.
    fn belonging(&mut self) {
        let conditions = [self.branch.belongs(), shown_constants(self.branch)].concat();
        for condition in conditions {
            let span = condition.span;
            let reason = format!("{} shows no such row", self.view_name());
            self.refuse(
                vec![self.plain_view(), test(fails(condition))],
                &reason,
                span,
            );
        }
    }

    /// One column shown twice says the same twice; a computed one what it is computed from says.
    fn columns(&mut self) {
        let pairs: Vec<(Expression, String)> = self
            .branch
            .outputs
            .iter()
            .cloned()
            .zip(self.branch.output_names.clone())
            .collect();
        for (output, name) in pairs {
            let shown = variable(&name, output.span);
            if output.variables().is_empty() || output.kind == shown.kind {
                continue;
            }
            let is_copy = matches!(output.kind, ExpressionKind::Variable(_));
            if is_copy
                && !self
                    .branch
                    .shown()
                    .is_superset(&output.variables().into_iter().collect())
            {
                continue;
            }
            let reason = if is_copy {
                "two columns show the same"
            } else {
                "a computed column is what it is computed from"
            };
            let span = output.span;
            self.refuse(
                vec![self.plain_view(), test(distinct(shown, output))],
                reason,
                span,
            );
        }
    }

    /// Conditions on hidden columns, and on other tables.
    fn selection(&mut self) -> Derived<()> {
        let belongs = self.branch.belongs();
        let tests: Vec<Expression> = self
            .branch
            .tests
            .iter()
            .filter(|test| !belongs.contains(test))
            .cloned()
            .collect();
        let reason = format!("{} shows no such row", self.view_name());
        for condition in tests {
            let span = condition.span;
            self.refuse_with_hidden(vec![test(fails(condition))], &reason, span)?;
        }
        let groups: Vec<(Literal, Span)> = self
            .branch
            .groups
            .iter()
            .filter(|group| !group.is_written)
            .map(|group| {
                let atom = group.atom(self.branch);
                let span = atom.span;
                let atom = self.without_determined(atom, &group.determines);
                let broken = if group.kind == UseKind::Absent {
                    present(atom)
                } else {
                    absent(atom)
                };
                (broken, span)
            })
            .collect();
        for (broken, span) in groups {
            self.refuse_with_hidden(vec![broken], &reason, span)?;
        }
        Ok(())
    }

    /// What is found by the group itself cannot be asked of it.
    fn without_determined(&self, mut atom: Atom, determined: &[String]) -> Atom {
        for argument in &mut atom.arguments {
            if matches!(&argument.kind, ExpressionKind::Variable(name) if determined.contains(name))
            {
                *argument = any(argument.span);
            }
        }
        atom
    }

    /// Refuses wanted rows for which the literals hold. Hidden columns have the values of the row that is there, or defaults.
    fn refuse_with_hidden(
        &mut self,
        literals: Vec<Literal>,
        reason: &str,
        span: Span,
    ) -> Derived<()> {
        let row = self.branch.row(self.branch.root);
        let hidden = self.branch.hidden();
        let used: Vec<String> = literals.iter().flat_map(variables_of).collect();
        let defaults: Vec<(String, Expression)> = hidden
            .iter()
            .flat_map(|column| {
                row[*column]
                    .variables()
                    .into_iter()
                    .map(move |name| (*column, name))
            })
            .filter(|(_, name)| used.contains(name))
            .filter_map(|(column, name)| Some((name, self.branch.defaults.get(&column)?.clone())))
            .collect();
        let wish = self.wish_for(&used);
        if defaults.is_empty() {
            self.refuse([wish, literals].concat(), reason, span);
            return Ok(());
        }
        let there = present(self.branch.root_atom(None, self.branch.keyed_row(true)));
        self.refuse(
            [wish.clone(), vec![there], literals.clone()].concat(),
            reason,
            span,
        );
        let replace = |name: &str| {
            defaults
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let literals: Vec<Literal> = literals
            .iter()
            .map(|literal| substituted(literal, &replace))
            .collect();
        let truths: Vec<Option<bool>> = literals.iter().map(truth).collect();
        if truths.contains(&Some(false)) {
            return Ok(());
        }
        if !truths.is_empty() && truths.iter().all(|truth| *truth == Some(true)) {
            return Err(self.never_shown(&defaults, span));
        }
        let open = literals
            .into_iter()
            .zip(truths)
            .filter(|(_, truth)| *truth != Some(true));
        let is_new = absent(self.branch.root_atom(None, self.branch.keyed_row(false)));
        let body = [
            wish,
            vec![is_new],
            open.map(|(literal, _)| literal).collect(),
        ]
        .concat();
        self.refuse(body, reason, span);
        Ok(())
    }

    /// A wanted row; look-ups only if their results are used.
    fn wish_for(&self, used: &[String]) -> Vec<Literal> {
        let wish = self.branch.wish();
        let determined: Vec<&String> = self
            .branch
            .groups
            .iter()
            .flat_map(|group| &group.determines)
            .collect();
        let key = self.branch.key();
        let row = self.branch.row(self.branch.root);
        let key_names: Vec<String> = key
            .iter()
            .flat_map(|&column| row[column].variables())
            .collect();
        if used
            .iter()
            .chain(&key_names)
            .any(|name| determined.contains(&name))
        {
            return wish;
        }
        let is_lookup = |literal: &Literal| match literal {
            Literal::Atom { atom, .. } => atom.relation.text != self.definition.view.text,
            Literal::Condition(_) => false,
        };
        wish.into_iter()
            .filter(|literal| !is_lookup(literal))
            .collect()
    }

    fn never_shown(&self, defaults: &[(String, Expression)], span: Span) -> Box<Diagnostic> {
        let table = &self.branch.root_table().name.text;
        let texts: Vec<String> = defaults
            .iter()
            .map(|(name, value)| format!("{} = {value}", name.to_lowercase()))
            .collect();
        let column = defaults
            .first()
            .map(|(name, _)| name.to_lowercase())
            .unwrap_or_default();
        Box::new(
            Diagnostic::error(
                format!("a row that is put into {} would not be shown there", self.view_name()),
                span,
                format!("a new row has {}", texts.join(", ")),
            )
            .help(format!("say what new rows have: `-- put: default {table}.{column} = CONSTANT`\nor show the column")),
        )
    }

    /// What a left join shows is looked up.
    fn lefts(&mut self) {
        for used in 0..self.branch.branch.uses.len() {
            if self.branch.branch.uses[used].kind != UseKind::Left {
                continue;
            }
            let own = self.branch.own_variables(used);
            let span = self.branch.branch.uses[used].span;
            let name = &self.branch.table(used).name.text;
            let reason = format!("{name} is looked up, not changed");
            let shown: Vec<String> = self
                .branch
                .outputs
                .iter()
                .flat_map(Expression::variables)
                .filter(|name| own.contains(name))
                .collect();
            let missing = absent(self.branch.use_atom(used, self.branch.linked_row(used)));
            for column in shown {
                let stored = format!("OLD_{column}");
                let rename = |found: &str| (found == column).then(|| variable(&stored, span));
                let there = present(self.branch.use_atom(used, self.branch.row(used)));
                let there = substituted(&there, &rename);
                let differs = test(distinct(variable(&column, span), variable(&stored, span)));
                let wish = self.branch.wish();
                self.refuse([wish.clone(), vec![there, differs]].concat(), &reason, span);
                let is_set = test(
                    variable(&column, span)
                        .unary(UnaryOperator::IsNull)
                        .unary(UnaryOperator::Not),
                );
                self.refuse(
                    [wish, vec![missing.clone(), is_set]].concat(),
                    &reason,
                    span,
                );
            }
        }
    }

    /// A key that a hidden row has is taken.
    fn collisions(&mut self) {
        if !self.branch.is_keyed() {
            return;
        }
        let table = self.branch.root_table().name.text.clone();
        let reason = format!("a row of {table} that is not shown has this key");
        for (broken, names, span) in self.hiding() {
            let (key, row) = (self.branch.key(), self.branch.row(self.branch.root));
            let hidden = self.branch.hidden();
            let is_other = |column: usize| !key.contains(&column) && !hidden.contains(&column);
            let named: Vec<usize> = (0..row.len())
                .filter(|&column| {
                    is_other(column)
                        && names
                            .iter()
                            .any(|name| row[column].variables().contains(name))
                })
                .collect();
            let fixed = row
                .iter()
                .position(|value| value.span == span && value.variables().is_empty());
            if named.is_empty() && fixed.is_none() {
                continue;
            }
            let old = |name: &str| {
                let is_named = named
                    .iter()
                    .any(|&column| row[column].variables().iter().any(|found| found == name));
                is_named.then(|| variable(&format!("OLD_{name}"), span))
            };
            let stored: Vec<Expression> = row
                .iter()
                .enumerate()
                .map(|(column, value)| {
                    if key.contains(&column)
                        || (hidden.contains(&column)
                            && names.iter().any(|name| value.variables().contains(name)))
                    {
                        value.clone()
                    } else if named.contains(&column) {
                        value.map_variables(&|name| ExpressionKind::Variable(format!("OLD_{name}")))
                    } else {
                        any(span)
                    }
                })
                .collect();
            let there = present(self.branch.root_atom(None, stored));
            let broken = substituted(&broken, &old);
            let wish = self.wish_for(&[]);
            self.refuse([wish, vec![there, broken]].concat(), &reason, span);
        }
        self.fixed_collisions(&reason);
    }

    /// The same for columns of which only one value is shown.
    fn fixed_collisions(&mut self, reason: &str) {
        let (key, row) = (self.branch.key(), self.branch.row(self.branch.root));
        for (column, constant) in row.iter().enumerate() {
            if !constant.variables().is_empty() || key.contains(&column) {
                continue;
            }
            let declared = &self.branch.root_table().columns[column];
            let name = format!("OLD_{}", declared.name.text.to_uppercase());
            let stored: Vec<Expression> = row
                .iter()
                .enumerate()
                .map(|(other, value)| {
                    if other == column {
                        variable(&name, constant.span)
                    } else if key.contains(&other) {
                        value.clone()
                    } else {
                        any(constant.span)
                    }
                })
                .collect();
            let there = present(self.branch.root_atom(None, stored));
            let condition = super::build::is_constant(variable(&name, constant.span), constant);
            let body = [self.wish_for(&[]), vec![there, test(fails(condition))]].concat();
            self.refuse(body, reason, constant.span);
        }
    }

    /// What hides rows of the root: the literal that holds for hidden ones, its variables, and its place.
    fn hiding(&self) -> Vec<(Literal, Vec<String>, Span)> {
        let root = self.branch.root_variables();
        let tests = self.branch.tests.iter().map(|condition| {
            let literal = test(fails(condition.clone()));
            (literal, condition.variables(), condition.span)
        });
        let groups = self.branch.groups.iter().filter(|group| !group.is_written).map(|group| {
            let mut atom = group.atom(self.branch);
            for argument in &mut atom.arguments {
                if matches!(&argument.kind, ExpressionKind::Variable(name) if !root.contains(name)) {
                    *argument = any(argument.span);
                }
            }
            let names = atom.arguments.iter().flat_map(Expression::variables).collect();
            let span = atom.span;
            let literal = if group.kind == UseKind::Absent { present(atom) } else { absent(atom) };
            (literal, names, span)
        });
        tests.chain(groups).collect()
    }

    /// Other unique keys of the root hold among what is wanted, and against hidden rows.
    fn unique_keys(&mut self) {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        let shown = self.branch.shown();
        let key = self.branch.key();
        for unique in table.keys.iter().filter(|unique| unique.columns != key) {
            let is_shown = |column: &usize| {
                let names = row[*column].variables();
                !names.is_empty() && names.iter().all(|name| shown.contains(name))
            };
            if !unique.columns.iter().all(is_shown) {
                continue;
            }
            let names: Vec<String> = unique
                .columns
                .iter()
                .flat_map(|&column| row[column].variables())
                .collect();
            let reason = format!(
                "({}) of {} is unique",
                super::question::names(table, &unique.columns),
                table.name.text
            );
            let key_names: Vec<String> = key
                .iter()
                .flat_map(|&column| row[column].variables())
                .collect();
            let keep = |expression: Expression| match &expression.kind {
                ExpressionKind::Variable(name) if names.contains(name) => expression,
                ExpressionKind::Variable(name) if key_names.contains(name) => expression,
                _ => any(expression.span),
            };
            let other = |expression: Expression| match &expression.kind {
                ExpressionKind::Variable(name) if names.contains(name) => expression,
                ExpressionKind::Variable(name) if key_names.contains(name) => {
                    variable(&format!("OTHER_{name}"), expression.span)
                }
                _ => any(expression.span),
            };
            let view = |change: &dyn Fn(Expression) -> Expression| {
                present(
                    self.branch
                        .view_atom(self.branch.view_row().into_iter().map(change).collect()),
                )
            };
            let mut differ = key_names.iter().map(|name| {
                distinct(
                    variable(name, self.span()),
                    variable(&format!("OTHER_{name}"), self.span()),
                )
            });
            let Some(first) = differ.next() else { continue };
            let differ = differ.fold(first, |left, right| {
                Expression::binary(
                    crate::strategy::language::syntax::BinaryOperator::Or,
                    left,
                    right,
                )
            });
            let set = |names: &[String]| {
                let nullable = names
                    .iter()
                    .filter(|name| self.branch.variable_nullable(name));
                let of = |name: &String| {
                    test(
                        variable(name, self.span())
                            .unary(UnaryOperator::IsNull)
                            .unary(UnaryOperator::Not),
                    )
                };
                nullable.map(of).collect::<Vec<_>>()
            };
            let body = [
                vec![view(&keep), view(&other)],
                set(&names),
                vec![test(differ.clone())],
            ]
            .concat();
            let hiding = self.hiding();
            let set = set(&names);
            let wish = view(&keep);
            self.refuse(body, &reason, unique.span);
            for (broken, used, _) in hiding {
                let old = |name: &str| {
                    let is_kept = names.iter().any(|known| known == name);
                    (!is_kept).then(|| variable(&format!("OTHER_{name}"), self.branch.span()))
                };
                let stored = row.iter().enumerate().map(|(column, value)| {
                    let own = value.variables();
                    let is_used = own
                        .iter()
                        .any(|name| used.contains(name) || names.contains(name))
                        || key.contains(&column);
                    if is_used {
                        value.map_variables(&|name| match old(name) {
                            Some(other) => other.kind,
                            None => ExpressionKind::Variable(name.to_owned()),
                        })
                    } else {
                        any(value.span)
                    }
                });
                let there = present(self.branch.root_atom(None, stored.collect()));
                let broken = substituted(&broken, &old);
                let body = [
                    vec![wish.clone(), there],
                    set.clone(),
                    vec![test(differ.clone()), broken],
                ]
                .concat();
                self.refuse(body, &reason, unique.span);
            }
        }
    }

    /// What the root refers to must be there.
    fn foreign_keys(&mut self) -> Derived<()> {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        for key in &table.foreign_keys {
            let Some(target) = self
                .definition
                .tables
                .iter()
                .find(|target| target.name.text == key.target.text)
            else {
                continue;
            };
            let values: Vec<Expression> = key
                .columns
                .iter()
                .map(|&column| row[column].clone())
                .collect();
            if self.is_joined(target, key, &values)
                || values
                    .iter()
                    .any(|value| value.kind == ExpressionKind::Null)
            {
                continue;
            }
            let is_self = target.name.text == table.name.text;
            let Some(atom) = self.referred(target, &target_columns(key, target), &values, is_self)
            else {
                continue;
            };
            let nullable = key
                .columns
                .iter()
                .zip(&values)
                .filter(|(column, _)| table.columns[**column].nullable);
            let mut literals: Vec<Literal> = nullable
                .map(|(_, value)| {
                    test(
                        value
                            .clone()
                            .unary(UnaryOperator::IsNull)
                            .unary(UnaryOperator::Not),
                    )
                })
                .collect();
            literals.push(absent(atom));
            let reason = format!("{} refers to {}", table.name.text, target.name.text);
            self.refuse_with_hidden(literals, &reason, key.span)?;
        }
        Ok(())
    }

    /// Whether the join itself demands that the row referred to is there.
    fn is_joined(
        &self,
        target: &Table,
        key: &super::TableForeignKey,
        values: &[Expression],
    ) -> bool {
        let columns = target_columns(key, target);
        self.branch.groups.iter().any(|group| {
            group
                .is_table(self.branch, &target.name.text)
                .is_some_and(|used| {
                    let joined = self.branch.row(used);
                    let pairs = columns.iter().zip(values);
                    pairs.into_iter().all(|(column, value)| {
                        target
                            .column(&column.text)
                            .is_some_and(|position| joined[position].kind == value.kind)
                    })
                })
        })
    }

    /// A row of the target; of the view itself where a table refers to itself and all of it is shown.
    fn referred(
        &self,
        target: &Table,
        columns: &[Name],
        values: &[Expression],
        is_self: bool,
    ) -> Option<Atom> {
        let span = self.span();
        let positions: Option<Vec<usize>> = columns
            .iter()
            .map(|column| target.column(&column.text))
            .collect();
        let positions = positions?;
        let mut row = vec![any(span); target.columns.len()];
        for (&position, value) in positions.iter().zip(values) {
            row[position] = value.clone();
        }
        if !is_self {
            return Some(super::build::atom(None, &target.name, row, span));
        }
        if !self.hiding().is_empty() || !self.branch.hidden().is_empty() {
            return None;
        }
        let root = self.branch.row(self.branch.root);
        let view = self.branch.view_row().into_iter().map(|shown| {
            let position = root.iter().position(|value| value.kind == shown.kind);
            position.map_or_else(|| any(span), |position| row[position].clone())
        });
        Some(self.branch.view_atom(view.collect()))
    }

    /// What refers to the root's rows must not lose them.
    fn references(&mut self) {
        let root = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        let shown = self.branch.shown();
        for table in &self.definition.tables {
            if table.name.text == root.name.text {
                continue;
            }
            for key in table
                .foreign_keys
                .iter()
                .filter(|key| key.target.text == root.name.text)
            {
                let columns = target_columns(key, root);
                let positions: Option<Vec<usize>> = columns
                    .iter()
                    .map(|column| root.column(&column.text))
                    .collect();
                let Some(positions) = positions else { continue };
                let names: Vec<String> = positions
                    .iter()
                    .flat_map(|&position| row[position].variables())
                    .collect();
                if names.is_empty() || !names.iter().all(|name| shown.contains(name)) {
                    continue;
                }
                let span = key.span;
                let mut referring = vec![any(span); table.columns.len()];
                for (&column, &position) in key.columns.iter().zip(&positions) {
                    referring[column] = row[position].clone();
                }
                let referring = present(super::build::atom(None, &table.name, referring, span));
                let wanted = self
                    .branch
                    .view_row()
                    .into_iter()
                    .map(|value| match &value.kind {
                        ExpressionKind::Variable(name) if !names.contains(name) => any(value.span),
                        _ => value,
                    });
                let gone = absent(self.branch.view_atom(wanted.collect()));
                let mut body = vec![referring, present(self.branch.root_atom(None, row.clone()))];
                for group in &self.branch.groups {
                    body.extend(group.literals(self.branch));
                }
                body.extend(self.branch.tests.iter().cloned().map(test));
                body.push(gone);
                let reason = format!("{} refers to {}", table.name.text, root.name.text);
                self.refuse(body, &reason, span);
            }
        }
    }

    /// The CHECKs of the root.
    fn checks(&mut self) -> Derived<()> {
        let table = self.branch.root_table();
        let row = self.branch.row(self.branch.root);
        for check in &table.checks {
            let condition = check.map_variables(&|name| match table.column(name) {
                Some(column) => row[column].kind.clone(),
                None => ExpressionKind::Variable(name.to_owned()),
            });
            let broken = test(condition.unary(UnaryOperator::Not));
            if truth(&broken) == Some(false) {
                continue;
            }
            let reason = format!("a CHECK of {}", table.name.text);
            self.refuse_with_hidden(vec![broken], &reason, check.span)?;
        }
        Ok(())
    }

    /// Where the view has no key, rows of one row of a base table agree; so they do about a written table.
    fn agreement(&mut self, has_no_key: bool) {
        for used in 0..self.branch.branch.uses.len() {
            if self.branch.is_written(used) {
                let table = &self.branch.table(used).name.text;
                let reason = format!("one row of {table} cannot be two things");
                for body in self.branch.lookup_agreement(used) {
                    self.refuse(body, &reason, self.branch.branch.uses[used].span);
                }
            }
        }
        if has_no_key && self.branch.is_keyed() {
            let row = self.branch.row(self.branch.root);
            let key_names: Vec<String> = self
                .branch
                .key()
                .into_iter()
                .flat_map(|column| row[column].variables())
                .collect();
            let reason = format!(
                "one row of {} cannot be two rows",
                self.branch.root_table().name.text
            );
            let others: Vec<String> = self
                .branch
                .shown()
                .into_iter()
                .filter(|name| !key_names.contains(name))
                .collect();
            for name in others {
                let rename = |found: &str| {
                    let is_other = found != name && !key_names.iter().any(|key| key == found);
                    (found == name || is_other)
                        .then(|| variable(&format!("OTHER_{found}"), self.branch.span()))
                };
                let wish = self.wish_for(&[]);
                let other: Vec<Literal> = wish
                    .iter()
                    .map(|literal| substituted(literal, &rename))
                    .collect();
                let differ = distinct(
                    variable(&name, self.span()),
                    variable(&format!("OTHER_{name}"), self.span()),
                );
                self.refuse(
                    [wish, other, vec![test(differ)]].concat(),
                    &reason,
                    self.span(),
                );
            }
        }
    }
}

/// The truth of a condition over constants.
fn truth(literal: &Literal) -> Option<bool> {
    let Literal::Condition(condition) = literal else {
        return None;
    };
    let value = evaluate::value(&constants(condition)?, &Vec::new()).ok()?;
    Some(value.is_true())
}

fn constants(expression: &Expression) -> Option<Expr> {
    Some(match &expression.kind {
        ExpressionKind::Variable(_) | ExpressionKind::Anonymous => return None,
        ExpressionKind::Number(number) => match number.parse() {
            Ok(number) => Expr::Constant(Value::Integer(number)),
            Err(_) => Expr::Constant(Value::Numeric(Decimal::read(number)?)),
        },
        ExpressionKind::Text(text) => Expr::Constant(Value::from(text.as_str())),
        ExpressionKind::Boolean(value) => Expr::Constant(Value::Boolean(*value)),
        ExpressionKind::Null => Expr::Constant(Value::Null),
        ExpressionKind::Unary(operator, operand) => {
            Expr::Unary(*operator, Box::new(constants(operand)?))
        }
        ExpressionKind::Binary(operator, left, right) => Expr::Binary(
            *operator,
            Box::new(constants(left)?),
            Box::new(constants(right)?),
        ),
        ExpressionKind::Call(function, arguments) => Expr::Call(
            *function,
            arguments.iter().map(constants).collect::<Option<_>>()?,
        ),
    })
}
