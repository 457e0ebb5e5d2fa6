//! Declarations of relations, and the heads of rules.

use super::Resolver;
use super::suggest::nearest;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::syntax::{
    Atom, Document, Name, RelationDeclaration, RelationKind, RuleText, Statement,
};
use crate::strategy::program::{Column, Relation, RelationId, Role};
use crate::strategy::value::Sort;

impl Resolver {
    /// Takes all declarations in.
    pub(super) fn declare(&mut self, document: &Document) {
        for statement in &document.statements {
            if let Statement::Relation(declaration) = statement {
                self.declare_relation(declaration);
            }
        }
        for statement in &document.statements {
            if let Statement::Key(key) = statement
                && let Some((relation, columns)) = self.columns(&key.relation, &key.columns)
            {
                if self.relations[relation].key.is_none() || key.is_primary {
                    self.relations[relation].key = Some(columns.clone());
                }
                if key.is_primary {
                    for column in columns {
                        self.relations[relation].columns[column].nullable = false;
                    }
                }
            }
        }
    }

    fn declare_relation(&mut self, declaration: &RelationDeclaration) {
        let name = &declaration.name;
        if let Some(&first) = self.ids.get(&name.text) {
            let finding = Diagnostic::error(
                format!("{} is declared twice", name.text),
                name.span,
                "declared again",
            )
            .and_at(self.relations[first].span, "first declared here");
            return self.report(finding);
        }
        let mut columns: Vec<Column> = Vec::new();
        for column in &declaration.columns {
            if let Some(first) = columns.iter().find(|known| known.name == column.name.text) {
                let finding = Diagnostic::error(
                    format!("{} has two columns \"{}\"", name.text, column.name.text),
                    column.name.span,
                    "named again",
                )
                .and_at(first.span, "first named here");
                self.report(finding);
            }
            columns.push(Column {
                name: column.name.text.clone(),
                type_name: column.type_name.text.clone(),
                sort: Sort::of_type(&column.type_name.text),
                nullable: column.nullable,
                span: column.name.span,
            });
        }
        let role = match declaration.kind {
            RelationKind::Source => Role::Source,
            RelationKind::View => Role::View,
        };
        self.add_relation(Relation {
            name: name.text.clone(),
            role,
            columns,
            key: None,
            span: name.span,
        });
    }

    pub(super) fn add_relation(&mut self, relation: Relation) {
        self.ids.insert(relation.name.clone(), self.relations.len());
        self.relations.push(relation);
    }

    /// The one view that there must be.
    pub(super) fn view(&mut self, document: &Document) -> Option<RelationId> {
        let views: Vec<RelationId> = (0..self.relations.len())
            .filter(|&id| self.relations[id].role == Role::View)
            .collect();
        if let [first, second, ..] = views[..] {
            let finding = Diagnostic::error(
                "a strategy is about one Dejima table",
                self.relations[second].span,
                "a second view",
            )
            .and_at(self.relations[first].span, "the first view")
            .help("write a strategy of its own, in a file of its own, for each");
            self.report(finding);
        }
        if views.is_empty() {
            let span = document
                .statements
                .first()
                .map(Statement::span)
                .unwrap_or_default();
            let finding = Diagnostic::error("no view is declared", span, "nothing here is a view")
                .help("say which columns the Dejima table has: view v('A': int, 'B': text).");
            self.report(finding);
        }
        if !self
            .relations
            .iter()
            .any(|relation| relation.role == Role::Source)
            && let Some(&view) = views.first()
        {
            let span = self.relations[view].span;
            let finding = Diagnostic::error("no base table is declared", span, "over what?")
                .help("say which columns the base table has: source r('A': int, 'B': text).");
            self.report(finding);
        }
        views.first().copied()
    }

    /// The relation and the positions of columns that are named.
    pub(super) fn columns(
        &mut self,
        relation: &Name,
        names: &[Name],
    ) -> Option<(RelationId, Vec<usize>)> {
        let id = self.relation_named(relation)?;
        let mut positions = Vec::new();
        for name in names {
            let columns = &self.relations[id].columns;
            let Some(position) = columns.iter().position(|column| column.name == name.text) else {
                let known = columns.iter().map(|column| column.name.as_str());
                let known_text = known.clone().collect::<Vec<_>>().join(", ");
                let mut finding = Diagnostic::error(
                    format!("{} has no column \"{}\"", relation.text, name.text),
                    name.span,
                    "no such column",
                )
                .note(format!("its columns are {known_text}"));
                if let Some(near) = nearest(&name.text, known) {
                    finding = finding.help(format!("did you mean {near}?"));
                }
                self.report(finding);
                return None;
            };
            positions.push(position);
        }
        Some((id, positions))
    }

    /// The relation of a name, or a finding.
    pub(super) fn relation_named(&mut self, name: &Name) -> Option<RelationId> {
        if let Some(&id) = self.ids.get(&name.text) {
            return Some(id);
        }
        let known = self.relations.iter().map(|relation| relation.name.as_str());
        let mut finding = Diagnostic::error(
            format!("nothing is called {}", name.text),
            name.span,
            "neither declared nor defined by a rule",
        );
        finding = match nearest(&name.text, known) {
            Some(near) => finding.help(format!("did you mean {near}?")),
            None => finding.help(format!(
                "declare it if it is a base table: source {}(...).",
                name.text
            )),
        };
        self.report(finding);
        None
    }

    /// Whether rules may have such a head.
    pub(super) fn check_head(&mut self, rule: &RuleText) -> bool {
        let Atom { sign, relation, .. } = &rule.head;
        let role = self
            .ids
            .get(&relation.text)
            .map(|&id| self.relations[id].role);
        let finding = match (role, sign) {
            (Some(Role::Source), None) => Diagnostic::error(
                format!(
                    "{} is a base table: its rows are stored, no rule defines them",
                    relation.text
                ),
                rule.head.span,
                "",
            )
            .help(format!(
                "write +{0}(...) for rows to insert, -{0}(...) for rows to delete",
                relation.text
            )),
            (Some(Role::View), Some(_)) => Diagnostic::error(
                format!(
                    "{} is what has changed: rules change base tables",
                    relation.text
                ),
                rule.head.span,
                "",
            )
            .help("write + or - before the name of a base table"),
            (None | Some(Role::Helper), Some(_)) => {
                self.relation_named(relation);
                return false;
            }
            _ => return true,
        };
        self.report(finding);
        false
    }

    /// Declares the relations that only rules define; their columns get their types later.
    pub(super) fn helpers(&mut self, rules: &[RuleText]) {
        for rule in rules {
            let name = &rule.head.relation;
            if self.ids.contains_key(&name.text) {
                continue;
            }
            let column = |position: usize| Column {
                name: format!("c{}", position + 1),
                type_name: String::new(),
                sort: Sort::Opaque("".into()),
                nullable: false,
                span: name.span,
            };
            self.add_relation(Relation {
                name: name.text.clone(),
                role: Role::Helper,
                columns: (0..rule.head.arguments.len()).map(column).collect(),
                key: None,
                span: name.span,
            });
        }
    }

    /// The relation of an atom, if it has as many columns as the atom has arguments.
    pub(super) fn relation_of(&mut self, atom: &Atom) -> Option<RelationId> {
        let id = self.relation_named(&atom.relation)?;
        let relation = &self.relations[id];
        let (has, given) = (relation.columns.len(), atom.arguments.len());
        if has == given {
            return Some(id);
        }
        let names: Vec<_> = relation
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let plural = if has == 1 { "column" } else { "columns" };
        let mut finding = Diagnostic::error(
            format!(
                "{} has {has} {plural}, and {given} are given",
                relation.name
            ),
            atom.span,
            format!("{given} instead of {has}"),
        )
        .and_at(relation.span, "declared here");
        if relation.role != Role::Helper {
            finding = finding.note(format!("its columns are {}", names.join(", ")));
        }
        self.report(finding);
        None
    }
}
