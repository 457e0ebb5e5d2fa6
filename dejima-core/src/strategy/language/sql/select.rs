//! One SELECT: its tables and what they are called, its conditions, its columns.

use sqlparser::ast::{
    self, Expr, GroupByExpr, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr,
    TableFactor,
};

use super::expression::{Column, Context, expression, unsupported};
use super::{Places, Read};
use crate::strategy::derive::{Table, Use, UseKind, column_variable, conjuncts, variable_column};
use crate::strategy::language::diagnostic::Diagnostic;
use crate::strategy::language::syntax::{BinaryOperator, Expression, ExpressionKind, Name};

/// What can be named in a SELECT: the uses of tables with their aliases, those of an outer query first.
pub(super) struct Scope<'a> {
    pub(super) tables: &'a [Table],
    pub(super) places: &'a Places,
    pub(super) uses: Vec<Use>,
    pub(super) aliases: Vec<String>,
    /// Uses before this belong to the outer query.
    pub(super) outer: usize,
}

impl Scope<'_> {
    pub(super) fn check(&self, select: &Select) -> Read<()> {
        let span = self.places.span(select);
        let grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
        };
        if grouped || select.having.is_some() {
            return Err(Box::new(unsupported(span, "GROUP BY").note(
                "nobody could say which of the many rows a changed value should be put into",
            )));
        }
        if matches!(select.distinct, Some(ast::Distinct::On(_))) {
            return Err(unsupported(span, "DISTINCT ON"));
        }
        Ok(())
    }

    /// Takes the tables in; says what inner joins demand.
    pub(super) fn from(&mut self, select: &Select) -> Read<Vec<Expression>> {
        let mut conditions = Vec::new();
        for item in &select.from {
            self.add(&item.relation, UseKind::Inner)?;
            for join in &item.joins {
                let (kind, constraint) = match &join.join_operator {
                    JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                        (UseKind::Inner, constraint)
                    }
                    JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                        (UseKind::Left, constraint)
                    }
                    JoinOperator::CrossJoin(constraint) => (UseKind::Inner, constraint),
                    _ => {
                        let finding = unsupported(self.places.span(join), "this kind of join");
                        return Err(Box::new(finding.help(
                            "JOIN and LEFT JOIN can be; write a right join the other way round",
                        )));
                    }
                };
                self.add(&join.relation, kind)?;
                let on = self.constraint(constraint)?;
                match (kind, self.uses.last_mut()) {
                    (UseKind::Left, Some(used)) => used.on = on,
                    _ => conditions.extend(on),
                }
            }
        }
        Ok(conditions)
    }

    fn constraint(&mut self, constraint: &JoinConstraint) -> Read<Vec<Expression>> {
        match constraint {
            JoinConstraint::On(condition) => self.conditions(condition),
            JoinConstraint::Using(names) => {
                let number = self.uses.len() - 1;
                let mut on = Vec::new();
                for name in names {
                    let name = self.places.object(name);
                    let right = self.tables[self.uses[number].table].column(&name.text);
                    let left = (self.outer..number).find_map(|left| {
                        let column = self.tables[self.uses[left].table].column(&name.text)?;
                        Some(column_variable(left, column))
                    });
                    let (Some(left), Some(right)) = (left, right) else {
                        return Err(Box::new(Diagnostic::error(
                            format!("\"{}\" is no column on both sides", name.text),
                            name.span,
                            "",
                        )));
                    };
                    let variable =
                        |text: String| Expression::new(ExpressionKind::Variable(text), name.span);
                    let right = variable(column_variable(number, right));
                    on.push(Expression::binary(
                        BinaryOperator::Equal,
                        variable(left),
                        right,
                    ));
                }
                Ok(on)
            }
            JoinConstraint::Natural => Err(Box::new(
                unsupported(
                    self.uses.last().map(|used| used.span).unwrap_or_default(),
                    "NATURAL",
                )
                .help("say by which columns to join: JOIN ... ON ..."),
            )),
            JoinConstraint::None => Ok(Vec::new()),
        }
    }

    fn add(&mut self, factor: &TableFactor, kind: UseKind) -> Read<()> {
        let span = self.places.span(factor);
        let TableFactor::Table { name, alias, .. } = factor else {
            return Err(unsupported(span, "a subquery in FROM"));
        };
        let name = self.places.object(name);
        let Some(table) = self
            .tables
            .iter()
            .position(|table| table.name.text == name.text)
        else {
            return Err(Box::new(
                Diagnostic::error(
                    format!("table {} is not known", name.text),
                    name.span,
                    "created nowhere in these files",
                )
                .help("add its CREATE TABLE to the file, or name a file that has it: --schema FILE.sql"),
            ));
        };
        let alias = match alias {
            Some(alias) => self.places.name(&alias.name).text,
            None => name
                .text
                .rsplit('.')
                .next()
                .unwrap_or(&name.text)
                .to_owned(),
        };
        let taken = (self.outer..self.uses.len())
            .any(|number| self.is_visible(number) && self.aliases[number] == alias);
        if taken {
            return Err(Box::new(
                Diagnostic::error(format!("{alias} is named twice"), span, "again")
                    .help("give one of them another name with AS"),
            ));
        }
        self.aliases.push(alias);
        self.uses.push(Use {
            table,
            kind,
            on: Vec::new(),
            span,
        });
        Ok(())
    }

    /// What a column's name means: the innermost query that has it.
    fn column(&self, qualifier: Option<&str>, ident: &ast::Ident) -> Read<Column> {
        let name = self.places.name(ident);
        let inner = self.outer..self.uses.len();
        for numbers in [inner, 0..self.outer] {
            let fitting: Vec<(usize, usize)> = numbers
                .filter(|&number| self.is_visible(number))
                .filter(|&number| {
                    qualifier.is_none_or(|qualifier| self.is_called(number, qualifier))
                })
                .filter_map(|number| {
                    let table = &self.tables[self.uses[number].table];
                    Some((number, table.column(&name.text)?))
                })
                .collect();
            match fitting[..] {
                [] => {}
                [(number, column)] => {
                    let table = &self.tables[self.uses[number].table];
                    return Ok(Column {
                        variable: column_variable(number, column),
                        type_name: table.columns[column].type_name.text.clone(),
                    });
                }
                _ => {
                    let tables: Vec<&str> = fitting
                        .iter()
                        .map(|(number, _)| self.aliases[*number].as_str())
                        .collect();
                    return Err(Box::new(
                        Diagnostic::error(
                            format!(
                                "\"{}\" is a column of {}",
                                name.text,
                                tables.join(" and of ")
                            ),
                            name.span,
                            "which one?",
                        )
                        .help(format!("write {}.{}", tables[0], name.text)),
                    ));
                }
            }
        }
        let place = qualifier.map_or_else(|| "any table here".to_owned(), str::to_owned);
        Err(Box::new(Diagnostic::error(
            format!("\"{}\" is no column of {place}", name.text),
            name.span,
            "no such column",
        )))
    }

    /// Tables of a subquery are not known outside of it.
    fn is_visible(&self, number: usize) -> bool {
        let is_own = self.outer > 0 && number >= self.outer;
        is_own || matches!(self.uses[number].kind, UseKind::Inner | UseKind::Left)
    }

    fn is_called(&self, number: usize, qualifier: &str) -> bool {
        let name = &self.tables[self.uses[number].table].name.text;
        self.aliases[number] == qualifier || name == qualifier
    }

    /// A condition as those that must all hold; subqueries become uses.
    pub(super) fn conditions(&mut self, condition: &Expr) -> Read<Vec<Expression>> {
        match condition {
            Expr::Nested(inner) => self.conditions(inner),
            Expr::BinaryOp {
                left,
                op: ast::BinaryOperator::And,
                right,
            } => {
                let mut all = self.conditions(left)?;
                all.extend(self.conditions(right)?);
                Ok(all)
            }
            Expr::Exists { subquery, negated } => self.subquery(subquery, *negated, None),
            Expr::UnaryOp {
                op: ast::UnaryOperator::Not,
                expr,
            } if matches!(&**expr, Expr::Exists { .. }) => match &**expr {
                Expr::Exists { subquery, negated } => self.subquery(subquery, !negated, None),
                _ => self.conditions(expr),
            },
            Expr::InSubquery {
                expr,
                subquery,
                negated,
            } => self.subquery(subquery, *negated, Some(expr)),
            _ => Ok(conjuncts(self.expression(condition, false)?)),
        }
    }

    fn expression(&self, expr: &Expr, is_output: bool) -> Read<Expression> {
        let context = Context {
            places: self.places,
            columns: &|qualifier, ident| self.column(qualifier, ident),
            is_output,
        };
        expression(expr, &context)
    }

    /// EXISTS, or `operand IN`.
    fn subquery(
        &mut self,
        query: &Query,
        negated: bool,
        operand: Option<&Expr>,
    ) -> Read<Vec<Expression>> {
        let span = self.places.span(query);
        let operand = operand
            .map(|operand| self.expression(operand, false))
            .transpose()?;
        let SetExpr::Select(select) = &*query.body else {
            return Err(unsupported(span, "this subquery"));
        };
        self.check(select)?;
        if self.outer > 0 || select.from.len() != 1 || !select.from[0].joins.is_empty() {
            return Err(unsupported(
                span,
                "a subquery with several tables, or in a subquery",
            ));
        }
        let (outer, number) = (self.outer, self.uses.len());
        self.outer = number;
        let kind = if negated {
            UseKind::Absent
        } else {
            UseKind::Present
        };
        self.add(&select.from[0].relation, kind)?;
        let mut on = match &select.selection {
            Some(condition) => self.conditions(condition)?,
            None => Vec::new(),
        };
        if let Some(operand) = operand {
            let (_, outputs) = self.outputs(select)?;
            let [output] = &outputs[..] else {
                return Err(unsupported(span, "IN with several columns"));
            };
            if negated && (self.may_be_null(output) || self.may_be_null(&operand)) {
                return Err(Box::new(
                    Diagnostic::error(
                        "NOT IN is never true where a NULL is in the list",
                        span,
                        "may contain NULL",
                    )
                    .help("write NOT EXISTS (SELECT FROM ... WHERE ...) instead"),
                ));
            }
            on.push(Expression::binary(
                BinaryOperator::Equal,
                output.clone(),
                operand,
            ));
        }
        self.outer = outer;
        self.uses[number].on = on;
        Ok(Vec::new())
    }

    fn may_be_null(&self, expression: &Expression) -> bool {
        match &expression.kind {
            ExpressionKind::Variable(name) => match variable_column(name) {
                Some((number, column)) => {
                    self.tables[self.uses[number].table].columns[column].nullable
                }
                None => true,
            },
            ExpressionKind::Number(_) | ExpressionKind::Text(_) | ExpressionKind::Boolean(_) => {
                false
            }
            _ => true,
        }
    }

    pub(super) fn outputs(&self, select: &Select) -> Read<(Vec<Name>, Vec<Expression>)> {
        let mut names = Vec::new();
        let mut outputs = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    names.push(match expr {
                        Expr::Identifier(ident) => self.places.name(ident),
                        Expr::CompoundIdentifier(parts) => match parts.last() {
                            Some(ident) => self.places.name(ident),
                            None => return Err(unsupported(self.places.span(expr), "this name")),
                        },
                        _ => Name {
                            text: format!("column{}", names.len() + 1),
                            span: self.places.span(expr),
                        },
                    });
                    outputs.push(self.expression(expr, true)?);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    names.push(self.places.name(alias));
                    outputs.push(self.expression(expr, true)?);
                }
                SelectItem::Wildcard(_) => self.all_columns(None, item, &mut names, &mut outputs),
                SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let name = self.places.object(name).text;
                    self.all_columns(Some(&name), item, &mut names, &mut outputs);
                }
                _ => return Err(unsupported(self.places.span(item), "this column")),
            }
        }
        Ok((names, outputs))
    }

    fn all_columns(
        &self,
        qualifier: Option<&str>,
        item: &SelectItem,
        names: &mut Vec<Name>,
        outputs: &mut Vec<Expression>,
    ) {
        let span = self.places.span(item);
        for number in self.outer..self.uses.len() {
            let is_other = qualifier.is_some_and(|qualifier| !self.is_called(number, qualifier));
            if is_other || !self.is_visible(number) {
                continue;
            }
            for (column, declared) in self.tables[self.uses[number].table]
                .columns
                .iter()
                .enumerate()
            {
                names.push(Name {
                    text: declared.name.text.clone(),
                    span,
                });
                outputs.push(Expression::new(
                    ExpressionKind::Variable(column_variable(number, column)),
                    span,
                ));
            }
        }
    }
}
