//! The values of columns as the checks see them, and the sorts that they fall into.

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// What the checks know of a type. Types of one sort can be compared with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// Whole numbers of any size.
    Integer,
    /// Exact decimal numbers.
    Numeric,
    /// Numbers that are compared and copied, never computed with.
    Float,
    /// Texts; their order is the database's.
    Text,
    /// True or false.
    Boolean,
    /// Days.
    Date,
    /// Points in time without a time zone.
    Timestamp,
    /// Any other type, by its name: values are copied and compared.
    Opaque(Arc<str>),
}

impl Sort {
    /// The sort of a type of PostgreSQL's, or of the existing dialect.
    pub fn of_type(type_name: &str) -> Self {
        let name = type_name.strip_prefix("pg_catalog.").unwrap_or(type_name);
        if name.ends_with("[]") {
            return Self::Opaque(name.into());
        }
        let bare = match (name.find('('), name.rfind(')')) {
            (Some(open), Some(close)) => {
                format!("{}{}", name[..open].trim_end(), &name[close + 1..])
            }
            _ => name.to_owned(),
        };
        match bare.as_str() {
            "int" | "integer" | "int2" | "int4" | "int8" | "smallint" | "bigint" | "serial"
            | "bigserial" | "smallserial" | "serial4" | "serial8" => Self::Integer,
            "numeric" | "decimal" | "dec" => Self::Numeric,
            "real" | "float" | "double precision" | "double" | "float4" | "float8" => Self::Float,
            "text" | "string" | "varchar" | "character varying" | "char" | "character"
            | "bpchar" | "name" => Self::Text,
            "bool" | "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            _ => Self::Opaque(bare.into()),
        }
    }

    /// Whether `+ - * /` are defined on it.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Numeric)
    }
}

impl Display for Sort {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Numeric => "numeric",
            Self::Float => "floating-point",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Opaque(name) => name,
        })
    }
}

/// A value. Two NULLs are the same value here; that they are not equal in SQL is the business of comparisons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// NULL.
    Null,
    /// False before true.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// An exact decimal number; also stands for floating-point ones.
    Numeric(Decimal),
    /// Days since 1970-01-01.
    Date(i64),
    /// Microseconds since 1970-01-01.
    Timestamp(i64),
    /// A text.
    Text(Arc<str>),
    /// A value of an opaque type in its text form. Two forms may mean one value.
    Opaque(Arc<str>),
}

impl Value {
    /// The value of a sort that this text form means.
    pub fn read(text: &str, sort: &Sort) -> Option<Self> {
        match sort {
            Sort::Integer => text.trim().parse().ok().map(Self::Integer),
            Sort::Numeric | Sort::Float => Decimal::read(text.trim()).map(Self::Numeric),
            Sort::Text => Some(Self::Text(text.into())),
            Sort::Opaque(_) => Some(Self::Opaque(text.into())),
            Sort::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "t" | "true" | "yes" | "on" | "1" => Some(Self::Boolean(true)),
                "f" | "false" | "no" | "off" | "0" => Some(Self::Boolean(false)),
                _ => None,
            },
            Sort::Date => days(text.trim()).map(Self::Date),
            Sort::Timestamp => microseconds(text.trim()).map(Self::Timestamp),
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The truth of a condition: false and NULL are both not true.
    pub fn is_true(&self) -> bool {
        *self == Self::Boolean(true)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Numeric(value) => write!(f, "{value}"),
            Self::Date(day) => write!(f, "'{}'", date_text(*day)),
            Self::Timestamp(at) => {
                let (day, within) = (
                    at.div_euclid(MICROSECONDS_A_DAY),
                    at.rem_euclid(MICROSECONDS_A_DAY),
                );
                let seconds = within / 1_000_000;
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                write!(
                    f,
                    "'{} {hours:02}:{minutes:02}:{:02}",
                    date_text(day),
                    seconds % 60
                )?;
                match within % 1_000_000 {
                    0 => f.write_str("'"),
                    fraction => write!(f, ".{fraction:06}'"),
                }
            }
            Self::Text(text) | Self::Opaque(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// A decimal number: `digits / 10^scale`, with as few digits behind the point as it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: i128,
    scale: u32,
}

/// More digits than this are not read; products of two such still fit.
const DIGITS_MAX: usize = 18;

impl Decimal {
    /// A whole number.
    pub fn whole(number: i128) -> Self {
        Self {
            digits: number,
            scale: 0,
        }
    }

    /// Reads digits, perhaps with a point and an exponent.
    pub fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.trim_start_matches('-').len() > DIGITS_MAX || exponent.abs() > 15 {
            return None;
        }
        let mut digits: i128 = digits.parse().ok()?;
        let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
        while scale < 0 {
            digits = digits.checked_mul(10)?;
            scale += 1;
        }
        Some(Self::normal(digits, u32::try_from(scale).ok()?))
    }

    fn normal(mut digits: i128, mut scale: u32) -> Self {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Self { digits, scale }
    }

    /// Both with the same number of digits behind the point.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let lift = |number: Self| {
            let factor = 10_i128.checked_pow(scale - number.scale)?;
            number.digits.checked_mul(factor)
        };
        Some((lift(self)?, lift(other)?, scale))
    }

    /// The sum, unless it has too many digits.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self::normal(left.checked_add(right)?, scale))
    }

    /// The product, unless it has too many digits.
    pub fn times(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Self::normal(digits, self.scale + other.scale))
    }

    /// With the other sign.
    pub fn negated(self) -> Option<Self> {
        Some(Self {
            digits: self.digits.checked_neg()?,
            ..self
        })
    }

    /// The whole number that it is, if it is one.
    pub fn as_whole(self) -> Option<i128> {
        (self.scale == 0).then_some(self.digits)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let floor = |number: &Self| number.digits.div_euclid(10_i128.pow(number.scale.min(38)));
        match self.aligned(*other) {
            Some((left, right, _)) => left.cmp(&right),
            None => floor(self).cmp(&floor(other)),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.digits);
        }
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.digits < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{fraction}")
    }
}

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, written `YYYY-MM-DD`. Years begin in March here, so that
/// the leap day is the last one.
fn days(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

/// The date of a day, as `YYYY-MM-DD`.
fn date_text(day: i64) -> String {
    // Whole eras of 400 years, then the year within.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + carry)
}

/// `YYYY-MM-DD`, perhaps with `HH:MM[:SS[.FRACTION]]`.
fn microseconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let mut parts = time.split(':');
    let mut number = |max: i64| -> Option<i64> {
        let number = parts.next()?.parse().ok()?;
        (0..=max).contains(&number).then_some(number)
    };
    let (hours, minutes) = (number(23)?, number(59)?);
    let seconds = match parts.next() {
        None => Decimal::whole(0),
        Some(text) => Decimal::read(text)?,
    };
    let within = seconds.times(Decimal::whole(1_000_000))?.as_whole()?;
    let within = i64::try_from(within).ok()?;
    if parts.next().is_some() || !(0..60_000_000).contains(&within) {
        return None;
    }
    let minutes = hours * 60 + minutes;
    Some(days(date)? * MICROSECONDS_A_DAY + minutes * 60_000_000 + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_read_as_they_are_written() {
        for text in [
            "1970-01-01",
            "2000-02-29",
            "0001-01-01",
            "9999-12-31",
            "1962-12-31",
        ] {
            let value = Value::read(text, &Sort::Date).expect(text);
            assert_eq!(value.to_string(), format!("'{text}'"));
        }
        assert_eq!(Value::read("1970-01-02", &Sort::Date), Some(Value::Date(1)));
        let time = Value::read("2024-03-01 12:30:05.25", &Sort::Timestamp).expect("a time");
        assert_eq!(time.to_string(), "'2024-03-01 12:30:05.250000'");
        for bad in ["2023-02-29", "2023-13-01", "today", "2023-01"] {
            assert_eq!(Value::read(bad, &Sort::Date), None, "{bad}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        let read = |text| Decimal::read(text).expect(text);
        assert_eq!(read("1.50"), read("1.5"));
        assert_eq!(read("0.1").plus(read("0.2")), Some(read("0.3")));
        assert_eq!(read("-1.25").to_string(), "-1.25");
        assert_eq!(read("-0.05").to_string(), "-0.05");
        assert_eq!(read("1.5e2"), Decimal::whole(150));
        assert!(read("-1.5") < read("-1.25"));
    }

    #[test]
    fn types_fall_into_sorts() {
        assert_eq!(Sort::of_type("numeric(10,2)"), Sort::Numeric);
        assert_eq!(Sort::of_type("character varying(20)"), Sort::Text);
        assert_eq!(
            Sort::of_type("timestamp(3) without time zone"),
            Sort::Timestamp
        );
        assert_eq!(Sort::of_type("int[]"), Sort::Opaque("int[]".into()));
        assert_eq!(Sort::of_type("uuid"), Sort::Opaque("uuid".into()));
    }
}
