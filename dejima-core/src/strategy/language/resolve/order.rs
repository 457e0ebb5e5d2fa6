//! What is defined by what: an order in which everything comes before its use, or the circle that forbids one.

use std::collections::{BTreeMap, BTreeSet};

use super::Resolver;
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::syntax::{Atom, Literal, RuleText, Sign};
use crate::strategy::program::{Predicate, RelationId, Role};

impl Resolver {
    /// The rules in an order in which all rules of a predicate come before those that use it.
    pub(super) fn order(&mut self, rules: &[RuleText], view: RelationId) -> Option<Vec<usize>> {
        let mut walk = Walk {
            resolver: self,
            rules,
            view,
            done: BTreeSet::new(),
            path: Vec::new(),
            order: Vec::new(),
        };
        let heads: Vec<Predicate> = rules
            .iter()
            .filter_map(|rule| walk.resolver.head(rule))
            .collect();
        for head in heads {
            if let Err(finding) = walk.visit(head) {
                self.report(*finding);
                return None;
            }
        }
        let order = walk.order;
        self.check_get(rules, view);
        (!self.has_errors()).then_some(order)
    }

    /// The predicate of an atom in a body.
    pub(super) fn predicate(&self, atom: &Atom) -> Option<Predicate> {
        let relation = *self.ids.get(&atom.relation.text)?;
        Some(match atom.sign {
            None => Predicate::Rows(relation),
            Some(Sign::Insert) => Predicate::Insert(relation),
            Some(Sign::Delete) => Predicate::Delete(relation),
        })
    }

    /// What the Dejima table shows follows from base tables alone.
    fn check_get(&mut self, rules: &[RuleText], view: RelationId) {
        let mut open = vec![Predicate::Rows(view)];
        let mut seen = BTreeSet::new();
        while let Some(head) = open.pop() {
            if !seen.insert(head) {
                continue;
            }
            let of_head = rules.iter().filter(|rule| self.head(rule) == Some(head));
            let atoms: Vec<Atom> = of_head.flat_map(atoms).cloned().collect();
            for atom in atoms {
                match self.predicate(&atom) {
                    Some(Predicate::Rows(relation)) if relation == view => {
                        self.report_self_defined(&atom, view);
                    }
                    Some(change @ (Predicate::Insert(_) | Predicate::Delete(_))) => {
                        let name = &self.relations[change.relation()].name;
                        let finding = Diagnostic::error(
                            format!(
                                "what the Dejima table shows cannot depend on a change of {name}"
                            ),
                            atom.span,
                            "",
                        );
                        self.report(finding.help("leave the + or - out"));
                    }
                    Some(helper) => open.push(helper),
                    None => {}
                }
            }
        }
    }

    fn report_self_defined(&mut self, atom: &Atom, view: RelationId) {
        let name = self.relations[view].name.clone();
        let finding = Diagnostic::error(
            format!("{name} is defined by itself"),
            atom.span,
            "here it would have to be known already",
        )
        .note("the rules of the Dejima table say what it shows of the base tables alone");
        self.report(finding);
    }
}

/// All atoms of a rule's body.
pub(super) fn atoms(rule: &RuleText) -> impl Iterator<Item = &Atom> {
    rule.body.iter().filter_map(|literal| match literal {
        Literal::Atom { atom, .. } => Some(atom),
        Literal::Condition(_) => None,
    })
}

struct Walk<'a> {
    resolver: &'a mut Resolver,
    rules: &'a [RuleText],
    view: RelationId,
    done: BTreeSet<Predicate>,
    path: Vec<Predicate>,
    order: Vec<usize>,
}

impl Walk<'_> {
    fn visit(&mut self, head: Predicate) -> Result<(), Box<Diagnostic>> {
        if self.done.contains(&head) {
            return Ok(());
        }
        self.path.push(head);
        for (index, rule) in self.rules.iter().enumerate() {
            if self.resolver.head(rule) != Some(head) {
                continue;
            }
            for atom in atoms(rule) {
                self.resolver.relation_of(atom);
                let Some(used) = self.resolver.predicate(atom) else {
                    continue;
                };
                let relation = used.relation();
                let is_stored = self.resolver.relations[relation].role != Role::Helper;
                if used == Predicate::Rows(relation) && (is_stored || relation == self.view) {
                    continue;
                }
                if self.path.contains(&used) {
                    return Err(Box::new(self.circle(used, atom)));
                }
                self.visit(used)?;
            }
            self.order.push(index);
        }
        self.path.pop();
        self.done.insert(head);
        Ok(())
    }

    fn circle(&self, used: Predicate, atom: &Atom) -> Diagnostic {
        let name = |predicate: &Predicate| {
            let relation = &self.resolver.relations[predicate.relation()].name;
            match predicate {
                Predicate::Rows(_) => relation.clone(),
                Predicate::Insert(_) => format!("+{relation}"),
                Predicate::Delete(_) => format!("-{relation}"),
            }
        };
        let from = self
            .path
            .iter()
            .position(|on_path| *on_path == used)
            .unwrap_or(0);
        let mut names: Vec<String> = self.path[from..].iter().map(name).collect();
        names.push(name(&used));
        Diagnostic::error(
            format!("{} is defined by itself", name(&used)),
            atom.span,
            "here it would have to be known already",
        )
        .note(format!("the circle: {}", names.join(" needs ")))
        .note("rules cannot be recursive; then what they say could not be checked")
    }
}

/// Names by which bodies differ from what their author meant: variables that differ in case alone.
pub(super) fn case_twins(names: &BTreeMap<String, super::super::Span>) -> Option<(String, String)> {
    let mut folded: BTreeMap<String, &String> = BTreeMap::new();
    for name in names.keys() {
        if let Some(twin) = folded.insert(name.to_lowercase(), name) {
            return Some((twin.clone(), name.clone()));
        }
    }
    None
}
