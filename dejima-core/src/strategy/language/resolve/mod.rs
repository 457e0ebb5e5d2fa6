//! From a document to a [`Program`]: what the names mean, and everything that can be wrong without any row.

mod body;
mod constraint;
mod expression;
mod get;
mod order;
mod relation;
mod suggest;

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Severity};
use super::syntax::{Document, RuleText, Sign, Statement};
use crate::strategy::program::{Predicate, Program, Relation, RelationId, Role, Rule};

/// A program, if there is one, and what is to be said of the document.
pub type Resolved = (Option<Program>, Vec<Diagnostic>);

/// Finds out what a document means.
pub fn resolve(document: &Document) -> Resolved {
    let mut resolver = Resolver::default();
    let program = resolver.program(document);
    let is_refused = resolver.has_errors();
    (program.filter(|_| !is_refused), resolver.findings)
}

#[derive(Default)]
struct Resolver {
    relations: Vec<Relation>,
    ids: BTreeMap<String, RelationId>,
    findings: Vec<Diagnostic>,
}

impl Resolver {
    fn report(&mut self, finding: Diagnostic) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn has_errors(&self) -> bool {
        let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
        self.findings.iter().any(is_error)
    }

    fn program(&mut self, document: &Document) -> Option<Program> {
        self.declare(document);
        let view = self.view(document)?;
        let mut rules: Vec<RuleText> = Vec::new();
        for statement in &document.statements {
            if let Statement::Rule(rule) = statement {
                self.take_rule(rule, &mut rules);
            }
        }
        self.helpers(&rules);
        let has_get = rules
            .iter()
            .any(|rule| self.head(rule) == Some(Predicate::Rows(view)));
        if !rules.iter().any(|rule| rule.head.sign.is_some()) && !self.has_errors() {
            self.report_no_put(view, document);
        }
        if !has_get && !self.has_errors() {
            rules.extend(self.derive_get(view, &rules, document));
        }
        let order = self.order(&rules, view)?;
        self.type_helpers(&rules, &order);
        let rules: Vec<Rule> = order
            .iter()
            .filter_map(|&rule| self.rule(&rules[rule]))
            .collect();
        let constraints = self.constraints(document, &rules);
        Some(Program {
            relations: std::mem::take(&mut self.relations),
            view,
            rules,
            constraints,
            get_is_derived: !has_get,
            from_view: None,
        })
    }

    /// Facts about base tables are examples of the existing dialect; they say nothing about the strategy.
    fn take_rule(&mut self, rule: &RuleText, rules: &mut Vec<RuleText>) {
        let relation = self
            .ids
            .get(&rule.head.relation.text)
            .map(|&id| &self.relations[id]);
        let is_stored = relation.is_some_and(|relation| relation.role != Role::Helper);
        if rule.body.is_empty() && rule.head.sign.is_none() && is_stored {
            let finding = Diagnostic::warning(
                "a row says nothing about the strategy",
                rule.span,
                "this row is ignored",
            );
            return self.report(finding.help("leave it out"));
        }
        if self.check_head(rule) {
            rules.push(rule.clone());
        }
    }

    /// What a rule adds to.
    fn head(&self, rule: &RuleText) -> Option<Predicate> {
        let relation = *self.ids.get(&rule.head.relation.text)?;
        Some(match rule.head.sign {
            None => Predicate::Rows(relation),
            Some(Sign::Insert) => Predicate::Insert(relation),
            Some(Sign::Delete) => Predicate::Delete(relation),
        })
    }

    fn report_no_put(&mut self, view: RelationId, document: &Document) {
        let span = self.relations[view].span;
        let sources = document
            .statements
            .iter()
            .find_map(|statement| match statement {
                Statement::Relation(relation)
                    if relation.name.text != self.relations[view].name =>
                {
                    Some(relation.name.text.clone())
                }
                _ => None,
            });
        let source = sources.unwrap_or_else(|| "r".to_owned());
        let name = &self.relations[view].name;
        let finding = Diagnostic::error(
            "nothing says how a change of the Dejima table is put into the base tables",
            span,
            "no rule writes a base table",
        )
        .help(format!(
            "write rules for what to insert and to delete:\n+{source}(...) :- {name}(...), not {source}(...).\n-{source}(...) :- {source}(...), not {name}(...)."
        ));
        self.report(finding);
    }
}
