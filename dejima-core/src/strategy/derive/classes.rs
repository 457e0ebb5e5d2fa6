//! Columns of a SELECT that have the same value in every row shown, or a constant.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{null, variable};
use super::{Branch, Definition, TableColumn, variable_column};
use crate::strategy::language::syntax::{
    BinaryOperator, Expression, ExpressionKind, UnaryOperator,
};

/// A column of a use.
pub(super) type Place = (usize, usize);

/// Columns that have the same value in every row shown.
pub(super) struct Classes {
    parent: BTreeMap<Place, Place>,
    /// The constant that a class is, by its root.
    constants: BTreeMap<Place, Expression>,
    names: BTreeMap<Place, String>,
    /// Conditions that say more than that columns are equal, or constant.
    pub(super) rest: Vec<Expression>,
}

impl Classes {
    pub(super) fn of(definition: &Definition, branch: &Branch) -> Self {
        let mut classes = Self {
            parent: BTreeMap::new(),
            constants: BTreeMap::new(),
            names: BTreeMap::new(),
            rest: Vec::new(),
        };
        for (number, used) in branch.uses.iter().enumerate() {
            for column in 0..definition.tables[used.table].columns.len() {
                classes.parent.insert((number, column), (number, column));
            }
        }
        let of_uses = branch.uses.iter().flat_map(|used| &used.on);
        let all: Vec<&Expression> = branch.conditions.iter().chain(of_uses).collect();
        let equalities: Vec<bool> = all
            .iter()
            .map(|condition| classes.equality(definition, branch, condition))
            .collect();
        for (condition, is_taken) in all.into_iter().zip(equalities) {
            if !is_taken && !classes.constant(definition, branch, condition) {
                classes.rest.push(condition.clone());
            }
        }
        classes
    }

    fn class(&self, mut place: Place) -> Place {
        while self.parent[&place] != place {
            place = self.parent[&place];
        }
        place
    }

    /// Takes `a = b` in, unless both may be NULL: then the condition says more.
    fn equality(
        &mut self,
        definition: &Definition,
        branch: &Branch,
        condition: &Expression,
    ) -> bool {
        let ExpressionKind::Binary(operator, left, right) = &condition.kind else {
            return false;
        };
        let place = |side: &Expression| match &side.kind {
            ExpressionKind::Variable(name) => variable_column(name),
            _ => None,
        };
        let (Some(left), Some(right)) = (place(left), place(right)) else {
            return false;
        };
        let nullable = |(used, column): Place| column_of(definition, branch, used, column).nullable;
        let is_equality = match operator {
            BinaryOperator::Equal => !nullable(left) || !nullable(right),
            BinaryOperator::Same => true,
            _ => false,
        };
        if is_equality {
            let (left, right) = (self.class(left), self.class(right));
            let (first, second) = (left.min(right), left.max(right));
            self.parent.insert(second, first);
        }
        is_equality
    }

    /// Takes `a = constant`, `a`, `not a` and `a is null` in, if they speak of the rows of one use alone.
    fn constant(
        &mut self,
        definition: &Definition,
        branch: &Branch,
        condition: &Expression,
    ) -> bool {
        let Some((place, constant)) = fixed(condition) else {
            return false;
        };
        let class = self.class(place);
        let kind = branch.uses[place.0].kind;
        let shared = self
            .parent
            .keys()
            .any(|other| self.class(*other) == class && branch.uses[other.0].kind != kind);
        let column = column_of(definition, branch, place.0, place.1);
        let is_vain = constant.kind == ExpressionKind::Null && !column.nullable;
        if shared || is_vain || self.constants.contains_key(&class) {
            return false;
        }
        self.constants.insert(class, constant);
        true
    }

    /// Whether a use's row follows from those of others by its key.
    pub(super) fn is_found(
        &self,
        definition: &Definition,
        branch: &Branch,
        used: usize,
        reached: &[usize],
    ) -> bool {
        let table = &definition.tables[branch.uses[used].table];
        let is_known = |column: &usize| {
            let class = self.class((used, *column));
            self.constants.contains_key(&class)
                || self
                    .parent
                    .keys()
                    .any(|other| reached.contains(&other.0) && self.class(*other) == class)
        };
        let is_total = |column: &usize| !table.columns[*column].nullable;
        table.keys.iter().any(|key| {
            key.columns
                .iter()
                .all(|column| is_known(column) && is_total(column))
        })
    }

    /// Names the classes, after the view's columns where they are shown; says the names of the outputs.
    pub(super) fn name(&mut self, definition: &Definition, branch: &Branch) -> Vec<String> {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut unique = |name: &str| {
            let base = name.to_uppercase();
            let numbered = (2..).map(|number| format!("{base}{number}"));
            let free = std::iter::once(base.clone())
                .chain(numbered)
                .find(|name| !taken.contains(name));
            let name = free.unwrap_or(base);
            taken.insert(name.clone());
            name
        };
        let mut outputs = Vec::new();
        for (output, column) in branch.outputs.iter().zip(&definition.columns) {
            let name = unique(&column.text);
            if let ExpressionKind::Variable(variable) = &output.kind
                && let Some(place) = variable_column(variable)
            {
                let class = self.class(place);
                self.names.entry(class).or_insert_with(|| name.clone());
            }
            outputs.push(name);
        }
        let places: Vec<Place> = self.parent.keys().copied().collect();
        for place in places {
            let class = self.class(place);
            self.names.entry(class).or_insert_with(|| {
                unique(&column_of(definition, branch, place.0, place.1).name.text)
            });
        }
        outputs
    }

    pub(super) fn meaning(
        &self,
        definition: &Definition,
        branch: &Branch,
    ) -> BTreeMap<Place, Expression> {
        let of_place = |&place: &Place| {
            let class = self.class(place);
            let span = column_of(definition, branch, place.0, place.1).name.span;
            let value = match self.constants.get(&class) {
                Some(constant) => constant.clone(),
                None => variable(&self.names[&class], span),
            };
            (place, value)
        };
        self.parent.keys().map(of_place).collect()
    }
}

fn column_of<'a>(
    definition: &'a Definition,
    branch: &Branch,
    used: usize,
    column: usize,
) -> &'a TableColumn {
    &definition.tables[branch.uses[used].table].columns[column]
}

/// The column that a condition fixes, and to what.
fn fixed(condition: &Expression) -> Option<(Place, Expression)> {
    let place = |side: &Expression| match &side.kind {
        ExpressionKind::Variable(name) => variable_column(name),
        _ => None,
    };
    let boolean = |value: bool| Expression::new(ExpressionKind::Boolean(value), condition.span);
    let is_literal = |side: &Expression| {
        matches!(
            side.kind,
            ExpressionKind::Number(_) | ExpressionKind::Text(_) | ExpressionKind::Boolean(_)
        )
    };
    match &condition.kind {
        ExpressionKind::Variable(_) => Some((place(condition)?, boolean(true))),
        ExpressionKind::Unary(UnaryOperator::Not, inner) => Some((place(inner)?, boolean(false))),
        ExpressionKind::Unary(UnaryOperator::IsNull, inner) => {
            Some((place(inner)?, null(condition.span)))
        }
        ExpressionKind::Binary(BinaryOperator::Equal, left, right) if is_literal(right) => {
            Some((place(left)?, (**right).clone()))
        }
        ExpressionKind::Binary(BinaryOperator::Equal, left, right) if is_literal(left) => {
            Some((place(right)?, (**left).clone()))
        }
        _ => None,
    }
}
