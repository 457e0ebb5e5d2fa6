//! docs/types.md: what the test has found.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::exchange::Exchange;
use super::kinds::{GROUPS, Kind, LOCAL};

/// So many samples of a type are shown, each of so many characters.
const SAMPLES: usize = 4;
const SAMPLE_CHARS: usize = 60;

const HEAD: &str = "\
# Types

Written by `just types`, from what a test has found: two peers, whose databases differ in every setting that has to do with values (TimeZone, DateStyle,
IntervalStyle, extra_float_digits, bytea_output, lc_monetary, xmloption, array_nulls, standard_conforming_strings) and in their collation (C; ICU en-US), share a
column of each type. Each value is inserted at one peer, takes the place of another value and of NULL, and gives way to NULL; then the same from the other peer. After
each step both peers hold what a table that nobody shares holds after the same SQL. The output of the type's send function is compared, its binary form.

NULL is tried for each type that has it, beside the values counted here.
";

const NOTES: &str = "
## What to know

- What travels is the text form of a value. In two cases PostgreSQL's own text says less than the bits, here as in a dump: the sign of a NaN that arithmetic made,
  which no operator sees, and in a `tsquery` how equal operators are grouped, which finds the same documents.
- Both members declare the same type. Its length or precision is each member's own: a value that is too long for a member's column is refused there with 22001. A
  `timestamp(p)` rounds, so does `numeric(p,s)`, and what the member stores travels back to all; two different scales of `numeric` write every number
  differently, and are refused with 44000 at the first one: declare the same scale everywhere, or none.
- `character(n)` is padded by each member to its own length; `bpchar` without a length keeps its spaces.
- `oid` arrives as a number, `lo` and other references into a database too: what they refer to does not.
- Enums, domains and composites must have the same name (with its schema), and each value must be one at every member, or it is refused there.
";

/// Writes the page if DEJIMA_TYPES says `write`.
pub(super) fn write_if_asked(exchange: &Exchange) {
    if std::env::var_os("DEJIMA_TYPES").is_some_and(|word| word == "write") {
        std::fs::write(path(), page(exchange)).expect("the folder can be written");
    }
}

/// The page must say already what it would say.
pub(super) fn compare(exchange: &Exchange) {
    let committed = std::fs::read_to_string(path()).unwrap_or_default();
    assert!(
        committed == page(exchange),
        "docs/types.md is not what this test finds; run `just types` and commit it"
    );
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/types.md")
}

fn page(exchange: &Exchange) -> String {
    let mut page = HEAD.to_owned();
    for group in GROUPS {
        write!(
            page,
            "\n## {}\n\n| type | values | some of them, as SQL writes them | arrives identical |\n| --- | ---: | --- | --- |\n",
            title(group.name)
        )
        .expect("a string takes all");
        for kind in group.kinds {
            writeln!(
                page,
                "| {} | {} | {} | {} |",
                code(kind.type_name),
                kind.values.len(),
                samples(kind),
                verdict(exchange, kind)
            )
            .expect("a string takes all");
        }
    }
    let local: Vec<String> = LOCAL.iter().map(|name| code(name)).collect();
    write!(
        page,
        "\n## Refused\n\nValues of these types mean nothing in another database, or cannot be read from a text. A Dejima table that shows such a column, or a domain, array, \
         range or composite of them, is refused when it is declared: {}.\n{NOTES}",
        local.join(", ")
    )
    .expect("a string takes all");
    page
}

fn title(name: &str) -> String {
    let mut text = name.replace('_', " ");
    text[..1].make_ascii_uppercase();
    text
}

fn samples(kind: &Kind) -> String {
    let mut samples: Vec<String> = kind
        .values
        .iter()
        .take(SAMPLES)
        .map(|v| code(&cut(v)))
        .collect();
    if kind.values.len() > SAMPLES {
        samples.push("…".to_owned());
    }
    samples.join(" ")
}

fn verdict(exchange: &Exchange, kind: &Kind) -> String {
    let how = exchange
        .sender(kind)
        .map_or_else(|| "its text: it has no send function".to_owned(), code);
    let is = if exchange.is_identical(kind) {
        "yes"
    } else {
        "no"
    };
    let by_text: Vec<String> = kind.by_text.iter().map(|value| code(value)).collect();
    if by_text.is_empty() {
        format!("{is}, {how}")
    } else {
        format!("{is}, {how}; only the text of {}", by_text.join(", "))
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SAMPLE_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(SAMPLE_CHARS).collect();
    format!("{start} …")
}

/// In a cell of a table a bar ends the cell even within code.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}
