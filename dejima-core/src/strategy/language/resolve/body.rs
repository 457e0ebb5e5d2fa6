//! Bodies: which variable is of which sort, in which order the parts can be worked off, and whether they can at all.

use std::collections::{BTreeMap, BTreeSet};

use super::Resolver;
use super::get::definition;
use super::order::case_twins;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::resolve::expression::Typing;
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{
    Atom, Expression, ExpressionKind, Literal, RuleText, UnaryOperator,
};
use crate::strategy::program::{
    Argument, Body, Expr, Predicate, RelationId, Role, Rule, Step, Variable, VariableId,
};
use crate::strategy::value::{Sort, Value};

/// What is known of the variables of one body.
pub(super) struct Scope {
    pub(super) ids: BTreeMap<String, VariableId>,
    pub(super) variables: Vec<Option<Variable>>,
    places: BTreeMap<String, Span>,
    /// The atom that said of which sort it is.
    sorted_by: BTreeMap<String, Span>,
}

impl Resolver {
    /// A rule, or findings.
    pub(super) fn rule(&mut self, text: &RuleText) -> Option<Rule> {
        let head = self.head(text)?;
        let relation = self.relation_of(&text.head)?;
        let mut scope = self.scope(&text.body, Some(&text.head))?;
        let steps = self.steps(&text.body, &mut scope, Some(&text.head))?;
        let arguments = self.arguments(&text.head, relation, &scope)?;
        if let Some(position) = arguments
            .iter()
            .position(|argument| *argument == Argument::Any)
        {
            let span = text.head.arguments[position].span;
            let finding = Diagnostic::error("which value is to be written here?", span, "any?")
                .help("write a variable that the body gives a value, or a constant");
            self.report(finding);
            return None;
        }
        let body = scope.body(steps);
        if self.relations[relation].role == Role::Helper {
            self.note_nullable(relation, &arguments, &body);
        }
        Some(Rule {
            head,
            arguments,
            body,
            span: text.head.span,
        })
    }

    /// Whether columns of a helper can be NULL follows from its rules.
    fn note_nullable(&mut self, relation: RelationId, arguments: &[Argument], body: &Body) {
        for (column, argument) in self.relations[relation].columns.iter_mut().zip(arguments) {
            column.nullable |= match argument {
                Argument::Variable(variable) => body.variables[*variable].nullable,
                Argument::Constant(value) => value.is_null(),
                Argument::Any => true,
            };
        }
    }

    /// A body that stands alone: a constraint's.
    pub(super) fn body(&mut self, literals: &[Literal]) -> Option<Body> {
        let mut scope = self.scope(literals, None)?;
        let steps = self.steps(literals, &mut scope, None)?;
        Some(scope.body(steps))
    }

    /// The columns of helpers get the sorts of what their rules put there.
    pub(super) fn type_helpers(&mut self, rules: &[RuleText], order: &[usize]) {
        let mut typed = BTreeSet::new();
        for &rule in order {
            let text = &rules[rule];
            let Some(Predicate::Rows(relation)) = self.head(text) else {
                continue;
            };
            if self.relations[relation].role != Role::Helper || !typed.insert(relation) {
                continue;
            }
            let Some(scope) = self.scope(&text.body, None) else {
                continue;
            };
            let mut typing = Typing::new(&scope);
            let sorts: Vec<Sort> = text
                .head
                .arguments
                .iter()
                .map(|argument| typing.sort_of(argument, &text.body))
                .collect();
            for (column, sort) in self.relations[relation].columns.iter_mut().zip(sorts) {
                column.type_name = sort.to_string();
                column.sort = sort;
            }
        }
    }

    /// Collects the variables; those in atoms get the sorts of their columns.
    fn scope(&mut self, literals: &[Literal], head: Option<&Atom>) -> Option<Scope> {
        let mut scope = Scope {
            ids: BTreeMap::new(),
            variables: Vec::new(),
            places: BTreeMap::new(),
            sorted_by: BTreeMap::new(),
        };
        let mut is_well = true;
        for literal in literals {
            match literal {
                Literal::Atom { negated, atom } => {
                    is_well &= self.scope_atom(atom, !negated, &mut scope);
                }
                Literal::Condition(condition) => scope.note(condition),
            }
        }
        if let Some(head) = head {
            is_well &= self.scope_atom(head, false, &mut scope);
        }
        if let Some((left, right)) = case_twins(&scope.places) {
            let finding = Diagnostic::warning(
                format!("{left} and {right} are two variables"),
                scope.places[&left],
                "",
            )
            .and_at(scope.places[&right], "")
            .help("case matters in variables: write them alike, or give one another name");
            self.report(finding);
        }
        is_well.then_some(scope)
    }

    fn scope_atom(&mut self, atom: &Atom, binds: bool, scope: &mut Scope) -> bool {
        let Some(relation) = self.relation_of(atom) else {
            return false;
        };
        let columns = self.relations[relation].columns.clone();
        for (argument, column) in atom.arguments.iter().zip(columns) {
            let ExpressionKind::Variable(name) = &argument.kind else {
                continue;
            };
            scope.note(argument);
            let id = scope.ids[name];
            match &mut scope.variables[id] {
                Some(variable) if variable.sort != column.sort => {
                    let finding = Diagnostic::error(
                        format!(
                            "{name} cannot be both {} and {}",
                            variable.sort, column.sort
                        ),
                        argument.span,
                        format!("{} here", column.sort),
                    )
                    .and_at(scope.sorted_by[name], format!("{} here", variable.sort))
                    .help("give them two names, and compare these if they can be compared");
                    self.report(finding);
                    return false;
                }
                Some(variable) => variable.nullable &= !binds || column.nullable,
                empty => {
                    *empty = Some(Variable {
                        name: name.clone(),
                        sort: column.sort,
                        nullable: !binds || column.nullable,
                    });
                    scope.sorted_by.insert(name.clone(), argument.span);
                }
            }
        }
        true
    }

    /// Orders the parts so that each knows what it needs.
    fn steps(
        &mut self,
        literals: &[Literal],
        scope: &mut Scope,
        head: Option<&Atom>,
    ) -> Option<Vec<Step>> {
        let in_atoms = binding(literals);
        let mut open: Vec<&Literal> = literals.iter().collect();
        let mut known = BTreeSet::new();
        let mut steps = Vec::new();
        while let Some(at) = next(&open, &known, &in_atoms) {
            let literal = open.remove(at);
            steps.push(self.step(literal, scope, &mut known, &in_atoms)?);
        }
        let in_head = head.map(|atom| &atom.arguments[..]).unwrap_or_default();
        let is_unbound = |name: &String| !known.contains(name);
        let unbound_head = in_head
            .iter()
            .find(|argument| argument.variables().iter().any(is_unbound));
        if let Some(literal) = open.first() {
            let names: Vec<_> = needs(literal).into_iter().filter(is_unbound).collect();
            self.report_unsafe(
                &names,
                literal.span(),
                matches!(literal, Literal::Atom { .. }),
            );
        } else if let Some(argument) = unbound_head {
            self.report_unsafe(&argument.variables(), argument.span, false);
        } else {
            return Some(steps);
        }
        None
    }

    fn report_unsafe(&mut self, names: &[String], span: Span, is_negation: bool) {
        let text = names.join(", ");
        let verb = if names.len() == 1 {
            "gets its value"
        } else {
            "get their values"
        };
        let mut finding = Diagnostic::error(
            format!("{text} {verb} from nowhere"),
            span,
            format!("{text} must be known here"),
        )
        .note("a value comes from a relation that is not negated, or from an equation: X = 'a'");
        if is_negation {
            finding = finding.help("write _ instead if there is to be no such row with any value");
        }
        self.report(finding);
    }

    fn step(
        &mut self,
        literal: &Literal,
        scope: &mut Scope,
        known: &mut BTreeSet<String>,
        in_atoms: &BTreeSet<String>,
    ) -> Option<Step> {
        match literal {
            Literal::Atom { negated, atom } => {
                let relation = self.relation_of(atom)?;
                let predicate = self.predicate(atom)?;
                let arguments = self.arguments(atom, relation, scope)?;
                if *negated {
                    return Some(Step::Absent(predicate, arguments));
                }
                known.extend(atom.arguments.iter().flat_map(Expression::variables));
                Some(Step::Match(predicate, arguments))
            }
            Literal::Condition(condition) => {
                let defined = defines(condition, known, in_atoms);
                let outcome = match &defined {
                    Some(name) => define(condition, name, scope),
                    None => Typing::new(scope).condition(condition).map(Step::Test),
                };
                known.extend(defined);
                outcome.map_err(|finding| self.report(*finding)).ok()
            }
        }
    }

    /// The arguments of an atom; constants must fit their columns.
    fn arguments(
        &mut self,
        atom: &Atom,
        relation: RelationId,
        scope: &Scope,
    ) -> Option<Vec<Argument>> {
        let columns = self.relations[relation].columns.clone();
        let mut arguments = Vec::new();
        for (argument, column) in atom.arguments.iter().zip(&columns) {
            arguments.push(match &argument.kind {
                ExpressionKind::Anonymous => Argument::Any,
                ExpressionKind::Variable(name) => Argument::Variable(*scope.ids.get(name)?),
                _ => match super::expression::constant(argument, &column.sort) {
                    Ok(value) => Argument::Constant(value),
                    Err(finding) => {
                        let place = format!("column \"{}\"", column.name);
                        self.report(finding.and_at(column.span, place));
                        return None;
                    }
                },
            });
        }
        Some(arguments)
    }
}

/// The equation as the definition of one of its variables.
fn define(condition: &Expression, name: &str, scope: &mut Scope) -> Result<Step, Box<Diagnostic>> {
    let id = scope.ids[name];
    let wanted = scope.variables[id]
        .as_ref()
        .map(|variable| variable.sort.clone());
    let (value, sort) = match &condition.kind {
        ExpressionKind::Unary(UnaryOperator::IsNull, _) => (
            Expr::Constant(Value::Null),
            wanted.clone().unwrap_or(Sort::Text),
        ),
        ExpressionKind::Binary(_, left, right) => {
            let is_left = matches!(&left.kind, ExpressionKind::Variable(found) if found == name);
            let value = if is_left { right } else { left };
            Typing::new(scope).value(value, wanted.as_ref())?
        }
        _ => (Expr::Constant(Value::Null), Sort::Text),
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != sort) {
        return Err(Box::new(Diagnostic::error(
            format!("{name} is {wanted}, and is given a value that is {sort}"),
            condition.span,
            "",
        )));
    }
    let nullable = scope.may_be_null(&value);
    scope.variables[id] = Some(Variable {
        name: name.to_owned(),
        sort,
        nullable,
    });
    Ok(Step::Define(id, value))
}

/// Variables that atoms which are not negated give values to.
fn binding(literals: &[Literal]) -> BTreeSet<String> {
    let atoms = literals.iter().filter_map(|literal| match literal {
        Literal::Atom {
            negated: false,
            atom,
        } => Some(atom),
        _ => None,
    });
    atoms
        .flat_map(|atom| atom.arguments.iter().flat_map(Expression::variables))
        .collect()
}

/// The variable that a condition gives its value; one that an atom gives a value is compared instead.
fn defines(
    condition: &Expression,
    known: &BTreeSet<String>,
    in_atoms: &BTreeSet<String>,
) -> Option<String> {
    let taken: BTreeSet<String> = known.union(in_atoms).cloned().collect();
    let (name, needed) = definition(condition, &taken)?;
    needed
        .iter()
        .all(|needed| known.contains(needed))
        .then_some(name)
}

/// The variables that must be known before.
fn needs(literal: &Literal) -> Vec<String> {
    match literal {
        Literal::Atom { negated: false, .. } => Vec::new(),
        Literal::Atom { atom, .. } => atom
            .arguments
            .iter()
            .flat_map(Expression::variables)
            .collect(),
        Literal::Condition(condition) => condition.variables(),
    }
}

/// The part to be worked off next: what only tests or defines comes first, then what shares a variable.
fn next(open: &[&Literal], known: &BTreeSet<String>, in_atoms: &BTreeSet<String>) -> Option<usize> {
    let is_ready = |literal: &&Literal| match literal {
        Literal::Atom { negated: false, .. } => false,
        Literal::Condition(condition) if defines(condition, known, in_atoms).is_some() => true,
        _ => needs(literal).iter().all(|name| known.contains(name)),
    };
    let is_match = |literal: &&Literal| matches!(literal, Literal::Atom { negated: false, .. });
    let shares = |literal: &&Literal| match literal {
        Literal::Atom {
            negated: false,
            atom,
        } => atom
            .arguments
            .iter()
            .flat_map(Expression::variables)
            .any(|name| known.contains(&name)),
        _ => false,
    };
    let position = |wanted: &dyn Fn(&&Literal) -> bool| open.iter().position(wanted);
    position(&is_ready)
        .or_else(|| position(&shares))
        .or_else(|| position(&is_match))
}

impl Scope {
    /// Takes in the variables of an expression.
    fn note(&mut self, expression: &Expression) {
        match &expression.kind {
            ExpressionKind::Variable(name) if !self.ids.contains_key(name) => {
                self.ids.insert(name.clone(), self.variables.len());
                self.variables.push(None);
                self.places.insert(name.clone(), expression.span);
            }
            ExpressionKind::Unary(_, operand) => self.note(operand),
            ExpressionKind::Binary(_, left, right) => {
                self.note(left);
                self.note(right);
            }
            ExpressionKind::Call(_, arguments) => {
                arguments.iter().for_each(|argument| self.note(argument))
            }
            _ => {}
        }
    }

    fn may_be_null(&self, value: &Expr) -> bool {
        let is_nullable = |id: VariableId| self.variables[id].as_ref().is_none_or(|v| v.nullable);
        let has_null = value.constants().into_iter().any(Value::is_null);
        has_null || value.variables().into_iter().any(is_nullable)
    }

    fn body(self, steps: Vec<Step>) -> Body {
        let unknown = |name: String| Variable {
            name,
            sort: Sort::Text,
            nullable: true,
        };
        let mut names = vec![String::new(); self.variables.len()];
        for (name, id) in self.ids {
            names[id] = name;
        }
        let variables = self.variables.into_iter().zip(names);
        Body {
            variables: variables
                .map(|(variable, name)| variable.unwrap_or_else(|| unknown(name)))
                .collect(),
            steps,
        }
    }
}
