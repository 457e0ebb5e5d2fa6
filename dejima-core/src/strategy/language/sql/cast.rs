//! Casts. PostgreSQL writes many into the conditions of a table that nobody had asked for: `kind = 'bus'` over a varchar is
//! `(kind)::text = 'bus'::text` in its catalogue and in every dump. A cast is understood where the value stays what it was; what
//! another one would give the checks could not compute.

use sqlparser::ast::{self, DataType, Expr};

use super::Read;
use super::expression::{Context, literal, unsupported};
use crate::strategy::language::source::Span;
use crate::strategy::language::syntax::{ExpressionKind, Function};
use crate::strategy::value::{Sort, Value};

/// A type as far as a cast to it can change a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type {
    sort: Sort,
    /// Without modifiers.
    name: String,
    /// What stands in parentheses: a length, or digits in all and behind the point.
    modifiers: Vec<usize>,
}

impl Type {
    /// By its name in a CREATE TABLE.
    pub(super) fn named(name: &str) -> Self {
        let name = name.to_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let (before, inside, after) = match (name.find('('), name.rfind(')')) {
            (Some(open), Some(close)) => {
                (&name[..open], &name[open + 1..close], &name[close + 1..])
            }
            _ => (name, "", ""),
        };
        let modifiers = inside
            .split(',')
            .filter_map(|part| part.trim().parse().ok());
        Self {
            sort: Sort::of_type(name),
            name: format!("{}{after}", before.trim_end()),
            modifiers: modifiers.collect(),
        }
    }

    fn of(data_type: &DataType) -> Self {
        Self::named(&data_type.to_string())
    }

    /// The place of exact numbers among each other: each holds all values of those below.
    fn rank(&self) -> Option<u8> {
        match self.name.as_str() {
            "smallint" | "int2" | "smallserial" => Some(0),
            "integer" | "int" | "int4" | "serial" | "serial4" => Some(1),
            "bigint" | "int8" | "bigserial" | "serial8" => Some(2),
            _ => (self.sort == Sort::Numeric).then_some(3),
        }
    }

    /// Whether its numbers are divided with a fraction.
    pub(super) fn has_fraction(&self) -> bool {
        matches!(self.sort, Sort::Numeric | Sort::Float)
    }

    /// Text that is neither padded nor cut by the type itself.
    fn is_varying(&self) -> bool {
        let names = ["text", "varchar", "character varying"];
        names.contains(&self.name.as_str())
    }

    /// The number of characters that it holds, if it is bounded.
    fn length(&self) -> Option<usize> {
        match (self.name.as_str(), self.modifiers.first()) {
            ("char" | "character", None) => Some(1),
            ("name", None) => Some(63),
            (_, length) => length.copied(),
        }
    }

    /// Whether all values of another type are the same in this one.
    fn takes(&self, from: &Self) -> bool {
        if self == from {
            return true;
        }
        if !self.modifiers.is_empty() {
            return false;
        }
        match (from.rank(), self.rank()) {
            (Some(narrow), Some(wide)) => narrow <= wide,
            _ => match from.sort {
                Sort::Text => self.is_varying() && from.is_varying(),
                Sort::Boolean | Sort::Date | Sort::Timestamp => self.sort == from.sort,
                _ => false,
            },
        }
    }

    /// A constant of another type, or without one, as PostgreSQL would read it; none where that is another value.
    fn constant(&self, kind: &ExpressionKind, from: Option<&Self>) -> Option<ExpressionKind> {
        let is_same = match kind {
            ExpressionKind::Null => true,
            ExpressionKind::Number(number) if from.is_none_or(|from| from.sort != Sort::Float) => {
                self.holds(number)
            }
            ExpressionKind::Text(text) if from.is_none() => return self.reads(text),
            ExpressionKind::Boolean(_) => self.sort == Sort::Boolean,
            _ => from.is_some_and(|from| self.takes(from)),
        };
        is_same.then(|| kind.clone())
    }

    /// Whether it holds a number as it is.
    fn holds(&self, number: &str) -> bool {
        let fraction = number.split_once('.').map_or(0, |(_, digits)| digits.len());
        let is_short = match self.modifiers[..] {
            [] => true,
            [_] => fraction == 0,
            [_, scale, ..] => fraction <= scale && !number.contains(['e', 'E']),
        };
        let is_number = matches!(self.sort, Sort::Integer | Sort::Numeric | Sort::Float);
        is_number && is_short && Value::read(number, &self.sort).is_some()
    }

    /// A constant in quotes.
    fn reads(&self, text: &str) -> Option<ExpressionKind> {
        let as_it_is = || ExpressionKind::Text(text.to_owned());
        let value = Value::read(text, &self.sort)?;
        match self.sort {
            Sort::Text => {
                let is_whole = self
                    .length()
                    .is_none_or(|length| text.chars().count() <= length);
                is_whole.then(as_it_is)
            }
            Sort::Integer | Sort::Numeric | Sort::Float => {
                let number = value.to_string();
                self.holds(&number)
                    .then_some(ExpressionKind::Number(number))
            }
            Sort::Boolean => Some(ExpressionKind::Boolean(value.is_true())),
            _ => self.modifiers.is_empty().then(as_it_is),
        }
    }
}

/// A constant, and its type if it says one: texts in quotes have that of their place.
pub(super) fn typed_constant(expr: &Expr) -> Option<(ExpressionKind, Option<Type>)> {
    let read = |inner: (ExpressionKind, Option<Type>), data_type: &DataType| {
        let to = Type::of(data_type);
        Some((to.constant(&inner.0, inner.1.as_ref())?, Some(to)))
    };
    match expr {
        Expr::Nested(inner) => typed_constant(inner),
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } => read(typed_constant(inner)?, data_type),
        Expr::TypedString(typed) => read((literal(&typed.value.value)?, None), &typed.data_type),
        Expr::Value(value) => {
            let kind = literal(&value.value)?;
            let named = match &kind {
                ExpressionKind::Number(number) if number.contains(['.', 'e', 'E']) => "numeric",
                // PostgreSQL takes the narrowest that holds it; what it is cast to then is no narrower.
                ExpressionKind::Number(_) => "integer",
                ExpressionKind::Boolean(_) => "boolean",
                _ => return Some((kind, None)),
            };
            Some((kind, Some(Type::named(named))))
        }
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr: inner,
        } => match typed_constant(inner)? {
            (ExpressionKind::Number(number), named) => {
                Some((ExpressionKind::Number(format!("-{number}")), named))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The constants of an array, whatever it is cast to.
pub(super) fn array(expr: &Expr) -> Option<Vec<ExpressionKind>> {
    let items = typed_array(expr)?.into_iter();
    Some(items.map(|(kind, _)| kind).collect())
}

fn typed_array(expr: &Expr) -> Option<Vec<(ExpressionKind, Option<Type>)>> {
    match expr {
        Expr::Nested(inner) => typed_array(inner),
        Expr::Cast {
            expr: inner,
            data_type: DataType::Array(of),
            ..
        } => {
            let (ast::ArrayElemTypeDef::AngleBracket(element)
            | ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::Parenthesis(element)) = of
            else {
                return None;
            };
            let to = Type::of(element);
            let items = typed_array(inner)?.into_iter();
            let cast = |(kind, from): (ExpressionKind, Option<Type>)| {
                Some((to.constant(&kind, from.as_ref())?, Some(to.clone())))
            };
            items.map(cast).collect()
        }
        Expr::Array(array) => array.elem.iter().map(typed_constant).collect(),
        _ => None,
    }
}

/// What is cast, if the cast leaves every value of it as it is.
pub(super) fn kept<'a>(
    inner: &'a Expr,
    data_type: &DataType,
    span: Span,
    context: &Context<'_>,
) -> Read<&'a Expr> {
    let from = type_of(inner, context)?;
    let to = Type::of(data_type);
    if !context.is_output && from.as_ref().is_some_and(|from| to.takes(from)) {
        return Ok(inner);
    }
    let name = data_type.to_string().to_lowercase();
    let finding = unsupported(span, &format!("a cast to {name}"));
    Err(Box::new(if context.is_output {
        finding.note("what is shown has the type of its column")
    } else {
        finding
            .note("it can give another value, and what the checks cannot compute they cannot prove")
            .help("casts that change nothing can be: varchar to text, an integer to bigint or numeric,\na constant to a type that holds it")
    }))
}

/// The type of an expression, as far as a cast of it, or a division, asks.
pub(super) fn type_of(expr: &Expr, context: &Context<'_>) -> Read<Option<Type>> {
    let of = |expr: &Expr| type_of(expr, context);
    Ok(match expr {
        Expr::Nested(inner) => of(inner)?,
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            Some(Type::named(&context.column(expr)?.type_name))
        }
        Expr::Cast { data_type, .. } => Some(Type::of(data_type)),
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus | ast::UnaryOperator::Plus,
            expr,
        } => of(expr)?,
        Expr::BinaryOp { left, op, right } => match op {
            ast::BinaryOperator::StringConcat => Some(Type::named("text")),
            ast::BinaryOperator::Plus
            | ast::BinaryOperator::Minus
            | ast::BinaryOperator::Multiply
            | ast::BinaryOperator::Divide => wider(of(left)?, of(right)?),
            _ => None,
        },
        Expr::Function(function) => match Function::named(&function.name.to_string()) {
            Some(Function::Length) => Some(Type::named("integer")),
            Some(Function::Lower | Function::Upper) => Some(Type::named("text")),
            Some(Function::Abs | Function::Coalesce) => {
                let types = arguments(function).map(of).collect::<Read<Vec<_>>>()?;
                types.into_iter().reduce(wider).flatten()
            }
            None => None,
        },
        _ => typed_constant(expr).and_then(|(_, named)| named),
    })
}

fn arguments(function: &ast::Function) -> impl Iterator<Item = &Expr> {
    let list = match &function.args {
        ast::FunctionArguments::List(list) => &list.args[..],
        _ => &[],
    };
    list.iter().filter_map(|argument| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

/// Of two numbers the type of their sum; of others what both are, where one is a constant without a type the other's.
fn wider(left: Option<Type>, right: Option<Type>) -> Option<Type> {
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (left, right) => return left.or(right),
    };
    let is_float = |side: &Type| side.sort == Sort::Float;
    match (left.rank(), right.rank()) {
        (Some(first), Some(second)) => {
            let wide = if first < second { right } else { left };
            Some(Type {
                modifiers: vec![],
                ..wide
            })
        }
        _ if is_float(&left) => Some(left),
        _ if is_float(&right) => Some(right),
        _ => (left.sort == right.sort && left.is_varying() && right.is_varying())
            .then(|| Type::named("text")),
    }
}

#[cfg(test)]
mod tests {
    use crate::strategy::language::{File, Format, Reading, read};

    fn shown(output: &str, condition: &str) -> Reading {
        let text = format!(
            "CREATE TABLE t (id int PRIMARY KEY, s smallint, b bigint, n numeric(6,2), f double precision, k varchar(10), k2 varchar, x text,
               c character(4), d date, ts timestamp, e public.color, flag boolean);
             CREATE VIEW v AS SELECT *, {output} AS shown FROM t WHERE {condition}"
        );
        let file = File {
            name: "view.sql",
            text: &text,
        };
        read(file, Format::Sql, None).remove(0)
    }

    /// What is said of a condition that cannot be taken.
    fn refused(output: &str, condition: &str) -> String {
        let reading = shown(output, condition);
        let finding = reading.findings.first().map(|f| f.render(&reading.sources));
        assert!(reading.program.is_none(), "{output} {condition}");
        finding.unwrap_or_default()
    }

    /// The condition as it was understood.
    fn understood(condition: &str) -> String {
        let reading = shown("x", condition);
        let found = format!("{condition}: {:?}", reading.findings);
        assert!(reading.program.is_some(), "{found}");
        reading.document.to_string()
    }

    /// The right sides are what `pg_get_constraintdef` of PostgreSQL 15 makes of the left ones.
    #[test]
    fn what_postgresql_writes_of_a_condition_is_the_condition() {
        for (written, printed) in [
            ("k2 = 'bus'", "((k2)::text = 'bus'::text)"),
            (
                "k IN ('a', 'b')",
                "((k)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
            ),
            (
                "k IN ('a', 'b')",
                "((k)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
            ),
            (
                "k NOT IN ('a', 'b')",
                "((k)::text <> ALL ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
            ),
            ("k LIKE 'a%'", "((k)::text ~~ 'a%'::text)"),
            ("length(k) > 2", "(length((k)::text) > 2)"),
            ("lower(k) = k", "(lower((k)::text) = (k)::text)"),
            ("k || k2 <> x", "(((k)::text || (k2)::text) <> x)"),
            (
                "k > 'a' OR k IS NULL",
                "(((k)::text > 'a'::text) OR (k IS NULL))",
            ),
            (
                "coalesce(k2, '') <> 'x'",
                "((COALESCE(k2, ''::character varying))::text <> 'x'::text)",
            ),
            ("n > 0", "(n > (0)::numeric)"),
            ("n = -1", "(n = ('-1'::integer)::numeric)"),
            ("n > -1.5", "(n > '-1.5'::numeric)"),
            (
                "n IN (1, 2)",
                "(n = ANY (ARRAY[(1)::numeric, (2)::numeric]))",
            ),
            ("n * 2 < 100.5", "((n * (2)::numeric) < 100.5)"),
            ("id < n", "((id)::numeric < n)"),
            ("b IN (1, 2)", "(b = ANY (ARRAY[(1)::bigint, (2)::bigint]))"),
            ("b < 10000000000", "(b < '10000000000'::bigint)"),
            (
                "id BETWEEN -5 AND 5",
                "((id >= '-5'::integer) AND (id <= 5))",
            ),
            (
                "f >= 0 AND f < 1.5",
                "((f >= (0)::double precision) AND (f < (1.5)::double precision))",
            ),
            ("f > -1.5", "(f > ('-1.5'::numeric)::double precision)"),
            ("d >= '2020-01-01'", "(d >= '2020-01-01'::date)"),
            (
                "ts > '2020-01-01 00:00:00'",
                "(ts > '2020-01-01 00:00:00'::timestamp without time zone)",
            ),
            (
                "e IN ('red', 'blue')",
                "(e = ANY (ARRAY['red'::public.color, 'blue'::public.color]))",
            ),
            (
                "c IN ('a', 'b')",
                "(c = ANY (ARRAY['a'::bpchar, 'b'::bpchar]))",
            ),
        ] {
            assert_eq!(understood(written), understood(printed), "{written}");
        }
        assert_ne!(understood("k = 'a'"), understood("(k)::text = 'b'::text"));
    }

    #[test]
    fn a_cast_that_can_change_a_value_is_refused() {
        for (condition, to) in [
            (
                "((k)::character varying(2))::text = 'ab'",
                "character varying(2)",
            ),
            ("(b)::integer < 4", "integer"),
            ("(n)::integer > 5", "integer"),
            ("(n)::numeric(4,1) = (5)::numeric", "numeric(4,1)"),
            ("(id)::text <> '5'::text", "text"),
            ("(id)::double precision < f", "double precision"),
            ("(c)::text = x", "text"),
            ("c = (k)::bpchar", "bpchar"),
            ("(ts)::date > '2020-01-01'::date", "date"),
            ("(e)::text = 'red'::text", "text"),
            ("(flag)::integer = 1", "integer"),
            // Constants: half of five, a date with a time, three letters for two, what a cast before made of them.
            ("n > (2.5)::integer", "integer"),
            ("ts > '2020-01-01 10:00'::date", "date"),
            ("x = 'abc'::varchar(2)", "varchar(2)"),
            ("x = ANY ((ARRAY['abc'::text])::varchar(2)[])", "array"),
            ("x = ('2020-01-01'::date)::text", "text"),
            ("n = '0.125'::numeric(4,2)", "numeric(4,2)"),
        ] {
            let said = refused("x", condition);
            let expected = if to == "array" {
                "error: this array cannot be taken into a strategy".to_owned()
            } else {
                format!("error: a cast to {to} cannot be taken into a strategy")
            };
            assert!(said.starts_with(&expected), "{condition}: {said}");
            // The place: the caret stands under what is cast.
            assert!(
                said.contains("--> view.sql:3:") && said.contains('^'),
                "{said}"
            );
        }
    }

    /// Left out, the cast would make whole numbers of both sides.
    #[test]
    fn a_quotient_with_a_fraction_stays_refused() {
        for quotient in [
            "(id)::numeric / 2",
            "5 / (2)::numeric",
            "id / -(2)::numeric",
        ] {
            let said = refused("x", &format!("n > {quotient}"));
            assert!(said.contains("this quotient cannot be taken"), "{said}");
        }
        assert_eq!(
            understood("b > id / 2"),
            understood("(b > ((id)::bigint / (2)::bigint))")
        );
    }

    #[test]
    fn what_is_shown_has_the_type_of_its_column() {
        for output in ["(k)::text", "(id)::bigint + 1", "coalesce((k)::text, x)"] {
            let said = refused(output, "id > 0");
            assert!(
                said.contains("what is shown has the type of its column"),
                "{said}"
            );
        }
    }
}
