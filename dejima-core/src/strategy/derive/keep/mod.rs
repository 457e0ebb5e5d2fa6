//! What a change of a derived Dejima table must keep, so that put can carry it out: everything that would not be shown, or that a
//! base table would refuse, is refused as a constraint that one can read.

mod collision;
mod reference;
mod shown;

use super::branch::Branched;
use super::build::{absent, constraint, present, substituted, variable, variables_of};
use super::rules::trimmed;
use super::{Definition, Derived, union};
use crate::strategy::evaluate;
use crate::strategy::language::syntax::{
    Atom, Expression, ExpressionKind, Literal, Name, Statement,
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
