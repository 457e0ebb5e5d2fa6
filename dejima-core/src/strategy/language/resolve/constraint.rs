//! Constraints: those that are written, and those that keys and foreign keys are short for.

use super::Resolver;
use super::order::atoms;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    BinaryOperator, ConstraintText, Document, ForeignKeyDeclaration, KeyDeclaration, RuleText,
    Statement, UnaryOperator,
};
use crate::strategy::program::{
    Argument, Body, Constraint, ConstraintKind, Expr, Predicate, RelationId, Role, Rule, Scope,
    Step, Variable,
};

impl Resolver {
    /// All constraints of a document.
    pub(super) fn constraints(&mut self, document: &Document, rules: &[Rule]) -> Vec<Constraint> {
        let mut constraints = Vec::new();
        for statement in &document.statements {
            match statement {
                Statement::Constraint(text) => {
                    let as_rule = RuleText {
                        head: super::super::syntax::Atom {
                            sign: None,
                            relation: super::super::syntax::Name {
                                text: String::new(),
                                span: text.span,
                            },
                            arguments: Vec::new(),
                            span: text.span,
                        },
                        body: text.body.clone(),
                        span: text.span,
                    };
                    let used: Vec<_> = atoms(&as_rule)
                        .filter_map(|atom| self.predicate(atom))
                        .collect();
                    if let Some(body) = self.body(&text.body) {
                        constraints.push(Constraint {
                            body,
                            kind: constraint_kind(text, &used),
                            scope: self.scope_of(&used, rules),
                            span: text.span,
                        });
                    }
                }
                Statement::Key(key) => constraints.extend(self.key(key)),
                Statement::ForeignKey(key) => constraints.extend(self.foreign_key(key)),
                Statement::Relation(_) | Statement::Rule(_) => {}
            }
        }
        constraints
    }

    /// A constraint is about base tables alone unless it sees, perhaps through helpers, the Dejima table or a change.
    fn scope_of(&self, used: &[Predicate], rules: &[Rule]) -> Scope {
        let sees = |predicate: &Predicate| match predicate {
            Predicate::Insert(_) | Predicate::Delete(_) => true,
            Predicate::Rows(relation) => match self.relations[*relation].role {
                Role::View => true,
                Role::Source => false,
                Role::Helper => {
                    let of_helper = rules.iter().filter(|rule| rule.head == *predicate);
                    of_helper.into_iter().any(|rule| {
                        self.scope_of(&rule.body.predicates().collect::<Vec<_>>(), rules)
                            == Scope::View
                    })
                }
            },
        };
        if used.iter().any(sees) {
            Scope::View
        } else {
            Scope::Sources
        }
    }

    fn role_scope(&self, relations: &[RelationId]) -> Scope {
        let is_view = |relation: &RelationId| self.relations[*relation].role == Role::View;
        if relations.iter().any(is_view) {
            Scope::View
        } else {
            Scope::Sources
        }
    }

    /// Two rows that are the same in the key and differ elsewhere. In a unique key NULL differs from NULL.
    fn key(&mut self, key: &KeyDeclaration) -> Option<Constraint> {
        let (relation, columns) = self.columns(&key.relation, &key.columns)?;
        let declared = self.relations[relation].columns.clone();
        let mut body = Body::default();
        let mut rows = [Vec::new(), Vec::new()];
        let mut conditions: Vec<Expr> = Vec::new();
        let mut differences: Vec<Expr> = Vec::new();
        for (position, column) in declared.iter().enumerate() {
            let is_key = columns.contains(&position);
            let is_shared = is_key && !column.nullable;
            let mut add = |number: usize| {
                body.variables.push(Variable {
                    name: format!("{}{number}", column.name),
                    sort: column.sort.clone(),
                    nullable: column.nullable,
                });
                body.variables.len() - 1
            };
            let left = add(1);
            let right = if is_shared { left } else { add(2) };
            rows[0].push(Argument::Variable(left));
            rows[1].push(Argument::Variable(right));
            let pair = |operator| {
                let (left, right) = (Expr::Variable(left), Expr::Variable(right));
                Expr::Binary(operator, Box::new(left), Box::new(right))
            };
            if !is_key {
                differences.push(not(pair(BinaryOperator::Same)));
            } else if !is_shared {
                conditions.push(pair(BinaryOperator::Equal));
            }
        }
        let differs = any(differences)?;
        let matches = rows.map(|row| Step::Match(Predicate::Rows(relation), row));
        body.steps.extend(matches);
        body.steps.extend(conditions.into_iter().map(Step::Test));
        body.steps.push(Step::Test(differs));
        Some(Constraint {
            body,
            kind: ConstraintKind::Key { relation, columns },
            scope: self.role_scope(&[relation]),
            span: key.span,
        })
    }

    /// A row without a row to refer to. A NULL among the columns refers to nothing.
    fn foreign_key(&mut self, key: &ForeignKeyDeclaration) -> Option<Constraint> {
        let (relation, columns) = self.columns(&key.relation, &key.columns)?;
        let (target, target_columns) = self.columns(&key.target, &key.target_columns)?;
        if columns.len() != target_columns.len() {
            let finding = Diagnostic::error(
                format!(
                    "{} columns refer to {}",
                    columns.len(),
                    target_columns.len()
                ),
                key.span,
                "",
            );
            self.report(finding);
            return None;
        }
        let mut body = Body::default();
        let mut row = vec![Argument::Any; self.relations[relation].columns.len()];
        let mut referred = vec![Argument::Any; self.relations[target].columns.len()];
        let mut tests = Vec::new();
        for (&column, &target_column) in columns.iter().zip(&target_columns) {
            let from = &self.relations[relation].columns[column];
            let to = &self.relations[target].columns[target_column];
            if from.sort != to.sort {
                let (from_text, to_text) = (from.sort.to_string(), to.sort.to_string());
                let spans: [Span; 2] = [from.span, to.span];
                let finding = Diagnostic::error(
                    format!("a column that is {from_text} refers to one that is {to_text}"),
                    key.span,
                    "",
                );
                let finding = finding
                    .and_at(spans[0], from_text)
                    .and_at(spans[1], to_text);
                self.report(finding);
                return None;
            }
            let variable = body.variables.len();
            body.variables.push(Variable {
                name: from.name.clone(),
                sort: from.sort.clone(),
                nullable: from.nullable,
            });
            row[column] = Argument::Variable(variable);
            referred[target_column] = Argument::Variable(variable);
            if from.nullable {
                let is_null =
                    Expr::Unary(UnaryOperator::IsNull, Box::new(Expr::Variable(variable)));
                tests.push(Step::Test(not(is_null)));
            }
        }
        body.steps.push(Step::Match(Predicate::Rows(relation), row));
        body.steps.extend(tests);
        body.steps
            .push(Step::Absent(Predicate::Rows(target), referred));
        Some(Constraint {
            body,
            kind: ConstraintKind::ForeignKey {
                relation,
                columns,
                target,
                target_columns,
            },
            scope: self.role_scope(&[relation, target]),
            span: key.span,
        })
    }
}

fn constraint_kind(text: &ConstraintText, used: &[Predicate]) -> ConstraintKind {
    match (&text.check, used) {
        (Some(condition), [Predicate::Rows(relation)]) => ConstraintKind::Check {
            relation: *relation,
            condition: condition.clone(),
        },
        _ => ConstraintKind::Written(text.reason.clone()),
    }
}

fn not(expr: Expr) -> Expr {
    Expr::Unary(UnaryOperator::Not, Box::new(expr))
}

/// One of them holds; none if there are none.
fn any(exprs: Vec<Expr>) -> Option<Expr> {
    exprs
        .into_iter()
        .reduce(|left, right| Expr::Binary(BinaryOperator::Or, Box::new(left), Box::new(right)))
}
